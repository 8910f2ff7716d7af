//! The parts that pages are made of.

use std::fmt::Write;

use luffy_trainer::Count;

use super::SampleRow;
use super::chart::escape;
use super::scale::number;
use crate::stats::{Interval, wilson};

const STYLE: &str = include_str!("style.css");

/// Longest text of a sample, in characters.
const SAMPLE_CHARS: usize = 3000;

/// A whole page. `body` is HTML, `title` is text.
pub(super) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

/// A number with what it is and a remark.
pub(super) fn tile(label: &str, value: &str, remark: &str) -> String {
    format!(
        "<div class=\"tile\"><span>{}</span><b class=\"num\">{}</b><span>{}</span></div>\n",
        escape(label),
        escape(value),
        escape(remark)
    )
}

/// Something long that is folded away.
pub(super) fn folded(summary: &str, text: &str) -> String {
    format!(
        "<details><summary>{}</summary><pre>{}</pre></details>\n",
        escape(summary),
        escape(text)
    )
}

/// A table; cells are HTML. Rows named in `totals` stand out.
pub(super) fn table(header: &[&str], rows: &[Vec<String>], totals: usize) -> String {
    let mut html = "<div class=\"scroll\"><table><thead><tr>".to_owned();
    for cell in header {
        let _ = write!(html, "<th>{}</th>", escape(cell));
    }
    html.push_str("</tr></thead><tbody>\n");
    for (i, row) in rows.iter().enumerate() {
        let class = if i + totals >= rows.len() { " class=\"total\"" } else { "" };
        let _ = write!(html, "<tr{class}>");
        for cell in row {
            let _ = write!(html, "<td>{cell}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

/// A share with its counts.
pub(super) fn share(count: Option<Count>) -> String {
    count.map_or("–".to_owned(), |count| {
        format!("{:.3} <small>{}/{}</small>", count.accuracy(), count.correct, count.total)
    })
}

/// A 95 % interval as text.
pub(super) fn interval(interval: Option<Interval>) -> String {
    interval.map_or("–".to_owned(), |i| format!("{:.3} – {:.3}", i.low, i.high))
}

/// Wilson's interval of a count.
pub(super) fn interval_of(count: Option<Count>) -> Option<Interval> {
    count.map(|count| wilson(count.correct, count.total))
}

/// Base and trained accuracy with their intervals on a line from 0 to 1.
pub(super) fn whiskers(base: Option<Count>, trained: Option<Count>) -> String {
    let x = |share: f64| 6.0 + share * 178.0;
    let mut svg = "<svg viewBox=\"0 0 190 24\" role=\"img\" aria-label=\"base and trained on a line from 0 to 1\">\
                   <path class=\"track\" d=\"M6 12H184M6 8v8M184 8v8M95 10v4\"/>"
        .to_owned();
    for (count, color, y) in [(base, "c5", 8.0), (trained, "c0", 16.0)] {
        let Some(count) = count else { continue };
        let range = wilson(count.correct, count.total);
        let _ = write!(
            svg,
            "<g class=\"{color}\"><path class=\"whisker\" d=\"M{:.1} {y}H{:.1}\"/><circle class=\"dot\" cx=\"{:.1}\" cy=\"{y}\" r=\"4\"/></g>",
            x(range.low),
            x(range.high),
            x(count.accuracy())
        );
    }
    svg.push_str("</svg>");
    svg
}

/// A rollout: who wrote it, what came of it, prompt and response.
pub(super) fn sample(sample: &SampleRow) -> String {
    let (color, writer) = if sample.on_policy { ("c0", "policy") } else { ("c1", "demonstration") };
    let verdict = match sample.verdict.as_str() {
        "correct" => "good",
        "incorrect" => "bad",
        _ => "odd",
    };
    format!(
        "<article class=\"sample {color}\"><header><b>{writer}</b>\
         <span class=\"{verdict}\">{}</span><span>reward <span class=\"num\">{}</span></span>\
         <span>advantage <span class=\"num\">{:+.3}</span></span></header>\
         <pre class=\"prompt\">{}</pre><pre>{}</pre></article>\n",
        escape(&sample.verdict),
        number(sample.reward),
        sample.advantage,
        escape(&shorten(&sample.prompt)),
        escape(&shorten(&sample.response))
    )
}

fn shorten(text: &str) -> String {
    let n_chars = text.chars().count();
    if n_chars <= SAMPLE_CHARS {
        return text.to_owned();
    }
    let half = SAMPLE_CHARS / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(n_chars - half).collect();
    format!("{head}\n[… {} characters left out …]\n{tail}", n_chars - 2 * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_escaped_and_shortened() {
        let html = sample(&SampleRow {
            step: 3,
            prompt: "<script>".to_owned(),
            response: "é".repeat(5000),
            on_policy: false,
            verdict: "<b>".to_owned(),
            reward: 1.0,
            advantage: -0.125,
        });
        assert!(!html.contains("<script>") && !html.contains("<b>&lt;b&gt;"));
        assert!(html.contains("&lt;script&gt;") && html.contains("[… 2000 characters left out …]"));
        assert!(html.contains("-0.125") && html.contains("demonstration"));
    }

    #[test]
    fn whiskers_stand_at_the_shares() {
        let svg = whiskers(None, Some(Count { correct: 1, total: 2 }));
        // 6 + 0.5 * 178, and Wilson's interval of 1 in 2: 0.0945 to 0.9055.
        assert!(svg.contains("cx=\"95.0\"") && svg.contains("M22.8 16H167.2"), "{svg}");
    }

    #[test]
    fn totals_are_the_last_rows() {
        let html = table(&["a"], &[vec!["1".into()], vec!["2".into()]], 1);
        assert!(html.contains("<tr><td>1</td>") && html.contains("<tr class=\"total\"><td>2</td>"));
    }
}
