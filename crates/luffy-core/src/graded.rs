//! Groups after grading, and the per-token values computed from them.

use std::fmt::Debug;

use crate::{Group, Verdict};

/// A group with its verdicts and rewards. Prompts whose gold is unusable never get here.
#[derive(Debug, Clone, PartialEq)]
pub struct GradedGroup {
    /// The trajectories.
    pub group: Group,
    /// One verdict per trajectory.
    pub verdicts: Vec<Verdict>,
    /// One reward per trajectory.
    pub rewards: Vec<f32>,
}

impl GradedGroup {
    /// Whether the rewards differ: without spread every group-relative advantage is zero.
    pub fn has_spread(&self) -> bool {
        self.rewards.windows(2).any(|pair| (pair[0] - pair[1]).abs() > 0.0)
    }
}

/// One value per token of a row, stored by runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TokenRuns(Vec<(u32, f32)>);

impl TokenRuns {
    /// The same value on `len` tokens.
    pub fn constant(len: u32, value: f32) -> Self {
        Self(vec![(len, value)])
    }

    /// Appends a run.
    pub fn push(&mut self, len: u32, value: f32) {
        self.0.push((len, value));
    }

    /// Number of tokens covered.
    #[expect(clippy::len_without_is_empty, reason = "a row of no tokens is not a case of its own")]
    pub fn len(&self) -> usize {
        self.0.iter().map(|(len, _)| *len as usize).sum()
    }

    /// Whether every value is zero.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|(len, value)| *len == 0 || value.abs() <= 0.0)
    }

    /// Every value times `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let scale = |value: f32| (f64::from(value) * factor) as f32;
        Self(self.0.iter().map(|(len, value)| (*len, scale(*value))).collect())
    }

    /// The last value, the one that speaks for the row: all tokens share it, but for a prefix that is given
    /// another weight. Zero if there is none.
    pub fn last(&self) -> f32 {
        self.0.iter().rfind(|(len, _)| *len > 0).map_or(0.0, |(_, value)| *value)
    }

    /// The value of each token.
    pub fn to_vec(&self) -> Vec<f32> {
        self.0.iter().flat_map(|(len, value)| std::iter::repeat_n(*value, *len as usize)).collect()
    }
}

/// Turns the rewards of a whole step into one advantage per token.
pub trait AdvantageEstimator: Debug + Send + Sync {
    /// One entry per trajectory, groups in order, members in order; each as long as its trajectory.
    fn advantages(&self, groups: &[GradedGroup]) -> Vec<TokenRuns>;
}
