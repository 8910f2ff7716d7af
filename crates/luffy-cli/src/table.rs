//! The table at the end of a run: accuracy by difficulty, before and after.

use std::fmt::Write;

use luffy_trainer::Count;

use crate::compare::Comparison;
use crate::report::pooled;
use crate::run::EvalCounts;
use crate::stats::{mean, wilson};

/// Accuracy of the base and the trained policy by level, with counts and Wilson's 95 % intervals, and
/// a last row for all levels together. Ends with a line break.
///
/// ```
/// use luffy_cli::table::accuracy_table;
/// use luffy_trainer::Count;
///
/// let base = [("3".to_owned(), Count { correct: 0, total: 200 })].into();
/// let trained = [("3".to_owned(), Count { correct: 199, total: 200 })].into();
/// println!("{}", accuracy_table(&base, &trained));
/// ```
pub fn accuracy_table(base: &EvalCounts, trained: &EvalCounts) -> String {
    let mut levels: Vec<&String> = base.keys().chain(trained.keys()).collect();
    levels.sort_by(|a, b| by_level(a, b));
    levels.dedup();
    let mut rows = vec![
        ["level", "base", "95 % interval", "trained", "95 % interval", "change"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for level in &levels {
        rows.push(row(level, base.get(*level), trained.get(*level)));
    }
    if levels.len() > 1 {
        let all = |counts: &EvalCounts| pooled(counts, counts.keys());
        rows.push(row("all", all(base).as_ref(), all(trained).as_ref()));
    }
    render(&rows)
}

/// Levels by number where both are one, else by name.
pub(crate) fn by_level(a: &str, b: &str) -> std::cmp::Ordering {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// Accuracy after training of every arm of a comparison, by level: mean over seeds and, in brackets, the
/// smallest and largest. Ends with a line break.
pub fn comparison_table(comparison: &Comparison) -> String {
    let runs = || comparison.arms.iter().flat_map(|arm| &arm.runs);
    let mut levels: Vec<&String> = runs().flat_map(|run| run.counts.keys()).collect();
    levels.sort_by(|a, b| by_level(a, b));
    levels.dedup();
    let cell = |values: Vec<f64>| {
        let Some(mean) = mean(&values) else { return "-".to_owned() };
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{mean:.3} ({low:.3}-{high:.3})")
    };
    let mut header = vec!["method".to_owned(), "seeds".to_owned()];
    header.extend(levels.iter().map(|level| format!("level {level}")));
    header.extend(["all".to_owned(), "seconds".to_owned()]);
    let mut rows = vec![header];
    for arm in &comparison.arms {
        let of = |value: &dyn Fn(&EvalCounts) -> Option<f64>| {
            cell(arm.runs.iter().filter_map(|run| value(&run.counts)).collect())
        };
        let mut row = vec![arm.method.clone(), arm.runs.len().to_string()];
        row.extend(levels.iter().map(|level| of(&|counts| Some(counts.get(*level)?.accuracy()))));
        row.push(of(&|counts| pooled(counts, counts.keys()).map(|count| count.accuracy())));
        let seconds: Vec<f64> = arm.runs.iter().map(|run| run.seconds).collect();
        row.push(mean(&seconds).map_or("-".to_owned(), |seconds| format!("{seconds:.1}")));
        rows.push(row);
    }
    render(&rows)
}

fn row(level: &str, base: Option<&Count>, trained: Option<&Count>) -> Vec<String> {
    let accuracy = |count: Option<&Count>| {
        count.map_or("-".to_owned(), |c| format!("{:.3} ({}/{})", c.accuracy(), c.correct, c.total))
    };
    let interval = |count: Option<&Count>| {
        count.map_or("-".to_owned(), |count| {
            let interval = wilson(count.correct, count.total);
            format!("{:.3} to {:.3}", interval.low, interval.high)
        })
    };
    let change = match (base, trained) {
        (Some(base), Some(trained)) => format!("{:+.3}", trained.accuracy() - base.accuracy()),
        _ => "-".to_owned(),
    };
    vec![
        level.to_owned(),
        accuracy(base),
        interval(base),
        accuracy(trained),
        interval(trained),
        change,
    ]
}

/// Columns as wide as their widest cell: the first to the left, the others to the right.
pub(crate) fn render(rows: &[Vec<String>]) -> String {
    let n_columns = rows.first().map_or(0, Vec::len);
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for (n, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(
                |(i, (cell, width))| {
                    if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
        if n == 0 {
            let len = widths.iter().sum::<usize>() + 2 * n_columns.saturating_sub(1);
            let _ = writeln!(text, "{}", "-".repeat(len));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Arm;
    use crate::run::Summary;

    fn counts(of: &[(&str, u64, u64)]) -> EvalCounts {
        of.iter()
            .map(|(level, correct, total)| {
                ((*level).to_owned(), Count { correct: *correct, total: *total })
            })
            .collect()
    }

    #[test]
    fn levels_are_in_order_with_counts_and_a_total() {
        let base = counts(&[("2", 200, 200), ("10", 0, 200)]);
        let trained = counts(&[("2", 199, 200), ("10", 190, 200)]);
        // Intervals by the formula of `stats::wilson`, whose values are tested there.
        assert_eq!(
            accuracy_table(&base, &trained),
            "\
level             base   95 % interval          trained   95 % interval  change
-------------------------------------------------------------------------------
2      1.000 (200/200)  0.981 to 1.000  0.995 (199/200)  0.972 to 0.999  -0.005
10       0.000 (0/200)  0.000 to 0.019  0.950 (190/200)  0.910 to 0.973  +0.950
all    0.500 (200/400)  0.451 to 0.549  0.973 (389/400)  0.951 to 0.985  +0.473
"
        );
    }

    #[test]
    fn a_level_without_a_base_has_no_change() {
        let table = accuracy_table(&EvalCounts::new(), &counts(&[("gsm8k", 1, 2)]));
        assert!(
            table.ends_with("gsm8k     -              -  0.500 (1/2)  0.095 to 0.905       -\n"),
            "{table}"
        );
    }

    #[test]
    fn a_comparison_has_a_row_per_method() {
        let run = |correct: u64| Summary {
            schema: 1,
            method: "luffy".to_owned(),
            seed: 0,
            steps: 1,
            skipped_steps: 0,
            seconds: 2.0,
            peak_memory_bytes: None,
            base_accuracy: std::collections::BTreeMap::new(),
            accuracy: std::collections::BTreeMap::new(),
            base_counts: EvalCounts::new(),
            counts: counts(&[("1", 10, 10), ("2", correct, 10)]),
            tokens_generated: 0.0,
            tokens_trained: 0.0,
            hard_takeoff_step: None,
        };
        let arms = vec![
            Arm { method: "luffy".to_owned(), runs: vec![run(4), run(8)] },
            Arm { method: "grpo".to_owned(), runs: vec![] },
        ];
        assert_eq!(
            comparison_table(&Comparison { schema: 1, arms }),
            "\
method  seeds              level 1              level 2                  all  seconds
-------------------------------------------------------------------------------------
luffy       2  1.000 (1.000-1.000)  0.600 (0.400-0.800)  0.800 (0.700-0.900)      2.0
grpo        0                    -                    -                    -        -
"
        );
    }

    #[test]
    fn nothing_gives_a_header_only() {
        assert_eq!(accuracy_table(&EvalCounts::new(), &EvalCounts::new()).lines().count(), 2);
    }
}
