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
    /// - `log_ratios` (`proximal - behavior`, nats), `sampled`, result: `[B, T]`; the result is zero outside
    ///   of `sampled`, where the log-ratios may be anything.
    pub fn weights(&self, log_ratios: Tensor<2>, sampled: &Tensor<2, Bool>) -> Option<Tensor<2>> {
        let sampled = sampled.clone().inner();
        match *self {
            Self::None => None,
            Self::Truncate { max, level } => {
                Some(keep(level.ratios(log_ratios, &sampled).clamp_max(max), &sampled))
            }
            Self::Mask { low, high, level } => {
                let ratios = level.ratios(log_ratios, &sampled);
                let is_within = ratios
                    .clone()
                    .greater_equal_elem(low)
                    .bool_and(ratios.clone().lower_equal_elem(high));
                Some(keep(ratios, &is_within.bool_and(sampled)))
            }
        }
    }
}

impl Level {
    fn ratios(self, log_ratios: Tensor<2>, sampled: &Tensor<2, Bool>) -> Tensor<2> {
        let log_ratios = keep(log_ratios.inner(), sampled);
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

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    /// Two rows: three sampled tokens and one that is not; one sampled token that is far off.
    const RATIOS: [[f64; 4]; 2] = [[0.5, 1.25, 4.0, f64::NAN], [1e300, 7.0, 7.0, 7.0]];
    const SAMPLED: [[bool; 4]; 2] = [[true, true, true, false], [true, false, false, false]];

    #[track_caller]
    fn check(correction: Correction, expected: [[f64; 4]; 2]) {
        let device = Device::flex();
        let log_ratios: Vec<f64> = RATIOS.concat().iter().map(|ratio| ratio.ln()).collect();
        let log_ratios =
            Tensor::<2>::from_data(TensorData::new(log_ratios, [2, 4]), (&device, DType::F64));
        let sampled = Tensor::<2, Bool>::from_data(SAMPLED, &device);
        let got = correction.weights(log_ratios, &sampled).expect("there is a correction");
        for (got, expected) in got.into_data().iter::<f64>().zip(expected.concat()) {
            assert!((got - expected).abs() < 1e-9, "{correction:?}: {got} is not {expected}");
        }
    }

    #[test]
    fn truncation_holds_ratios_at_their_bound() {
        let truncate = |max, level| Correction::Truncate { max, level };
        check(truncate(2.0, Level::Token), [[0.5, 1.25, 2.0, 0.0], [2.0, 0.0, 0.0, 0.0]]);
        // 0.5 * 1.25 * 4 = 2.5, and its third root.
        check(truncate(3.0, Level::Sequence), [[2.5, 2.5, 2.5, 0.0], [3.0, 0.0, 0.0, 0.0]]);
        let root = 2.5_f64.cbrt();
        check(truncate(2.0, Level::Geometric), [[root, root, root, 0.0], [2.0, 0.0, 0.0, 0.0]]);
    }

    #[test]
    fn masks_drop_what_lies_outside() {
        let mask = |low, high, level| Correction::Mask { low, high, level };
        check(mask(0.5, 2.0, Level::Token), [[0.5, 1.25, 0.0, 0.0], [0.0; 4]]);
        check(mask(0.6, 5.0, Level::Token), [[0.0, 1.25, 4.0, 0.0], [0.0; 4]]);
        check(mask(0.5, 2.6, Level::Sequence), [[2.5, 2.5, 2.5, 0.0], [0.0; 4]]);
        check(mask(0.5, 2.4, Level::Sequence), [[0.0; 4]; 2]);
        let root = 2.5_f64.cbrt();
        check(mask(0.5, 1.4, Level::Geometric), [[root, root, root, 0.0], [0.0; 4]]);
    }

    #[test]
    fn without_a_correction_there_are_no_weights() {
        let device = Device::flex();
        let sampled = Tensor::<2, Bool>::from_data([[true]], &device);
        let none = Correction::None.weights(Tensor::<2>::from_data([[1.0]], &device), &sampled);
        assert!(none.is_none());
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Table {
        correction: Correction,
    }

    #[test]
    fn every_correction_has_a_name() {
        for (toml, expected) in [
            ("'none'", Correction::None),
            (
                "{ truncate = { max = 2.0 } }",
                Correction::Truncate { max: 2.0, level: Level::Token },
            ),
            (
                "{ mask = { low = 0.5, high = 5.0, level = 'geometric' } }",
                Correction::Mask { low: 0.5, high: 5.0, level: Level::Geometric },
            ),
        ] {
            let table: Table = toml::from_str(&format!("correction = {toml}")).unwrap();
            assert_eq!(table.correction, expected);
            let written = toml::to_string(&table).unwrap();
            assert_eq!(toml::from_str::<Table>(&written).unwrap(), table);
        }
        assert!(toml::from_str::<Table>("correction = { truncate = { most = 2.0 } }").is_err());
    }
}
