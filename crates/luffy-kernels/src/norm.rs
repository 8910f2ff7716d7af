//! `RMSNorm`.

use burn::tensor::Tensor;

use crate::compose::{leaf, of, pull};
#[cfg(feature = "flex")]
use crate::{host, simd};

/// `x / sqrt(mean(x^2) + eps) * weight`, row by row: `x` `[N, d]`, `weight` `[d]`, to `[N, d]`.
///
/// # Reference
/// "Root Mean Square Layer Normalization", <https://arxiv.org/abs/1910.07467>.
pub fn rms_norm(x: &Tensor<2>, weight: &Tensor<1>, eps: f64) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if let (Some(values), Some(weights)) = (host::values(x), host::values(weight)) {
        let shape = x.dims();
        let mut out = vec![0.0; values.len()];
        norm_rows(&values, &weights, eps, &mut out);
        return host::tensor(out, shape, &x.device());
    }
    composed(x.clone(), weight.clone(), eps)
}

fn composed(x: Tensor<2>, weight: Tensor<1>, eps: f64) -> Tensor<2> {
    let mean = x.clone().square().mean_dim(1);
    let scale = (mean + eps).sqrt().recip();
    x * scale * weight.unsqueeze_dim::<2>(0)
}

/// The way back of [`rms_norm`]: derivatives with respect to `x` and `weight`. With `r` the inverse root and
/// `n = x r`,
///
/// ```text
/// dx = r (dy w - n mean(dy w n))        dw = sum over rows of dy n
/// ```
pub fn rms_norm_backward(
    x: &Tensor<2>,
    weight: &Tensor<1>,
    eps: f64,
    dy: &Tensor<2>,
) -> (Tensor<2>, Tensor<1>) {
    #[cfg(feature = "flex")]
    if let (Some(values), Some(weights), Some(slopes)) =
        (host::values(x), host::values(weight), host::values(dy))
    {
        let [n, d] = x.dims();
        let mut dx = vec![0.0; n * d];
        let mut dw = vec![0.0; d];
        norm_rows_back(&values, &weights, eps, &slopes, &mut dx, &mut dw);
        let device = x.device();
        return (host::tensor(dx, [n, d], &device), host::tensor(dw, [d], &device));
    }
    let (x, weight) = (leaf(x), leaf(weight));
    let mut found = pull(composed(x.clone(), weight.clone(), eps), dy);
    (of(&x, &mut found), of(&weight, &mut found))
}

#[cfg(feature = "flex")]
simd::vectorized! {
    fn norm_rows(values: &[f32], weights: &[f32], eps: f64, out: &mut [f32]) {
        let d = weights.len();
        for (row, out) in values.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
            let scale = inverse_root(row, eps);
            for ((out, x), w) in out.iter_mut().zip(row).zip(weights) {
                *out = x * scale * w;
            }
        }
    }

    fn norm_rows_back(
        values: &[f32],
        weights: &[f32],
        eps: f64,
        slopes: &[f32],
        dx: &mut [f32],
        dw: &mut [f32],
    ) {
        let d = weights.len();
        let rows = values.chunks_exact(d).zip(slopes.chunks_exact(d)).zip(dx.chunks_exact_mut(d));
        for ((x, dy), dx) in rows {
            let r = inverse_root(x, eps);
            for ((out, dy), w) in dx.iter_mut().zip(dy).zip(weights) {
                *out = dy * w;
            }
            let along = simd::dot(dx, x) * r * r / d as f32;
            for (((out, x), dy), dw) in dx.iter_mut().zip(x).zip(dy).zip(dw.iter_mut()) {
                *dw += dy * (x * r);
                *out = r * (*out - x * along);
            }
        }
    }
}

/// `1 / sqrt(mean(x^2) + eps)`.
#[cfg(feature = "flex")]
#[inline(always)]
fn inverse_root(row: &[f32], eps: f64) -> f32 {
    let mean = simd::dot(row, row) / row.len() as f32;
    (mean + eps as f32).sqrt().recip()
}
