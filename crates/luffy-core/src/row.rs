//! One trajectory as the learner sees it.

use std::sync::Arc;

use crate::{Behavior, Origin, TokenRuns, Trajectory};

/// A prompt, a response and the per-token streams of the loss. All vectors are as long as `response`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Prompt tokens.
    pub prompt: Arc<[u32]>,
    /// Response tokens.
    pub response: Vec<u32>,
    /// Whether the token is learned from; context tokens are not.
    pub mask: Vec<bool>,
    /// Whether the token comes from a demonstration.
    pub demonstrated: Vec<bool>,
    /// Log-prob in nats under the policy that wrote the token; 0 where that probability is taken as 1
    /// and on context tokens.
    pub behavior_logprobs: Vec<f32>,
    /// Advantage.
    pub advantages: Vec<f32>,
    /// Log-prob in nats under a frozen reference policy; empty where no loss asks for it.
    pub reference_logprobs: Vec<f32>,
}

impl Row {
    /// Lays out a trajectory with its advantages.
    ///
    /// # Panics
    /// If the spans, their log-probs or the advantages do not cover the tokens exactly.
    pub fn new(prompt: Arc<[u32]>, trajectory: &Trajectory, advantages: &TokenRuns) -> Self {
        let len = trajectory.tokens.len();
        let mut row = Self {
            prompt,
            response: trajectory.tokens.clone(),
            mask: Vec::with_capacity(len),
            demonstrated: Vec::with_capacity(len),
            behavior_logprobs: Vec::with_capacity(len),
            advantages: advantages.to_vec(),
            reference_logprobs: Vec::new(),
        };
        for span in &trajectory.spans {
            let (mask, demonstrated, logprobs) = match &span.origin {
                Origin::Sampled { logprobs } | Origin::Replayed { logprobs, .. } => {
                    (true, false, Some(logprobs))
                }
                Origin::Demonstrated(Behavior::Logprobs(logprobs)) => (true, true, Some(logprobs)),
                Origin::Demonstrated(Behavior::One) => (true, true, None),
                Origin::Context => (false, false, None),
            };
            let n = span.len as usize;
            row.mask.extend(std::iter::repeat_n(mask, n));
            row.demonstrated.extend(std::iter::repeat_n(demonstrated, n));
            match logprobs {
                Some(logprobs) => {
                    assert_eq!(logprobs.len(), n, "a span has one log-prob per token");
                    row.behavior_logprobs.extend_from_slice(logprobs);
                }
                None => row.behavior_logprobs.extend(std::iter::repeat_n(0.0, n)),
            }
        }
        assert_eq!(row.mask.len(), len, "spans cover the tokens of a trajectory");
        assert_eq!(row.advantages.len(), len, "advantages cover the tokens of a trajectory");
        row
    }

    /// Given tokens, to be scored or imitated: all learned from, all demonstrated with behaviour probability
    /// 1, advantage 0.
    pub fn given(prompt: Arc<[u32]>, response: Vec<u32>) -> Self {
        let n = response.len();
        Self {
            prompt,
            response,
            mask: vec![true; n],
            demonstrated: vec![true; n],
            behavior_logprobs: vec![0.0; n],
            advantages: vec![0.0; n],
            reference_logprobs: Vec::new(),
        }
    }

    /// Number of tokens that are learned from.
    pub fn n_learned(&self) -> usize {
        self.mask.iter().filter(|learned| **learned).count()
    }

    /// Number of demonstrated tokens that are learned from.
    pub fn n_demonstrated(&self) -> usize {
        self.mask
            .iter()
            .zip(&self.demonstrated)
            .filter(|(learned, demo)| **learned && **demo)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FinishReason, Purpose, Span, StreamKey};

    #[test]
    fn spans_become_streams_in_token_order() {
        let trajectory = Trajectory {
            tokens: vec![1, 2, 3, 4],
            spans: vec![
                Span { len: 1, origin: Origin::Context },
                Span { len: 1, origin: Origin::Demonstrated(Behavior::One) },
                Span { len: 2, origin: Origin::Sampled { logprobs: vec![-1.0, -2.0] } },
            ],
            text: String::new(),
            finish: FinishReason::Stop,
            key: StreamKey { seed: 0, purpose: Purpose::Rollout, step: 0, prompt: 0, member: 0 },
            version: 0,
        };
        let row = Row::new(vec![9].into(), &trajectory, &TokenRuns::constant(4, 0.5));
        assert_eq!(row.mask, [false, true, true, true]);
        assert_eq!(row.demonstrated, [false, true, false, false]);
        assert_eq!(row.behavior_logprobs, [0.0, 0.0, -1.0, -2.0]);
        assert_eq!(row.n_learned(), 3);
    }
}
