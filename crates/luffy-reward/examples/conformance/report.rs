//! The figures on standard output; the last line is for programs.

use std::fmt::Write as _;
use std::io::Write as _;

use luffy_core::Verdict;
use luffy_reward::Profile;

use crate::rows::Row;
use crate::tally::{Counts, Tally, name};

/// Longer answers are cut where they are shown.
const SHOWN: usize = 100;

/// Both profiles, the chosen one in full; `max_steps` is the budget of a check.
pub(crate) fn print(chosen: (Profile, &Tally), other: (Profile, &Tally), max_steps: u64) {
    write(&text(chosen, other, max_steps));
}

/// To standard output. Whoever reads it may have seen enough, as `head` does; that is no failure.
fn write(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn text(
    (profile, tally): (Profile, &Tally),
    (other, others): (Profile, &Tally),
    max_steps: u64,
) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!("profile {}", profile_name(profile)));
    let failing = tally.failing_rules();
    line(format!("\nrules with disagreements: {} of {}", failing.len(), tally.by_rule.len()));
    for (rule, counts) in &failing {
        let Counts { false_negatives, false_positives, cases } = counts;
        line(format!("  {rule:<36} FN {false_negatives} FP {false_positives} of {cases}"));
    }
    line("\ncategories".to_owned());
    for (category, counts) in &tally.by_category {
        line(format!("  {category:<36} {counts}"));
    }
    line("\nreasons".to_owned());
    for (reason, rows) in &tally.by_reason {
        line(format!("  {reason:<36} {rows}"));
    }
    if tally.unjudged > 0 {
        line(format!(
            "\nrows of which nothing is expected: {} (--list shows them)",
            tally.unjudged
        ));
    }
    line("\nslowest rows".to_owned());
    for cost in &tally.slowest {
        line(format!(
            "  {:>9.3} ms  work {:>9}  {}  {}",
            cost.milliseconds, cost.work, cost.id, cost.rule
        ));
    }
    if let Some(cost) = &tally.hardest {
        let over = tally.by_reason.get("over-budget").copied().unwrap_or(0);
        line(format!(
            "largest work beside reading: {} steps of {} in {} ({}); rows over the budget: {over}",
            cost.steps, max_steps, cost.id, cost.rule
        ));
    }
    line(format!("\nprofile {}: {}", profile_name(other), others.all));
    line(tally.all.to_string());
    out
}

/// A line about one row: what `--list` shows.
pub(crate) fn print_row(row: &Row, verdict: &Verdict) {
    write(&(row_line(row, verdict) + "\n"));
}

fn row_line(row: &Row, verdict: &Verdict) -> String {
    let kind = match row.expected {
        Some(true) => "FN",
        Some(false) => "FP",
        None => "--",
    };
    let mut line = format!("{kind} {} {}  gold", row.id, row.rule);
    for gold in &row.task.golds {
        let _ = write!(line, " {}", quoted(gold));
    }
    match &verdict.extracted {
        Some(extracted) => {
            let _ = write!(line, "  answer {}", quoted(&extracted.text));
        }
        None => line.push_str("  no answer"),
    }
    let _ = write!(line, "  {}", name(verdict));
    line
}

/// On one line, in backquotes, and not too long.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let shown: String = shown
        .chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect();
    format!("`{shown}`")
}

/// As `--profile` takes it.
pub(crate) fn profile_name(profile: Profile) -> &'static str {
    match profile {
        Profile::Training => "training",
        Profile::Lenient => "lenient",
    }
}

#[cfg(test)]
mod tests {
    use luffy_core::{Extracted, Reason};

    use super::*;

    fn row() -> Row {
        let line = br#"{"id": "a1", "golds": ["1", "2"], "response": "", "expected": true,
                        "rule": "int:x"}"#;
        Row::parse(line, 1).unwrap()
    }

    #[test]
    fn the_last_line_is_the_agreement_of_the_chosen_profile() {
        let (mut chosen, mut other) = (Tally::default(), Tally::default());
        chosen.add(&row(), &Verdict::new(Reason::Exact), 0.5);
        other.add(&row(), &Verdict::new(Reason::Different), 0.5);
        let text = text((Profile::Lenient, &chosen), (Profile::Training, &other), 10);
        let lines: Vec<&str> = text.lines().rev().take(2).collect();
        assert_eq!(
            lines,
            [
                "agreement 1.0000 (FN 0, FP 0, 1 cases)",
                "profile training: agreement 0.0000 (FN 1, FP 0, 1 cases)"
            ]
        );
    }

    #[test]
    fn a_listed_row_shows_golds_answer_and_reason_on_one_line() {
        let mut verdict = Verdict::new(Reason::NoAnswer);
        assert_eq!(row_line(&row(), &verdict), "FN a1 int:x  gold `1` `2`  no answer  no-answer");
        verdict.reason = Reason::Different;
        verdict.extracted = Some(Extracted { text: "3\n".to_owned(), span: 0..2 });
        assert_eq!(
            row_line(&row(), &verdict),
            r"FN a1 int:x  gold `1` `2`  answer `3\n`  different"
        );
    }

    #[test]
    fn a_long_answer_is_cut_between_characters() {
        let shown = quoted(&"é".repeat(SHOWN + 1));
        assert_eq!(shown, format!("`{}…`", "é".repeat(SHOWN)));
    }
}
