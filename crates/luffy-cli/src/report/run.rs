//! The page of one run.

use std::fmt::Write;

use luffy_trainer::Count;

use super::chart::{Chart, Line, Stroke, escape, figure};
use super::html::{
    folded, interval, interval_of, page as html_page, sample, share, table, tile, whiskers,
};
use super::scale::{Axis, bytes, grouped, window};
use super::{MetricsRow, RunReport, hard_levels, pooled};
use crate::progress::duration;
use crate::table::by_level;

/// Lines of a chart: metric, name, colour, dashed.
type Lines = &'static [(&'static str, &'static str, &'static str, bool)];

/// A chart of metrics: title, caption, unit, axis, lines.
struct Panel(&'static str, &'static str, &'static str, Axis, Lines);

const PANELS: &[Panel] = &[
    Panel(
        "Reward",
        "Mean reward of what the policy wrote and of the demonstrations. Marks at the bottom: steps without an update, because no group had spread.",
        "reward",
        Axis::Unit,
        &[
            ("on_off_metrics/on_score", "policy", "c0", false),
            ("on_off_metrics/off_score", "demos", "c1", true),
        ],
    ),
    Panel(
        "Solve-none and solve-all",
        "Share of prompts whose answers are all wrong or all right. Without spread a group teaches nothing.",
        "share of prompts",
        Axis::Unit,
        &[("batch/solve_none", "none", "c1", true), ("batch/solve_all", "all", "c2", false)],
    ),
    Panel(
        "Demonstration probability",
        "Mean probability that the policy gives to the tokens of demonstrations. It rises as the policy takes them in.",
        "probability",
        Axis::Unit,
        &[("actor/off_policy_prob", "demos", "c1", false)],
    ),
    Panel(
        "Entropy",
        "Mean entropy of the policy's next token. A fall to zero ends exploration.",
        "nats per token",
        Axis::FromZero,
        &[("actor/entropy_loss", "entropy", "c0", false)],
    ),
    Panel(
        "Response length",
        "Mean length of responses and demonstrations.",
        "tokens",
        Axis::FromZero,
        &[
            ("on_off_metrics/on_response_length_mean", "policy", "c0", false),
            ("on_off_metrics/off_response_length_mean", "demos", "c1", true),
        ],
    ),
    Panel(
        "Gradient norm",
        "Global norm before clipping. A spike announces trouble before the reward does.",
        "norm",
        Axis::FromZero,
        &[("actor/grad_norm", "norm", "c4", false)],
    ),
    Panel(
        "Policy loss",
        "The objective's policy term. Its sign and size say little: advantages are centred.",
        "loss",
        Axis::Free,
        &[("actor/pg_loss", "loss", "c3", false), ("actor/sft_loss", "SFT", "c4", true)],
    ),
];

pub(super) fn page(report: &RunReport<'_>) -> String {
    let summary = report.summary;
    let title = format!("{} · seed {}", summary.method, summary.seed);
    let mut body = format!("<h1>{}</h1>\n", escape(&title));
    let command = report.run["command"]
        .as_array()
        .map(|words| words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(" "));
    if let Some(command) = command.filter(|command| !command.is_empty()) {
        let _ = writeln!(body, "<p class=\"soft\"><code>{}</code></p>", escape(&command));
    }
    body.push_str(&tiles(report));
    if !summary.counts.is_empty() {
        body.push_str("<h2>Accuracy, base against trained</h2>\n");
        body.push_str(&accuracy_table(report));
        body.push_str(
            "<p class=\"caption\">Right answers over all answers, with Wilson's 95 % intervals; \
             grey is the base, blue the trained policy, on a line from 0 to 1.</p>\n",
        );
    }
    body.push_str("<h2>Training</h2>\n<div class=\"charts\">\n");
    body.push_str(&accuracy_chart(report));
    body.push_str(&level_reward_chart(report));
    for panel in PANELS {
        body.push_str(&metric_chart(panel, &report.series));
    }
    body.push_str("</div>\n");
    let width = window(report.series.len());
    if width > 1 {
        let _ = writeln!(
            body,
            "<p class=\"caption\">Thin: each step. Thick: mean of {width} steps. In legends: the last step. Point at a chart for its values.</p>"
        );
    }
    if !report.samples.is_empty() {
        body.push_str("<h2>Rollouts</h2>\n<p class=\"caption\">One group of the first, the middle and the last stored step: its demonstration, its best and its worst response.</p>\n");
        for group in report.samples.chunk_by(|a, b| a.step == b.step) {
            let _ = writeln!(body, "<h3>Step {}</h3>\n<div class=\"samples\">", group[0].step);
            for row in group {
                body.push_str(&sample(row));
            }
            body.push_str("</div>\n");
        }
    }
    body.push_str("<h2>How it was made</h2>\n");
    body.push_str(&folded("Configuration (resolved)", &report.config_toml));
    let pretty = serde_json::to_string_pretty(report.run).unwrap_or_default();
    body.push_str(&folded("Versions and machine (run.json)", &pretty));
    let commit = report.run["versions"]["commit"].as_str().unwrap_or("unknown");
    let _ = writeln!(body, "<footer>LUFFY in Rust, commit {}</footer>", escape(commit));
    html_page(&title, &body)
}

fn tiles(report: &RunReport<'_>) -> String {
    let summary = report.summary;
    let mut html = "<div class=\"tiles\">\n".to_owned();
    let hard = hard_levels(summary.counts.keys());
    let mut accuracy = |label: &str, base: Option<Count>, trained: Option<Count>| {
        if let Some(trained) = trained {
            let from = base.map_or(String::new(), |base| format!("base {:.3}", base.accuracy()));
            html.push_str(&tile(label, &format!("{:.3}", trained.accuracy()), &from));
        }
    };
    accuracy(
        "accuracy, all levels",
        pooled(&summary.base_counts, summary.base_counts.keys()),
        pooled(&summary.counts, summary.counts.keys()),
    );
    accuracy(
        &format!("accuracy, levels {}", hard.join(", ")),
        pooled(&summary.base_counts, hard.iter()),
        pooled(&summary.counts, hard.iter()),
    );
    let skipped = format!("{} without an update", summary.skipped_steps);
    html.push_str(&tile("steps", &summary.steps.to_string(), &skipped));
    let per_step = summary.seconds / summary.steps.max(1) as f64;
    html.push_str(&tile("time", &duration(summary.seconds), &format!("{per_step:.2} s per step")));
    let generated = grouped(summary.tokens_generated);
    let trained = format!("{} trained on", grouped(summary.tokens_trained));
    html.push_str(&tile("tokens generated", &generated, &trained));
    if let Some(peak) = summary.peak_memory_bytes {
        let cpu = report.run["machine"]["cpu"].as_str().unwrap_or("");
        html.push_str(&tile("peak memory", &bytes(peak as f64), cpu));
    }
    if let Some(step) = summary.hard_takeoff_step {
        html.push_str(&tile(
            "hard levels take off",
            &format!("step {step}"),
            "reward reaches one half",
        ));
    }
    html.push_str("</div>\n");
    html
}

/// All levels that were asked before or after, in order.
fn levels(report: &RunReport<'_>) -> Vec<String> {
    let summary = report.summary;
    let mut levels: Vec<String> =
        summary.base_counts.keys().chain(summary.counts.keys()).cloned().collect();
    levels.sort_by(|a, b| by_level(a, b));
    levels.dedup();
    levels
}

fn accuracy_table(report: &RunReport<'_>) -> String {
    let (base, trained) = (&report.summary.base_counts, &report.summary.counts);
    let levels = levels(report);
    let row = |name: &str, base: Option<Count>, trained: Option<Count>| {
        let change = match (base, trained) {
            (Some(base), Some(trained)) => format!("{:+.3}", trained.accuracy() - base.accuracy()),
            _ => "–".to_owned(),
        };
        vec![
            escape(name),
            share(base),
            interval(interval_of(base)),
            share(trained),
            interval(interval_of(trained)),
            change,
            whiskers(base, trained),
        ]
    };
    let mut rows: Vec<Vec<String>> = levels
        .iter()
        .map(|level| row(level, base.get(level).copied(), trained.get(level).copied()))
        .collect();
    let totals = usize::from(levels.len() > 1);
    if totals == 1 {
        rows.push(row("all", pooled(base, levels.iter()), pooled(trained, levels.iter())));
    }
    table(&["level", "base", "95 %", "trained", "95 %", "change", "0 to 1"], &rows, totals)
}

fn accuracy_chart(report: &RunReport<'_>) -> String {
    let levels = levels(report);
    let lines = levels.iter().enumerate().map(|(i, level)| {
        let points = report
            .evals
            .iter()
            .filter_map(|eval| Some((eval.step as f64, eval.counts.get(level)?.accuracy())))
            .collect();
        level_line(level, i, levels.len(), Stroke::Marked, points)
    });
    figure(&Chart {
        title: "Accuracy by level".to_owned(),
        caption: "Right answers on the test problems, by difficulty. Evaluations in between may use a part of them.".to_owned(),
        unit: "accuracy".to_owned(),
        axis: Axis::Unit,
        lines: lines.collect(),
        marks: Vec::new(),
    })
}

fn level_reward_chart(report: &RunReport<'_>) -> String {
    let levels = levels(report);
    let lines = levels.iter().enumerate().map(|(i, level)| {
        let points = points(&report.series, &format!("on_score/level_{level}"));
        level_line(level, i, levels.len(), Stroke::Smoothed, points)
    });
    figure(&Chart {
        title: "Reward by level".to_owned(),
        caption: "Mean reward of what the policy wrote, by difficulty of the prompt.".to_owned(),
        unit: "reward".to_owned(),
        axis: Axis::Unit,
        lines: lines.collect(),
        marks: Vec::new(),
    })
}

/// Easy levels in blues, hard ones in browns; every second one dashed.
fn level_line(level: &str, i: usize, n: usize, stroke: Stroke, points: Vec<(f64, f64)>) -> Line {
    let color = if n == 1 { "c0".to_owned() } else { format!("l{}", i * 4 / n) };
    let name =
        if level.parse::<u64>().is_ok() { format!("level {level}") } else { level.to_owned() };
    Line { name, color, dashed: i % 2 == 1, stroke, points, band: Vec::new() }
}

fn metric_chart(panel: &Panel, series: &[MetricsRow]) -> String {
    let Panel(title, caption, unit, axis, lines) = panel;
    let lines = lines.iter().map(|(metric, name, color, dashed)| Line {
        name: (*name).to_owned(),
        color: (*color).to_owned(),
        dashed: *dashed,
        stroke: Stroke::Smoothed,
        points: points(series, metric),
        band: Vec::new(),
    });
    let marks = if *title == "Reward" { skipped(series) } else { Vec::new() };
    figure(&Chart {
        title: (*title).to_owned(),
        caption: (*caption).to_owned(),
        unit: (*unit).to_owned(),
        axis: *axis,
        lines: lines.collect(),
        marks,
    })
}

/// The finite values of a metric.
fn points(series: &[MetricsRow], metric: &str) -> Vec<(f64, f64)> {
    series
        .iter()
        .filter_map(|row| Some((row.step as f64, *row.values.get(metric)?)))
        .filter(|(_, value)| value.is_finite())
        .collect()
}

fn skipped(series: &[MetricsRow]) -> Vec<f64> {
    points(series, "batch/skipped").into_iter().filter(|p| p.1 > 0.5).map(|p| p.0).collect()
}
