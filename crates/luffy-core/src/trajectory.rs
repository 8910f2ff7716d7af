//! A response with the provenance of each token.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Prompt, StreamKey};

/// What is known of the policy that wrote a demonstration.
#[derive(Debug, Clone, PartialEq)]
pub enum Behavior {
    /// `pi_behaviour = 1` for every token: the paper's choice for traces of unknown probability.
    One,
    /// Recorded log-probs in nats, one per token.
    Logprobs(Vec<f32>),
}

/// Where a run of tokens comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// Drawn from the policy; log-probs in nats as the sampler computed them, one per token.
    Sampled {
        /// One log-prob per token of the span.
        logprobs: Vec<f32>,
    },
    /// Taken from a demonstration.
    Demonstrated(Behavior),
    /// Drawn from the policy at an earlier version and stored.
    Replayed {
        /// One log-prob per token of the span, of the version that drew it.
        logprobs: Vec<f32>,
        /// The version that drew it.
        version: u64,
    },
    /// Conditions later tokens and is never learned from: tool output, masked tokens.
    Context,
}

/// A run of consecutive response tokens with one origin.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Number of tokens.
    pub len: u32,
    /// Where they come from.
    pub origin: Origin,
}

/// Why a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// Its writer ended it: the last token is an end token, or completes a stop string that was asked
    /// for.
    Stop,
    /// The token limit cut it.
    Length,
}

/// One response to a prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    /// Response tokens, the end token included where it was written.
    pub tokens: Vec<u32>,
    /// Provenance by runs; the lengths sum to `tokens.len()`.
    pub spans: Vec<Span>,
    /// The text that is graded, without the end token or what stands from a stop string on.
    pub text: String,
    /// Why it ends.
    pub finish: FinishReason,
    /// The random stream that drew it (or would have).
    pub key: StreamKey,
    /// Version of the weights that drew it.
    pub version: u64,
}

impl Trajectory {
    /// Tokens whose origin is of a kind.
    pub fn n_tokens_of(&self, is_of_kind: impl Fn(&Origin) -> bool) -> u64 {
        let spans = self.spans.iter().filter(|span| is_of_kind(&span.origin));
        spans.map(|span| u64::from(span.len)).sum()
    }

    /// Tokens that are learned from.
    pub fn n_learned(&self) -> u64 {
        self.n_tokens_of(|origin| !matches!(origin, Origin::Context))
    }

    /// Demonstrated tokens.
    pub fn n_demonstrated(&self) -> u64 {
        self.n_tokens_of(|origin| matches!(origin, Origin::Demonstrated(_)))
    }

    /// Whether any token comes from a demonstration: the field's word for such a row is off-policy.
    pub fn is_demonstrated(&self) -> bool {
        self.n_demonstrated() > 0
    }
}

/// The trajectories of one prompt, sampled ones first.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What they answer.
    pub prompt: Arc<Prompt>,
    /// `G` of them in the plan's order.
    pub trajectories: Vec<Trajectory>,
}
