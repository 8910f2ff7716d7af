//! Drawing a chart: axes, ticks, lines with labels at their ends, values on hover. No script.

use std::fmt::Write;

use super::chart::{Chart, Line, Stroke, dash, escape};
use super::scale::{Axis, Ticks, number, smooth, ticks, window};

pub(super) const WIDTH: f64 = 420.0;
pub(super) const HEIGHT: f64 = 232.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 34.0;
/// Height of a line of text.
const TEXT: f64 = 13.0;
/// Width of a character of a tick, on average.
const CHAR: f64 = 6.4;
/// Width of a character of a label, which is bold.
const BOLD: f64 = 7.2;
/// Most places of a chart that show values on hover.
const N_HITS: usize = 80;

/// Where things are on the page.
struct Frame {
    left: f64,
    right: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn x(&self, step: f64) -> f64 {
        let share = (step - self.x.0) / (self.x.1 - self.x.0);
        self.left + share * (WIDTH - self.left - self.right)
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.y.0) / (self.y.1 - self.y.0);
        HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
    }
}

/// The drawing of a chart; `lines` are those that have points.
pub(super) fn svg(chart: &Chart, lines: &[&Line]) -> String {
    let values = lines.iter().flat_map(|line| {
        let ends = line.band.iter().flat_map(|(_, low, high)| [*low, *high]);
        line.points.iter().map(|point| point.1).chain(ends)
    });
    let y_ticks = ticks(chart.axis.range(values), 5);
    let steps = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let (first, last) = Axis::Free.range(steps);
    let n_chars = |text: &str| text.chars().count() as f64;
    let tick_chars = y_ticks.labels.iter().map(|label| n_chars(label)).fold(1.0, f64::max);
    let name_chars = lines.iter().map(|line| n_chars(&line.name)).fold(1.0, f64::max);
    let frame = Frame {
        left: 12.0 + CHAR * tick_chars,
        right: if lines.len() > 1 { 8.0 + BOLD * name_chars } else { 16.0 },
        x: (first, last),
        y: y_ticks.range,
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(&chart.title)
    );
    draw_axes(&mut svg, chart, &frame, &y_ticks);
    for line in lines {
        draw_line(&mut svg, line, &frame);
    }
    if lines.len() > 1 {
        draw_labels(&mut svg, lines, &frame);
    }
    draw_hits(&mut svg, chart, lines, &frame);
    svg.push_str("</svg>");
    svg
}

fn draw_axes(svg: &mut String, chart: &Chart, frame: &Frame, y: &Ticks) {
    let (left, right) = (frame.left, WIDTH - frame.right);
    for (value, label) in y.values.iter().zip(&y.labels) {
        let at = frame.y(*value);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{left:.1} {at:.1}H{right:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            left - 6.0,
            at + 4.0
        );
    }
    let _ = write!(svg, "<text x=\"2\" y=\"11\">{}</text>", escape(&chart.unit));
    let x = ticks(frame.x, 7);
    let base = HEIGHT - BOTTOM;
    for (value, label) in x.values.iter().zip(&x.labels) {
        if *value < frame.x.0 - 1e-9 || *value > frame.x.1 + 1e-9 {
            continue;
        }
        let at = frame.x(*value);
        let _ = write!(
            svg,
            "<path class=\"grid\" d=\"M{at:.1} {base}v4\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            base + 16.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">step</text>",
        f64::midpoint(left, right),
        HEIGHT - 4.0
    );
    for step in &chart.marks {
        let _ =
            write!(svg, "<path class=\"rug\" d=\"M{:.1} {:.1}v7\"/>", frame.x(*step), base - 7.0);
    }
}

fn path(points: &[(f64, f64)], frame: &Frame) -> String {
    let mut d = String::new();
    for (i, (step, value)) in points.iter().enumerate() {
        let command = if i == 0 { 'M' } else { 'L' };
        let _ = write!(d, "{command}{:.1} {:.1}", frame.x(*step), frame.y(*value));
    }
    d
}

fn draw_line(svg: &mut String, line: &Line, frame: &Frame) {
    let _ = write!(svg, "<g class=\"{}\">", line.color);
    if !line.band.is_empty() {
        let low = line.band.iter().map(|(step, low, _)| (*step, *low));
        let high = line.band.iter().rev().map(|(step, _, high)| (*step, *high));
        let around: Vec<(f64, f64)> = low.chain(high).collect();
        let _ = write!(svg, "<path class=\"band\" d=\"{}Z\"/>", path(&around, frame));
    }
    let width = window(line.points.len());
    let dash = dash(line);
    match line.stroke {
        Stroke::Smoothed if width > 1 => {
            let smooth = smooth(&line.points, width);
            if line.band.is_empty() {
                let _ = write!(svg, "<path class=\"raw\" d=\"{}\"/>", path(&line.points, frame));
            }
            let _ = write!(svg, "<path class=\"main{dash}\" d=\"{}\"/>", path(&smooth, frame));
        }
        _ => {
            let _ = write!(svg, "<path class=\"main{dash}\" d=\"{}\"/>", path(&line.points, frame));
        }
    }
    if line.stroke == Stroke::Marked || line.points.len() == 1 {
        for (step, value) in &line.points {
            let (x, y) = (frame.x(*step), frame.y(*value));
            let _ = write!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.2\"/>");
        }
    }
    svg.push_str("</g>");
}

/// Names at the ends of the lines, pushed apart where they would overlap.
fn draw_labels(svg: &mut String, lines: &[&Line], frame: &Frame) {
    let mut labels: Vec<(f64, &Line)> =
        lines.iter().filter_map(|line| Some((frame.y(end_of(line)?), *line))).collect();
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lowest = HEIGHT - BOTTOM;
    for i in 1..labels.len() {
        labels[i].0 = labels[i].0.max(labels[i - 1].0 + TEXT);
    }
    // Back up from the bottom, if the last ones were pushed below it.
    let mut limit = lowest;
    for label in labels.iter_mut().rev() {
        label.0 = label.0.min(limit);
        limit = label.0 - TEXT;
    }
    for (y, line) in labels {
        let _ = write!(
            svg,
            "<g class=\"{}\"><text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            line.color,
            WIDTH - frame.right + 6.0,
            y + 4.0,
            escape(&line.name)
        );
    }
}

/// The height at which a line ends as drawn.
fn end_of(line: &Line) -> Option<f64> {
    let width = window(line.points.len());
    let points = match line.stroke {
        Stroke::Smoothed => smooth(&line.points, width),
        Stroke::Marked => return line.points.last().map(|point| point.1),
    };
    points.last().map(|point| point.1)
}

/// Invisible strips that show the values of a step while the pointer is over them.
fn draw_hits(svg: &mut String, chart: &Chart, lines: &[&Line], frame: &Frame) {
    let mut steps: Vec<f64> = lines.iter().flat_map(|l| l.points.iter().map(|p| p.0)).collect();
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    let every = steps.len().div_ceil(N_HITS).max(1);
    let steps: Vec<f64> = steps.into_iter().step_by(every).collect();
    let width = (WIDTH - frame.left - frame.right) / steps.len() as f64;
    for step in steps {
        let mut text = format!("step {step:.0}");
        for line in lines {
            if let Some((_, value)) = line.points.iter().find(|p| (p.0 - step).abs() < 1e-9) {
                let _ = write!(text, "\n{}: {}", line.name, number(*value));
            }
        }
        if chart.marks.iter().any(|mark| (mark - step).abs() < 1e-9) {
            text.push_str("\nno update");
        }
        let _ = write!(
            svg,
            "<rect class=\"hit\" x=\"{:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            frame.x(step) - width / 2.0,
            HEIGHT - TOP - BOTTOM,
            escape(&text)
        );
    }
}
