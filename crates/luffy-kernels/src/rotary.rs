//! Rotary positions in the rotate-half convention of Hugging Face.

use std::sync::OnceLock;

use burn::tensor::{Device, Tensor, TensorData, s};

#[cfg(feature = "flex")]
use crate::{host, simd};

/// Cosines and sines of the positions of packed tokens.
///
/// # Reference
/// "`RoFormer`: Enhanced Transformer with Rotary Position Embedding", <https://arxiv.org/abs/2104.09864>.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// `[N, head_dim / 2]`, row by row.
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
    device: Device,
    /// The same on the device, `[N, 1, head_dim / 2]`, once it is asked for.
    tables: OnceLock<(Tensor<3>, Tensor<3>)>,
}

impl Rotation {
    /// For tokens at `positions`: angle `position * frequency`, one frequency for each pair of a head.
    pub fn new(positions: &[u32], frequencies: &[f32], device: &Device) -> Self {
        let half = frequencies.len();
        let angles = |positions: &mut dyn Iterator<Item = u32>| -> (Vec<f32>, Vec<f32>) {
            positions
                .flat_map(|position| {
                    frequencies.iter().map(move |f| (position as f32 * f).sin_cos())
                })
                .map(|(sin, cos)| (cos, sin))
                .unzip()
        };
        let longest = positions.iter().max().map_or(0, |last| *last as usize + 1);
        let (cos, sin) = if longest < positions.len() {
            // Several sequences: each angle once.
            let (cos, sin) = angles(&mut (0..longest as u32));
            let spread = |table: &[f32]| {
                let row = |position: &u32| {
                    let start = *position as usize * half;
                    table[start..start + half].iter().copied()
                };
                positions.iter().flat_map(row).collect()
            };
            (spread(&cos), spread(&sin))
        } else {
            angles(&mut positions.iter().copied())
        };
        Self { cos, sin, half, device: device.clone(), tables: OnceLock::new() }
    }

    /// Rotates every head of `x`, `[N, heads * head_dim]`.
    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        self.turn(x, 1.0)
    }

    /// Rotates the other way: the way back of [`Self::apply`].
    pub fn undo(&self, x: Tensor<2>) -> Tensor<2> {
        self.turn(x, -1.0)
    }

    fn turn(&self, x: Tensor<2>, sign: f32) -> Tensor<2> {
        #[cfg(feature = "flex")]
        if host::values(&x).is_some() {
            let [_, width] = x.dims();
            return host::change(x, |values| {
                turn_rows(values, width, &self.cos, &self.sin, self.half, sign);
            });
        }
        self.composed(x, sign)
    }

    fn composed(&self, x: Tensor<2>, sign: f32) -> Tensor<2> {
        let [n, width] = x.dims();
        let half = self.half;
        let (cos, sin) = self.tables.get_or_init(|| {
            let upload = |values: &[f32]| {
                Tensor::from_data(TensorData::new(values.to_vec(), [n, 1, half]), &self.device)
            };
            (upload(&self.cos), upload(&self.sin))
        });
        let on = |table: &Tensor<3>| {
            let table = table.clone().cast(x.dtype());
            if x.is_autodiff() { Tensor::from_inner(table) } else { table }
        };
        let (cos, sin) = (on(cos), on(sin) * sign);
        let x = x.reshape([n, width / (2 * half), 2 * half]);
        let first = x.clone().slice(s![.., .., 0..half]);
        let second = x.slice(s![.., .., half..2 * half]);
        let turned = vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos + first * sin,
        ];
        Tensor::cat(turned, 2).reshape([n, width])
    }
}

#[cfg(feature = "flex")]
simd::vectorized! {
    fn turn_rows(
        values: &mut [f32],
        width: usize,
        cos: &[f32],
        sin: &[f32],
        half: usize,
        sign: f32,
    ) {
        let tables = cos.chunks_exact(half).zip(sin.chunks_exact(half));
        for (row, (cos, sin)) in values.chunks_exact_mut(width).zip(tables) {
            for head in row.chunks_exact_mut(2 * half) {
                let (first, second) = head.split_at_mut(half);
                for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                    let sin = sign * sin;
                    let (x, y) = (*a, *b);
                    *a = x * cos - y * sin;
                    *b = y * cos + x * sin;
                }
            }
        }
    }
}
