//! `luffy conformance-models`: checkpoints beside what transformers and PyTorch compute with them.

mod case;
mod checks;
mod objective;

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;

use crate::exit::{Code, WithCode};
use crate::stdout;
use case::Case;
pub(crate) use objective::{ObjectiveArgs, objective};

/// What to compare.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// A folder of checkpoints, each with an `expected.json`.
    #[arg(long, value_name = "DIR")]
    cases: PathBuf,
}

/// Checks that passed and failed, with the largest distance of each kind.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    failures: Vec<String>,
    kinds: Vec<(&'static str, usize, f64)>,
}

impl Tally {
    /// One check of `kind`: a distance and how far it may be.
    fn check(&mut self, kind: &'static str, what: &str, distance: f64, limit: f64) {
        let at = self.kinds.iter().position(|(known, ..)| *known == kind).unwrap_or_else(|| {
            self.kinds.push((kind, 0, 0.0));
            self.kinds.len() - 1
        });
        let entry = &mut self.kinds[at];
        entry.1 += 1;
        // NaN is as far as it gets.
        entry.2 = if distance.is_nan() { f64::INFINITY } else { entry.2.max(distance) };
        if distance <= limit {
            self.passed += 1;
        } else {
            self.failures
                .push(format!("{kind} {what}: off by {distance:.1e}, allowed {limit:.0e}"));
        }
    }

    /// One check that is right or wrong.
    fn check_equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        kind: &'static str,
        what: &str,
        found: &T,
        expected: &T,
    ) {
        let equal = found == expected;
        self.check(kind, what, if equal { 0.0 } else { 1.0 }, 0.0);
        if !equal {
            self.failures.pop();
            self.failures.push(format!("{kind} {what}: {found:?} instead of {expected:?}"));
        }
    }

    /// A line of the kinds and their largest distances.
    fn summary(&self) -> String {
        let kinds = self.kinds.iter().map(|(kind, n, far)| match *far {
            0.0 => format!("{kind} {n}"),
            far => format!("{kind} {n} ({far:.1e})"),
        });
        kinds.collect::<Vec<_>>().join(", ")
    }
}

/// Compares every case of a folder; ends with `N passed, M failed`.
pub(crate) fn models(args: &ModelsArgs) -> anyhow::Result<()> {
    let (mut passed, mut failed) = (0, 0);
    for dir in cases(&args.cases).code(Code::Input)? {
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let case = Case::read(&dir).with_context(|| format!("case {name}")).code(Code::Input)?;
        let (tally, note) = checks::run(&case).with_context(|| format!("case {name}"))?;
        stdout::say(&format!("{name}: {}{note}", tally.summary()))?;
        for failure in &tally.failures {
            stdout::say(&format!("  FAILED {failure}"))?;
        }
        passed += tally.passed;
        failed += tally.failures.len();
    }
    stdout::say(&format!("{passed} passed, {failed} failed"))?;
    ensure!(failed == 0, "{failed} comparisons failed");
    Ok(())
}

/// The folders below `dir` that hold an `expected.json`, or `dir` itself.
fn cases(dir: &std::path::Path) -> anyhow::Result<Vec<PathBuf>> {
    if dir.join("expected.json").exists() {
        return Ok(vec![dir.to_owned()]);
    }
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", dir.display()))?.path();
        if path.join("expected.json").exists() {
            cases.push(path);
        }
    }
    if cases.is_empty() {
        bail!("no folder below {} has an expected.json", dir.display());
    }
    cases.sort();
    Ok(cases)
}
