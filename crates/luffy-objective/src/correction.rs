//! Correction of samples whose log-probs another engine computed.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

use crate::selection::{keep, row_counts};

/// Over what a ratio is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Each token has its own.
    #[default]
    Token,
    /// The product over the row's sampled tokens, on each of them.
    Sequence,
    /// The geometric mean over the row's sampled tokens, on each of them.
    Geometric,
}

/// What becomes of the difference between the policy as it is trained and as the sampler computed it.
///
/// The ratio is `r = exp(proximal - behavior)`: the proximal log-probs are the current ones cut from the
/// graph (there is one update per rollout), the behaviour log-probs those the sampler recorded. With a
/// correction on, sampled tokens are weighted by a number made of `r`, and their policy ratio is current
/// over proximal, which is 1 with the gradient of the log-prob.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Correction {
    /// None: the policy ratio is current over behaviour and speaks for itself.
    #[default]
    None,
    /// `min(r, max)`: truncated importance sampling.
    ///
    /// <https://fengyao.notion.site/off-policy-rl>.
    Truncate {
        /// At least 1; usually 2.
        max: f64,
        /// Over what the ratio is taken.
        #[serde(default)]
        level: Level,
    },
    /// `r` within `[low, high]` and 0 outside: `IcePop`, <https://arxiv.org/abs/2510.18855>; by row, masked
    /// importance sampling.
    Mask {
        /// At least 0, at most 1.
        low: f64,
        /// At least 1.
        high: f64,
        /// Over what the ratio is taken.
        #[serde(default)]
        level: Level,
    },
}

impl Correction {
    /// The weight of each sampled token, without gradient; `None` where nothing is corrected.
    ///
    /// # Shapes
    /// - `log_ratios` (`proximal - behavior`, nats), `sampled`, result: `[B, T]`. Outside of `sampled` the
    ///   log-ratios may be anything and the result has no meaning, but is finite or infinite and not NaN.
    pub fn weights(&self, log_ratios: Tensor<2>, sampled: &Tensor<2, Bool>) -> Option<Tensor<2>> {
        match *self {
            Self::None => None,
            Self::Truncate { max, level } => Some(level.ratios(log_ratios, sampled).clamp_max(max)),
            Self::Mask { low, high, level } => {
                let ratios = level.ratios(log_ratios, sampled);
                let is_within = ratios
                    .clone()
                    .greater_equal_elem(low)
                    .bool_and(ratios.clone().lower_equal_elem(high));
                Some(keep(ratios, &is_within))
            }
        }
    }
}

impl Level {
    fn ratios(self, log_ratios: Tensor<2>, sampled: &Tensor<2, Bool>) -> Tensor<2> {
        let log_ratios = keep(log_ratios.inner(), &sampled.clone().inner());
        let dims = log_ratios.dims();
        let log_ratios = match self {
            Self::Token => log_ratios,
            Self::Sequence => log_ratios.sum_dim(1).expand(dims),
            Self::Geometric => {
                let counts = row_counts(sampled, log_ratios.dtype()).clamp_min(1.0);
                (log_ratios.sum_dim(1) / counts).expand(dims)
            }
        };
        log_ratios.exp()
    }
}
