//! The verifier that compares texts and knows nothing of mathematics.

use std::borrow::Cow;

use luffy_core::{Reason, Response, Task, Verdict, Verifier};
use serde::{Deserialize, Serialize};

use crate::{Format, graded, last_boxed};

const HASHES: &str = "####";

/// Where an answer is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the last complete `\boxed{...}`.
    #[default]
    Boxed,
    /// The last number behind `####`, as GSM8K writes its solutions. Commas and `$` are taken out of
    /// it and of the gold, and a full stop off its end.
    AfterHashes,
    /// The whole graded text.
    Whole,
}

/// Compares the answer with each gold letter for letter; one match is enough.
///
/// White space around both is never counted. Linear: `work` counts bytes of the response and of the
/// golds that were compared.
///
/// ```
/// use luffy_reward::{ExactMatchVerifier, Format, Place};
///
/// let gsm8k = ExactMatchVerifier {
///     format: Format::Plain,
///     place: Place::AfterHashes,
///     ..ExactMatchVerifier::default()
/// };
/// assert!(!gsm8k.fold_case);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ExactMatchVerifier {
    /// What the response must look like.
    pub format: Format,
    /// Whether a response that the token limit cut is malformed, whatever it says.
    pub require_stop: bool,
    /// Where the answer is looked for.
    pub place: Place,
    /// Whether upper and lower case are the same.
    pub fold_case: bool,
    /// Whether any run of white space is the same as one space.
    pub fold_space: bool,
}

impl ExactMatchVerifier {
    /// What is compared: `text` without the differences that do not count.
    fn folded(self, text: &str) -> Cow<'_, str> {
        let mut text = Cow::Borrowed(text);
        if self.place == Place::AfterHashes {
            text = text.chars().filter(|c| !matches!(c, ',' | '$')).collect();
        }
        if self.fold_space {
            text = text.split_whitespace().collect::<Vec<_>>().join(" ").into();
        }
        if self.fold_case {
            text = text.to_lowercase().into();
        }
        text
    }

    /// The answer in `graded`, never empty.
    fn answer(self, graded: &str) -> Option<&str> {
        let answer = match self.place {
            Place::Boxed => graded.get(last_boxed(graded)?)?.trim(),
            Place::AfterHashes => after_hashes(graded)?,
            Place::Whole => graded.trim(),
        };
        (!answer.is_empty()).then_some(answer)
    }

    /// What a gold says, if it can be compared with an answer.
    fn gold(self, gold: &str) -> Option<&str> {
        match self.place {
            Place::AfterHashes => after_hashes(gold).or_else(|| number(gold)),
            Place::Boxed | Place::Whole => Some(gold),
        }
    }
}

impl Verifier for ExactMatchVerifier {
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
        let mut golds = graded::usable(&task.golds).filter_map(|gold| self.gold(gold)).peekable();
        if golds.peek().is_none() {
            return Verdict::new(Reason::BadGold);
        }
        let mut work = response.text.len() as u64;
        let none = |reason| Verdict { reason, extracted: None, work };
        let graded = match graded::graded(self.format, self.require_stop, response) {
            Ok(graded) => graded,
            Err(reason) => return none(reason),
        };
        let Some(answer) = self.answer(graded) else { return none(Reason::NoAnswer) };
        let folded = self.folded(answer);
        let is_right = golds.any(|gold| {
            work += gold.len() as u64;
            self.folded(gold) == folded
        });
        let reason = if is_right { Reason::Identical } else { Reason::Different };
        Verdict { reason, extracted: Some(graded::extracted(response.text, answer)), work }
    }
}

/// The number behind the last `####` that has one.
fn after_hashes(text: &str) -> Option<&str> {
    text.rmatch_indices(HASHES).find_map(|(at, _)| {
        let rest = text.get(at + HASHES.len()..)?;
        number(rest.trim_start_matches([' ', '\t']))
    })
}

/// The number that `text` begins with: sign, `$`, digits, commas and points, without a full stop.
fn number(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '.' | ',' | '$');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let number = text.get(..end)?.trim_end_matches(['.', ',']);
    number.contains(|c: char| c.is_ascii_digit()).then_some(number)
}

#[cfg(test)]
mod tests {
    use luffy_core::{FinishReason, Outcome};
    use proptest::prelude::*;

    use super::*;
    use crate::graded::fixtures::task;

    fn check(place: Place, gold: &str, text: &str, reason: Reason, answer: Option<&str>) {
        let verifier =
            ExactMatchVerifier { format: Format::Plain, place, ..ExactMatchVerifier::default() };
        let verdict = verifier.verify(&task(&[gold]), &Response::complete(text));
        let found = verdict.extracted.as_ref().map(|found| found.text.as_str());
        assert_eq!((verdict.reason, found), (reason, answer), "{text:?} for {gold:?}");
        if let Some(found) = verdict.extracted {
            assert_eq!(text.get(found.span), Some(found.text.as_str()));
        }
    }

    #[test]
    fn a_box_is_compared_letter_for_letter() {
        let boxed = Place::Boxed;
        check(boxed, " blue", r"\boxed{blue }", Reason::Identical, Some("blue"));
        check(boxed, "Blue", r"\boxed{blue}", Reason::Different, Some("blue"));
        check(boxed, "1.0", r"\boxed{1}", Reason::Different, Some("1"));
        check(boxed, "blue", "blue", Reason::NoAnswer, None);
        check(boxed, "blue", r"\boxed{ }", Reason::NoAnswer, None);
        check(boxed, " ", r"\boxed{}", Reason::BadGold, None);
    }

    #[test]
    fn the_last_number_behind_hashes_is_gsm8k_s_answer() {
        let hashes = Place::AfterHashes;
        check(hashes, "1234", "so\n#### $1,234", Reason::Identical, Some("$1,234"));
        check(hashes, "#### 1,234", "#### 1234.\n", Reason::Identical, Some("1234"));
        check(hashes, "-2", "#### 5\nno,\n####-2<|endoftext|>", Reason::Identical, Some("-2"));
        check(hashes, "5", "#### 5\n#### none", Reason::Identical, Some("5"));
        check(hashes, "5", "#### 5.0", Reason::Different, Some("5.0"));
        check(hashes, "5", "It is 5.", Reason::NoAnswer, None);
        check(hashes, "5", "#### .", Reason::NoAnswer, None);
        check(hashes, "five", "#### 5", Reason::BadGold, None);
    }

    #[test]
    fn the_whole_text_may_be_the_answer() {
        check(Place::Whole, "a b", "\n a b ", Reason::Identical, Some("a b"));
        check(Place::Whole, "a b", "a  b", Reason::Different, Some("a  b"));
        check(Place::Whole, "a b", " ", Reason::NoAnswer, None);
    }

    #[test]
    fn case_and_white_space_are_folded_when_asked() {
        let outcome = |fold_case, fold_space| {
            let verifier = ExactMatchVerifier {
                format: Format::Plain,
                place: Place::Whole,
                fold_case,
                fold_space,
                ..ExactMatchVerifier::default()
            };
            verifier.verify(&task(&["New York"]), &Response::complete("new\n york")).outcome()
        };
        assert_eq!(outcome(true, true), Outcome::Correct);
        assert_eq!(outcome(true, false), Outcome::Incorrect);
        assert_eq!(outcome(false, true), Outcome::Incorrect);
    }

    #[test]
    fn format_and_end_are_required_as_everywhere() {
        let verifier = ExactMatchVerifier { require_stop: true, ..ExactMatchVerifier::default() };
        let reason =
            |text, finish| verifier.verify(&task(&["5"]), &Response { text, finish }).reason;
        assert_eq!(reason(r"</think>\boxed{5}", FinishReason::Stop), Reason::Identical);
        assert_eq!(reason(r"</think>\boxed{5}", FinishReason::Length), Reason::Cut);
        assert_eq!(reason(r"\boxed{5}", FinishReason::Stop), Reason::Format);
    }

    #[test]
    fn a_megabyte_of_hashes_is_read_once() {
        // A search that starts over at every `####` would take minutes here.
        check(Place::AfterHashes, "5", &"#### ".repeat(200_000), Reason::NoAnswer, None);
        check(Place::AfterHashes, "5", &"#".repeat(1_000_000), Reason::NoAnswer, None);
    }

    proptest! {
        #[test]
        fn any_text_gets_a_verdict_and_the_gold_itself_is_right(
            gold in r"\PC{0,12}",
            text in r"(####|\\boxed\{|\}|</think>|[-0-9.,$ \n]|\PC){0,40}",
            place in prop::sample::select(vec![Place::Boxed, Place::AfterHashes, Place::Whole]),
            fold in any::<bool>(),
        ) {
            let verifier = ExactMatchVerifier {
                format: Format::Plain,
                place,
                fold_case: fold,
                fold_space: fold,
                ..ExactMatchVerifier::default()
            };
            let verdict = verifier.verify(&task(&[&gold]), &Response::complete(&text));
            if let Some(found) = verdict.extracted {
                prop_assert_eq!(text.get(found.span), Some(found.text.as_str()));
            }
            if place == Place::Whole && !gold.trim().is_empty() {
                let own = verifier.verify(&task(&[&gold]), &Response::complete(&gold));
                prop_assert_eq!(own.reason, Reason::Identical);
            }
        }
    }
}
