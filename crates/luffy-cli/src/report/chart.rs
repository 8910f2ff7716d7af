//! Line charts over steps, as figures with title, caption and legend.

use std::fmt::Write;

use super::scale::{Axis, number};
use super::svg::svg;

/// Text for an HTML or SVG element or attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // HTML has no form for these, not even escaped.
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stroke {
    /// Thin as measured, thick as the mean over neighbouring steps.
    Smoothed,
    /// A line through marked points.
    Marked,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) name: String,
    /// CSS class that sets the colour.
    pub(super) color: String,
    pub(super) dashed: bool,
    pub(super) stroke: Stroke,
    /// `(step, value)` in order of steps; values are finite.
    pub(super) points: Vec<(f64, f64)>,
    /// `(step, low, high)`, may be empty.
    pub(super) band: Vec<(f64, f64, f64)>,
}

/// A chart over steps.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chart {
    pub(super) title: String,
    /// What it shows and how to read it.
    pub(super) caption: String,
    /// Of the vertical axis.
    pub(super) unit: String,
    pub(super) axis: Axis,
    pub(super) lines: Vec<Line>,
    /// Steps marked at the bottom.
    pub(super) marks: Vec<f64>,
}

/// A chart with its title, caption and legend; nothing if no line has a point.
pub(super) fn figure(chart: &Chart) -> String {
    let lines: Vec<&Line> = chart.lines.iter().filter(|line| !line.points.is_empty()).collect();
    if lines.is_empty() {
        return String::new();
    }
    let mut html = format!(
        "<figure><figcaption><h3>{}</h3><div class=\"caption\">{}</div><div class=\"legend\">",
        escape(&chart.title),
        escape(&chart.caption)
    );
    for line in &lines {
        let last = line.points.last().map_or(0.0, |point| point.1);
        let _ = write!(
            html,
            "<span class=\"{}\"><svg viewBox=\"0 0 22 10\"><path class=\"main{}\" d=\"M1 5H21\"/></svg>{} <span class=\"soft num\">{}</span></span>",
            line.color,
            dash(line),
            escape(&line.name),
            number(last)
        );
    }
    html.push_str("</div></figcaption>");
    html.push_str(&svg(chart, &lines));
    html.push_str("</figure>\n");
    html
}

/// The class of a dashed line.
pub(super) const fn dash(line: &Line) -> &'static str {
    if line.dashed { " dash" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line {
            name: name.to_owned(),
            color: "c0".to_owned(),
            dashed: false,
            stroke: Stroke::Marked,
            points: points.to_vec(),
            band: Vec::new(),
        }
    }

    fn chart(lines: Vec<Line>) -> Chart {
        Chart {
            title: "a <b>".to_owned(),
            caption: String::new(),
            unit: "share".to_owned(),
            axis: Axis::Unit,
            lines,
            marks: vec![2.0],
        }
    }

    #[test]
    fn text_is_escaped_and_control_characters_are_replaced() {
        assert_eq!(
            escape("<a href='x'>\"&\"\u{0}\n"),
            "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;\u{fffd}\n"
        );
        assert!(figure(&chart(vec![line("x<", &[(1.0, 0.0)])])).contains("a &lt;b&gt;"));
    }

    #[test]
    fn a_chart_without_points_is_absent() {
        assert_eq!(figure(&chart(vec![line("x", &[])])), "");
    }

    #[test]
    fn points_are_where_their_values_say() {
        let html = figure(&chart(vec![line("x", &[(0.0, 0.0), (10.0, 1.0)])]));
        // Bottom left of the frame is (12 + 3 * 6.4, 232 - 34), top right (420 - 16, 20).
        assert!(html.contains("M31.2 198.0L404.0 20.0"), "{html}");
        // The mark at step 2 of 0..10: 31.2 + 0.2 * 372.8.
        assert!(html.contains("class=\"rug\" d=\"M105.8 191.0v7\""), "{html}");
    }

    /// Heights of the labels of four lines that end at `value`.
    fn label_heights(value: f64) -> Vec<f64> {
        let points = [(0.0, value), (1.0, value)];
        let lines = (0..4).map(|i| line(&i.to_string(), &points)).collect();
        let html = figure(&chart(lines));
        let height = |rest: &str| {
            let y = rest.split("y=\"").nth(1).unwrap();
            y.split('"').next().unwrap().parse().unwrap()
        };
        html.split("class=\"label\"").skip(1).map(height).collect()
    }

    #[test]
    fn labels_of_equal_lines_do_not_overlap() {
        // From the top of the frame downwards, from its bottom upwards: 13 apart, 4 below the line.
        assert_eq!(label_heights(1.0), [24.0, 37.0, 50.0, 63.0]);
        assert_eq!(label_heights(0.0), [163.0, 176.0, 189.0, 202.0]);
    }
}
