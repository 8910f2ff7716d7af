//! Importance weights.

use burn::tensor::Tensor;

/// Importance weight of each token: `w = exp(logprobs - behavior_logprobs)`.
///
/// Where the behaviour probability is taken as 1, `w` is the probability itself.
///
/// # Shapes
/// - `logprobs`, `behavior_logprobs`, result: `[B, T]`; nats, nats, dimensionless in `[0, inf)`.
pub fn importance_weights(logprobs: Tensor<2>, behavior_logprobs: Tensor<2>) -> Tensor<2> {
    log_importance_weights(logprobs, behavior_logprobs).exp()
}

/// `ln w = logprobs - behavior_logprobs`, in nats: what formulas that would overflow in `w` start from.
///
/// # Shapes
/// - `logprobs`, `behavior_logprobs`, result: `[B, T]`.
pub fn log_importance_weights(logprobs: Tensor<2>, behavior_logprobs: Tensor<2>) -> Tensor<2> {
    logprobs - behavior_logprobs
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, Tolerance};

    use super::*;

    #[test]
    fn the_weight_is_the_ratio_of_probabilities() {
        let device = Device::flex();
        let current = Tensor::<2>::from_data([[0.9, 0.02, 0.3]], &device).log();
        let behavior = Tensor::<2>::from_data([[0.8, 0.05, 1.0]], &device).log();
        // 0.9 / 0.8, 0.02 / 0.05, 0.3 / 1.
        importance_weights(current, behavior)
            .into_data()
            .assert_approx_eq::<f32>(&[[1.125, 0.4, 0.3]].into(), Tolerance::absolute(1e-6));
    }
}
