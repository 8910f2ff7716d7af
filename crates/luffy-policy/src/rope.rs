//! Rotary positions in the rotate-half convention of Hugging Face.

use burn::tensor::{Int, Tensor, s};

/// Cosines and sines of a batch of positions, `[B or 1, S, 1, head_dim / 2]`.
#[derive(Debug, Clone)]
pub(crate) struct Rotation {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Rotation {
    /// For `positions` `[B, S]` or `[1, S]`: angle `position * frequency`, one frequency for each pair.
    pub(crate) fn new(positions: Tensor<2, Int>, frequencies: &[f32]) -> Self {
        let [b, s] = positions.dims();
        let half = frequencies.len();
        let device = positions.device();
        let frequencies = Tensor::<1>::from_floats(frequencies, &device).reshape([1, 1, 1, half]);
        let angles = positions.float().reshape([b, s, 1, 1]) * frequencies;
        Self { cos: angles.clone().cos(), sin: angles.sin() }
    }

    /// Rotates `[B, S, heads, head_dim]`.
    pub(crate) fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let d = x.dims()[3];
        let first = x.clone().slice(s![.., .., .., 0..d / 2]);
        let second = x.slice(s![.., .., .., d / 2..d]);
        let (cos, sin) = (self.cos.clone(), self.sin.clone());
        Tensor::cat(
            vec![
                first.clone() * cos.clone() - second.clone() * sin.clone(),
                second * cos + first * sin,
            ],
            3,
        )
    }
}
