//! Times the grader on one thread: `grader_timing ROWS.jsonl [--profile P] [--seconds S]`.
//!
//! `cargo xtask bench grader` runs it beside the peers in Python. It reads all rows, grades them once to
//! warm up, and then again and again until `S` seconds (1 by default) have passed; one line of JSON on
//! standard output says how long it took. `cpu_seconds` is processor time of the thread for one pass, the
//! mean over all passes (wall-clock time where the system does not tell, and then `clock` says so);
//! `row_seconds` is wall-clock time by row, the mean over all passes.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program that talks to its user and times what it calls"
)]

#[path = "conformance/rows.rs"]
#[expect(dead_code, reason = "what is expected of a row is the caller's business")]
mod rows;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use luffy_core::{Outcome, Response, Verifier};
use luffy_reward::{MathVerifier, Profile};
use rows::Row;
use serde_json::json;

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(complaint) => {
            eprintln!(
                "error: {complaint}\n\
                 usage: grader_timing ROWS.jsonl [--profile lenient|training] [--seconds S]"
            );
            ExitCode::from(2)
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<serde_json::Value, String> {
    let mut path: Option<PathBuf> = None;
    let mut profile = Profile::Lenient;
    let mut seconds = 1.0;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--profile" => {
                profile = match args.next().as_deref() {
                    Some("lenient") => Profile::Lenient,
                    Some("training") => Profile::Training,
                    _ => return Err("--profile is `lenient` or `training`".to_owned()),
                }
            }
            "--seconds" => {
                let value = args.next().and_then(|value| value.parse().ok());
                seconds = value.ok_or("--seconds needs a number")?;
            }
            _ if path.is_none() => path = Some(arg.into()),
            _ => return Err(format!("`{arg}` means nothing here")),
        }
    }
    let rows = read(&path.ok_or("no file")?)?;
    Ok(time(&rows, profile, seconds))
}

fn read(path: &Path) -> Result<Vec<Row>, String> {
    let mut found = Vec::new();
    let mut complaint = None;
    rows::read(path, |number, row| match row {
        Ok(row) => found.push(row),
        Err(error) => complaint = complaint.take().or(Some(format!("line {number}: {error}"))),
    })?;
    complaint.map_or(Ok(found), Err)
}

fn time(rows: &[Row], profile: Profile, seconds: f64) -> serde_json::Value {
    let correct: Vec<bool> = rows.iter().map(|row| is_correct(row, profile)).collect();
    let mut row_seconds = vec![0.0; rows.len()];
    let mut passes = 0_u32;
    let started = Instant::now();
    let cpu_started = thread_cpu_seconds();
    while passes == 0 || started.elapsed().as_secs_f64() < seconds {
        for (row, total) in rows.iter().zip(&mut row_seconds) {
            let row_started = Instant::now();
            black_box(is_correct(black_box(row), profile));
            *total += row_started.elapsed().as_secs_f64();
        }
        passes += 1;
    }
    let wall = started.elapsed().as_secs_f64();
    for total in &mut row_seconds {
        *total /= f64::from(passes);
    }
    let cpu = cpu_started.zip(thread_cpu_seconds()).map(|(before, after)| after - before);
    json!({
        "rows": rows.len(),
        "passes": passes,
        "clock": if cpu.is_some() { "cpu" } else { "wall" },
        "cpu_seconds": cpu.unwrap_or(wall) / f64::from(passes),
        "correct": correct,
        "row_seconds": row_seconds,
    })
}

fn is_correct(row: &Row, profile: Profile) -> bool {
    let verifier = MathVerifier::new(profile, row.format);
    let verdict = verifier.verify(&row.task, &Response::complete(&row.response));
    verdict.outcome() == Outcome::Correct
}

/// Processor time of this thread so far, to a few milliseconds; Linux alone tells.
fn thread_cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    (nanoseconds > 0).then_some(nanoseconds as f64 * 1e-9)
}
