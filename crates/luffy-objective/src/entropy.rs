//! The entropy bonus.

use burn::tensor::{Bool, Tensor};

use crate::selection::keep;

/// What is added to a loss to keep the policy undecided: `-coefficient * sum(entropy) / divisor` over
/// the learned tokens. `None` for a coefficient of zero, so that no graph is built for it.
///
/// With an optimiser that rescales gradients, a bonus alone is a full-sized step: never take one where
/// all advantages are zero (the methods here do not).
///
/// # Shapes
/// - `entropy` (nats), `learned`: `[B, T]`; result: `[1]`.
pub fn entropy_bonus(
    coefficient: f64,
    entropy: Tensor<2>,
    learned: &Tensor<2, Bool>,
    divisor: f64,
) -> Option<Tensor<1>> {
    let is_on = coefficient.abs() > 0.0;
    is_on.then(|| keep(entropy, learned).sum() * (-coefficient / divisor))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;

    #[test]
    fn the_bonus_lowers_the_loss_by_the_mean_entropy_of_learned_tokens() {
        let device = Device::flex();
        let entropy = Tensor::<2>::from_data([[1.0, 2.0, f32::NAN]], &device);
        let learned = Tensor::<2, Bool>::from_data([[true, true, false]], &device);
        let bonus = entropy_bonus(0.1, entropy.clone(), &learned, 4.0).unwrap();
        // -0.1 * (1 + 2) / 4.
        assert!((bonus.into_scalar::<f32>() + 0.075).abs() < 1e-6);
        assert!(entropy_bonus(0.0, entropy, &learned, 4.0).is_none());
    }
}
