//! The verifier of mathematical answers.

use luffy_core::{Extracted, Outcome, Reason, Response, Task, Verdict, Verifier};
use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::equal::{self, Equality};
use crate::extract::{self, Candidate, Extraction};
use crate::{Format, Profile, graded};

/// Steps a check may take unless told otherwise: a few milliseconds at worst.
pub const DEFAULT_MAX_STEPS: u64 = 1_000_000;

/// Takes the answer out of the graded part of a response and compares it with each gold answer of the
/// task; one match is enough.
///
/// `work` of its verdicts counts the bytes searched and the steps of every comparison, one step being
/// about ten nanoseconds; it never exceeds the length of the response plus `max_steps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MathVerifier {
    /// What the response must look like.
    pub format: Format,
    /// Whether a response that the token limit cut is malformed, whatever it says.
    pub require_stop: bool,
    /// Where the answer is looked for.
    pub extraction: Extraction,
    /// What counts as equal.
    pub equality: Equality,
    /// Steps the comparisons of one response may take together.
    pub max_steps: u64,
}

impl Default for MathVerifier {
    /// The training profile on thoughts followed by an answer. A cut response passes if it got that far.
    fn default() -> Self {
        Self::new(Profile::Training, Format::Think)
    }
}

impl MathVerifier {
    /// The verifier of a profile; cut responses are graded like any other.
    pub fn new(profile: Profile, format: Format) -> Self {
        Self {
            format,
            require_stop: false,
            extraction: profile.extraction(),
            equality: profile.equality(),
            max_steps: DEFAULT_MAX_STEPS,
        }
    }

    /// Compares a candidate with every gold until one fits.
    fn judge(&self, golds: &[&str], candidate: &Candidate, budget: &mut Budget) -> Reason {
        let mut worst = Reason::Unreadable;
        for gold in golds {
            let reason = equal::compare(gold, &candidate.text, self.equality, budget);
            if reason.outcome() == Outcome::Correct {
                return reason;
            }
            worst = match (worst, reason) {
                (_, Reason::OverBudget) => return Reason::OverBudget,
                (Reason::Unreadable, reason) => reason,
                (Reason::Different, Reason::Undecided) => Reason::Undecided,
                (worst, _) => worst,
            };
        }
        worst
    }
}

impl Verifier for MathVerifier {
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
        // Golds go first: whether a task is usable does not depend on what was answered.
        let golds: Vec<&str> = task.golds.iter().filter_map(|gold| equal::usable(gold)).collect();
        if golds.is_empty() {
            return Verdict::new(Reason::BadGold);
        }
        let read = response.text.len() as u64;
        let without_answer = |reason| Verdict { reason, extracted: None, work: read };
        let graded = match graded::graded(self.format, self.require_stop, response) {
            Ok(graded) => graded,
            Err(reason) => return without_answer(reason),
        };
        let offset = graded::offset(response.text, graded);
        let mut budget = Budget::new(self.max_steps);
        let candidates = extract::candidates(graded, self.extraction);
        // A single candidate is the answer whether it can be read or not.
        let readable = match candidates[..] {
            [] | [_] => 0,
            _ => candidates
                .iter()
                .position(|candidate| equal::is_readable(&candidate.text, &mut budget))
                .unwrap_or(0),
        };
        let Some(candidate) = candidates.into_iter().nth(readable) else {
            return without_answer(Reason::NoAnswer);
        };
        let reason = self.judge(&golds, &candidate, &mut budget);
        let Candidate { text, span } = candidate;
        let span = span.start + offset..span.end + offset;
        Verdict { reason, extracted: Some(Extracted { text, span }), work: read + budget.used() }
    }
}

#[cfg(test)]
mod tests {
    use luffy_core::FinishReason;
    use proptest::prelude::*;

    use super::*;
    use crate::graded::fixtures::task;

    fn check(
        format: Format,
        golds: &[&str],
        text: &str,
        outcome: Outcome,
        extracted: Option<&str>,
    ) {
        let verifier =
            MathVerifier { require_stop: true, ..MathVerifier::new(Profile::Training, format) };
        let verdict = verifier.verify(&task(golds), &Response::complete(text));
        let found = verdict.extracted.as_ref().map(|found| found.text.as_str());
        assert_eq!((verdict.outcome(), found), (outcome, extracted), "{text}");
    }

    #[test]
    fn the_box_after_the_thoughts_is_the_answer() {
        let text = r"maybe \boxed{1}</think>It is \boxed{57}.<|endoftext|>";
        check(Format::Think, &["57"], text, Outcome::Correct, Some("57"));
        check(Format::Think, &["1"], text, Outcome::Incorrect, Some("57"));
        check(Format::Plain, &["57"], text, Outcome::Correct, Some("57"));
        check(Format::StrictThink, &["57"], text, Outcome::Malformed, None);
    }

    #[test]
    fn recipe_addition_wants_its_exact_format() {
        let right = "<think>\n2c2c7,</think>\\boxed{722}";
        check(Format::StrictThink, &["722"], right, Outcome::Correct, Some("722"));
        check(Format::StrictThink, &["723"], right, Outcome::Incorrect, Some("722"));
        check(Format::StrictThink, &["722"], r"\boxed{722}", Outcome::Malformed, None);
    }

    #[test]
    fn any_gold_will_do() {
        check(Format::Plain, &["", "2", "x"], r"\boxed{x}", Outcome::Correct, Some("x"));
    }

    #[test]
    fn an_answer_that_is_not_there_is_malformed() {
        for text in ["", "57", r"\boxed{57", r"\boxed{}", r"\boxed{ }"] {
            check(Format::Plain, &["57"], text, Outcome::Malformed, None);
        }
        check(Format::Think, &["57"], r"\boxed{57}", Outcome::Malformed, None);
    }

    #[test]
    fn a_task_without_a_gold_is_not_graded() {
        check(Format::Plain, &[], r"\boxed{57}", Outcome::BadGold, None);
        check(Format::Plain, &["", " \n"], r"\boxed{}", Outcome::BadGold, None);
        check(Format::Plain, &[""], "", Outcome::BadGold, None);
    }

    #[test]
    fn a_cut_response_is_malformed_where_an_end_is_required() {
        let cut = Response { text: r"a</think>\boxed{57} and", finish: FinishReason::Length };
        let mut verifier = MathVerifier { require_stop: true, ..MathVerifier::default() };
        assert_eq!(verifier.verify(&task(&["57"]), &cut).outcome(), Outcome::Malformed);
        verifier.require_stop = false;
        assert_eq!(verifier.verify(&task(&["57"]), &cut).outcome(), Outcome::Correct);
    }

    #[test]
    fn work_is_the_bytes_read_and_the_steps_of_every_comparison() {
        let verifier = MathVerifier::new(Profile::Training, Format::Plain);
        let work =
            |golds: &[&str]| verifier.verify(&task(golds), &Response::complete(r"\boxed{5}")).work;
        // 9 bytes of the response; a gold that is the answer to the letter costs nothing more.
        assert_eq!(work(&["5"]), 9);
        assert!(work(&["12", "5"]) > 9);
        assert!(work(&["12", "13"]) > work(&["12", "5"]));
    }

    #[test]
    fn a_spent_budget_is_never_right() {
        let response = Response::complete(r"\boxed{\sqrt{3+2\sqrt{2}}}");
        let golds = task(&[r"1+\sqrt{2}"]);
        let mut verifier = MathVerifier::new(Profile::Training, Format::Plain);
        assert_eq!(verifier.verify(&golds, &response).reason, Reason::Numeric);
        verifier.max_steps = 100;
        let verdict = verifier.verify(&golds, &response);
        assert_eq!(verdict.reason, Reason::OverBudget);
        assert!(verdict.work <= response.text.len() as u64 + 100);
    }

    proptest! {
        #[test]
        fn any_response_to_any_gold_gets_a_verdict(
            text in r"(<think>|</think>|\\boxed\{|\}|\PC){0,60}",
            golds in prop::collection::vec(any::<String>(), 0..3),
            format in prop::sample::select(vec![Format::Think, Format::StrictThink, Format::Plain]),
            require_stop in any::<bool>(),
        ) {
            let golds: Vec<&str> = golds.iter().map(String::as_str).collect();
            let verifier = MathVerifier { require_stop, ..MathVerifier::new(Profile::Training, format) };
            let verdict = verifier.verify(&task(&golds), &Response::complete(&text));
            let is_usable = golds.iter().any(|gold| equal::usable(gold).is_some());
            prop_assert_eq!(verdict.outcome() != Outcome::BadGold, is_usable);
        }
    }
}
