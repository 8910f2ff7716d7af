//! `SwiGLU`.

use burn::tensor::{Tensor, activation};

use crate::compose::{leaf, of, pull};
#[cfg(feature = "flex")]
use crate::{host, simd};
#[cfg(feature = "flex")]
use rayon::prelude::*;

/// Values that one task takes.
#[cfg(feature = "flex")]
const CHUNK: usize = 1 << 16;

/// `gate sigmoid(gate) up`, element by element: `[N, d]` both, to the same.
///
/// # Reference
/// "GLU Variants Improve Transformer", <https://arxiv.org/abs/2002.05202>.
pub fn swiglu(gate: &Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if let (Some(gates), Some(ups)) = (host::values(gate), host::values(up)) {
        let mut out = vec![0.0; gates.len()];
        let inputs = gates.par_chunks(CHUNK).zip(ups.par_chunks(CHUNK));
        out.par_chunks_mut(CHUNK)
            .zip(inputs)
            .for_each(|(out, (gates, ups))| products(gates, ups, out));
        return host::tensor(out, gate.dims(), &gate.device());
    }
    composed(gate.clone(), up.clone())
}

fn composed(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    activation::silu(gate) * up
}

/// The way back of [`swiglu`]: derivatives with respect to `gate` and `up`. With `s = sigmoid(gate)`,
///
/// ```text
/// dgate = dy up s (1 + gate (1 - s))        dup = dy gate s
/// ```
pub fn swiglu_backward(gate: &Tensor<2>, up: &Tensor<2>, dy: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    #[cfg(feature = "flex")]
    if let (Some(gates), Some(ups), Some(slopes)) =
        (host::values(gate), host::values(up), host::values(dy))
    {
        let (mut dgate, mut dup) = (vec![0.0; gates.len()], vec![0.0; gates.len()]);
        let inputs =
            gates.par_chunks(CHUNK).zip(ups.par_chunks(CHUNK)).zip(slopes.par_chunks(CHUNK));
        let slopes = dgate.par_chunks_mut(CHUNK).zip(dup.par_chunks_mut(CHUNK));
        inputs.zip(slopes).for_each(|(((gates, ups), dy), (dgate, dup))| {
            products_back(gates, ups, dy, dgate, dup);
        });
        let (shape, device) = (gate.dims(), gate.device());
        return (host::tensor(dgate, shape, &device), host::tensor(dup, shape, &device));
    }
    let (gate, up) = (leaf(gate), leaf(up));
    let mut found = pull(composed(gate.clone(), up.clone()), dy);
    (of(&gate, &mut found), of(&up, &mut found))
}

#[cfg(feature = "flex")]
simd::vectorized! {
    fn products(gates: &[f32], ups: &[f32], out: &mut [f32]) {
        for ((out, g), u) in out.iter_mut().zip(gates).zip(ups) {
            *out = g * u / (1.0 + simd::exp(-g));
        }
    }

    fn products_back(
        gates: &[f32],
        ups: &[f32],
        slopes: &[f32],
        dgate: &mut [f32],
        dup: &mut [f32],
    ) {
        let inputs = gates.iter().zip(ups).zip(slopes);
        for (((g, u), dy), (dg, du)) in inputs.zip(dgate.iter_mut().zip(dup.iter_mut())) {
            let s = 1.0 / (1.0 + simd::exp(-g));
            *dg = dy * u * s * (1.0 + g * (1.0 - s));
            *du = dy * g * s;
        }
    }
}
