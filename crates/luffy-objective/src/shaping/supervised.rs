//! Weighted log-likelihoods of other methods: functions of the policy's probability alone.
//!
//! None of them looks at a recorded behaviour probability: their papers do not have one.
//! `sg` is the stop-gradient: what stands in it is a number, not a function of the parameters.

use burn::tensor::Tensor;
use luffy_core::{Shaping, TokenView};

/// The policy's probability as a number.
fn detached_probs(tokens: &TokenView) -> Tensor<2> {
    tokens.logprobs.clone().detach().exp()
}

/// Supervised fine-tuning: `f = ln pi`, gradient in the log-prob 1.
///
/// # Shapes
/// - result: `[B, T]`, in `(-inf, 0]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Likelihood;

impl Shaping for Likelihood {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        tokens.logprobs.clone()
    }
}

/// Dynamic fine-tuning: `f = sg(pi) * ln pi`, gradient in the log-prob `pi`.
///
/// # Shapes
/// - result: `[B, T]`, in `[-1/e, 0]`.
///
/// # Reference
/// "On the Generalization of SFT", <https://arxiv.org/abs/2508.05629>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dft;

impl Shaping for Dft {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        weighted(tokens, detached_probs(tokens))
    }
}

/// CHORD's token weight: `f = sg(pi * (1 - pi)) * ln pi`, gradient in the log-prob `pi * (1 - pi)`: at most
/// 1/4, at one half, and nothing for what the policy is sure of either way.
///
/// # Shapes
/// - result: `[B, T]`, in `(-0.27, 0]`.
///
/// # Reference
/// <https://arxiv.org/abs/2508.11408>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChordPhi;

impl Shaping for ChordPhi {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        let probs = detached_probs(tokens);
        weighted(tokens, probs.clone() * (-probs + 1.0))
    }
}

/// TRAPO's trust-region SFT: `f = pi / max(sg(pi), alpha)`, gradient in the log-prob
/// `pi / max(pi, alpha)`: that of SFT above `alpha`, falling with `pi` below.
///
/// # Shapes
/// - result: `[B, T]`, in `[0, 1]`.
///
/// # Reference
/// <https://arxiv.org/abs/2512.17636>; `alpha` 0.1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trapo {
    /// In `(0, 1]`.
    pub alpha: f64,
}

impl Shaping for Trapo {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        tokens.logprobs.clone().exp() / detached_probs(tokens).clamp_min(self.alpha)
    }
}

/// RL-PLUS: `f = (1 - sg(pi))^(1/2) * 2 * pi / (sg(pi) + omega)` with `omega = (sg(pi) + 1) / 2`, an
/// importance weight against a mixture of the policy at sampling time and a guess at the writer, times a
/// bonus for what the policy finds unlikely. Gradient in the log-prob: the same number.
///
/// The policy at sampling time is the present one, cut from the graph: one update per rollout.
///
/// # Shapes
/// - result: `[B, T]`, in `[0, 0.57]`: it is `4 * p * (1 - p)^(1/2) / (3 * p + 1)`, largest at `p = 0.457`.
///
/// # Reference
/// <https://arxiv.org/abs/2508.00222>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RlPlus;

impl Shaping for RlPlus {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        let probs = detached_probs(tokens);
        // A log-prob may be rounded above zero, and a negative number has no root.
        let bonus = (-probs.clone() + 1.0).clamp_min(0.0).sqrt();
        let mixture = (probs * 3.0 + 1.0) * 0.5;
        tokens.logprobs.clone().exp() * bonus * 2.0 / mixture
    }
}

/// `weights * ln pi`.
fn weighted(tokens: &TokenView, weights: Tensor<2>) -> Tensor<2> {
    tokens.logprobs.clone() * weights
}
