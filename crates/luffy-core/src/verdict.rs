//! What a verifier says of a response.

use std::fmt::Debug;

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

/// The result of checking one response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// The answer that was taken from the response.
    pub extracted: Option<String>,
    /// Steps spent, in the verifier's own unit; bounded by its budget.
    pub work: u64,
}

/// Checks a response against a task.
///
/// Total and pure: it returns on any bytes, never panics, reads no clock and spends at most its step
/// budget, so a verdict is the same on every machine and thread.
///
/// ```
/// use luffy_core::{Outcome, Response, Task, Verdict, Verifier};
///
/// #[derive(Debug)]
/// struct EndsWithGold;
///
/// impl Verifier for EndsWithGold {
///     fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
///         let right = task.golds.iter().any(|gold| response.text.ends_with(gold.as_str()));
///         let outcome = if right { Outcome::Correct } else { Outcome::Incorrect };
///         Verdict { outcome, extracted: None, work: 1 }
///     }
/// }
/// ```
pub trait Verifier: Debug + Send + Sync {
    /// The verdict on `response` as an answer to `task`.
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict;
}
