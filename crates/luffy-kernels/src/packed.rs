//! Matrices laid out for products with a few rows, as decoding makes them.
//!
//! A product of a handful of rows reads the matrix once and does little with each number: its speed is that of
//! reading. In row-major order a tile of the result jumps from row to row; here what a tile reads lies in one
//! piece.

#[cfg(feature = "flex")]
use std::mem::MaybeUninit;
use std::sync::Arc;

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::host;
#[cfg(feature = "flex")]
use crate::tile::{Left, Next, Panel, Target, WIDE, narrow_strip};
#[cfg(feature = "flex")]
use rayon::prelude::*;

/// A matrix `[k, n]` in panels of 16 columns. Clones share.
///
/// Every element of a product is one chain of additions over `k`, so a row of the result does not depend on
/// how many other rows there are, nor on the number of threads.
#[derive(Debug, Clone)]
pub struct PackedMatrix {
    k: usize,
    n: usize,
    /// `[n / 16, k, 16]`, the last panel padded with zeros.
    panels: Arc<Vec<f32>>,
}

impl PackedMatrix {
    /// The layout of a matrix on the CPU, which may be a transposed view; `None` for what lies elsewhere.
    pub fn new(matrix: &Tensor<2>) -> Option<Self> {
        #[cfg(feature = "flex")]
        {
            let [k, n] = matrix.dims();
            let source = host::matrix(matrix)?;
            let (data, [row, column]) = (source.data(), source.strides);
            let mut panels = vec![0.0; n.div_ceil(WIDE) * k * WIDE];
            for (p, panel) in panels.chunks_exact_mut((k * WIDE).max(1)).enumerate() {
                let columns = p * WIDE..((p + 1) * WIDE).min(n);
                if column == 1 {
                    for (i, line) in panel.chunks_exact_mut(WIDE).enumerate() {
                        let from = &data[i * row + columns.start..i * row + columns.end];
                        line[..from.len()].copy_from_slice(from);
                    }
                } else {
                    for (j, at) in columns.enumerate() {
                        for (i, line) in panel.chunks_exact_mut(WIDE).enumerate() {
                            line[j] = data[i * row + at * column];
                        }
                    }
                }
            }
            Some(Self { k, n, panels: Arc::new(panels) })
        }
        #[cfg(not(feature = "flex"))]
        None
    }

    /// `x W`, plus `bias`, plus `sum`: `[N, k]` to `[N, n]`.
    ///
    /// # Panics
    /// If shapes do not fit, or a tensor is not a plain one on the CPU.
    pub fn product(
        &self,
        x: &Tensor<2>,
        bias: Option<&Tensor<1>>,
        sum: Option<Tensor<2>>,
    ) -> Tensor<2> {
        #[cfg(feature = "flex")]
        {
            let [m, k] = x.dims();
            assert_eq!(k, self.k, "inner sizes of a product are equal");
            let read = "packed matrices are on the CPU, and so is what they meet";
            let values = host::values(x).expect(read);
            let sum = sum.or_else(|| {
                let bias = host::values(bias?).expect(read);
                Some(host::tensor(host::repeated(&bias, m), [m, self.n], &x.device()))
            });
            let Some(sum) = sum else {
                #[allow(unsafe_code, reason = "a buffer that is written once")]
                // Safety: without `add` every value is written and none is read.
                let out =
                    unsafe { host::written(m * self.n, |out| self.into(&values, m, out, false)) };
                return host::tensor(out, [m, self.n], &x.device());
            };
            assert_eq!(sum.dims(), [m, self.n], "what is added has the shape of the product");
            host::change(sum, |out| {
                #[allow(unsafe_code, reason = "results are summands before")]
                // Safety: the values are there, and what is written over them are values.
                unsafe {
                    self.into(&values, m, host::as_room(out), true);
                }
            })
        }
        #[cfg(not(feature = "flex"))]
        unreachable!("nothing is packed without the CPU backend")
    }

    /// `out = x W`, or `+=` where `add`. Writes every value.
    ///
    /// # Safety
    /// With `add`, the values of the result are there.
    #[cfg(feature = "flex")]
    #[allow(unsafe_code, reason = "results are written before anybody reads them")]
    unsafe fn into(&self, x: &[f32], m: usize, out: &mut [MaybeUninit<f32>], add: bool) {
        let (k, n, n_threads) = (self.k, self.n, rayon::current_num_threads());
        if k == 0 && !add {
            out.fill(MaybeUninit::new(0.0));
        }
        if k == 0 || m == 0 || n == 0 {
            return;
        }
        if n_threads == 1 || m * k * n < PARALLEL {
            // Safety: as the caller says.
            return unsafe { times_panels(x, [m, k, n], &self.panels, out, add) };
        }
        // Columns of the result are shared out; each part is made in a buffer of its own.
        let per_part = n.div_ceil(WIDE).div_ceil(4 * n_threads).max(1);
        let parts: Vec<(usize, Vec<MaybeUninit<f32>>)> = self
            .panels
            .par_chunks(per_part * k * WIDE)
            .enumerate()
            .map(|(i, panels)| {
                let first = i * per_part * WIDE;
                let width = (n - first).min(per_part * WIDE);
                let mut part: Vec<_> = if add {
                    out.chunks_exact(n)
                        .flat_map(|row| &row[first..first + width])
                        .copied()
                        .collect()
                } else {
                    vec![MaybeUninit::uninit(); m * width]
                };
                // Safety: as the caller says.
                unsafe { times_panels(x, [m, k, width], panels, &mut part, add) };
                (first, part)
            })
            .collect();
        for (first, part) in parts {
            let width = part.len() / m;
            for (row, from) in out.chunks_exact_mut(n).zip(part.chunks_exact(width)) {
                row[first..first + width].copy_from_slice(from);
            }
        }
    }
}

/// Products below this many multiplications stay on one thread.
#[cfg(feature = "flex")]
const PARALLEL: usize = 1 << 20;

/// Rows of `x` that meet a panel while it is in the cache, and its rows that are added up before they go to
/// the result.
#[cfg(feature = "flex")]
const BLOCK: [usize; 2] = [120, 512];

/// `out = x W`, or `+=` where `add`: `x` `[m, k]`, the panels of `[k, n]`, `out` `[m, n]`, none of them empty.
///
/// # Safety
/// With `add`, the values of the result are there.
#[cfg(feature = "flex")]
#[allow(unsafe_code, reason = "results are written before anybody reads them")]
unsafe fn times_panels(
    x: &[f32],
    [m, k, n]: [usize; 3],
    panels: &[f32],
    out: &mut [MaybeUninit<f32>],
    add: bool,
) {
    let [rows, depth] = BLOCK;
    let out = Target::new(out, n);
    for top in (0..m).step_by(rows) {
        let bottom = (top + rows).min(m);
        for (p, panel) in panels.chunks_exact(k * WIDE).enumerate() {
            let width = (n - p * WIDE).min(WIDE);
            for start in (0..k).step_by(depth) {
                let end = (start + depth).min(k);
                let lines = panel[start * WIDE..end * WIDE].as_chunks().0;
                let after = &panels[p * k * WIDE + end * WIDE..];
                let next = after[..after.len().min(lines.len() * WIDE)].as_chunks().0;
                let panel = Panel { lines, next: Next::Lines(next) };
                let add = add || start > 0;
                let left = Left::Rows(&x[top * k + start..], k);
                let out = out.at(top, p * WIDE);
                // Safety: the result is not shared; there are values if the caller says so, or a part was there
                // before this.
                unsafe { narrow_strip(bottom - top, panel, left, out, width, add) };
            }
        }
    }
}
