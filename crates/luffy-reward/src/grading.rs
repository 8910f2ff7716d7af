//! From verdicts to rewards.

use luffy_core::{Outcome, Verdict};
use serde::{Deserialize, Serialize};

/// What each outcome pays. The defaults are the paper's: 1 for a right answer, 0 for anything else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GradingValues {
    /// Right format, right answer.
    pub correct: f32,
    /// Right format, wrong answer.
    pub incorrect: f32,
    /// No answer in the asked-for format.
    pub malformed: f32,
}

impl Default for GradingValues {
    fn default() -> Self {
        Self { correct: 1.0, incorrect: 0.0, malformed: 0.0 }
    }
}

impl GradingValues {
    /// The reward; `None` for [`Outcome::BadGold`], where nothing can be paid and the prompt is dropped.
    pub fn reward(&self, verdict: &Verdict) -> Option<f32> {
        match verdict.outcome() {
            Outcome::Correct => Some(self.correct),
            Outcome::Incorrect => Some(self.incorrect),
            Outcome::Malformed => Some(self.malformed),
            Outcome::BadGold => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use luffy_core::Reason;

    use super::*;

    fn check(reason: Reason, expected: Option<f32>) {
        let values = GradingValues { correct: 1.0, incorrect: -0.5, malformed: -1.0 };
        assert_eq!(values.reward(&Verdict::new(reason)), expected);
    }

    #[test]
    fn each_outcome_pays_its_own_value_and_a_bad_gold_nothing() {
        check(Reason::Exact, Some(1.0));
        check(Reason::Undecided, Some(-0.5));
        check(Reason::Format, Some(-1.0));
        check(Reason::BadGold, None);
    }
}
