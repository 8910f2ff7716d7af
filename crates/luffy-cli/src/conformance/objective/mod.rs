//! `luffy conformance-objective`: losses, gradients, advantages and logged figures beside those of the reference.

mod advantage;
mod arguments;
mod array;
mod case;
mod figure;
mod loss;
mod tokens;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use burn::tensor::Device;
use clap::Args;

use crate::device::device;
use crate::exit::{Code, WithCode};
use crate::stdout;
use case::{Call, Case};
use figure::{Failure, Figure, Precision, compare};

/// What to compare.
#[derive(Debug, Args)]
pub(crate) struct ObjectiveArgs {
    /// One case a line, as in `testdata/objective/cases.jsonl`.
    #[arg(long, value_name = "FILE")]
    cases: PathBuf,
}

/// Figures by the name that cases give them.
type Found = BTreeMap<&'static str, Figure>;

/// Figures that are differentiated or derivatives; over nothing they are zero, where others are absent.
const OPTIMISED: [&str; 3] = ["pg_loss", "loss", "grad_log_prob"];

/// Cases that passed and failed, by kind.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    kinds: BTreeMap<&'static str, KindTally>,
}

#[derive(Debug, Default)]
struct KindTally {
    cases: usize,
    figures: usize,
    /// Largest distances in units of what is allowed, by precision.
    shares: [f64; 2],
}

/// Compares every case of a file; ends with `N passed, M failed`.
pub(crate) fn objective(args: &ObjectiveArgs) -> anyhow::Result<()> {
    let path = args.cases.display();
    let file =
        File::open(&args.cases).with_context(|| format!("cannot read {path}")).code(Code::Input)?;
    let mut tally = Tally::default();
    for (i, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {path}")).code(Code::Input)?;
        if line.trim().is_empty() {
            continue;
        }
        for failure in tally.judge(&line, i + 1) {
            stdout::say(&format!("FAILED {failure}"))?;
        }
    }
    if tally.passed + tally.failed == 0 {
        stdout::say(&format!("FAILED {path} holds no case"))?;
        tally.failed += 1;
    }
    for (kind, KindTally { cases, figures, shares: [f64_share, f32_share] }) in &tally.kinds {
        stdout::say(&format!(
            "{kind}: {cases} cases, {figures} figures; of what is allowed at most {f64_share:.0e} in f64, \
             {f32_share:.0e} in f32"
        ))?;
    }
    stdout::say(&format!("{} passed, {} failed", tally.passed, tally.failed))?;
    ensure!(tally.failed == 0, "{} of {} failed", tally.failed, tally.passed + tally.failed);
    Ok(())
}

impl Tally {
    /// Evaluates the case of a line; what is wrong with it.
    fn judge(&mut self, line: &str, number: usize) -> Vec<String> {
        let failures = match Case::read(line) {
            Ok((id, case)) => {
                let kind = self.kinds.entry(case.call.kind()).or_default();
                kind.cases += 1;
                let failures = kind.compare(&case);
                failures.into_iter().map(|failure| format!("{id} {failure}")).collect()
            }
            Err(refused) => {
                let id = refused.id.unwrap_or_else(|| format!("line {number}"));
                vec![format!("{id}: {:#}", refused.why)]
            }
        };
        if failures.is_empty() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        failures
    }
}

impl KindTally {
    /// Every figure of a case in both precisions; those that are wrong.
    fn compare(&mut self, case: &Case) -> Vec<String> {
        let device = device();
        let mut failures = Vec::new();
        for (precision, most) in Precision::BOTH.into_iter().zip(&mut self.shares) {
            for (how, with_graph) in case.call.ways() {
                let dtype = precision.name();
                let evaluate = || case.call.evaluate(precision, &device, *with_graph);
                // A panic is a failure of this case and says nothing of the others.
                let Ok(found) = panic::catch_unwind(AssertUnwindSafe(evaluate)) else {
                    failures.push(format!("panics in {dtype}{how}"));
                    continue;
                };
                for (name, wanted) in &case.expected {
                    self.figures += 1;
                    let Some(got) = found.get(name.as_str()) else {
                        failures.push(format!("{name} is no figure of this kind"));
                        continue;
                    };
                    let compared =
                        compare(got, wanted, precision, OPTIMISED.contains(&name.as_str()));
                    *most = most.max(compared.share);
                    if let Some(Failure { at, what }) = compared.failure {
                        failures.push(format!("{name}{at} in {dtype}{how}: {what}"));
                    }
                }
            }
        }
        failures
    }
}

impl Call {
    /// The name of the function in a case.
    const fn kind(&self) -> &'static str {
        match self {
            Self::MixedPolicyLoss(..) => "mixed_policy_loss",
            Self::PpoClipLoss(..) => "ppo_clip_loss",
            Self::SftLoss(..) => "sft_loss",
            Self::Kl(..) => "kl",
            Self::TokenStatistics(..) => "token_statistics",
            Self::Advantage(..) => "advantage",
        }
    }

    /// How a call is evaluated: what is said of it, and whether with a graph where it need not be.
    const fn ways(&self) -> &'static [(&'static str, bool)] {
        match self {
            Self::TokenStatistics(..) => &[("", false), (" with a graph", true)],
            _ => &[("", false)],
        }
    }

    /// Every figure.
    fn evaluate(&self, precision: Precision, device: &Device, with_graph: bool) -> Found {
        match self {
            Self::MixedPolicyLoss(config, inputs) => loss::mixed(config, inputs, precision, device),
            Self::PpoClipLoss(config, inputs) => loss::ppo(config, inputs, precision, device),
            Self::SftLoss(inputs) => loss::supervised(inputs, precision, device),
            Self::Kl(config, inputs) => tokens::kl(config, inputs, precision, device),
            Self::TokenStatistics(inputs) => {
                tokens::statistics(inputs, precision, device, with_graph)
            }
            Self::Advantage(config, inputs) => advantage::advantages(config, inputs),
        }
    }
}
