//! The distance to a reference policy, estimated token by token.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// `K3Clamped` lies within plus and minus this, as in verl.
const MOST_K3: f64 = 10.0;

/// Beyond this difference of log-probs `K3Clamped` is at its bound, and the exponential might overflow.
const MOST_DIFFERENCE: f64 = 20.0;

/// An estimate of `KL(policy, reference)` from the log-prob of one sampled token. With
/// `d = logprob - reference_logprob`, in nats:
///
/// | estimator | value | gradient in the log-prob |
/// |---|---|---|
/// | `K1` | `d` | 1 |
/// | `Abs` | `abs(d)` | the sign of `d` |
/// | `Mse` | `d^2 / 2` | `d` |
/// | `K3` | `exp(-d) - 1 + d` | `1 - exp(-d)` |
/// | `K3Clamped` | `K3` within -10 and 10 | that of `K3`, 0 at the bound |
///
/// `K1` and `K3` are unbiased as values. As losses they are not what they estimate: the gradient of `K1`
/// vanishes in expectation; that of `Mse` is unbiased on the policy's own samples.
///
/// # Reference
/// <http://joschu.net/blog/kl-approx.html>; the names `k1`, `k3` are from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KlEstimator {
    /// `d`; what the reference calls `kl`.
    K1,
    /// `abs(d)`.
    Abs,
    /// `d^2 / 2`, also known as k2.
    Mse,
    /// `exp(-d) - 1 + d`, never negative.
    #[default]
    K3,
    /// `K3` within -10 and 10; what the reference calls `low_var_kl`.
    K3Clamped,
}

/// A pull towards a frozen reference policy: `coefficient * mean KL over the learned tokens of the update`,
/// demonstrated ones included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct KlPenalty {
    /// How the distance of a token is estimated.
    #[serde(default)]
    pub estimator: KlEstimator,
    /// Weight of the mean, usually 0.001.
    pub coefficient: f64,
}

impl KlEstimator {
    /// The estimate of each token, in nats.
    ///
    /// # Shapes
    /// - `logprobs`, `reference_logprobs`, result: `[B, T]`; differentiable in the first.
    pub fn estimate(&self, logprobs: Tensor<2>, reference_logprobs: Tensor<2>) -> Tensor<2> {
        let difference = logprobs - reference_logprobs;
        match self {
            Self::K1 => difference,
            Self::Abs => difference.abs(),
            Self::Mse => difference.clone() * difference / 2.0,
            Self::K3 => k3(difference),
            Self::K3Clamped => {
                k3(difference.clamp(-MOST_DIFFERENCE, MOST_DIFFERENCE)).clamp(-MOST_K3, MOST_K3)
            }
        }
    }
}

fn k3(difference: Tensor<2>) -> Tensor<2> {
    (-difference.clone()).exp() - 1.0 + difference
}
