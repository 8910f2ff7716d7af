//! Charts side by side in one SVG file, for pages that take pictures and no HTML.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::chart::{Chart, Line, Stroke, escape};
use super::scale::{Axis, smooth, window};
use super::svg::{HEIGHT, WIDTH, svg};
use crate::stats::mean;

/// Charts in a row.
const N_COLUMNS: usize = 2;
/// Room above a chart for its title.
const TITLE: f64 = 26.0;
/// Room around a chart.
const GAP: f64 = 14.0;

/// Six colours that stay apart in print and for colour-blind readers (Okabe and Ito, darkened).
const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#00866a", "#a8397f", "#6b6200", "#5a6470"];

const STYLE: &str = "\
text{fill:#5a6470;font:11.5px system-ui,'Segoe UI',Roboto,'Liberation Sans',sans-serif}\
.title{fill:#1b1f24;font-size:14px;font-weight:600}.label{font-weight:600}\
.grid{stroke:#d5d9df;stroke-width:1}.main{fill:none;stroke-width:2.2;\
stroke-linejoin:round;stroke-linecap:round}.dash{stroke-dasharray:6 4}\
.raw{fill:none;stroke-width:1;opacity:.32}.band{opacity:.12;stroke:none}";

/// The rules that every renderer knows: no variables.
fn style() -> String {
    let mut style = STYLE.to_owned();
    for (i, color) in COLORS.iter().enumerate() {
        let _ = write!(
            style,
            ".c{i} .main,.c{i} .raw{{stroke:{color}}}.c{i} .dot,.c{i} .band,.c{i} .label{{fill:{color}}}"
        );
    }
    style
}

/// `(step, value)` of one run, in order of steps.
pub(crate) type Curve = Vec<(u64, f64)>;

/// A chart of several arms over steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    /// Whether values lie in 0 to 1 and the axis shows all of it.
    pub(crate) is_share: bool,
    /// Names and a curve for each run.
    pub(crate) arms: Vec<(String, Vec<Curve>)>,
}

/// The mean over runs as a line, lowest to highest as a band, smoothed as in the other reports.
pub(crate) fn grid(panels: &[Panel]) -> String {
    let n_rows = panels.len().div_ceil(N_COLUMNS);
    let (cell_width, cell_height) = (WIDTH + GAP, HEIGHT + TITLE + GAP);
    let (width, height) = (cell_width * N_COLUMNS as f64 + GAP, cell_height * n_rows as f64 + GAP);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<style>{}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        style()
    );
    for (i, panel) in panels.iter().enumerate() {
        let x = GAP + cell_width * (i % N_COLUMNS) as f64;
        let y = GAP + cell_height * (i / N_COLUMNS) as f64;
        let _ = write!(
            picture,
            "<text class=\"title\" x=\"{x}\" y=\"{}\">{}</text>",
            y + 14.0,
            escape(panel.title)
        );
        let chart = chart(panel);
        let lines: Vec<&Line> = chart.lines.iter().filter(|l| !l.points.is_empty()).collect();
        if lines.is_empty() {
            continue;
        }
        let place = format!(
            "<svg x=\"{x}\" y=\"{}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=",
            y + TITLE
        );
        let drawn = svg(&chart, &lines).replacen("<svg viewBox=", &place, 1);
        picture.push_str(&without_hits(&drawn));
        picture.push('\n');
    }
    picture.push_str("</svg>\n");
    picture
}

fn chart(panel: &Panel) -> Chart {
    let lines = panel.arms.iter().enumerate().map(|(i, (name, runs))| {
        let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for (step, value) in runs.iter().flatten().filter(|(_, value)| value.is_finite()) {
            by_step.entry(*step).or_default().push(*value);
        }
        let fold = |of: fn(f64, f64) -> f64| -> Vec<(f64, f64)> {
            let folded = by_step
                .iter()
                .filter_map(|(step, v)| Some((*step as f64, v.iter().copied().reduce(of)?)));
            let points: Vec<(f64, f64)> = folded.collect();
            smooth(&points, window(points.len()))
        };
        let (low, high) = (fold(f64::min), fold(f64::max));
        let band = low.into_iter().zip(high).map(|(low, high)| (low.0, low.1, high.1));
        Line {
            name: name.clone(),
            color: format!("c{}", i % COLORS.len()),
            dashed: i % 2 == 1,
            stroke: Stroke::Smoothed,
            points: by_step.iter().map(|(s, v)| (*s as f64, mean(v).unwrap_or(0.0))).collect(),
            band: if runs.len() > 1 { band.collect() } else { Vec::new() },
        }
    });
    Chart {
        title: panel.title.to_owned(),
        caption: String::new(),
        unit: panel.unit.to_owned(),
        axis: if panel.is_share { Axis::Unit } else { Axis::FromZero },
        lines: lines.collect(),
        marks: Vec::new(),
    }
}

/// A picture shows nothing under the pointer.
fn without_hits(svg: &str) -> String {
    let mut parts = svg.split("<rect class=\"hit\"");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once("</rect>").map_or("", |(_, rest)| rest));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_stand_in_rows_and_lines_are_means() {
        let panel = |title| Panel {
            title,
            unit: "share",
            is_share: true,
            arms: vec![
                ("a".to_owned(), vec![vec![(0, 0.0), (10, 1.0)], vec![(0, 0.0), (10, 0.0)]]),
                ("b<".to_owned(), vec![]),
            ],
        };
        let picture = grid(&[panel("one"), panel("two"), panel("three")]);
        // The third stands in the second row: 14 + 232 + 26 + 14, and its title 14 below that.
        assert!(picture.contains("x=\"14\" y=\"300\">three<"), "{picture}");
        // One line alone, so the frame reaches from 31.2 to 404: from 0 at the bottom to the mean, 0.5.
        assert!(picture.contains("M31.2 198.0L404.0 109.0\""), "{picture}");
        assert_eq!(picture.matches("<svg").count(), 4);
        assert_eq!(picture.matches("</svg>").count(), 4);
        assert!(!picture.contains("<title>") && !picture.contains("NaN"));
    }
}
