//! Responses that are saved already.

use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use luffy_core::{Outcome, Reason};
use luffy_reward::Format;
use rayon::prelude::*;

use super::record::{Finish, Line, Results};
use super::{EvalArgs, RESPONSES, ensure_some, grading, settings};
use crate::atomic::write_atomic_with;
use crate::config::VerifierName;
use crate::exit::{Code, WithCode};
use crate::grade::golds;
use crate::meter::Meter;
use crate::rows::{Fields, Lines, json};

/// Lines that are graded side by side.
const CHUNK_LINES: usize = 1024;

/// Grades the lines of a file anew, and writes them to the folder of the evaluation if there is one.
///
/// # Errors
/// If the file cannot be read, a line of it cannot be used, or the folder not be written or is that of a
/// model's evaluation.
pub(super) fn regrade(args: &EvalArgs, file: &Path, bar: bool) -> anyhow::Result<Results> {
    let mut results = Results::new(args.grading.profile, None);
    let mut add = |place: &str, line: Line| {
        results.add(line).map_err(|what| anyhow!("{place}: {what}")).code(Code::Input)
    };
    match &args.out {
        Some(out) => {
            check_out(out, file).code(Code::Config)?;
            let lines = Lines::open(file)?;
            std::fs::create_dir_all(out)
                .with_context(|| format!("cannot make {}", out.display()))?;
            write_atomic_with(&out.join(RESPONSES), |output| {
                each(args, lines, bar, &mut |place, line| {
                    let text = json(&line);
                    add(place, line)?;
                    writeln(output, &text)
                })
            })?;
        }
        None => each(args, Lines::open(file)?, bar, &mut add)?,
    }
    ensure_some(results.problems.len(), &file.display().to_string())?;
    Ok(results)
}

/// Refuses to write over responses that a model gave.
fn check_out(out: &Path, file: &Path) -> anyhow::Result<()> {
    settings::refuse_run(out)?;
    let (folder, responses) = (out.display(), out.join(RESPONSES));
    ensure!(
        !out.join(settings::FILE).exists(),
        "{folder} has an {}: the responses of a model are there; name another folder with `--out`",
        settings::FILE
    );
    let is_input = responses
        .canonicalize()
        .is_ok_and(|responses| file.canonicalize().is_ok_and(|file| file == responses));
    ensure!(!is_input, "{} is the input; name another folder with `--out`", responses.display());
    Ok(())
}

fn writeln(output: &mut dyn std::io::Write, text: &str) -> anyhow::Result<()> {
    output.write_all(text.as_bytes())?;
    output.write_all(b"\n")?;
    Ok(())
}

/// Hands on every line of the input with its place, graded.
fn each(
    args: &EvalArgs,
    mut input: Lines,
    bar: bool,
    take: &mut dyn FnMut(&str, Line) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut meter = Meter::new("responses", input.n_bytes, bar);
    let name = input.name.clone();
    let mut n_bad = 0_u64;
    loop {
        let chunk = input.chunk(CHUNK_LINES)?;
        if chunk.is_empty() {
            break;
        }
        let graded: Vec<(String, Result<Line, String>)> = chunk
            .par_iter()
            .map(|row| {
                let place = format!("{name}:{}", row.number);
                let line = read(&row.bytes, &place, args).map(|mut line| {
                    grading::grade(&mut line, args.grading.profile, args.grading.require_stop);
                    line
                });
                (place, line)
            })
            .collect();
        for (row, (place, graded)) in chunk.iter().zip(graded) {
            match graded {
                Ok(line) => {
                    meter.add(1, row.bytes.len() as u64, 0);
                    take(&place, line)?;
                }
                Err(what) => {
                    n_bad += 1;
                    meter.note(&format!("{place}: {what}"));
                }
            }
        }
    }
    meter.finish();
    if n_bad > 0 {
        // Figures over a part of the responses would be figures of something else.
        let lines = super::counted(n_bad, "line", "lines");
        return Err(anyhow!("{lines} of {name} could not be used")).code(Code::Input);
    }
    Ok(())
}

/// A line as `luffy eval` writes it, or any row with `response` and `golds`: each such row is a problem of
/// its own unless it names one.
fn read(bytes: &[u8], place: &str, args: &EvalArgs) -> Result<Line, String> {
    let fields = Fields::parse(bytes)?;
    let golds =
        golds(&fields)?.ok_or("no `golds` and no `gold`: a gold answer is needed for a verdict")?;
    let verifier = fields.read("verifier", "the name of a verifier")?;
    let format = fields.read("format", "`think`, `strict-think` or `plain`")?;
    let finish = fields.read("finish", "`stop`, `length` or `too-long`")?;
    Ok(Line {
        problem: fields.read("problem", "a text")?.unwrap_or_else(|| place.to_owned()),
        source: fields.read("source", "a text")?.unwrap_or_else(|| "all".to_owned()),
        sample: fields.read("sample", "a number")?.unwrap_or(0),
        golds,
        verifier: args.grading.verifier.or(verifier).unwrap_or(VerifierName::Math),
        format: args.grading.format.or(format).unwrap_or(Format::Plain),
        prompt_len: fields.read("prompt_len", "a number")?.unwrap_or(0),
        prompt_digest: fields.read("prompt_digest", "a text")?,
        response: fields.read("response", "a text")?.ok_or("no `response`")?,
        n_tokens: fields.read("n_tokens", "a number")?.unwrap_or(0),
        finish: finish.unwrap_or(Finish::Stop),
        correct: false,
        verdict: Outcome::BadGold,
        reason: Reason::BadGold,
        extracted: None,
    })
}
