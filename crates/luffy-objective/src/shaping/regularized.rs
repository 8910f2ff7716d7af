//! Regularised importance sampling: LUFFY's policy shaping.

use burn::tensor::{Tensor, activation};
use luffy_core::{Shaping, TokenView};

use super::log_weights;

/// Policy shaping by regularised importance: `f(w) = w / (w + gamma)`.
///
/// Lifts the gradient of unlikely tokens: `f'(w) = gamma / (w + gamma)^2`, at most `1 / gamma`, at
/// `w = 0`. The gradient in the log-prob, `gamma * w / (w + gamma)^2`, is at most 1/4, at `w = gamma`.
/// Computed as the logistic function of `ln w - ln gamma`, which is the same and never overflows.
///
/// # Shapes
/// - result: `[B, T]`, in `[0, 1)`.
///
/// # Reference
/// "Learning to Reason under Off-Policy Guidance", <https://arxiv.org/abs/2504.14945>, eq. 7 and 8;
/// `gamma` 0.1 in all experiments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regularized {
    /// Above zero.
    pub gamma: f64,
}

impl Shaping for Regularized {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        activation::sigmoid(log_weights(tokens) - self.gamma.ln())
    }
}

/// The same curve on both probabilities: `f(pi) / f(pi_behavior)` with `f(p) = p / (p + gamma)`. LUFFY's
/// code offers it for sampled tokens; its authors saw no gain. Looks at both probabilities, not only at
/// their ratio.
///
/// Gradient in the log-prob: `gamma * pi / (pi + gamma)^2 / f(pi_behavior)`, which is `gamma / (pi + gamma)`
/// where the policy has not moved: it quiets what the policy is sure of.
///
/// # Shapes
/// - result: `[B, T]`, in `[0, inf)`, 1 where the policy has not moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegularizedRatio {
    /// Above zero.
    pub gamma: f64,
}

impl Shaping for RegularizedRatio {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        // The logarithm of f, so that two tiny probabilities still have a ratio.
        let log_f =
            |logprobs: &Tensor<2>| activation::log_sigmoid(logprobs.clone() - self.gamma.ln());
        (log_f(&tokens.logprobs) - log_f(&tokens.behavior_logprobs)).exp()
    }
}
