//! Powers and logarithms of the importance weight.

use burn::tensor::Tensor;
use luffy_core::{Shaping, TokenView};

use super::log_weights;

/// Weighted log-likelihood: `f(w) = weight * ln w`, gradient in the log-prob `weight`.
///
/// # Shapes
/// - result: `[B, T]`, in `(-inf, inf)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Log {
    /// The factor.
    pub weight: f64,
}

impl Shaping for Log {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        log_weights(tokens) * self.weight
    }
}

/// `f(w) = w + weight * ln w`, gradient in the log-prob `w + weight`.
///
/// # Shapes
/// - result: `[B, T]`, in `(-inf, inf)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdentityPlusLog {
    /// The factor of the logarithm.
    pub weight: f64,
}

impl Shaping for IdentityPlusLog {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        let log_weights = log_weights(tokens);
        log_weights.clone().exp() + log_weights * self.weight
    }
}

/// `f(w) = w^exponent`, gradient in the log-prob `exponent * w^exponent`. The square root is 0.5.
///
/// # Shapes
/// - result: `[B, T]`, in `[0, inf)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Power {
    /// Above zero.
    pub exponent: f64,
}

impl Shaping for Power {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        (log_weights(tokens) * self.exponent).exp()
    }
}
