//! Clipping of importance weights on sampled tokens.

use burn::tensor::{Bool, Tensor};
use serde::{Deserialize, Serialize};

/// How far the weight of a sampled token may carry its gradient.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Clip {
    /// As far as it goes: LUFFY, whose demonstrated tokens would be held back by clipping sampled ones.
    #[default]
    None,
    /// PPO: a weight outside `[1 - low, 1 + high]` on the side its advantage pushes to stays at the
    /// bound and gets no gradient.
    Epsilon {
        /// In `[0, 1]`; usually 0.2.
        low: f64,
        /// At least 0; usually 0.2, more with "clip higher".
        high: f64,
    },
}

/// Weights after clipping.
#[derive(Debug, Clone)]
pub struct Surrogate {
    /// What multiplies the advantage, `[B, T]`, differentiable where not clipped.
    pub weights: Tensor<2>,
    /// Which weights were clipped, `[B, T]`.
    pub clipped: Tensor<2, Bool>,
}

impl Clip {
    /// The weight `g` with `A * g = min(A * w, A * clamp(w, 1 - low, 1 + high))`.
    ///
    /// # Shapes
    /// - `log_weights` (nats), `advantages`: `[B, T]`.
    ///
    /// # Reference
    /// PPO, <https://arxiv.org/abs/1707.06347>, eq. 7.
    pub fn surrogate(&self, log_weights: Tensor<2>, advantages: Tensor<2>) -> Surrogate {
        match *self {
            Self::None => {
                let clipped =
                    Tensor::<2, Bool>::full(log_weights.dims(), false, &log_weights.device());
                Surrogate { weights: log_weights.exp(), clipped }
            }
            Self::Epsilon { low, high } => {
                let (least, most) = (1.0 - low, 1.0 + high);
                let weights = log_weights.clone().detach().exp();
                let too_high = advantages
                    .clone()
                    .greater_elem(0.0)
                    .bool_and(weights.clone().greater_elem(most));
                let too_low =
                    advantages.lower_elem(0.0).bool_and(weights.clone().lower_elem(least));
                let clipped = too_high.bool_or(too_low);
                // The exponential of a clipped weight may be infinite, and zero times infinity would
                // reach the gradient: clipped places go through it as zero.
                let weights = log_weights
                    .mask_fill(clipped.clone(), 0.0)
                    .exp()
                    .mask_where(clipped.clone(), weights.clamp(least, most));
                Surrogate { weights, clipped }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    use super::*;

    const PPO: Clip = Clip::Epsilon { low: 0.2, high: 0.3 };

    /// Weight, gradient in the log-prob and whether it was clipped.
    fn surrogate(clip: Clip, log_weight: f32, advantage: f32) -> (f32, f32, bool) {
        let device = Device::flex().autodiff();
        let data = TensorData::new(vec![log_weight], [1, 1]);
        let log_weights = Tensor::<2>::from_data(data, &device).require_grad();
        let advantages = Tensor::<2>::full([1, 1], advantage, &device);
        let Surrogate { weights, clipped } = clip.surrogate(log_weights.clone(), advantages);
        let gradients = weights.clone().sum().backward();
        let gradient = log_weights.grad(&gradients).expect("a leaf has a gradient");
        (
            weights.into_scalar(),
            gradient.into_scalar(),
            clipped.into_data().iter::<bool>().next().unwrap(),
        )
    }

    fn check(weight: f32, advantage: f32, expected: f32, is_clipped: bool) {
        let (value, gradient, clipped) = surrogate(PPO, weight.ln(), advantage);
        assert!((value - expected).abs() < 1e-5, "w {weight}, A {advantage}: {value}");
        assert_eq!(clipped, is_clipped, "w {weight}, A {advantage}");
        let expected = if is_clipped { 0.0 } else { weight };
        assert!((gradient - expected).abs() < 1e-5, "w {weight}, A {advantage}: {gradient}");
    }

    #[test]
    fn only_the_side_the_advantage_pushes_to_is_clipped() {
        check(1.5, 1.0, 1.3, true);
        check(1.5, -1.0, 1.5, false);
        check(0.5, -1.0, 0.8, true);
        check(0.5, 1.0, 0.5, false);
    }

    #[test]
    fn a_token_without_advantage_is_not_clipped() {
        check(1.5, 0.0, 1.5, false);
        check(0.5, 0.0, 0.5, false);
    }

    #[test]
    fn an_infinite_weight_is_clipped_without_nan() {
        let (value, gradient, clipped) = surrogate(PPO, 200.0, 1.0);
        assert!((value - 1.3).abs() < 1e-6 && clipped);
        assert!(gradient.abs() <= 0.0, "{gradient}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn clipping_does_nothing_within_its_range(weight in 0.801_f32..1.299, advantage in -1.0_f32..1.0) {
            let clipped = surrogate(PPO, weight.ln(), advantage);
            prop_assert_eq!(clipped, surrogate(Clip::None, weight.ln(), advantage));
        }

        #[test]
        fn the_surrogate_is_the_smaller_of_the_two_objectives(
            log_weight in -2.0_f32..2.0,
            advantage in -1.0_f32..1.0,
        ) {
            let weight = log_weight.exp();
            let expected = (advantage * weight).min(advantage * weight.clamp(0.8, 1.3));
            let got = advantage * surrogate(PPO, log_weight, advantage).0;
            prop_assert!((got - expected).abs() < 1e-5, "{got} is not {expected}");
        }
    }
}
