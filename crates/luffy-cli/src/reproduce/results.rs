//! The finished runs of a reproduction, read back from their directories.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::plan::{Arm, Plan, Set};
use super::work::{self, Ending, run_dir};
use crate::jsonl::{read_jsonl, read_jsonl_zst};
use crate::paired::Outcomes;
use crate::run::{ANSWERS, Summary};
use crate::stats::mean;

/// Levels on which the base answers wrongly.
pub(super) const HARD: [&str; 2] = ["3", "4"];

/// Values by step, in order of steps; what a step did not measure is absent.
pub(super) type Series = Vec<(u64, f64)>;

/// What a run measured step by step.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Curves {
    /// Mean reward of samples on the hard levels.
    pub(super) hard_reward: Series,
    /// Mean entropy of sampled tokens, nats.
    pub(super) entropy: Series,
    /// Mean length of samples, tokens.
    pub(super) length: Series,
    /// Mean probability of demonstrated tokens.
    pub(super) demonstration_probability: Series,
    /// Mean ROUGE-L of greedy answers and demonstrations on the hard levels.
    pub(super) similarity: Series,
    /// Mean length of greedy answers, tokens.
    pub(super) greedy_length: Series,
    /// Greedy accuracy on the hard levels.
    pub(super) hard_accuracy: Series,
}

/// A run that took every step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    pub(super) seed: u64,
    pub(super) summary: Summary,
    pub(super) curves: Curves,
    /// Test problems solved after training, by level.
    pub(super) solved: BTreeMap<String, Vec<bool>>,
}

impl Run {
    /// Problems solved on some levels, all if none is named.
    pub(super) fn outcomes(&self, levels: &[u32]) -> Outcomes {
        let names: Vec<String> = levels.iter().map(ToString::to_string).collect();
        let wanted = |level: &String| names.is_empty() || names.contains(level);
        self.solved.iter().filter(|(level, _)| wanted(level)).map(|(_, s)| s.clone()).collect()
    }
}

/// The runs of an arm on a set at its learning rate.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ArmRuns {
    /// In the order of the plan's seeds.
    pub(super) runs: Vec<Run>,
    /// Seeds whose run diverged.
    pub(super) diverged: Vec<u64>,
}

impl ArmRuns {
    /// The run of a seed.
    pub(super) fn seed(&self, seed: u64) -> Option<&Run> {
        self.runs.iter().find(|run| run.seed == seed)
    }
}

/// How good a rate was on the tuning seed: mean accuracy over levels and sets, 0 for a run that diverged.
/// `None` until every run of it has ended.
///
/// # Errors
/// If a summary cannot be read.
pub(super) fn tuned(plan: &Plan, arm: &Arm, rate: f64, dir: &Path) -> anyhow::Result<Option<f64>> {
    let mut accuracies = Vec::new();
    for set in &plan.tuning_sets {
        let name = work::name(set, &arm.name, rate, plan.tuning_seed);
        match work::ending(&run_dir(dir, &name))? {
            None => return Ok(None),
            Some(Ending::Diverged) => accuracies.push(0.0),
            Some(Ending::Finished(summary)) => {
                let levels: Vec<f64> = summary.accuracy.values().copied().collect();
                accuracies.push(mean(&levels).unwrap_or(0.0));
            }
        }
    }
    Ok(mean(&accuracies))
}

/// The learning rate of an arm: the best on the tuning seed, of equally good ones the smallest. `None`
/// until all of them have been tried.
///
/// # Errors
/// If a summary cannot be read, or the plan names no such arm.
pub(super) fn rate(plan: &Plan, arm: &Arm, dir: &Path) -> anyhow::Result<Option<f64>> {
    let tuner = plan.tuner(arm)?;
    let mut best: Option<(f64, f64)> = None;
    for rate in &plan.rates {
        let Some(accuracy) = tuned(plan, tuner, *rate, dir)? else { return Ok(None) };
        if best.is_none_or(|(_, least)| accuracy > least) {
            best = Some((*rate, accuracy));
        }
    }
    Ok(best.map(|(rate, _)| rate))
}

/// The runs of an arm on a set that have ended.
///
/// # Errors
/// If a file of a finished run cannot be read.
pub(super) fn arm_runs(plan: &Plan, arm: &Arm, set: &Set, dir: &Path) -> anyhow::Result<ArmRuns> {
    let mut found = ArmRuns::default();
    let Some(rate) = rate(plan, arm, dir)? else { return Ok(found) };
    for seed in &plan.seeds {
        let path = run_dir(dir, &work::name(&set.name, &arm.name, rate, *seed));
        match work::ending(&path)? {
            None => {}
            Some(Ending::Diverged) => found.diverged.push(*seed),
            Some(Ending::Finished(summary)) => found.runs.push(read(&path, *summary, *seed)?),
        }
    }
    Ok(found)
}

fn read(path: &Path, summary: Summary, seed: u64) -> anyhow::Result<Run> {
    let mut solved: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    let answers = path.join(ANSWERS);
    for row in read_jsonl_zst(&answers)? {
        let level = row["level"].as_str().or(row["source"].as_str());
        let (Some(level), Some(correct)) = (level, row["correct"].as_bool()) else {
            anyhow::bail!("{} has a row without level or verdict", answers.display());
        };
        solved.entry(level.to_owned()).or_default().push(correct);
    }
    let metrics = path.join("metrics.jsonl");
    let rows = read_jsonl(&metrics).with_context(|| format!("run {}", path.display()))?;
    Ok(Run { seed, summary, curves: curves(&rows), solved })
}

fn curves(rows: &[Value]) -> Curves {
    let mut curves = Curves::default();
    for row in rows {
        let step = row["step"].as_u64().unwrap_or(0);
        let add = |series: &mut Series, value: Option<f64>| series.extend(value.map(|v| (step, v)));
        let hard = |key: &str| {
            mean(&HARD.iter().filter_map(|level| row[key][level].as_f64()).collect::<Vec<_>>())
        };
        if row["kind"] == "eval" {
            add(&mut curves.similarity, hard("similarity"));
            add(&mut curves.hard_accuracy, hard("accuracy"));
            add(&mut curves.greedy_length, row["mean_response_len"].as_f64());
            continue;
        }
        let rewards: Vec<f64> =
            HARD.iter().filter_map(|l| row[format!("on_score/level_{l}")].as_f64()).collect();
        add(&mut curves.hard_reward, mean(&rewards));
        add(&mut curves.entropy, row["actor/entropy_on"].as_f64());
        add(&mut curves.length, row["on_off_metrics/on_response_length_mean"].as_f64());
        add(&mut curves.demonstration_probability, row["actor/off_policy_prob"].as_f64());
    }
    curves
}

/// Mean of a series from step `first` to `last`, both included; `None` where nothing was measured.
pub(super) fn mean_between(series: &Series, first: u64, last: u64) -> Option<f64> {
    let within = series.iter().filter(|(step, _)| (first..=last).contains(step));
    mean(&within.map(|(_, value)| *value).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn curves_are_read_by_name_and_gaps_stay_gaps() {
        let rows = [
            json!({"kind": "eval", "step": 0, "mean_response_len": 7.0,
                   "accuracy": {"1": 1.0, "3": 0.25, "4": 0.75}, "similarity": {"3": 0.5, "4": 0.7}}),
            json!({"kind": "train", "step": 1, "actor/entropy_on": 0.3, "on_score/level_3": 0.2}),
            json!({"kind": "train", "step": 2, "on_score/level_3": 0.4, "on_score/level_4": 0.8}),
        ];
        let curves = curves(&rows);
        assert_eq!(curves.entropy, [(1, 0.3)]);
        let near = |found: &Series, expected: &[(u64, f64)]| {
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found.0, expected.0);
                assert!((found.1 - expected.1).abs() < 1e-12, "{found:?}");
            }
        };
        near(&curves.hard_reward, &[(1, 0.2), (2, 0.6)]);
        near(&curves.hard_accuracy, &[(0, 0.5)]);
        near(&curves.similarity, &[(0, 0.6)]);
        assert_eq!(mean_between(&curves.entropy, 2, 9), None);
        let of_two = mean_between(&curves.hard_reward, 1, 2).unwrap();
        assert!((of_two - 0.4).abs() < 1e-12);
    }
}
