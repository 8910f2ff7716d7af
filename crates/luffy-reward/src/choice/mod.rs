//! The verifier of multiple-choice letters.

use luffy_core::{Reason, Response, Task, Verdict, Verifier};
use serde::{Deserialize, Serialize};

use crate::{Format, graded, last_boxed};

mod letter;
mod statement;

use letter::Named;

/// Takes the letter of a choice from a response and compares it with the gold's.
///
/// A gold is a letter as people write choices: `C`, `(C)`, `\text{(C)}`, `C.`, `C) text`. Anything else
/// is no usable gold. The answer is the last complete box, read the same way: `\boxed{C}`,
/// `\boxed{\text{(C)}}`, `\boxed{C: days}`, `\boxed{(C) 42}`. A box that names two letters is wrong, a
/// box that names none is unreadable. Case does not matter.
///
/// Linear: `work` counts the bytes of the response and of the golds.
///
/// ```
/// use luffy_core::{Outcome, Response, Task, Verifier};
/// use luffy_reward::{ChoiceVerifier, Format};
///
/// let task = Task {
///     id: "example:0".into(),
///     source: "example".into(),
///     messages: vec![],
///     golds: vec!["(C)".into()],
///     demonstrations: vec![],
///     extra: serde_json::Map::new(),
/// };
/// let verifier = ChoiceVerifier { format: Format::Plain, ..ChoiceVerifier::default() };
/// let outcome = |text| verifier.verify(&task, &Response::complete(text)).outcome();
/// assert_eq!(outcome(r"\boxed{\text{C: days}}"), Outcome::Correct);
/// assert_eq!(outcome(r"\boxed{B or C}"), Outcome::Incorrect);
/// assert_eq!(outcome("Answer: C"), Outcome::Malformed);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ChoiceVerifier {
    /// What the response must look like.
    pub format: Format,
    /// Whether a response that the token limit cut is malformed, whatever it says.
    pub require_stop: bool,
    /// How many letters there are, from A on; more than 26 count as 26.
    pub n_choices: u8,
    /// Whether a response without a box may say `Answer: C` or `the answer is (C)`, or end in a line
    /// that is the letter alone. Of several the last one counts.
    pub unboxed: bool,
}

impl Default for ChoiceVerifier {
    /// Any letter, in a box, after thoughts.
    fn default() -> Self {
        Self { format: Format::Think, require_stop: false, n_choices: 26, unboxed: false }
    }
}

impl ChoiceVerifier {
    /// Whether a task can have this choice.
    fn has(self, letter: u8) -> bool {
        letter.wrapping_sub(b'A') < self.n_choices.min(26)
    }

    /// The text that holds the answer, and what it names.
    fn answer(self, graded: &str) -> Option<(&str, Named)> {
        if let Some(range) = last_boxed(graded) {
            let content = graded.get(range)?.trim();
            return (!content.is_empty()).then(|| (content, letter::in_box(content)));
        }
        if self.unboxed { statement::last(graded) } else { None }
    }
}

impl Verifier for ChoiceVerifier {
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
        let mut work = 0;
        let golds: Vec<u8> = graded::usable(&task.golds)
            .filter_map(|gold| {
                work += gold.len() as u64;
                match letter::in_box(gold) {
                    Named::One(letter) if self.has(letter) => Some(letter),
                    _ => None,
                }
            })
            .collect();
        if golds.is_empty() {
            return Verdict { reason: Reason::BadGold, extracted: None, work };
        }
        work += response.text.len() as u64;
        let none = |reason| Verdict { reason, extracted: None, work };
        let graded = match graded::graded(self.format, self.require_stop, response) {
            Ok(graded) => graded,
            Err(reason) => return none(reason),
        };
        let Some((text, named)) = self.answer(graded) else { return none(Reason::NoAnswer) };
        let reason = match named {
            Named::One(letter) if golds.contains(&letter) => Reason::Identical,
            Named::One(letter) if self.has(letter) => Reason::Different,
            Named::Several => Reason::Different,
            Named::One(_) | Named::Nothing => Reason::Unreadable,
        };
        Verdict { reason, extracted: Some(graded::extracted(response.text, text)), work }
    }
}

#[cfg(test)]
mod tests;
