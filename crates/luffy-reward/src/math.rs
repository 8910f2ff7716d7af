//! The verifier of answers in boxes.

use luffy_core::{FinishReason, Outcome, Response, Task, Verdict, Verifier};
use serde::{Deserialize, Serialize};

use crate::{Format, equal, last_boxed};

/// Takes the last complete `\boxed{...}` from the graded part of a response and compares it with each
/// gold answer of the task; one match is enough.
///
/// Reading is linear: `work` counts the bytes of the response and of the golds and boxes compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MathVerifier {
    /// What the response must look like.
    pub format: Format,
    /// Whether a response that the token limit cut is malformed, whatever it says.
    pub require_stop: bool,
}

impl Default for MathVerifier {
    /// The paper's check: thoughts, then an answer. A cut response passes if it got that far.
    fn default() -> Self {
        Self { format: Format::Think, require_stop: false }
    }
}

impl Verifier for MathVerifier {
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
        // Golds go first: whether a task is usable does not depend on what was answered.
        let mut golds = task.golds.iter().map(|gold| gold.trim()).filter(|gold| !gold.is_empty());
        let Some(first) = golds.next() else {
            return Verdict { outcome: Outcome::BadGold, extracted: None, work: 0 };
        };
        let mut work = response.text.len() as u64;
        let is_cut = self.require_stop && response.finish == FinishReason::Length;
        let answer = if is_cut { None } else { self.answer(response.text) };
        let Some(answer) = answer else {
            return Verdict { outcome: Outcome::Malformed, extracted: None, work };
        };
        let is_right = std::iter::once(first).chain(golds).any(|gold| {
            work += (gold.len() + answer.len()) as u64;
            equal(gold, answer)
        });
        let outcome = if is_right { Outcome::Correct } else { Outcome::Incorrect };
        Verdict { outcome, extracted: Some(answer.to_owned()), work }
    }
}

impl MathVerifier {
    /// The answer in `text`, if there is one in the right format. An empty box holds none.
    fn answer(self, text: &str) -> Option<&str> {
        let graded = self.format.graded(text)?;
        let answer = graded.get(last_boxed(graded)?)?.trim();
        (!answer.is_empty()).then_some(answer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn task(golds: &[&str]) -> Task {
        Task {
            id: "test:0".into(),
            source: "test".into(),
            messages: vec![],
            golds: golds.iter().map(|gold| (*gold).to_owned()).collect(),
            demonstrations: vec![],
            extra: serde_json::Map::new(),
        }
    }

    fn check(
        format: Format,
        golds: &[&str],
        text: &str,
        outcome: Outcome,
        extracted: Option<&str>,
    ) {
        let verifier = MathVerifier { format, require_stop: true };
        let verdict = verifier.verify(&task(golds), &Response::complete(text));
        assert_eq!((verdict.outcome, verdict.extracted.as_deref()), (outcome, extracted), "{text}");
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
        let mut verifier = MathVerifier { format: Format::Think, require_stop: true };
        assert_eq!(verifier.verify(&task(&["57"]), &cut).outcome, Outcome::Malformed);
        verifier.require_stop = false;
        assert_eq!(verifier.verify(&task(&["57"]), &cut).outcome, Outcome::Correct);
    }

    #[test]
    fn work_is_the_number_of_bytes_read() {
        let verifier = MathVerifier { format: Format::Plain, require_stop: false };
        let verdict = verifier.verify(&task(&["12", "5"]), &Response::complete(r"\boxed{5}"));
        // 9 of the response, 2 + 1 and 1 + 1 of the comparisons.
        assert_eq!(verdict.work, 14);
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
            let verifier = MathVerifier { format, require_stop };
            let verdict = verifier.verify(&task(&golds), &Response::complete(&text));
            let is_usable = golds.iter().any(|gold| !gold.trim().is_empty());
            prop_assert_eq!(verdict.outcome != Outcome::BadGold, is_usable);
        }
    }
}
