//! `report.html`: a run or a comparison for people, in one file that needs nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use luffy_trainer::Count;
use serde::Serialize;
use serde_json::Value;

use crate::atomic::write_atomic;
use crate::compare::Comparison;
use crate::jsonl::{read_jsonl, read_jsonl_zst};
use crate::run::{EvalCounts, Summary};

mod chart;
mod compare;
mod grid;
mod html;
mod notes;
mod run;
mod samples;
mod scale;
mod strip;
mod svg;

pub(crate) use grid::{Panel, grid};

/// The metrics of one step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricsRow {
    /// Steps done.
    pub step: u64,
    /// By name; what a step did not measure is absent.
    pub values: BTreeMap<String, f64>,
}

/// Right answers of one evaluation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EvalRow {
    /// Steps done before it.
    pub step: u64,
    /// By level.
    pub counts: EvalCounts,
}

/// One trajectory of the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRow {
    /// Step it was graded in.
    pub step: u64,
    /// What was asked.
    pub prompt: String,
    /// What was answered.
    pub response: String,
    /// Whether the policy wrote it; otherwise it is a demonstration.
    pub on_policy: bool,
    /// The verifier's word, as stored: `correct`, `incorrect`, `malformed`.
    pub verdict: String,
    /// Its reward.
    pub reward: f64,
    /// Its advantage within its group.
    pub advantage: f64,
}

/// All that a report of one run shows.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport<'a> {
    /// The resolved configuration.
    pub config_toml: String,
    /// The content of `run.json`.
    pub run: &'a Value,
    /// What came out.
    pub summary: &'a Summary,
    /// Training steps in order.
    pub series: Vec<MetricsRow>,
    /// Evaluations in order.
    pub evals: Vec<EvalRow>,
    /// A few rollouts.
    pub samples: Vec<SampleRow>,
}

/// One run of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmRun {
    /// What came out.
    pub summary: Summary,
    /// Training steps in order; may be empty.
    pub series: Vec<MetricsRow>,
}

/// All runs of one method.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmReport {
    /// Name of the method.
    pub name: String,
    /// One run per seed.
    pub runs: Vec<ArmRun>,
}

/// All that a report of a comparison shows.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonReport {
    /// In the order of the tables.
    pub arms: Vec<ArmReport>,
    /// Sentences on the result that the figures alone do not say.
    pub notes: Vec<String>,
}

/// The report of a run as HTML.
pub fn render_run(report: &RunReport<'_>) -> String {
    run::page(report)
}

/// The report of a comparison as HTML.
pub fn render_comparison(report: &ComparisonReport) -> String {
    compare::page(report)
}

/// Writes `report.html` of a run from the rows of its `metrics.jsonl` and its stored rollouts.
///
/// # Errors
/// If a stored rollout cannot be read or the file cannot be written.
pub fn write_run(
    dir: &Path,
    config: &impl Serialize,
    run_json: &Value,
    summary: &Summary,
    rows: &[Value],
) -> anyhow::Result<()> {
    let (series, evals) = split_rows(rows);
    let report = RunReport {
        config_toml: toml::to_string(config).context("cannot write the configuration")?,
        run: run_json,
        summary,
        series,
        evals,
        samples: samples::pick(&dir.join("rollouts"), read_jsonl_zst)?,
    };
    write_atomic(&dir.join("report.html"), render_run(&report).as_bytes())
}

/// Writes `report.html` of a comparison whose runs lie in `DIR/METHOD/seed-N`.
///
/// # Errors
/// If the metrics of a run cannot be read or the file cannot be written.
pub fn write_comparison(dir: &Path, comparison: &Comparison) -> anyhow::Result<()> {
    let mut arms = Vec::new();
    for arm in &comparison.arms {
        let mut runs = Vec::new();
        for summary in &arm.runs {
            let metrics = run_dir(dir, &arm.method, summary.seed).join("metrics.jsonl");
            let rows = if metrics.exists() { read_jsonl(&metrics)? } else { Vec::new() };
            runs.push(ArmRun { summary: summary.clone(), series: split_rows(&rows).0 });
        }
        arms.push(ArmReport { name: arm.method.clone(), runs });
    }
    let notes = notes::notes(&arms);
    let report = ComparisonReport { arms, notes };
    write_atomic(&dir.join("report.html"), render_comparison(&report).as_bytes())
}

fn run_dir(dir: &Path, method: &str, seed: u64) -> PathBuf {
    dir.join(method).join(format!("seed-{seed}"))
}

/// Training rows and evaluation rows of a `metrics.jsonl`, as `run::rows` writes them.
pub fn split_rows(rows: &[Value]) -> (Vec<MetricsRow>, Vec<EvalRow>) {
    let (mut series, mut evals) = (Vec::new(), Vec::new());
    for row in rows {
        let step = row["step"].as_u64().unwrap_or(0);
        match row["kind"].as_str() {
            Some("train") => {
                let values = row
                    .as_object()
                    .into_iter()
                    .flatten()
                    .filter(|(name, _)| !matches!(name.as_str(), "schema" | "kind" | "step"))
                    .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
                    .collect();
                series.push(MetricsRow { step, values });
            }
            Some("eval") => {
                if let Ok(counts) = serde_json::from_value(row["counts"].clone()) {
                    evals.push(EvalRow { step, counts });
                }
            }
            _ => {}
        }
    }
    (series, evals)
}

/// The harder half of the levels, where levels are numbers (3 and 4 of 1 to 4); none otherwise.
pub fn hard_levels<'a>(levels: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut numbers: Vec<u64> = levels.filter_map(|level| level.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let n_easy = numbers.len().div_ceil(2);
    numbers.split_off(n_easy).into_iter().map(|level| level.to_string()).collect()
}

/// Right answers over some levels together; `None` if none of them was asked.
pub fn pooled<'a>(counts: &EvalCounts, levels: impl Iterator<Item = &'a String>) -> Option<Count> {
    levels
        .filter_map(|level| counts.get(level))
        .copied()
        .reduce(|a, b| Count { correct: a.correct + b.correct, total: a.total + b.total })
}

#[cfg(test)]
mod tests;
