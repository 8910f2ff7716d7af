//! The tables of the report, in Markdown.

use std::fmt::Write;
use std::path::Path;

use super::bases::{self, Base};
use super::claims::{against, median, pairs};
use super::plan::{Arm, Plan, Set};
use super::results::{ArmRuns, Run, Series, mean_between, rate, tuned};
use crate::paired::Difference;
use crate::stats::mean;

/// What was found on a set.
pub(super) struct Found<'a> {
    pub(super) set: &'a Set,
    /// The arms that have runs there, in the order of the plan.
    pub(super) arms: Vec<(&'a Arm, ArmRuns)>,
}

impl Found<'_> {
    /// The runs of the arm of that name.
    pub(super) fn arm(&self, name: &str) -> Option<&ArmRuns> {
        self.arms.iter().find(|(arm, _)| arm.name == name).map(|(_, runs)| runs)
    }

    /// Most seeds of an arm, and fewest.
    pub(super) fn n_seeds(&self) -> (usize, usize) {
        let n = || self.arms.iter().map(|(_, arm)| arm.runs.len());
        (n().max().unwrap_or(0), n().min().unwrap_or(0))
    }
}

/// A row of a table.
fn row(table: &mut String, cells: &[String]) {
    let _ = writeln!(table, "| {} |", cells.join(" | "));
}

fn header(table: &mut String, cells: &[&str]) {
    row(table, &cells.iter().map(ToString::to_string).collect::<Vec<_>>());
    let _ = writeln!(table, "|{}", "---|".repeat(cells.len()));
}

fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or(String::new(), |value| format!("{value:.decimals$}"))
}

/// `+0.123 (0.045 to 0.201)`.
pub(super) fn difference(difference: &Difference) -> String {
    let Difference { mean, interval, n_pairs: _ } = difference;
    format!("{mean:+.3} ({:+.3} to {:+.3})", interval.low, interval.high)
}

/// Take-off steps: the median and how many seeds get there.
fn take_off(arm: &ArmRuns) -> String {
    let steps: Vec<f64> = arm
        .runs
        .iter()
        .map(|run| run.summary.hard_takeoff_step.map_or(f64::INFINITY, |step| step as f64))
        .collect();
    let n_off = steps.iter().filter(|step| step.is_finite()).count();
    let median = median(steps).unwrap_or(f64::INFINITY);
    let median = if median.is_finite() { format!("{median:.0}") } else { "never".to_owned() };
    if n_off == 0 {
        "never".to_owned()
    } else {
        format!("{median} ({n_off} of {})", arm.runs.len())
    }
}

/// Accuracy by arm and level, with the difference to the main arm and the paper's figure.
pub(super) fn accuracy(plan: &Plan, found: &Found<'_>) -> String {
    let main = found.arm(&plan.main_arm);
    let mut levels: Vec<&String> = found
        .arms
        .iter()
        .flat_map(|(_, arm)| &arm.runs)
        .flat_map(|run| run.solved.keys())
        .collect();
    levels.sort();
    levels.dedup();
    let mut table = String::new();
    let titles: Vec<String> = levels.iter().map(|level| format!("level {level}")).collect();
    let against_main = format!("less `{}` (95 %)", plan.main_arm);
    let mut cells = vec!["arm", "seeds"];
    cells.extend(titles.iter().map(String::as_str));
    cells.extend(["mean", against_main.as_str(), "take-off", "paper"]);
    header(&mut table, &cells);
    let of_levels = |of: &dyn Fn(&Run, &str) -> Option<f64>, runs: &[Run]| -> Vec<Option<f64>> {
        levels
            .iter()
            .map(|level| mean(&runs.iter().filter_map(|run| of(run, level)).collect::<Vec<_>>()))
            .collect()
    };
    let mut add = |name: String, n: String, values: Vec<Option<f64>>, rest: [String; 3]| {
        let known: Vec<f64> = values.iter().flatten().copied().collect();
        let mut cells = vec![name, n];
        cells.extend(values.into_iter().map(|value| number(value, 3)));
        cells.push(number(mean(&known), 3));
        cells.extend(rest);
        row(&mut table, &cells);
    };
    let base = |run: &Run, level: &str| run.summary.base_accuracy.get(level).copied();
    if let Some((_, arm)) = found.arms.iter().max_by_key(|(_, arm)| arm.runs.len()) {
        let values = of_levels(&base, &arm.runs);
        add(
            "untrained".to_owned(),
            String::new(),
            values,
            [String::new(), String::new(), String::new()],
        );
    }
    for (arm, runs) in &found.arms {
        let values = of_levels(&|run, level| run.summary.accuracy.get(level).copied(), &runs.runs);
        let less_main = main
            .filter(|_| arm.name != plan.main_arm)
            .and_then(|main| against(&pairs(runs, main)))
            .map_or(String::new(), |d| difference(&d));
        let samples = runs.runs.iter().any(|run| !run.curves.hard_reward.is_empty());
        let take_off = if samples { take_off(runs) } else { String::new() };
        let diverged = match runs.diverged.len() {
            0 => String::new(),
            n => format!(", {n} diverged"),
        };
        let n_seeds = format!("{}{diverged}", runs.runs.len());
        add(
            format!("`{}`: {}", arm.name, arm.label),
            n_seeds,
            values,
            [less_main, take_off, number(arm.paper, 1)],
        );
    }
    table
}

/// A figure of the drawn arms at the plan's steps: means over the ten steps up to each and over seeds.
pub(super) fn over_steps(
    plan: &Plan,
    found: &Found<'_>,
    decimals: usize,
    of: fn(&super::results::Curves) -> &Series,
) -> String {
    let mut table = String::new();
    let titles: Vec<String> = plan.shown_steps.iter().map(|step| format!("step {step}")).collect();
    let mut cells = vec!["arm"];
    cells.extend(titles.iter().map(String::as_str));
    header(&mut table, &cells);
    for (arm, runs) in &found.arms {
        let mut cells = vec![format!("`{}`", arm.name)];
        for step in &plan.shown_steps {
            let first = step.saturating_sub(9);
            let values: Vec<f64> = runs
                .runs
                .iter()
                .filter_map(|run| mean_between(of(&run.curves), first, *step))
                .collect();
            cells.push(number(mean(&values), decimals));
        }
        // An arm that never measures it has no row.
        if cells[1..].iter().any(|cell| !cell.is_empty()) {
            row(&mut table, &cells);
        }
    }
    table
}

/// Accuracy on the tuning seed by rate, and the rate that was taken.
pub(super) fn rates(plan: &Plan, dir: &Path) -> anyhow::Result<String> {
    let mut table = String::new();
    let titles: Vec<String> = plan.rates.iter().map(|rate| format!("{rate:e}")).collect();
    let mut cells = vec!["arm"];
    cells.extend(titles.iter().map(String::as_str));
    cells.push("taken");
    header(&mut table, &cells);
    for arm in plan.arms.iter().filter(|arm| arm.rate_of.is_none()) {
        let mut cells = vec![format!("`{}`", arm.name)];
        for rate in &plan.rates {
            cells.push(number(tuned(plan, arm, *rate, dir)?, 3));
        }
        cells.push(rate(plan, arm, dir)?.map_or(String::new(), |rate| format!("{rate:e}")));
        row(&mut table, &cells);
    }
    Ok(table)
}

/// The policies that runs started from.
pub(super) fn bases(plan: &Plan, dir: &Path) -> anyhow::Result<String> {
    let mut table = String::new();
    header(
        &mut table,
        &["base", "seed", "habit steps", "hard accuracy", "the same, told to think", "P(thinks)"],
    );
    for group in &plan.bases {
        if bases::is_builtin(Path::new(&group.path)) {
            let _ = writeln!(table, "| `{}`: shipped with the program | | | | | |", group.name);
        }
        for Base { report, path: _ } in bases::existing(plan, &group.name, dir)? {
            let Some(report) = report else { continue };
            let hard = |of: &std::collections::BTreeMap<String, f64>| {
                mean(
                    &super::results::HARD
                        .iter()
                        .filter_map(|l| of.get(*l).copied())
                        .collect::<Vec<_>>(),
                )
            };
            let cells = [
                format!("`{}`", group.name),
                report.recipe.seed.to_string(),
                report.recipe.habit_steps.to_string(),
                number(hard(&report.accuracy), 3),
                number(hard(&report.accuracy_when_thinking), 3),
                format!("{:.1e}", report.p_joint),
            ];
            row(&mut table, &cells);
        }
    }
    Ok(table)
}
