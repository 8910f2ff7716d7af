//! The figures of one step.

use std::collections::BTreeMap;

use luffy_core::{GradedGroup, Metrics, Origin, Reason, TokenRuns, Trajectory};
use serde::Serialize;

/// Metrics by name, as they go into `metrics.jsonl`; `docs/src/metrics.md` explains each.
/// A figure over an empty selection is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct StepReport {
    /// Name to value.
    pub values: BTreeMap<String, f64>,
}

impl StepReport {
    /// The value of a metric.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    pub(crate) fn set(&mut self, name: &str, value: f64) {
        self.values.insert(name.to_owned(), value);
    }

    /// Adds means under names that are not there yet.
    pub(crate) fn add_means(&mut self, metrics: &Metrics) {
        for (name, value) in metrics.means() {
            self.values.entry(name.to_owned()).or_insert(value);
        }
    }

    fn set_mean(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        let (mut sum, mut count) = (0.0, 0.0);
        for value in values {
            sum += value;
            count += 1.0;
        }
        if count > 0.0 {
            self.set(name, sum / count);
        }
    }

    /// Rewards, lengths and groups of a graded step.
    pub(crate) fn describe(&mut self, groups: &[GradedGroup], advantages: &[TokenRuns]) {
        let share = |of: &dyn Fn(f32) -> bool| {
            let asked = groups.iter().filter(|group| !group.rewards.is_empty());
            asked.map(|g| f64::from(u8::from(g.rewards.iter().all(|r| of(*r))))).collect()
        };
        let solve_none: Vec<f64> = share(&|reward| reward <= 0.0);
        let solve_all: Vec<f64> = share(&|reward| reward > 0.0);
        self.set_mean("batch/solve_none", solve_none);
        self.set_mean("batch/solve_all", solve_all);
        self.set_mean(
            "batch/no_spread",
            groups
                .iter()
                .filter(|group| !group.rewards.is_empty())
                .map(|group| f64::from(u8::from(!group.has_spread()))),
        );

        let rows = || {
            groups.iter().flat_map(|group| {
                group
                    .group
                    .trajectories
                    .iter()
                    .zip(&group.rewards)
                    .map(move |(t, r)| (group, t, *r))
            })
        };
        let on = |t: &Trajectory| !t.is_demonstrated();
        let score = |on_policy: bool| {
            rows().filter(move |(_, t, _)| on(t) == on_policy).map(|(_, _, r)| f64::from(r))
        };
        let length = |on_policy: bool| {
            rows()
                .filter(move |(_, t, _)| on(t) == on_policy)
                .map(|(_, t, _)| t.tokens.len() as f64)
        };
        self.set_mean("critic/rewards/mean", rows().map(|(_, _, r)| f64::from(r)));
        self.set_mean("on_off_metrics/on_score", score(true));
        self.set_mean("on_off_metrics/off_score", score(false));
        self.set_mean("on_off_metrics/on_response_length_mean", length(true));
        self.set_mean("on_off_metrics/off_response_length_mean", length(false));
        let continued = || rows().map(|(_, t, _)| t).filter(|t| given_share(t) < 1.0 && !on(t));
        self.set_mean("on_off_metrics/prefix_share", continued().map(given_share));
        self.set_mean(
            "response_length/clip_ratio",
            rows()
                .filter(|(_, t, _)| on(t))
                .map(|(_, t, _)| f64::from(u8::from(t.finish == luffy_core::FinishReason::Length))),
        );
        for reason in Reason::ALL {
            let is_it = |(group, member, t): (&GradedGroup, usize, &Trajectory)| {
                on(t).then(|| {
                    f64::from(u8::from(
                        group.verdicts.get(member).is_some_and(|verdict| verdict.reason == reason),
                    ))
                })
            };
            let shares: Vec<f64> = groups
                .iter()
                .flat_map(|group| {
                    group.group.trajectories.iter().enumerate().map(move |(at, t)| (group, at, t))
                })
                .filter_map(is_it)
                .collect();
            // A reason that no response had is not worth a line of every step.
            if shares.iter().any(|share| *share > 0.0) {
                self.set_mean(&format!("verdict/{}", reason.name()), shares);
            }
        }
        for level in levels(groups) {
            self.set_mean(
                &format!("on_score/level_{level}"),
                rows()
                    .filter(|(g, t, _)| on(t) && level_of(g) == Some(level.as_str()))
                    .map(|(_, _, r)| f64::from(r)),
            );
        }
        let n_on = rows().filter(|(_, t, _)| on(t)).count() as f64;
        let n_off = rows().count() as f64 - n_on;
        if n_on > 0.0 {
            self.set("on_off_metrics/off_on_example_ratio", n_off / n_on);
        }
        self.set_mean("critic/advantages/mean", advantages.iter().map(|a| f64::from(a.last())));
        for (name, pick) in [
            ("critic/advantages/max", f64::max as fn(f64, f64) -> f64),
            ("critic/advantages/min", f64::min),
        ] {
            if let Some(value) = advantages.iter().map(|a| f64::from(a.last())).reduce(pick) {
                self.set(name, value);
            }
        }
        let n_generated: u64 = rows()
            .map(|(_, t, _)| t.n_tokens_of(|origin| matches!(origin, Origin::Sampled { .. })))
            .sum();
        self.set("perf/tokens_generated", n_generated as f64);
    }
}

/// The difficulty of a group's task, where its data names one.
fn level_of(group: &GradedGroup) -> Option<&str> {
    group.group.prompt.task.extra.get("level").and_then(|level| level.as_str())
}

fn levels(groups: &[GradedGroup]) -> Vec<String> {
    let mut levels: Vec<String> = groups.iter().filter_map(level_of).map(str::to_owned).collect();
    levels.sort();
    levels.dedup();
    levels
}

/// The share of a trajectory's tokens that comes from a demonstration.
fn given_share(trajectory: &Trajectory) -> f64 {
    trajectory.n_demonstrated() as f64 / trajectory.tokens.len().max(1) as f64
}
