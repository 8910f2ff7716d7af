//! The page of a comparison.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::chart::{Chart, Line, Stroke, escape, figure};
use super::html::{interval, page as html_page, table};
use super::notes::{hard_accuracy, hard_name, overall, thousands};
use super::scale::{Axis, bytes, smooth, window};
use super::strip::strip;
use super::{ArmReport, ArmRun, ComparisonReport, hard_levels};
use crate::progress::duration;
use crate::stats::{bootstrap_mean, mean};
use crate::table::by_level;

/// Keys the resampling, so that a report of the same figures is the same file.
const BOOTSTRAP_SEED: u64 = 0;

/// Charts of every arm: title, unit, axis, metric.
const PANELS: [(&str, &str, Axis, &str); 4] = [
    ("Solve-none", "share of prompts", Axis::Unit, "batch/solve_none"),
    ("Demonstration probability", "probability", Axis::Unit, "actor/off_policy_prob"),
    ("Entropy", "nats per token", Axis::FromZero, "actor/entropy_loss"),
    ("Response length", "tokens", Axis::FromZero, "on_off_metrics/on_response_length_mean"),
];

pub(super) fn page(report: &ComparisonReport) -> String {
    let arms = &report.arms;
    let names: Vec<&str> = arms.iter().map(|arm| arm.name.as_str()).collect();
    let n_seeds = arms.iter().map(|arm| arm.runs.len()).max().unwrap_or(0);
    let hard = hard_name(arms);
    let mut body = format!(
        "<h1>Comparison of {} methods over {n_seeds} seeds</h1>\n<p class=\"soft\">{}</p>\n",
        arms.len(),
        escape(&names.join(" · "))
    );
    if !report.notes.is_empty() {
        body.push_str("<h2>What the figures say</h2>\n<ul>\n");
        for note in &report.notes {
            let _ = writeln!(body, "<li>{}</li>", marked(note));
        }
        body.push_str("</ul>\n");
    }
    body.push_str("<h2>Accuracy after training</h2>\n");
    body.push_str(&accuracy_table(arms));
    let _ = writeln!(
        body,
        "<p class=\"caption\">Mean over seeds, below it the smallest and largest. The interval is a bootstrap of the mean over seeds (95 %, 10 000 resamples) on {}.</p>",
        escape(&hard)
    );
    body.push_str("<h2>Seed by seed</h2>\n<div class=\"charts\">\n");
    body.push_str(&strip(arms, &hard));
    body.push_str(&reward_chart(arms, &hard));
    for panel in PANELS {
        body.push_str(&metric_chart(arms, panel));
    }
    body.push_str("</div>\n<p class=\"caption\">Lines and bands are smoothed. A method without rollouts has no reward, solve-none or length.</p>\n");
    body.push_str("<h2>Cost of a run</h2>\n");
    body.push_str(&cost_table(arms));
    body.push_str("<p class=\"caption\">Means over seeds. Seconds include the evaluations. Take-off: first step whose reward on the hard levels reaches one half, of the seeds that get there.</p>\n");
    html_page("Comparison", &body)
}

/// Text whose parts between backticks are code.
fn marked(text: &str) -> String {
    let mut html = String::new();
    for (i, part) in text.split('`').enumerate() {
        let part = escape(part);
        let _ =
            if i % 2 == 1 { write!(html, "<code>{part}</code>") } else { write!(html, "{part}") };
    }
    html
}

/// Mean, and the range where there is one.
fn spread(values: &[f64]) -> String {
    let Some(mean) = mean(values) else { return "–".to_owned() };
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{mean:.3}<br><small>{low:.3} – {high:.3}</small>")
}

fn accuracy_table(arms: &[ArmReport]) -> String {
    let mut levels: Vec<String> =
        arms.iter().flat_map(|a| &a.runs).flat_map(|r| r.summary.counts.keys().cloned()).collect();
    levels.sort_by(|a, b| by_level(a, b));
    levels.dedup();
    let titles: Vec<String> =
        levels
            .iter()
            .map(|level| {
                if level.parse::<u64>().is_ok() { format!("level {level}") } else { level.clone() }
            })
            .collect();
    let mut header = vec!["method"];
    header.extend(titles.iter().map(String::as_str));
    header.extend(["all", "hard", "hard, 95 % of the mean", "seeds"]);
    let row = |name: &str, counts: &[&super::EvalCounts], hard: &[f64]| {
        let mut row = vec![escape(name)];
        for level in &levels {
            let values: Vec<f64> =
                counts.iter().filter_map(|c| Some(c.get(level)?.accuracy())).collect();
            row.push(spread(&values));
        }
        let all: Vec<f64> = counts.iter().filter_map(|counts| overall(counts)).collect();
        row.push(spread(&all));
        row.push(spread(hard));
        row
    };
    let mut rows = Vec::new();
    if let Some(first) = arms.first().and_then(|arm| arm.runs.first()) {
        let base = ArmRun { summary: first.summary.clone(), series: Vec::new() };
        let counts = &base.summary.base_counts;
        let of_base = ArmRun {
            summary: super::Summary { counts: counts.clone(), ..base.summary.clone() },
            series: Vec::new(),
        };
        let hard: Vec<f64> = hard_accuracy(&of_base).into_iter().collect();
        let mut row = row("base, untrained", &[counts], &hard);
        // One policy, asked once: no range and no interval.
        for cell in &mut row {
            if let Some((mean, _)) = cell.split_once("<br>") {
                *cell = mean.to_owned();
            }
        }
        row.extend(["–".to_owned(), "–".to_owned()]);
        rows.push(row);
    }
    for arm in arms {
        let counts: Vec<&super::EvalCounts> =
            arm.runs.iter().map(|run| &run.summary.counts).collect();
        let hard: Vec<f64> = arm.runs.iter().filter_map(hard_accuracy).collect();
        let mut row = row(&arm.name, &counts, &hard);
        row.push(interval(bootstrap_mean(&hard, BOOTSTRAP_SEED)));
        row.push(arm.runs.len().to_string());
        rows.push(row);
    }
    table(&header, &rows, 0)
}

fn reward_chart(arms: &[ArmReport], hard: &str) -> String {
    let levels =
        hard_levels(arms.iter().flat_map(|a| &a.runs).flat_map(|r| r.summary.counts.keys()));
    let reward = |run: &ArmRun| -> Vec<(u64, f64)> {
        if levels.is_empty() {
            return measured(run, "on_off_metrics/on_score");
        }
        let names: Vec<String> = levels.iter().map(|l| format!("on_score/level_{l}")).collect();
        run.series
            .iter()
            .filter_map(|row| {
                let values: Vec<f64> =
                    names.iter().filter_map(|name| row.values.get(name).copied()).collect();
                Some((row.step, mean(&values).filter(|value| value.is_finite())?))
            })
            .collect()
    };
    chart(arms, &format!("Reward on {hard}"), "reward", Axis::Unit, &reward)
}

fn measured(run: &ArmRun, metric: &str) -> Vec<(u64, f64)> {
    let values = run.series.iter().filter_map(|row| Some((row.step, *row.values.get(metric)?)));
    values.filter(|(_, value)| value.is_finite()).collect()
}

fn metric_chart(
    arms: &[ArmReport],
    (title, unit, axis, metric): (&str, &str, Axis, &str),
) -> String {
    chart(arms, title, unit, axis, &|run| measured(run, metric))
}

fn chart(
    arms: &[ArmReport],
    title: &str,
    unit: &str,
    axis: Axis,
    values: &dyn Fn(&ArmRun) -> Vec<(u64, f64)>,
) -> String {
    let lines = arms.iter().enumerate().map(|(i, arm)| {
        let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (step, value) in arm.runs.iter().flat_map(values) {
            by_step.entry(step).or_default().push(value);
        }
        let fold = |f: fn(f64, f64) -> f64| -> Vec<(f64, f64)> {
            let folded = by_step.iter().filter_map(|(step, values)| {
                Some((*step as f64, values.iter().copied().reduce(f)?))
            });
            let points: Vec<(f64, f64)> = folded.collect();
            smooth(&points, window(points.len()))
        };
        let (low, high) = (fold(f64::min), fold(f64::max));
        let band = low.into_iter().zip(high).map(|(low, high)| (low.0, low.1, high.1));
        Line {
            name: arm.name.clone(),
            color: format!("c{}", i % 6),
            dashed: i % 2 == 1,
            stroke: Stroke::Smoothed,
            points: by_step
                .iter()
                .map(|(step, v)| (*step as f64, mean(v).unwrap_or(0.0)))
                .collect(),
            band: if arm.runs.len() > 1 { band.collect() } else { Vec::new() },
        }
    });
    figure(&Chart {
        title: title.to_owned(),
        caption: "Mean over seeds at each training step; the band reaches from the lowest seed to the highest.".to_owned(),
        unit: unit.to_owned(),
        axis,
        lines: lines.collect(),
        marks: Vec::new(),
    })
}

fn cost_table(arms: &[ArmReport]) -> String {
    let rows: Vec<Vec<String>> = arms
        .iter()
        .map(|arm| {
            let of = |value: &dyn Fn(&super::Summary) -> Option<f64>| {
                mean(&arm.runs.iter().filter_map(|run| value(&run.summary)).collect::<Vec<_>>())
            };
            let text = |value: Option<f64>, format: &dyn Fn(f64) -> String| {
                value.map_or("–".to_owned(), format)
            };
            let n_off =
                arm.runs.iter().filter(|run| run.summary.hard_takeoff_step.is_some()).count();
            let takeoff = of(&|s| s.hard_takeoff_step.map(|step| step as f64));
            vec![
                escape(&arm.name),
                text(of(&|s| Some(s.seconds)), &duration),
                text(of(&|s| Some(s.tokens_generated)), &thousands),
                text(of(&|s| Some(s.tokens_trained)), &thousands),
                text(of(&|s| s.peak_memory_bytes.map(|n| n as f64)), &bytes),
                text(of(&|s| Some(s.steps as f64)), &|n| format!("{n:.0}")),
                text(of(&|s| Some(s.skipped_steps as f64)), &|n| format!("{n:.1}")),
                text(takeoff, &|step| {
                    format!("{step:.0} <small>{n_off}/{}</small>", arm.runs.len())
                }),
            ]
        })
        .collect();
    let header = [
        "method",
        "time",
        "tokens generated",
        "tokens trained",
        "peak memory",
        "steps",
        "skipped",
        "take-off step",
    ];
    table(&header, &rows, 0)
}
