//! What came of a file, for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use luffy_core::{Outcome, Reason};
use serde::Serialize;

use super::row::Graded;
use crate::table::render;

/// Counts of one grading.
#[derive(Debug, Default)]
pub(super) struct Tally {
    by_reason: BTreeMap<Reason, u64>,
    /// Rows that pay something, and what they pay together.
    n_paid: u64,
    paid: f64,
    /// Lines that could not be graded.
    pub(super) n_bad: u64,
}

impl Tally {
    pub(super) fn add(&mut self, graded: &Graded) {
        *self.by_reason.entry(graded.reason).or_default() += 1;
        if let Some(reward) = graded.reward {
            self.n_paid += 1;
            self.paid += f64::from(reward);
        }
    }

    /// Rows that got a verdict.
    pub(super) fn n_rows(&self) -> u64 {
        self.by_reason.values().sum()
    }

    /// Counts by verdict and reason as a table, mean reward and what could not be graded.
    pub(super) fn summary(&self, seconds: f64) -> String {
        let n_rows = self.n_rows();
        let row = |name: String, count: u64| {
            vec![name, count.to_string(), format!("{:.1} %", 100.0 * count as f64 / n_rows as f64)]
        };
        let mut rows = vec![["verdict", "rows", "share"].map(str::to_owned).to_vec()];
        for outcome in [Outcome::Correct, Outcome::Incorrect, Outcome::Malformed, Outcome::BadGold]
        {
            let reasons = self.by_reason.iter().filter(|(reason, _)| reason.outcome() == outcome);
            let total: u64 = reasons.clone().map(|(_, count)| count).sum();
            if total == 0 {
                continue;
            }
            rows.push(row(name(outcome), total));
            // A bad gold has no further reason.
            if outcome != Outcome::BadGold {
                rows.extend(
                    reasons.map(|(reason, count)| row(format!("  {}", name(reason)), *count)),
                );
            }
        }
        let mut text = if n_rows > 0 { render(&rows) } else { String::new() };
        let _ = write!(text, "{n_rows} rows in {seconds:.1} s");
        if self.n_paid > 0 {
            let _ = write!(text, ", mean reward {:.4}", self.paid / self.n_paid as f64);
        }
        text.push('\n');
        if self.n_bad > 0 {
            let _ = writeln!(text, "{} lines could not be graded", self.n_bad);
        }
        if n_rows > 0 && self.by_reason.get(&Reason::Format) == Some(&n_rows) {
            text.push_str("no response has the asked-for format; `--format plain` asks for none\n");
        }
        text
    }
}

/// The name that JSON gives a verdict or reason.
fn name(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(rows: &[(Reason, Option<f32>)]) -> Tally {
        let mut tally = Tally::default();
        for (reason, reward) in rows {
            tally.add(&Graded { bytes: vec![], reason: *reason, reward: *reward });
        }
        tally
    }

    #[test]
    fn verdicts_and_reasons_are_counted() {
        let mut tally = tally(&[
            (Reason::Exact, Some(1.0)),
            (Reason::Different, Some(-0.5)),
            (Reason::Identical, Some(1.0)),
            (Reason::BadGold, None),
        ]);
        tally.n_bad = 2;
        // The mean is over the three rows that are paid: 1.5 / 3.
        assert_eq!(
            tally.summary(0.25),
            "\
verdict      rows   share
-------------------------
correct         2  50.0 %
  identical     1  25.0 %
  exact         1  25.0 %
incorrect       1  25.0 %
  different     1  25.0 %
bad-gold        1  25.0 %
4 rows in 0.2 s, mean reward 0.5000
2 lines could not be graded
"
        );
    }

    #[test]
    fn a_file_in_another_format_brings_a_hint() {
        assert!(tally(&[(Reason::Format, Some(0.0))]).summary(0.0).ends_with("asks for none\n"));
        assert_eq!(tally(&[]).summary(0.0), "0 rows in 0.0 s\n");
    }
}
