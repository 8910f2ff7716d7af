//! What a loss sees and gives.

use std::collections::BTreeMap;
use std::fmt::Debug;

use burn::tensor::{Bool, Tensor};

use crate::{MicroBatch, TokenStats};

/// Name of a metric, as written to `metrics.jsonl`.
pub type MetricId = &'static str;

/// Means under construction: a sum and a count by name. A name without a count is absent, not zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metrics(BTreeMap<MetricId, (f64, f64)>);

impl Metrics {
    /// Adds to the sum and the count of `id`. An empty selection (`count` 0) leaves no trace.
    pub fn add(&mut self, id: MetricId, sum: f64, count: f64) {
        if count > 0.0 {
            let entry = self.0.entry(id).or_insert((0.0, 0.0));
            entry.0 += sum;
            entry.1 += count;
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (id, (sum, count)) in &other.0 {
            self.add(id, *sum, *count);
        }
    }

    /// Sum over count by name.
    pub fn means(&self) -> impl Iterator<Item = (MetricId, f64)> {
        self.0.iter().map(|(id, (sum, count))| (*id, sum / count))
    }

    /// The mean of one metric.
    pub fn mean(&self, id: &str) -> Option<f64> {
        self.0.get(id).map(|(sum, count)| sum / count)
    }
}

/// Counts over all rows of an update, taken before any cut into micro-batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepShape {
    /// Rows planned for the update, those without signal included.
    pub n_rows: u64,
    /// Response tokens that are learned from.
    pub n_tokens: u64,
    /// Those of them that the policy term sees: all, or the sampled ones where demonstrations are only
    /// supervised.
    pub n_policy_tokens: u64,
    /// Those of them that are demonstrated.
    pub n_demonstrated: u64,
    /// Most tokens a response may have.
    pub max_response_len: u32,
}

impl StepShape {
    /// Of rows that are demonstrated from the first token to the last.
    pub const fn supervised(n_rows: u64, n_tokens: u64, max_response_len: u32) -> Self {
        Self {
            n_rows,
            n_tokens,
            n_policy_tokens: n_tokens,
            n_demonstrated: n_tokens,
            max_response_len,
        }
    }
}

/// What sums over tokens are divided by. Computed once per update, so a loss does not depend on
/// padding, packing, micro-batches or replicas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Divides the policy term.
    pub divisor: f64,
    /// Divides the regularisers: the number of learned tokens of the update, at least 1.
    pub n_tokens: f64,
    /// Divides supervised terms: the number of learned demonstrated tokens of the update, at least 1.
    pub n_demonstrated: f64,
}

/// What a shaping function may look at.
#[derive(Debug, Clone)]
pub struct TokenView {
    /// Log-probs of the policy being trained, `[B, T]`, differentiable.
    pub logprobs: Tensor<2>,
    /// Log-probs of the policy that wrote the tokens, `[B, T]`.
    pub behavior_logprobs: Tensor<2>,
    /// Entropy of the policy being trained, `[B, T]`, differentiable.
    pub entropy: Tensor<2>,
    /// Which tokens come from a demonstration, `[B, T]`.
    pub demonstrated: Tensor<2, Bool>,
    /// Advantages, `[B, T]`; a weight may depend on their sign.
    pub advantages: Tensor<2>,
}

/// Turns what is known of a token into the weight that multiplies its advantage.
pub trait Shaping: Debug + Send + Sync {
    /// Shaped weights, `[B, T]`, differentiable through `tokens.logprobs`.
    fn shape(&self, tokens: &TokenView) -> Tensor<2>;
}

/// The share of one micro-batch in a loss, and what it measured on the way.
#[derive(Debug, Clone)]
pub struct LossOutput {
    /// A scalar `[1]`; the losses of all micro-batches sum to the loss of the update.
    pub loss: Tensor<1>,
    /// Measured over the same tokens.
    pub metrics: Metrics,
}

/// A loss over scored tokens.
pub trait Objective: Debug + Send + Sync {
    /// What this loss divides by, given the whole update.
    fn scale(&self, shape: &StepShape) -> Scale;

    /// Loss of a micro-batch. An empty mask gives zero, never NaN.
    fn loss(&self, stats: TokenStats, batch: &MicroBatch, scale: &Scale) -> LossOutput;
}
