//! What a verifier says of a response.

use std::fmt::Debug;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{FinishReason, Task};

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The text, special tokens kept, end token cut.
    pub text: &'a str,
    /// Whether the writer ended it or the token limit did.
    pub finish: FinishReason,
}

impl<'a> Response<'a> {
    /// A response that its writer ended.
    pub fn complete(text: &'a str) -> Self {
        Self { text, finish: FinishReason::Stop }
    }
}

/// The four ways a check can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Right format and right answer.
    Correct,
    /// Right format, wrong answer.
    Incorrect,
    /// No answer could be taken from the response: wrong format, cut off, empty.
    Malformed,
    /// The task's gold answer is unusable: nobody is paid, the prompt is dropped and counted.
    BadGold,
}

/// Why a check ended the way it did. Training counts these; [`Reason::outcome`] says what they pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Right: written the same way as the gold, once spelling that carries no meaning is taken off.
    Identical,
    /// Right: equal in exact arithmetic.
    Exact,
    /// Right: the same canonical symbolic form.
    Symbolic,
    /// Right: equal at every test point, at every precision tried.
    Numeric,
    /// Wrong: shown to differ from every gold.
    Different,
    /// Wrong: neither shown equal nor shown different.
    Undecided,
    /// Wrong: the answer is no expression the verifier can read, and not the gold letter for letter.
    Unreadable,
    /// Wrong: the step budget ran out first.
    OverBudget,
    /// No answer: the response breaks the asked-for format.
    Format,
    /// No answer: the token limit cut the response.
    Cut,
    /// No answer: nothing that counts as one was found, or it was empty.
    NoAnswer,
    /// The task has no usable gold answer.
    BadGold,
}

impl Reason {
    /// Every reason, right ones first.
    pub const ALL: [Self; 12] = [
        Self::Identical,
        Self::Exact,
        Self::Symbolic,
        Self::Numeric,
        Self::Different,
        Self::Undecided,
        Self::Unreadable,
        Self::OverBudget,
        Self::Format,
        Self::Cut,
        Self::NoAnswer,
        Self::BadGold,
    ];

    /// Its name in files: the one it is serialised by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Exact => "exact",
            Self::Symbolic => "symbolic",
            Self::Numeric => "numeric",
            Self::Different => "different",
            Self::Undecided => "undecided",
            Self::Unreadable => "unreadable",
            Self::OverBudget => "over-budget",
            Self::Format => "format",
            Self::Cut => "cut",
            Self::NoAnswer => "no-answer",
            Self::BadGold => "bad-gold",
        }
    }

    /// What it amounts to.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Identical | Self::Exact | Self::Symbolic | Self::Numeric => Outcome::Correct,
            Self::Different | Self::Undecided | Self::Unreadable | Self::OverBudget => {
                Outcome::Incorrect
            }
            Self::Format | Self::Cut | Self::NoAnswer => Outcome::Malformed,
            Self::BadGold => Outcome::BadGold,
        }
    }
}

/// The answer that was taken from a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// What was compared with the gold.
    pub text: String,
    /// The bytes of the response it came from; several boxes read as one list span from the first to
    /// the last of them.
    pub span: Range<usize>,
}

/// The result of checking one response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Why it ended the way it did.
    pub reason: Reason,
    /// The answer that was taken from the response.
    pub extracted: Option<Extracted>,
    /// Steps spent, in the verifier's own unit; bounded by its budget.
    pub work: u64,
}

impl Verdict {
    /// A verdict that took no answer out and did no work worth counting.
    pub fn new(reason: Reason) -> Self {
        Self { reason, extracted: None, work: 0 }
    }

    /// What it amounts to.
    pub fn outcome(&self) -> Outcome {
        self.reason.outcome()
    }
}

/// Checks a response against a task.
///
/// Total and pure: it returns on any bytes, never panics, reads no clock and spends at most its step
/// budget, so a verdict is the same on every machine and thread.
///
/// ```
/// use luffy_core::{Reason, Response, Task, Verdict, Verifier};
///
/// #[derive(Debug)]
/// struct EndsWithGold;
///
/// impl Verifier for EndsWithGold {
///     fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
///         let right = task.golds.iter().any(|gold| response.text.ends_with(gold.as_str()));
///         Verdict::new(if right { Reason::Identical } else { Reason::Different })
///     }
/// }
/// ```
pub trait Verifier: Debug + Send + Sync {
    /// The verdict on `response` as an answer to `task`.
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_serialised_by_its_name() {
        for reason in Reason::ALL {
            let name = serde_json::to_value(reason).expect("a unit variant");
            assert_eq!(name, reason.name());
        }
        assert!(Reason::ALL.is_sorted() && Reason::ALL.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
