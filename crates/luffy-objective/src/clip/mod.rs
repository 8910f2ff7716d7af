//! Clipping of importance weights on sampled tokens.

mod range;
mod ratio;

use burn::tensor::{Bool, Tensor};
use luffy_core::{Shaping, TokenView};
use serde::{Deserialize, Serialize};

use range::Range;

/// How far the weight of a sampled token may carry its gradient.
///
/// `Epsilon` and `Dual` act on the value after reshaping, as LUFFY's code does. `Cispo`, `Gspo` and `Sapo`
/// are formulas in the ratio itself and take the place of a reshaping: whoever reads settings must refuse
/// one next to them ([`Clip::acts_on_ratio`]).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Clip {
    /// As far as it goes: LUFFY, whose demonstrated tokens would be held back by clipping sampled ones.
    #[default]
    None,
    /// PPO: a weight outside `[1 - low, 1 + high]` on the side its advantage pushes to stays at the
    /// bound and gets no gradient. `high` above `low` is DAPO's "clip higher".
    ///
    /// <https://arxiv.org/abs/1707.06347>, eq. 7; <https://arxiv.org/abs/2503.14476>.
    Epsilon {
        /// In `[0, 1]`; usually 0.2.
        low: f64,
        /// At least 0; usually 0.2, more with "clip higher".
        high: f64,
    },
    /// PPO with a bound on the other side too: where `A < 0` a weight is at most `max`, so that one token
    /// that became likely again cannot dominate an update.
    ///
    /// Dual-clip PPO, <https://arxiv.org/abs/1912.09729>.
    Dual {
        /// In `[0, 1]`; usually 0.2.
        low: f64,
        /// At least 0; usually 0.2.
        high: f64,
        /// Above `1 + high`; 3 in the paper.
        #[serde(default = "dual_max")]
        max: f64,
    },
    /// `sg(min(w, 1 + high)) * ln pi`: the weight is bounded and no token loses its gradient.
    ///
    /// CISPO, <https://arxiv.org/abs/2506.13585>.
    Cispo {
        /// At least 0.
        high: f64,
    },
    /// PPO's clip of the ratio of sequences, `s = exp(mean of ln w over the row's sampled tokens)`, on each
    /// of these tokens.
    ///
    /// GSPO, <https://arxiv.org/abs/2507.18071>.
    Gspo {
        /// In `[0, 1]`; 3e-4 in the paper.
        #[serde(default = "gspo_low")]
        low: f64,
        /// At least 0; 4e-4 in the paper.
        #[serde(default = "gspo_high")]
        high: f64,
    },
    /// A gate that closes smoothly: `sigmoid(tau * (w - 1)) * 4 / tau`, with `tau = positive` where `A > 0`
    /// and `tau = negative` elsewhere. Its gradient in the log-prob is 1 at `w = 1`.
    ///
    /// SAPO, <https://arxiv.org/abs/2511.20347>.
    Sapo {
        /// Above 0; 1.0 in the paper.
        #[serde(default = "sapo_positive")]
        positive: f64,
        /// Above 0; 1.05 in the paper.
        #[serde(default = "sapo_negative")]
        negative: f64,
    },
}

const fn dual_max() -> f64 {
    3.0
}

const fn gspo_low() -> f64 {
    3e-4
}

const fn gspo_high() -> f64 {
    4e-4
}

const fn sapo_positive() -> f64 {
    1.0
}

const fn sapo_negative() -> f64 {
    1.05
}

/// What a clip looks at.
#[derive(Debug, Clone, Copy)]
pub struct SampledTokens<'a> {
    /// Their streams, `[B, T]` each; zero outside of `selected`.
    pub view: &'a TokenView,
    /// Which tokens these are, `[B, T]`.
    pub selected: &'a Tensor<2, Bool>,
    /// From the ratio to the value that `Epsilon` and `Dual` clip and `None` leaves alone; the others do
    /// not look at it.
    pub reshape: &'a dyn Shaping,
}

/// Weights after clipping.
#[derive(Debug, Clone)]
pub struct Surrogate {
    /// What multiplies the advantage, `[B, T]`, differentiable where not clipped. Without meaning outside
    /// of the selected tokens.
    pub weights: Tensor<2>,
    /// Which selected weights were clipped, `[B, T]`; for `Cispo` those that are held at the bound, for
    /// `Sapo` none.
    pub clipped: Tensor<2, Bool>,
}

impl Clip {
    /// The weight of each selected token, from its ratio `w = exp(logprobs - behavior_logprobs)`.
    ///
    /// For `Epsilon`, with `g` the reshaped ratio: the value `v` with
    /// `A * v = min(A * g, A * clamp(g, 1 - low, 1 + high))`.
    ///
    /// # Shapes
    /// - all streams and the result: `[B, T]`.
    pub fn surrogate(&self, tokens: &SampledTokens<'_>) -> Surrogate {
        match *self {
            Self::None => range::unclipped(tokens),
            Self::Epsilon { low, high } => Range::around_one(low, high).surrogate(tokens),
            Self::Dual { low, high, max } => {
                Range { max, ..Range::around_one(low, high) }.surrogate(tokens)
            }
            Self::Cispo { high } => ratio::cispo(tokens, high),
            Self::Gspo { low, high } => ratio::gspo(tokens, Range::around_one(low, high)),
            Self::Sapo { positive, negative } => ratio::sapo(tokens, positive, negative),
        }
    }

    /// Whether it is a formula in the ratio itself, next to which a reshaping of sampled tokens would be
    /// ignored.
    pub const fn acts_on_ratio(&self) -> bool {
        matches!(self, Self::Cispo { .. } | Self::Gspo { .. } | Self::Sapo { .. })
    }
}

#[cfg(test)]
mod tests;
