//! Shaping: from the importance weight of a demonstrated token to what multiplies its advantage.
//!
//! A token contributes `A * f(w)` to the objective, so its log-prob moves with
//! `A * w * f'(w)` and the logit of the token itself with `A * w * f'(w) * (1 - p)`.
//! All formulas are evaluated from `ln w`, so no weight overflows before it is shaped.

use burn::tensor::{Tensor, activation};
use luffy_core::{Shaping, TokenView};

use crate::log_importance_weights;

fn log_weights(tokens: &TokenView) -> Tensor<2> {
    log_importance_weights(tokens.logprobs.clone(), tokens.behavior_logprobs.clone())
}

/// No shaping: `f(w) = w`, gradient in the log-prob `w`. Starves tokens the policy finds unlikely.
///
/// # Shapes
/// - result: `[B, T]`, in `[0, inf)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity;

impl Shaping for Identity {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        log_weights(tokens).exp()
    }
}

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

#[cfg(test)]
mod tests {
    use burn::tensor::{Bool, Device, TensorData};
    use proptest::prelude::*;

    use super::*;

    /// Shaped weights and their gradients in the log-prob, for weights given as `ln w`.
    fn shape(shaping: &dyn Shaping, log_weights: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let n = log_weights.len();
        // Split between the two log-probs, so that forgetting either is seen.
        let logprobs: Vec<f32> = log_weights.iter().map(|log_weight| log_weight - 0.25).collect();
        let logprobs =
            Tensor::<2>::from_data(TensorData::new(logprobs, [1, n]), &device).require_grad();
        let tokens = TokenView {
            logprobs: logprobs.clone(),
            behavior_logprobs: Tensor::full([1, n], -0.25, &device),
            entropy: Tensor::zeros([1, n], &device),
            demonstrated: Tensor::<2, Bool>::full([1, n], true, &device),
            advantages: Tensor::ones([1, n], &device),
        };
        let shaped = shaping.shape(&tokens);
        let gradients = shaped.clone().sum().backward();
        let gradient = logprobs.grad(&gradients).expect("the weight depends on the log-prob");
        (shaped.into_data().try_to_vec().unwrap(), gradient.into_data().try_to_vec().unwrap())
    }

    /// `value` and `gradient` are functions of `w`: the closed forms of luffy.md 5.2.
    fn check(shaping: &dyn Shaping, value: fn(f64) -> f64, gradient: fn(f64) -> f64) {
        let weights = [0.001, 0.01, 0.1, 0.3, 0.9, 1.0, 2.5];
        let logs: Vec<f32> = weights.iter().map(|w: &f64| w.ln() as f32).collect();
        let (values, gradients) = shape(shaping, &logs);
        for ((w, got_value), got_gradient) in weights.iter().zip(values).zip(gradients) {
            assert!((f64::from(got_value) - value(*w)).abs() < 1e-5, "f({w}) = {got_value}");
            assert!(
                (f64::from(got_gradient) - gradient(*w)).abs() < 1e-5,
                "f'({w}): {got_gradient}"
            );
        }
    }

    #[test]
    fn values_and_gradients_are_the_closed_forms() {
        check(&Identity, |w| w, |w| w);
        check(&Regularized { gamma: 0.1 }, |w| w / (w + 0.1), |w| 0.1 * w / (w + 0.1).powi(2));
        check(&Regularized { gamma: 0.5 }, |w| w / (w + 0.5), |w| 0.5 * w / (w + 0.5).powi(2));
        check(&Log { weight: 0.1 }, |w| 0.1 * w.ln(), |_| 0.1);
        check(&IdentityPlusLog { weight: 0.1 }, |w| w + 0.1 * w.ln(), |w| w + 0.1);
        check(&Power { exponent: 0.5 }, f64::sqrt, |w| 0.5 * w.sqrt());
        check(&Power { exponent: 0.3 }, |w| w.powf(0.3), |w| 0.3 * w.powf(0.3));
    }

    #[test]
    fn regularized_lifts_rare_tokens() {
        let rare = [(0.01_f32).ln()];
        // luffy.md 5.2: .0826 at p = .01 with gamma .1, against .01 unshaped.
        assert!((shape(&Regularized { gamma: 0.1 }, &rare).1[0] - 0.0826).abs() < 1e-4);
        assert!((shape(&Identity, &rare).1[0] - 0.01).abs() < 1e-6);
    }

    #[test]
    fn regularized_holds_at_weights_that_overflow() {
        let (values, gradients) = shape(&Regularized { gamma: 0.1 }, &[-300.0, 300.0]);
        assert_eq!(values, [0.0, 1.0]);
        assert_eq!(gradients, [0.0, 0.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn regularized_is_monotone_and_within_zero_and_one(
            gamma in 0.01_f64..1.0,
            mut logs in prop::collection::vec(-12.0_f32..2.0, 2..20),
        ) {
            logs.sort_by(f32::total_cmp);
            let (values, _) = shape(&Regularized { gamma }, &logs);
            prop_assert!(values.iter().all(|value| (0.0..1.0).contains(value)), "{values:?}");
            prop_assert!(values.is_sorted(), "{values:?}");
        }

        #[test]
        fn the_slope_in_the_weight_is_steepest_at_zero(
            gamma in 0.05_f64..1.0,
            mut logs in prop::collection::vec(-9.0_f32..0.5, 2..20),
        ) {
            logs.sort_by(f32::total_cmp);
            let (_, gradients) = shape(&Regularized { gamma }, &logs);
            // df/dw = (df / d ln w) / w.
            let slopes: Vec<f64> = gradients
                .iter()
                .zip(&logs)
                .map(|(gradient, log)| f64::from(*gradient) / f64::from(*log).exp())
                .collect();
            let bound = 1.0 / gamma * (1.0 + 1e-4);
            prop_assert!(slopes.iter().all(|slope| *slope <= bound), "{slopes:?}");
            let falls = slopes.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-4));
            prop_assert!(falls, "{slopes:?}");
        }
    }
}
