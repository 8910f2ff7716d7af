//! The two entropy-aware weights of SRFT, <https://arxiv.org/abs/2506.19767>.
//!
//! `H` is the policy's entropy at the token in nats, `sg` the stop-gradient: a weight is a number, not a
//! function of the parameters. Both look at the policy alone and not at a behaviour probability.

use burn::tensor::Tensor;
use luffy_core::{Shaping, TokenView};

/// Factor of the supervised term.
const DEMONSTRATION: f64 = 0.5;

/// Factor of rewarded samples.
const SAMPLE: f64 = 0.1;

/// SRFT's supervised term: `f = 0.5 * sg(exp(-H)) * ln pi`, gradient in the log-prob `0.5 * exp(-H)`: a
/// demonstration counts less where the policy is undecided.
///
/// # Shapes
/// - result: `[B, T]`, in `(-inf, 0]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SrftDemonstration;

impl Shaping for SrftDemonstration {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        let weights = (-tokens.entropy.clone().detach()).exp() * DEMONSTRATION;
        tokens.logprobs.clone() * weights
    }
}

/// SRFT's term on the policy's own samples: `f = 0.1 * sg(exp(H)) * ln pi` where `A > 0`, `f = ln pi`
/// elsewhere; gradient in the log-prob `0.1 * exp(H)` and 1. What succeeds counts more where the policy is
/// undecided. The method's advantages are 1 and -1.
///
/// # Shapes
/// - result: `[B, T]`, in `(-inf, 0]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SrftSample;

impl Shaping for SrftSample {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        let weights = tokens.entropy.clone().detach().exp() * SAMPLE;
        let is_rewarded = tokens.advantages.clone().greater_elem(0.0);
        tokens.logprobs.clone() * weights.mask_fill(is_rewarded.bool_not(), 1.0)
    }
}
