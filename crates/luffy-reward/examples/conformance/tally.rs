//! What a profile said of all rows, counted.

use std::collections::BTreeMap;
use std::fmt;

use luffy_core::{Outcome, Verdict};

use crate::rows::Row;

/// How many of the slowest rows are shown.
const SLOWEST: usize = 5;

/// Agreement with what was expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Expected right, graded wrong.
    pub(crate) false_negatives: usize,
    /// Expected wrong, graded right.
    pub(crate) false_positives: usize,
    /// Rows of which something is expected.
    pub(crate) cases: usize,
}

impl Counts {
    fn add(&mut self, expected: bool, is_correct: bool) {
        self.cases += 1;
        self.false_negatives += usize::from(expected && !is_correct);
        self.false_positives += usize::from(!expected && is_correct);
    }

    /// Rows graded otherwise than expected.
    pub(crate) fn disagreements(self) -> usize {
        self.false_negatives + self.false_positives
    }

    /// Share of the cases graded as expected; 0 where there are none.
    fn agreement(self) -> f64 {
        (self.cases - self.disagreements()) as f64 / self.cases.max(1) as f64
    }
}

/// `agreement 0.9876 (FN 1, FP 2, 300 cases)`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { false_negatives, false_positives, cases } = self;
        let agreement = self.agreement();
        write!(
            f,
            "agreement {agreement:.4} (FN {false_negatives}, FP {false_positives}, {cases} cases)"
        )
    }
}

/// What a row cost.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cost {
    pub(crate) milliseconds: f64,
    pub(crate) work: u64,
    /// The work that is not reading the response once: what the budget limits.
    pub(crate) steps: u64,
    pub(crate) id: String,
    pub(crate) rule: String,
}

/// Everything that is counted of a profile.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) all: Counts,
    pub(crate) by_rule: BTreeMap<String, Counts>,
    pub(crate) by_category: BTreeMap<String, Counts>,
    /// All rows, judged or not, by the kebab-case name of the reason.
    pub(crate) by_reason: BTreeMap<String, usize>,
    /// Rows of which nothing is expected.
    pub(crate) unjudged: usize,
    /// The slowest first.
    pub(crate) slowest: Vec<Cost>,
    /// The row with the most steps beside reading.
    pub(crate) hardest: Option<Cost>,
}

impl Tally {
    /// Counts a verdict. Returns whether it is otherwise than expected.
    pub(crate) fn add(&mut self, row: &Row, verdict: &Verdict, milliseconds: f64) -> bool {
        *self.by_reason.entry(name(verdict)).or_default() += 1;
        self.add_cost(Cost {
            milliseconds,
            work: verdict.work,
            steps: steps(row, verdict),
            id: row.id.clone(),
            rule: row.rule.clone(),
        });
        self.judge(row, verdict.outcome() == Outcome::Correct)
    }

    /// Counts a row on which the verifier panicked: it pays nothing.
    pub(crate) fn add_panic(&mut self, row: &Row) {
        *self.by_reason.entry("PANIC".to_owned()).or_default() += 1;
        self.judge(row, false);
    }

    fn judge(&mut self, row: &Row, is_correct: bool) -> bool {
        let Some(expected) = row.expected else {
            self.unjudged += 1;
            return false;
        };
        self.all.add(expected, is_correct);
        self.by_rule.entry(row.rule.clone()).or_default().add(expected, is_correct);
        self.by_category.entry(row.category.clone()).or_default().add(expected, is_correct);
        expected != is_correct
    }

    fn add_cost(&mut self, cost: Cost) {
        if self.hardest.as_ref().is_none_or(|hardest| cost.steps > hardest.steps) {
            self.hardest = Some(cost.clone());
        }
        let at = self.slowest.partition_point(|slow| slow.milliseconds >= cost.milliseconds);
        if at < SLOWEST {
            self.slowest.insert(at, cost);
            self.slowest.truncate(SLOWEST);
        }
    }

    /// Rules with a disagreement, the most disagreements first.
    pub(crate) fn failing_rules(&self) -> Vec<(&str, Counts)> {
        let mut rules: Vec<_> = self
            .by_rule
            .iter()
            .map(|(rule, counts)| (rule.as_str(), *counts))
            .filter(|(_, counts)| counts.disagreements() > 0)
            .collect();
        rules.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.disagreements()));
        rules
    }
}

/// The work of a verdict beside reading the response once.
pub(crate) fn steps(row: &Row, verdict: &Verdict) -> u64 {
    verdict.work.saturating_sub(row.response.len() as u64)
}

/// The reason of a verdict as it is written in files.
pub(crate) fn name(verdict: &Verdict) -> String {
    serde_json::to_value(verdict.reason)
        .ok()
        .and_then(|name| name.as_str().map(ToOwned::to_owned))
        .unwrap_or_else(|| format!("{:?}", verdict.reason))
}

#[cfg(test)]
mod tests {
    use luffy_core::Reason;

    use super::*;

    fn row(rule: &str, expected: &str) -> Row {
        let line = format!(
            r#"{{"id": "{rule}", "gold": "1", "response": "", "expected": {expected}, "rule": "{rule}"}}"#
        );
        Row::parse(line.as_bytes(), 1).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn verdict(reason: Reason, work: u64) -> Verdict {
        Verdict { work, ..Verdict::new(reason) }
    }

    /// Six judged rows with two false negatives and one false positive, and one unjudged row.
    fn tally() -> Tally {
        let mut tally = Tally::default();
        for (rule, expected, reason, is_disagreement) in [
            ("a", "true", Reason::Exact, false),
            ("a", "true", Reason::Different, true),
            ("a", "true", Reason::NoAnswer, true),
            ("b", "false", Reason::Identical, true),
            ("b", "false", Reason::Undecided, false),
            ("c", "false", Reason::BadGold, false),
            ("d", "null", Reason::Numeric, false),
        ] {
            let found = tally.add(&row(rule, expected), &verdict(reason, 1), 0.0);
            assert_eq!(found, is_disagreement, "{rule} {reason:?}");
        }
        tally
    }

    #[test]
    fn both_kinds_of_disagreement_are_counted_apart() {
        let tally = tally();
        // 3 of 6 agree.
        assert_eq!(tally.all.to_string(), "agreement 0.5000 (FN 2, FP 1, 6 cases)");
        assert_eq!(tally.unjudged, 1);
        let counts = |false_negatives, false_positives, cases| Counts {
            false_negatives,
            false_positives,
            cases,
        };
        assert_eq!(tally.by_rule.get("a"), Some(&counts(2, 0, 3)));
        assert_eq!(tally.by_rule.get("d"), None);
        assert_eq!(tally.by_category.get("-"), Some(&counts(2, 1, 6)));
    }

    #[test]
    fn only_rules_with_a_disagreement_are_shown_and_the_worst_first() {
        let tally = tally();
        let rules: Vec<&str> = tally.failing_rules().iter().map(|(rule, _)| *rule).collect();
        assert_eq!(rules, ["a", "b"]);
    }

    #[test]
    fn reasons_are_counted_by_the_name_that_files_use() {
        let tally = tally();
        assert_eq!(tally.by_reason.get("no-answer"), Some(&1));
        assert_eq!(tally.by_reason.values().sum::<usize>(), 7);
    }

    #[test]
    fn a_panic_pays_nothing_and_is_counted() {
        let mut tally = Tally::default();
        tally.add_panic(&row("a", "true"));
        tally.add_panic(&row("a", "false"));
        tally.add_panic(&row("a", "null"));
        assert_eq!(tally.all.to_string(), "agreement 0.5000 (FN 1, FP 0, 2 cases)");
        assert_eq!(tally.by_reason.get("PANIC"), Some(&3));
    }

    #[test]
    fn nothing_graded_is_no_agreement() {
        assert_eq!(Counts::default().to_string(), "agreement 0.0000 (FN 0, FP 0, 0 cases)");
    }

    #[test]
    fn the_five_slowest_rows_are_kept_in_order_and_the_hardest_beside_them() {
        let mut tally = Tally::default();
        for milliseconds in [3, 9, 1, 7, 5, 8, 2] {
            let verdict = verdict(Reason::Exact, 100 - milliseconds);
            tally.add(&row("a", "true"), &verdict, milliseconds as f64);
        }
        let slowest: Vec<f64> = tally.slowest.iter().map(|cost| cost.milliseconds).collect();
        assert_eq!(slowest, [9.0, 8.0, 7.0, 5.0, 3.0]);
        assert_eq!(tally.hardest.map(|cost| cost.steps), Some(99));
    }

    #[test]
    fn reading_the_response_is_no_step() {
        let row = Row::parse(br#"{"gold": "1", "response": "four"}"#, 1).unwrap();
        assert_eq!(steps(&row, &verdict(Reason::Exact, 10)), 6);
        assert_eq!(steps(&row, &verdict(Reason::Format, 3)), 0);
    }
}
