//! `summary.json`.

use std::collections::BTreeMap;

use luffy_trainer::Count;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Counts of right answers by level.
pub type EvalCounts = BTreeMap<String, Count>;

/// What came out of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Layout of this file.
    pub schema: u32,
    /// Name of the method.
    pub method: String,
    /// Seed of the run.
    pub seed: u64,
    /// Steps done.
    pub steps: u64,
    /// Steps in which nothing was learned, because no group had spread.
    pub skipped_steps: u64,
    /// Seconds of the run, without the build, over all sessions.
    pub seconds: f64,
    /// Most memory the process held, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Share of right answers of the untrained policy, by level.
    pub base_accuracy: BTreeMap<String, f64>,
    /// Share of right answers after training, by level.
    pub accuracy: BTreeMap<String, f64>,
    /// Counts behind `base_accuracy`.
    pub base_counts: EvalCounts,
    /// Counts behind `accuracy`.
    pub counts: EvalCounts,
    /// Tokens drawn from the policy in training rollouts.
    pub tokens_generated: f64,
    /// Response tokens that were learned from.
    pub tokens_trained: f64,
    /// First step whose on-policy reward on the two hardest levels reached one half.
    pub hard_takeoff_step: Option<u64>,
}

/// Share of right answers by level.
pub(crate) fn accuracies(counts: &EvalCounts) -> BTreeMap<String, f64> {
    counts.iter().map(|(level, count)| (level.clone(), count.accuracy())).collect()
}

/// The figures of a run that are read back from its `metrics.jsonl`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FromMetrics {
    pub(crate) base: EvalCounts,
    pub(crate) last: EvalCounts,
    pub(crate) skipped_steps: u64,
    pub(crate) tokens_generated: f64,
    pub(crate) tokens_trained: f64,
    pub(crate) hard_takeoff_step: Option<u64>,
}

impl FromMetrics {
    /// Reads rows as `run::rows` writes them.
    pub(crate) fn read(rows: &[Value]) -> Self {
        let mut figures = Self::default();
        for row in rows {
            let step = row["step"].as_u64().unwrap_or(0);
            if row["kind"] == "eval" {
                if let Ok(counts) = serde_json::from_value::<EvalCounts>(row["counts"].clone()) {
                    if step == 0 {
                        figures.base.clone_from(&counts);
                    }
                    figures.last = counts;
                }
                continue;
            }
            let number = |name: &str| row[name].as_f64();
            figures.skipped_steps += u64::from(number("batch/skipped").is_some_and(|s| s > 0.5));
            figures.tokens_generated += number("perf/tokens_generated").unwrap_or(0.0);
            figures.tokens_trained += number("perf/tokens_trained").unwrap_or(0.0);
            let hard: Vec<f64> = ["on_score/level_3", "on_score/level_4"]
                .iter()
                .filter_map(|name| number(name))
                .collect();
            let mean = hard.iter().sum::<f64>() / (hard.len() as f64).max(1.0);
            if !hard.is_empty() && mean >= 0.5 && figures.hard_takeoff_step.is_none() {
                figures.hard_takeoff_step = Some(step);
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_come_from_the_rows() {
        let counts = |correct: u64| json!({"3": {"correct": correct, "total": 10}});
        let rows = [
            json!({"kind": "eval", "step": 0, "counts": counts(1)}),
            json!({"kind": "train", "step": 1, "batch/skipped": 1.0, "perf/tokens_generated": 5.0}),
            json!({"kind": "train", "step": 2, "batch/skipped": 0.0, "on_score/level_3": 0.4,
                   "on_score/level_4": 0.7}),
            json!({"kind": "eval", "step": 2, "counts": counts(9)}),
        ];
        let figures = FromMetrics::read(&rows);
        assert_eq!(figures.base["3"].correct, 1);
        assert_eq!(figures.last["3"].correct, 9);
        assert_eq!(figures.skipped_steps, 1);
        assert!((figures.tokens_generated - 5.0).abs() < 1e-12);
        assert_eq!(figures.hard_takeoff_step, Some(2));
    }
}
