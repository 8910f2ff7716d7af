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
            Self::Mse => difference.clone() * difference * 0.5,
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

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    /// Estimate and gradient for log-probs that differ by `difference`.
    fn estimate(estimator: KlEstimator, difference: f64) -> (f64, f64) {
        let device = Device::flex().autodiff();
        let upload = |value: f64| {
            Tensor::<2>::from_data(TensorData::new(vec![value], [1, 1]), (&device, DType::F64))
        };
        let logprobs = upload(difference - 1.5).require_grad();
        let estimate = estimator.estimate(logprobs.clone(), upload(-1.5));
        let gradient = logprobs.grad(&estimate.clone().sum().backward()).expect("a leaf");
        let read = |tensor: Tensor<2>| tensor.into_data().iter::<f64>().next().unwrap();
        (read(estimate), read(gradient))
    }

    #[track_caller]
    fn check(estimator: KlEstimator, value: fn(f64) -> f64, slope: fn(f64) -> f64) {
        const STEP: f64 = 1e-5;
        for d in [-30.0, -4.0, -2.0, -0.3, 0.01, 0.7, 5.0, 12.0, 30.0] {
            let (got, gradient) = estimate(estimator, d);
            let size = 1.0 + value(d).abs();
            assert!((got - value(d)).abs() < 1e-12 * size, "{estimator:?} at {d}: {got}");
            assert!((gradient - slope(d)).abs() < 1e-12 * size, "{estimator:?} at {d}: {gradient}");
            let difference = (value(d + STEP) - value(d - STEP)) / (2.0 * STEP);
            assert!(
                (gradient - difference).abs() < 1e-8 * size,
                "{estimator:?} at {d}: {gradient}"
            );
        }
    }

    #[test]
    fn estimates_are_their_formulas() {
        check(KlEstimator::K1, |d| d, |_| 1.0);
        check(KlEstimator::Abs, f64::abs, f64::signum);
        check(KlEstimator::Mse, |d| 0.5 * d * d, |d| d);
        check(KlEstimator::K3, |d| (-d).exp() - 1.0 + d, |d| 1.0 - (-d).exp());
        let k3 = |d: f64| (-d).exp() - 1.0 + d;
        check(
            KlEstimator::K3Clamped,
            |d| ((-d).exp() - 1.0 + d).clamp(-10.0, 10.0),
            |d| if (-d).exp() - 1.0 + d < 10.0 { 1.0 - (-d).exp() } else { 0.0 },
        );
        assert!(k3(0.0).abs() <= 0.0 && k3(-0.5) > 0.0 && k3(0.5) > 0.0);
    }

    #[test]
    fn a_clamped_estimate_holds_where_its_exponential_overflows() {
        assert_eq!(estimate(KlEstimator::K3Clamped, -2000.0), (10.0, 0.0));
        assert_eq!(estimate(KlEstimator::K3Clamped, 2000.0), (10.0, 0.0));
    }

    #[test]
    fn the_exact_divergence_is_the_mean_of_k1_and_of_k3() {
        // Over three tokens: sum of p * ln(p / q).
        let (p, q) = ([0.5, 0.3, 0.2_f64], [0.2, 0.3, 0.5_f64]);
        let exact: f64 = p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum();
        for estimator in [KlEstimator::K1, KlEstimator::K3] {
            let mean: f64 =
                p.iter().zip(q).map(|(p, q)| p * estimate(estimator, (p / q).ln()).0).sum();
            assert!((mean - exact).abs() < 1e-12, "{estimator:?}: {mean} is not {exact}");
        }
    }

    #[test]
    fn a_penalty_reads_from_its_settings() {
        let penalty: KlPenalty =
            toml::from_str("estimator = 'k3-clamped'\ncoefficient = 0.001").unwrap();
        assert_eq!(penalty, KlPenalty { estimator: KlEstimator::K3Clamped, coefficient: 0.001 });
        let penalty: KlPenalty = toml::from_str("coefficient = 1.0").unwrap();
        assert_eq!(penalty.estimator, KlEstimator::K3);
        assert!(toml::from_str::<KlPenalty>("estimator = 'k1'").is_err());
    }
}
