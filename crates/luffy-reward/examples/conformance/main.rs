//! Grades every row of a conformance file and says where the verdicts are not those expected.
//!
//! `cargo xtask conformance grader --help` explains it and finds the file; this is what it runs. Builds
//! without burn.

#![expect(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a program that talks to its user and times what it calls"
)]

mod report;
mod rows;
mod tally;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use luffy_core::{Response, Verdict, Verifier};
use luffy_reward::{DEFAULT_MAX_STEPS, MathVerifier, Profile};
use rows::Row;
use tally::Tally;

const USAGE: &str = "usage: conformance --cases FILE.jsonl [--robustness FILE.jsonl] \
                     [--profile lenient|training] [--list]";

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(complaint) => {
            eprintln!("error: {complaint}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut run = Run::new(&options);
    for path in &options.files {
        let outcome = rows::read(path, |number, row| match row {
            Ok(row) => run.grade(&row),
            Err(complaint) => run.fail(&format!("{}:{number}: {complaint}", path.display())),
        });
        if let Err(complaint) = outcome {
            run.fail(&complaint);
        }
    }
    if run.failures > 0 {
        eprintln!("error: failures: {}, listed above", run.failures);
    }
    report::print(
        (options.profile, &run.chosen),
        (run.other_profile, &run.other),
        DEFAULT_MAX_STEPS,
    );
    if run.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command line.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    files: Vec<PathBuf>,
    profile: Profile,
    list: bool,
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { files: vec![], profile: Profile::Lenient, list: false };
        let mut cases = None;
        let mut args = args;
        while let Some(arg) = args.next() {
            let (name, attached) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            let mut value =
                || attached.clone().or_else(|| args.next()).ok_or(format!("{name} needs a value"));
            match name {
                "--cases" => cases = Some(value()?.into()),
                "--robustness" => options.files.push(value()?.into()),
                "--profile" => {
                    options.profile = match value()?.as_str() {
                        "lenient" => Profile::Lenient,
                        "training" => Profile::Training,
                        other => return Err(format!("no profile `{other}`")),
                    }
                }
                "--list" if attached.is_none() => options.list = true,
                _ => return Err(format!("`{arg}` means nothing here")),
            }
        }
        options.files.insert(0, cases.ok_or("--cases names no file")?);
        Ok(options)
    }
}

/// Both profiles over all rows.
struct Run {
    profile: Profile,
    other_profile: Profile,
    list: bool,
    chosen: Tally,
    other: Tally,
    /// Bad lines, panics, breaches of the budget, files that cannot be read.
    failures: usize,
}

impl Run {
    fn new(options: &Options) -> Self {
        let other_profile = match options.profile {
            Profile::Training => Profile::Lenient,
            Profile::Lenient => Profile::Training,
        };
        Self {
            profile: options.profile,
            other_profile,
            list: options.list,
            chosen: Tally::default(),
            other: Tally::default(),
            failures: 0,
        }
    }

    fn fail(&mut self, complaint: &str) {
        eprintln!("error: {complaint}");
        self.failures += 1;
    }

    fn grade(&mut self, row: &Row) {
        let (profile, other_profile) = (self.profile, self.other_profile);
        if let Some((verdict, milliseconds)) = self.verdict(profile, row) {
            let is_shown = self.chosen.add(row, &verdict, milliseconds) || row.expected.is_none();
            if self.list && is_shown {
                report::print_row(row, &verdict);
            }
        } else {
            self.chosen.add_panic(row);
        }
        match self.verdict(other_profile, row) {
            Some((verdict, milliseconds)) => _ = self.other.add(row, &verdict, milliseconds),
            None => self.other.add_panic(row),
        }
    }

    /// The verdict and the milliseconds it took; `None` if the verifier panicked, which is a failure.
    fn verdict(&mut self, profile: Profile, row: &Row) -> Option<(Verdict, f64)> {
        let name = report::profile_name(profile);
        let graded = guarded(&MathVerifier::new(profile, row.format), row);
        match &graded {
            None => self.fail(&format!("row {} panicked under profile {name}", row.id)),
            Some((verdict, _)) if tally::steps(row, verdict) > DEFAULT_MAX_STEPS => {
                self.fail(&format!(
                    "row {} took {} steps beside reading under profile {name}, {DEFAULT_MAX_STEPS} is the budget",
                    row.id,
                    tally::steps(row, verdict),
                ));
            }
            Some(_) => {}
        }
        graded
    }
}

/// The verdict and the milliseconds it took; `None` if the verifier panicked.
fn guarded(verifier: &dyn Verifier, row: &Row) -> Option<(Verdict, f64)> {
    let started = Instant::now();
    let verdict = catch_unwind(AssertUnwindSafe(|| {
        verifier.verify(&row.task, &Response::complete(&row.response))
    }));
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    verdict.ok().map(|verdict| (verdict, milliseconds))
}

#[cfg(test)]
mod tests {
    use luffy_core::{Reason, Task};

    use super::*;

    /// Does what no verifier may on an empty response.
    #[derive(Debug)]
    struct Fragile;

    impl Verifier for Fragile {
        fn verify(&self, _: &Task, response: &Response<'_>) -> Verdict {
            assert!(!response.text.is_empty(), "planted");
            Verdict::new(Reason::Exact)
        }
    }

    #[test]
    fn a_panic_ends_one_row_and_no_more() {
        let row = |line: &str| Row::parse(line.as_bytes(), 1).unwrap();
        assert!(guarded(&Fragile, &row(r#"{"gold": "1", "response": ""}"#)).is_none());
        let (verdict, _) = guarded(&Fragile, &row(r#"{"gold": "1", "response": "1"}"#)).unwrap();
        assert_eq!(verdict.reason, Reason::Exact);
    }

    fn parse(args: &[&str]) -> Result<Options, String> {
        Options::parse(args.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn both_spellings_of_a_flag_are_read() {
        let expected = Options {
            files: vec!["a b".into(), "r=1".into()],
            profile: Profile::Training,
            list: true,
        };
        let spaced = ["--list", "--robustness", "r=1", "--cases", "a b", "--profile", "training"];
        assert_eq!(parse(&spaced), Ok(expected));
        let joined = ["--cases=c", "--profile=lenient"];
        let expected = Options { files: vec!["c".into()], profile: Profile::Lenient, list: false };
        assert_eq!(parse(&joined), Ok(expected));
    }

    #[test]
    fn a_wrong_command_line_is_refused() {
        for args in [
            &[][..],
            &["--cases"],
            &["--cases", "a", "--profile", "strict"],
            &["--cases", "a", "--list=yes"],
            &["--cases", "a", "b"],
        ] {
            assert!(parse(args).is_err(), "{args:?}");
        }
    }

    #[test]
    fn a_row_is_graded_under_both_profiles() {
        let options = parse(&["--cases", "a"]).unwrap();
        let mut run = Run::new(&options);
        let line = br#"{"gold": "57", "response": "\\boxed{57}", "expected": true}"#;
        run.grade(&Row::parse(line, 1).unwrap());
        assert_eq!(run.chosen.all.to_string(), "agreement 1.0000 (FN 0, FP 0, 1 cases)");
        assert_eq!(run.other.all.to_string(), "agreement 1.0000 (FN 0, FP 0, 1 cases)");
        assert_eq!(run.failures, 0);
    }
}
