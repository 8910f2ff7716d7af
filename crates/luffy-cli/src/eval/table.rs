//! The figures of an evaluation for people.

use std::fmt::Write;

use super::counted;
use super::summary::{Figures, Source, Summary};
use crate::table;

/// A row per source and one for their mean, and a line for everything that was not graded as usual.
pub(super) fn render(summary: &Summary) -> String {
    let mut header: Vec<String> =
        ["source", "problems", "k", "avg@k", "95 % interval"].map(str::to_owned).to_vec();
    if summary.pass_at.is_empty() {
        header.push("pass@k".to_owned());
    } else {
        header.extend(summary.pass_at.iter().map(|k| format!("pass@{k}")));
    }
    header.extend(["maj@k", "tokens", "cut", "too long"].map(str::to_owned));
    let mut rows = vec![header];
    rows.extend(summary.sources.iter().map(|source| source_row(source, &summary.pass_at)));
    if summary.sources.len() > 1 {
        let mut row = vec!["macro mean".to_owned(), summary.problems.to_string(), String::new()];
        row.extend(figures(&summary.macro_mean, &summary.pass_at));
        row.extend([const { String::new() }; 3]);
        rows.push(row);
    }
    let mut text = table::render(&rows);
    if let Some(data) = summary.data {
        let rows = counted(data.rows, "row", "rows");
        let _ = write!(text, "{rows} of {}; ", counted(data.problems, "problem", "problems"));
    }
    let problems = counted(summary.problems, "problem", "problems");
    let responses = counted(summary.responses, "response", "responses");
    let _ = writeln!(text, "{problems} asked, {responses}");
    let sum = |of: &dyn Fn(&Source) -> u64| summary.sources.iter().map(of).sum::<u64>();
    let too_long = sum(&|source| source.too_long_problems);
    if too_long > 0 {
        let problems = counted(too_long, "problem", "problems");
        let _ = writeln!(
            text,
            "{problems} left no room in the context of the model and count as wrong"
        );
    }
    let bad_gold = sum(&|source| source.bad_gold);
    if bad_gold > 0 {
        let responses = counted(bad_gold, "response", "responses");
        let _ = writeln!(text, "{responses} had no usable gold and count as wrong");
    }
    text
}

fn source_row(source: &Source, pass_at: &[u64]) -> Vec<String> {
    let k = match source.samples {
        [least, most] if least == most => most.to_string(),
        [least, most] => format!("{least}-{most}"),
    };
    let mut row = vec![source.name.clone(), source.problems.to_string(), k];
    row.extend(figures(&source.figures, pass_at));
    row.push(format!("{:.0}", source.mean_tokens));
    row.push(source.cut.to_string());
    row.push(source.too_long_problems.to_string());
    row
}

fn figures(figures: &Figures, pass_at: &[u64]) -> Vec<String> {
    let show = |value: Option<&f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
    let mut cells = vec![
        format!("{:.3}", figures.avg),
        figures.interval.map_or("-".to_owned(), |i| format!("{:.3} to {:.3}", i.low, i.high)),
    ];
    if pass_at.is_empty() {
        cells.push(show(figures.pass_at.values().next()));
    } else {
        cells.extend(pass_at.iter().map(|k| show(figures.pass_at.get(k))));
    }
    cells.push(format!("{:.3}", figures.majority));
    cells
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::results;
    use super::*;

    #[test]
    fn sources_have_a_row_and_what_is_amiss_a_line() {
        let rows = [
            ("p", "math", Some("1"), true),
            ("q", "math", None, false),
            ("s", "amc", Some("1"), true),
            ("s", "amc", Some("2"), false),
        ];
        let summary = Summary::new(&results(&rows), &[1, 2]);
        // Intervals by `stats`: 1 of 2, and a single problem, which has no spread over problems.
        assert_eq!(
            render(&summary),
            "\
source      problems  k  avg@k   95 % interval  pass@1  pass@2  maj@k  tokens  cut  too long
--------------------------------------------------------------------------------------------
math               2  1  0.500  0.095 to 0.905   0.500       -  0.500      10    0         1
amc                1  2  0.500               -   0.500   1.000  0.500      10    0         0
macro mean         3     0.500  0.250 to 0.750   0.500       -  0.500
9 rows of 8 problems; 3 problems asked, 4 responses
1 problem left no room in the context of the model and count as wrong
"
        );
    }
}
