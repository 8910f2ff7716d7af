//! Grades generated inputs on stable Rust: `fuzz [--execs N] [--max-len L] [--seed S] [--threads T]
//! [--first I] [--corpus DIR] [--slow MS]`.
//!
//! Input number I depends on the seed, the corpus and I alone, whatever the number of threads. A broken
//! promise or a panic ends the run with status 1 and prints the input as hex; `--first I --execs 1` runs
//! it again. Slow inputs are printed, and how many nanoseconds a step took there; no time is asserted.
//!
//! The corpus is a folder with the folders `bytes` and `cases`, as `cargo fuzz` keeps them; its inputs
//! are run first and then changed.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program that talks to its user and times what it calls"
)]

#[path = "../fuzz/shared/generate.rs"]
mod generate;
#[path = "../fuzz/shared/mod.rs"]
mod shared;

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use generate::Input;
use luffy_core::{Response, Task, Verifier};
use luffy_reward::{Format, MathVerifier, Profile};
use shared::{Case, Target, check};

/// What rayon gives its threads.
const STACK: usize = 2 << 20;

struct Options {
    n_execs: u64,
    max_len: usize,
    seed: u64,
    n_threads: u64,
    first: u64,
    corpus: Option<PathBuf>,
    /// Slower inputs are timed again.
    slow: Duration,
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    done: AtomicU64,
    /// The input that each thread is at.
    current: Vec<AtomicU64>,
    failure: Mutex<Option<String>>,
    slow: Mutex<Vec<(Duration, String)>>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(complaint) => {
            eprintln!(
                "error: {complaint}\nusage: fuzz [--execs N] [--max-len L] [--seed S] \
                 [--threads T] [--first I] [--corpus DIR] [--slow MS]"
            );
            return ExitCode::from(2);
        }
    };
    let kept = match &options.corpus {
        None => Vec::new(),
        Some(folder) => match corpus(folder) {
            Ok(kept) => kept,
            Err(error) => {
                eprintln!("error: {}: {error}", folder.display());
                return ExitCode::from(2);
            }
        },
    };
    let current = (0..options.n_threads).map(|_| AtomicU64::new(options.first)).collect();
    let shared = Shared { current, ..Shared::default() };
    let start = Instant::now();
    for (at, input) in kept.iter().enumerate() {
        one(&format!("kept {at}"), input, &options, &shared);
    }
    println!("{} kept inputs in {:.1?}", kept.len(), start.elapsed());
    std::thread::scope(|scope| {
        let (options, kept, shared) = (&options, &kept, &shared);
        for thread in 0..options.n_threads {
            let work = move || run(thread, options, kept, shared);
            let spawned = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
            spawned.expect("the system has threads");
        }
        watch(options, shared, start);
    });
    report(&options, &shared, start)
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let n_cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let mut options = Options {
        n_execs: 100_000,
        max_len: 512,
        seed: 0,
        n_threads: n_cores,
        first: 0,
        corpus: None,
        slow: Duration::from_millis(20),
    };
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{arg} {value} is no number"));
        match arg.as_str() {
            "--execs" => options.n_execs = number()?,
            "--max-len" => options.max_len = number()? as usize,
            "--seed" => options.seed = number()?,
            "--threads" => options.n_threads = number()?.max(1),
            "--first" => options.first = number()?,
            "--slow" => options.slow = Duration::from_millis(number()?),
            "--corpus" => options.corpus = Some(value.into()),
            _ => return Err(format!("{arg} is not known")),
        }
    }
    Ok(options)
}

fn corpus(folder: &Path) -> std::io::Result<Vec<Input>> {
    let mut kept = Vec::new();
    for target in Target::ALL {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(folder.join(target.name()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.sort();
        for path in paths {
            kept.push((target, std::fs::read(path)?));
        }
    }
    Ok(kept)
}

/// The inputs of one thread.
fn run(thread: u64, options: &Options, kept: &[Input], shared: &Shared) {
    let mut index = thread;
    while index < options.n_execs {
        if shared.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        let number = options.first + index;
        shared.current[thread as usize].store(number, Ordering::Relaxed);
        let input = generate::input(options.seed, number, options.max_len, kept);
        one(&format!("input {number}"), &input, options, shared);
        shared.done.fetch_add(1, Ordering::Relaxed);
        index += options.n_threads;
    }
}

fn one(name: &str, (target, bytes): &Input, options: &Options, shared: &Shared) {
    let case = target.case(bytes, options.max_len);
    let start = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| check(&case)));
    let time = start.elapsed();
    let broken = match result {
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some(broken),
        Err(_) => Some("panic".to_owned()),
    };
    if let Some(broken) = broken {
        let target = target.name();
        let text = format!("{name}: {broken}\n{case:?}\n{target} {}", hex(bytes));
        shared.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
    } else if time > options.slow
        && let Some((time, text)) = slow(&case)
        && time > options.slow / 2
    {
        let text = format!("{name}: {text}");
        shared.slow.lock().unwrap_or_else(PoisonError::into_inner).push((time, text));
    }
}

/// The slower profile of a case, at the best of three times.
fn slow(case: &Case) -> Option<(Duration, String)> {
    let task = Task {
        id: "fuzz:0".into(),
        source: "fuzz".into(),
        messages: vec![],
        golds: vec![case.gold.clone()],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    };
    let mut slowest = (Duration::ZERO, String::new());
    for profile in [Profile::Training, Profile::Lenient] {
        let verifier = MathVerifier::new(profile, Format::Plain);
        let mut best = Duration::MAX;
        let mut work = 0;
        for _ in 0..3 {
            let (start, cpu_start) = (Instant::now(), cpu_time());
            work = verifier.verify(&task, &Response::complete(&case.response)).work;
            let cpu = cpu_time().zip(cpu_start).map(|(end, start)| end.saturating_sub(start));
            best = best.min(cpu.unwrap_or_else(|| start.elapsed()));
        }
        if best > slowest.0 {
            let per_step = best.as_nanos() as f64 / work.max(1) as f64;
            let text = format!("{profile:?}, {work} steps of {per_step:.0} ns, {case:?}");
            slowest = (best, text);
        }
    }
    (slowest.0 > Duration::ZERO).then_some(slowest)
}

/// Processor time of this thread, where the system tells: other programs do not make it longer.
fn cpu_time() -> Option<Duration> {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    schedule.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Says how far the threads are, and ends the program if they no longer move.
fn watch(options: &Options, shared: &Shared, start: Instant) {
    const LOOK: Duration = Duration::from_millis(20);
    // Looks, and not the clock: a program that is stopped for a while is not stuck.
    let mut last = (0, 0);
    let mut told = Instant::now();
    loop {
        std::thread::sleep(LOOK);
        let done = shared.done.load(Ordering::Relaxed);
        let failed = shared.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if failed || done >= options.n_execs {
            return;
        }
        last = if done > last.0 { (done, 0) } else { (done, last.1 + 1) };
        if LOOK * last.1 > Duration::from_mins(1) {
            eprintln!("no input ended for a minute: one of {:?}", shared.current);
            std::process::abort();
        }
        if told.elapsed() > Duration::from_mins(1) {
            told = Instant::now();
            eprintln!("{done} inputs in {:.0?}", start.elapsed());
        }
    }
}

fn report(options: &Options, shared: &Shared, start: Instant) -> ExitCode {
    let done = shared.done.load(Ordering::Relaxed);
    println!(
        "{done} inputs of up to {} bytes in {:.1?}, seed {}",
        options.max_len,
        start.elapsed(),
        options.seed
    );
    let mut slow = shared.slow.lock().unwrap_or_else(PoisonError::into_inner);
    slow.sort();
    for (time, text) in slow.iter().rev().take(20) {
        println!("slow: {time:.1?} {text}");
    }
    println!("{} slow inputs", slow.len());
    match shared.failure.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("FAILED {failure}");
            ExitCode::from(1)
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
