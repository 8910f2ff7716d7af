//! `SwiGLU`.

#[cfg(feature = "flex")]
use std::mem::MaybeUninit;

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
/// # Panics
/// If the shapes differ.
///
/// # Reference
/// "GLU Variants Improve Transformer", <https://arxiv.org/abs/2002.05202>.
pub fn swiglu(gate: &Tensor<2>, up: &Tensor<2>) -> Tensor<2> {
    assert_eq!(gate.dims(), up.dims(), "one shape for both");
    #[cfg(feature = "flex")]
    if let (Some(gates), Some(ups)) = (host::values(gate), host::values(up)) {
        let inputs = gates.par_chunks(CHUNK).zip(ups.par_chunks(CHUNK));
        #[allow(
            unsafe_code,
            reason = "a buffer that is written once is not filled with zeros before"
        )]
        // Safety: the three are of one length, and the loop writes all of one.
        let out = unsafe {
            host::written(gates.len(), |out| {
                out.par_chunks_mut(CHUNK)
                    .zip(inputs)
                    .for_each(|(out, (gates, ups))| products(gates, ups, out));
            })
        };
        return host::tensor(out, gate.dims(), &gate.device());
    }
    composed(gate.clone(), up.clone())
}

fn composed(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    activation::silu(gate) * up
}

/// The way back of [`swiglu`]: derivatives with respect to `gate` and `up`, each into the buffer of its own where nobody
/// else holds it. With `s = sigmoid(gate)`,
///
/// ```text
/// dgate = dy up s (1 + gate (1 - s))        dup = dy gate s
/// ```
///
/// # Panics
/// If the shapes differ.
pub fn swiglu_backward(gate: Tensor<2>, up: Tensor<2>, dy: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    assert!(gate.dims() == dy.dims() && up.dims() == dy.dims(), "one shape for all");
    #[cfg(feature = "flex")]
    if let Some(slopes) = host::values(dy)
        && host::values(&gate).is_some()
        && host::values(&up).is_some()
    {
        let mut dup = None;
        let dgate = host::change(gate, |gates| {
            dup = Some(host::change(up, |ups| {
                gates
                    .par_chunks_mut(CHUNK)
                    .zip(ups.par_chunks_mut(CHUNK))
                    .zip(slopes.par_chunks(CHUNK))
                    .for_each(|((gates, ups), dy)| products_back(gates, ups, dy));
            }));
        });
        return (dgate, dup.expect("a change is made once"));
    }
    let (gate, up) = (leaf(&gate), leaf(&up));
    let mut found = pull(composed(gate.clone(), up.clone()), dy);
    (of(&gate, &mut found), of(&up, &mut found))
}

#[cfg(feature = "flex")]
simd::vectorized! {
    fn products(gates: &[f32], ups: &[f32], out: &mut [MaybeUninit<f32>]) {
        for ((out, g), u) in out.iter_mut().zip(gates).zip(ups) {
            out.write(g * u / (1.0 + simd::exp(-g)));
        }
    }

    /// Gates and ups become their derivatives.
    fn products_back(gates: &mut [f32], ups: &mut [f32], slopes: &[f32]) {
        for ((g, u), dy) in gates.iter_mut().zip(ups).zip(slopes) {
            let s = 1.0 / (1.0 + simd::exp(-*g));
            let dg = dy * *u * s * (1.0 + *g * (1.0 - s));
            *u = dy * *g * s;
            *g = dg;
        }
    }
}
