//! What a model must do to be trained and sampled from.

use burn::tensor::{Int, Tensor};

use crate::{Gradients, MicroBatch, SampleError, Weights};

/// What a policy says of given response tokens.
#[derive(Debug, Clone)]
pub struct TokenStats {
    /// Log-prob of each token in nats, `[B, T]`; padding holds the value of some real token.
    pub logprobs: Tensor<2>,
    /// Entropy of the distribution it was scored under, in nats, `[B, T]`.
    pub entropy: Tensor<2>,
}

/// Scores given tokens.
pub trait Policy {
    /// Log-probs and entropies of the response tokens of `batch`, differentiable on an autodiff device.
    fn score(&self, batch: &MicroBatch) -> TokenStats;
}

/// Derivatives of a loss with respect to what a policy said, `[B, T]` each; `None` where the loss does not
/// depend on it.
#[derive(Debug, Clone)]
pub struct Cotangents {
    /// With respect to the log-probs.
    pub logprobs: Option<Tensor<2>>,
    /// With respect to the entropies.
    pub entropy: Option<Tensor<2>>,
}

/// A policy that can be trained: it scores without a graph over the vocabulary, and later turns the
/// derivatives of a loss with respect to its scores into gradients of its parameters.
pub trait Differentiable: Policy {
    /// What the way back needs.
    type Tape;

    /// What [`Policy::score`] gives, without a graph, and the tape of how it came about.
    fn trace(&self, batch: &MicroBatch) -> (TokenStats, Self::Tape);

    /// Gradients of `sum(logprobs * cotangents.logprobs) + sum(entropy * cotangents.entropy)`, by
    /// parameter name.
    fn pull_back(&self, tape: Self::Tape, cotangents: &Cotangents) -> Gradients;
}

/// Generates token by token. Runs on a plain device; nothing here is differentiable.
pub trait Decoder {
    /// Keys and values of the tokens seen so far, one row per sequence.
    type Cache;

    /// Reads whole prompts (of any lengths, none empty): next-token logits `[R, V]` and the cache.
    fn prefill(&self, prompts: &[&[u32]]) -> (Tensor<2>, Self::Cache);

    /// The same for sequences that a learner will train on: what is computed of them from here on may be kept for it.
    fn prefill_to_learn(&self, prompts: &[&[u32]]) -> (Tensor<2>, Self::Cache) {
        self.prefill(prompts)
    }

    /// Appends one token to every row: next-token logits `[R, V]`.
    fn step(&self, tokens: Tensor<1, Int>, cache: &mut Self::Cache) -> Tensor<2>;

    /// Makes row `i` what row `rows[i]` was: forks one prefill to a group, drops finished rows.
    fn select(&self, cache: &mut Self::Cache, rows: &[u32]);

    /// Whether [`Self::select`] moves rows without copying them.
    fn is_select_cheap(&self) -> bool {
        false
    }

    /// Adds the rows of another cache behind its own: sequences join those under way.
    fn append(&self, cache: &mut Self::Cache, other: Self::Cache);

    /// Most tokens a sequence may have.
    fn context_len(&self) -> usize;

    /// Takes new weights, sharing their buffers.
    ///
    /// # Errors
    /// If a name or shape does not fit.
    fn publish(&mut self, weights: &Weights) -> Result<(), SampleError>;
}
