//! `luffy grade`: a file of responses in, the same file with verdicts out.
#![allow(
    clippy::print_stderr,
    reason = "what went wrong goes to stderr, so that stdout can be piped"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use luffy_core::Verifier;
use luffy_reward::{Format, GradingValues, Profile};
use rayon::prelude::*;
use serde::de::value::Error as NameError;
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::atomic::write_atomic_with;
use crate::clock::Stopwatch;
use crate::config::{RewardSection, VerifierName, build_verifier};
use crate::exit::{Code, WithCode};
use crate::rows::Lines;
use crate::stdout;

mod row;
mod tally;

use row::Row;
pub(crate) use row::golds;
use tally::Tally;

/// Lines that are graded side by side, at most.
const CHUNK_LINES: usize = 1024;

/// Rows between two lines of progress where there is no bar.
const ROWS_PER_NOTE: u64 = 100_000;

/// What to grade, and how.
#[derive(Debug, Args)]
pub(crate) struct GradeArgs {
    /// JSONL; each row has `response` (text) and `gold` or `golds` (text, number or a list of them). All
    /// other fields, one called `format` included, are passed through and not looked at. `-` is stdin.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the rows go, with `correct`, `verdict`, `reason`, `extracted` and `reward`; stdout if absent.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What every response must look like: `think`, `strict-think` or `plain`.
    #[arg(long, default_value = "think", value_parser = named::<Format>)]
    format: Format,
    /// How strictly answers are looked for and compared: `training` or `lenient`.
    #[arg(long, default_value = "training", value_parser = named::<Profile>)]
    profile: Profile,
    /// Who grades; the reference verifiers have their own format.
    #[arg(long, value_enum, default_value_t)]
    verifier: VerifierName,
    /// What correct, incorrect and malformed responses are worth, as in `1,-0.5,-1`; without the third,
    /// malformed is worth what incorrect is. By default 1,0,0, for `reference-v1` 1,-0.5,-1.
    #[arg(long, value_name = "A,B[,C]", allow_hyphen_values = true, value_parser = values)]
    values: Option<GradingValues>,
}

/// Grades a file. `bar` asks for a progress bar on stderr.
///
/// # Errors
/// If the input cannot be read or the output not written, and if lines could not be graded; the rest is
/// graded and written all the same then.
pub(crate) fn grade(args: &GradeArgs, bar: bool) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    let mut job = Job::open(args, bar)?;
    let output = args.output.as_deref().filter(|path| *path != Path::new("-"));
    match output {
        Some(path) => write_atomic_with(path, |file| job.run(file, &path.display().to_string()))?,
        None => job.run(&mut stdout::open(), "stdout")?,
    }
    job.finish();
    eprint!("{}", job.tally.summary(watch.seconds()));
    if job.tally.n_bad > 0 {
        let (n_bad, name) = (job.tally.n_bad, &job.lines.name);
        return Err(anyhow!("{n_bad} lines of {name} could not be graded")).code(Code::Input);
    }
    Ok(())
}

/// An input on its way through a verifier.
struct Job {
    lines: Lines,
    verifier: Arc<dyn Verifier>,
    values: GradingValues,
    tally: Tally,
    bar: Option<ProgressBar>,
}

impl Job {
    fn open(args: &GradeArgs, bar: bool) -> anyhow::Result<Self> {
        let section = RewardSection {
            verifier: args.verifier,
            format: args.format,
            profile: args.profile,
            ..RewardSection::default()
        };
        let lines = Lines::open(&args.input)?;
        let n_bytes = lines.n_bytes;
        Ok(Self {
            lines,
            verifier: build_verifier(&section),
            values: args.values.unwrap_or_else(|| args.verifier.values()),
            tally: Tally::default(),
            bar: bar.then(|| progress_bar(n_bytes)),
        })
    }

    /// Grades everything, a chunk at a time, and writes rows in the order they came in.
    fn run(&mut self, output: &mut dyn Write, output_name: &str) -> anyhow::Result<()> {
        let context = || format!("cannot write {output_name}");
        loop {
            let lines = self.lines.chunk(CHUNK_LINES)?;
            if lines.is_empty() {
                return output.flush().with_context(context);
            }
            let (name, verifier, values) = (&self.lines.name, &*self.verifier, self.values);
            let graded: Vec<_> = lines
                .par_iter()
                .map(|line| {
                    let row = Row::parse(&line.bytes)?;
                    let task = row.task(format!("{name}:{}", line.number));
                    Ok::<_, String>(row.graded(&verifier.verify(&task, &row.response()), values))
                })
                .collect();
            for (line, graded) in lines.iter().zip(graded) {
                match graded {
                    Ok(graded) => {
                        output.write_all(&graded.bytes).with_context(context)?;
                        self.tally.add(&graded);
                        let n_rows = self.tally.n_rows();
                        if self.bar.is_none() && n_rows.is_multiple_of(ROWS_PER_NOTE) {
                            self.note(&format!("{n_rows} rows"));
                        }
                    }
                    Err(what) => {
                        self.note(&format!("{}:{}: {what}", self.lines.name, line.number));
                        self.tally.n_bad += 1;
                    }
                }
            }
            if let Some(bar) = &self.bar {
                bar.inc(lines.iter().map(|line| line.bytes.len() as u64).sum());
                bar.set_message(format!("{} rows", self.tally.n_rows()));
            }
        }
    }

    /// Shows a line that stays.
    fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn progress_bar(n_bytes: Option<u64>) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:24} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(n_bytes, ProgressDrawTarget::stderr())
        .with_style(style.progress_chars("=> "))
}

/// A value by the name that a configuration gives it; the error lists the names.
pub(crate) fn named<T: DeserializeOwned>(name: &str) -> Result<T, NameError> {
    T::deserialize(name.into_deserializer())
}

/// Two or three finite numbers with commas between them.
fn values(text: &str) -> Result<GradingValues, String> {
    let numbers: Vec<f32> = text
        .split(',')
        .map(|part| part.trim().parse().ok().filter(|value: &f32| value.is_finite()))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("`{text}` is no list of numbers, such as 1,-0.5,-1"))?;
    match numbers[..] {
        [correct, incorrect] => Ok(GradingValues { correct, incorrect, malformed: incorrect }),
        [correct, incorrect, malformed] => Ok(GradingValues { correct, incorrect, malformed }),
        _ => Err(format!("{} numbers, expected two or three, such as 1,-0.5,-1", numbers.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_two_or_three_numbers() {
        let of = |correct, incorrect, malformed| GradingValues { correct, incorrect, malformed };
        assert_eq!(values("1,-0.5,-1"), Ok(of(1.0, -0.5, -1.0)));
        assert_eq!(values("1, 0"), Ok(of(1.0, 0.0, 0.0)));
        for text in ["", "1", "1,2,3,4", "1,x", "1,inf", "1,NaN", "1,,2"] {
            assert!(values(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        assert_eq!(named::<Format>("strict-think"), Ok(Format::StrictThink));
        let error = named::<Profile>("strict").unwrap_err().to_string();
        assert_eq!(error, "unknown variant `strict`, expected `training` or `lenient`");
    }

    /// A job over a text, and what it writes.
    fn run(input: String) -> (Job, String) {
        let mut job = Job {
            lines: Lines::new("x", Box::new(std::io::Cursor::new(input))),
            verifier: build_verifier(&RewardSection {
                format: Format::Plain,
                ..Default::default()
            }),
            values: GradingValues::default(),
            tally: Tally::default(),
            bar: None,
        };
        let mut output = Vec::new();
        job.run(&mut output, "memory").unwrap();
        (job, String::from_utf8(output).unwrap())
    }

    #[test]
    fn rows_keep_their_order_across_chunks() {
        let n = 3 * CHUNK_LINES + 7;
        let row = |i| format!("{{\"id\":{i},\"gold\":1,\"response\":\"\\\\boxed{{{}}}\"}}", i % 2);
        let (job, output) = run((0..n).map(row).collect::<Vec<_>>().join("\n"));
        assert_eq!(job.tally.n_rows(), n as u64);
        for (i, line) in output.lines().enumerate() {
            assert!(line.starts_with(&format!("{{\"id\":{i},")), "{i}: {line}");
            assert!(line.contains(&format!("\"correct\":{}", i % 2 == 1)), "{i}: {line}");
        }
    }
}
