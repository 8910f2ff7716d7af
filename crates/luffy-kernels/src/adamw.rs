//! One step of `AdamW` in one pass.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::simd;

/// The numbers that are the same for every element of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWRule {
    /// Factor of every gradient.
    pub clip: f32,
    /// `1 - beta1`, rounded once: in f32, `1 - 0.9999` is off by 2e-4.
    pub beta1_rest: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// `1 - beta2`.
    pub beta2_rest: f32,
    /// `1 - lr * weight_decay`.
    pub decay: f32,
    /// `lr / (1 - beta1^t)`.
    pub step_size: f32,
    /// `sqrt(1 - beta2^t)`.
    pub root_correction: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
}

/// Values that one thread updates at a time.
const CHUNK: usize = 1 << 15;

/// One step of a parameter: the new values, and `m` and `v` in place. The new values take the buffer of the
/// gradient where nobody else holds it. Every element stands alone, so the number of threads changes nothing.
///
/// ```text
/// m += (1 - beta1) (g - m)        v = beta2 v + (1 - beta2) g^2
/// w = (1 - lr * decay) w - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
/// ```
///
/// # Panics
/// If the lengths differ.
///
/// # Reference
/// "Decoupled Weight Decay Regularization", <https://arxiv.org/abs/1711.05101>.
pub fn adamw_step(
    rule: &AdamWRule,
    weight: &Tensor<1>,
    gradient: Tensor<1>,
    m: &mut [f32],
    v: &mut [f32],
) -> Tensor<1> {
    let n = m.len();
    assert!(weight.dims() == [n] && gradient.dims() == [n] && v.len() == n, "one length for all");
    let mut update = |weights: &[f32], gradients: &mut [f32]| {
        let chunks = gradients.par_chunks_mut(CHUNK).zip(weights.par_chunks(CHUNK));
        let state = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
        chunks.zip(state).for_each(|((g, w), (m, v))| update_chunk(rule, w, g, m, v));
    };
    #[cfg(feature = "flex")]
    if let Some(weights) = crate::host::values(weight)
        && crate::host::values(&gradient).is_some()
    {
        return crate::host::change(gradient, |gradients| update(&weights, gradients));
    }
    let read = |tensor: &Tensor<1>| tensor.to_data_as::<f32>().iter::<f32>().collect::<Vec<f32>>();
    let mut values = read(&gradient);
    update(&read(weight), &mut values);
    Tensor::from_data(TensorData::new(values, [n]), &weight.device())
}

/// The sum of squares in f64, by chunks of one size that are added in order.
pub fn sum_of_squares(values: &Tensor<1>) -> f64 {
    let sum = |values: &[f32]| -> f64 {
        let parts: Vec<f64> = values.par_chunks(CHUNK).map(chunk_squares).collect();
        parts.iter().sum()
    };
    #[cfg(feature = "flex")]
    if let Some(values) = crate::host::values(values) {
        return sum(&values);
    }
    sum(&values.to_data_as::<f32>().iter::<f32>().collect::<Vec<f32>>())
}

simd::vectorized! {
    fn update_chunk(
        rule: &AdamWRule,
        weights: &[f32],
        gradients: &mut [f32],
        m: &mut [f32],
        v: &mut [f32],
    ) {
        for ((w, out), (m, v)) in weights.iter().zip(gradients).zip(m.iter_mut().zip(v)) {
            let g = *out * rule.clip;
            *m += (g - *m) * rule.beta1_rest;
            *v = *v * rule.beta2 + g * g * rule.beta2_rest;
            let denominator = v.sqrt() / rule.root_correction + rule.epsilon;
            *out = w * rule.decay - rule.step_size * *m / denominator;
        }
    }

    fn chunk_squares(values: &[f32]) -> f64 {
        let mut lanes = [0.0_f64; simd::LANES];
        let (chunks, rest) = values.as_chunks::<{ simd::LANES }>();
        for chunk in chunks {
            for (lane, value) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(*value) * f64::from(*value);
            }
        }
        let rest: f64 = rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
        lanes.iter().sum::<f64>() + rest
    }
}
