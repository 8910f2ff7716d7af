//! Matrices laid out for products with a few rows, as decoding makes them.
//!
//! A product of a handful of rows reads the matrix once and does little with each number: its speed is that of
//! reading. In row-major order a tile of the result jumps from row to row; here what a tile reads lies in one
//! piece.

use std::sync::Arc;

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::host;
#[cfg(feature = "flex")]
use crate::wide::{WIDE, add_outer};
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
            let bias = bias.map(|bias| host::values(bias).expect(read));
            let sum = sum.unwrap_or_else(|| {
                let out = match &bias {
                    Some(bias) => (0..m).flat_map(|_| bias.iter().copied()).collect(),
                    None => vec![0.0; m * self.n],
                };
                host::tensor(out, [m, self.n], &x.device())
            });
            assert_eq!(sum.dims(), [m, self.n], "what is added has the shape of the product");
            host::change(sum, |out| self.add_to(&values, m, out))
        }
        #[cfg(not(feature = "flex"))]
        unreachable!("nothing is packed without the CPU backend")
    }

    #[cfg(feature = "flex")]
    fn add_to(&self, x: &[f32], m: usize, out: &mut [f32]) {
        let n_threads = rayon::current_num_threads();
        let n_panels = self.n.div_ceil(WIDE);
        if n_threads == 1 || m * self.k * self.n < PARALLEL {
            add_panels(x, m, self.k, &self.panels, out, self.n);
            return;
        }
        // Columns of the result are shared out; each part is made in a buffer of its own.
        let per_part = n_panels.div_ceil(4 * n_threads).max(1);
        let parts: Vec<(usize, Vec<f32>)> = self
            .panels
            .par_chunks(per_part * self.k * WIDE)
            .enumerate()
            .map(|(i, panels)| {
                let first = i * per_part * WIDE;
                let width = (self.n - first).min(per_part * WIDE);
                let mut part: Vec<f32> = out_part(out, m, self.n, first, width);
                add_panels(x, m, self.k, panels, &mut part, width);
                (first, part)
            })
            .collect();
        for (first, part) in parts {
            let width = part.len() / m.max(1);
            for (row, from) in out.chunks_exact_mut(self.n).zip(part.chunks_exact(width.max(1))) {
                row[first..first + width].copy_from_slice(from);
            }
        }
    }
}

/// Products below this many multiplications stay on one thread.
#[cfg(feature = "flex")]
const PARALLEL: usize = 1 << 20;

/// Columns `first..first + width` of `[m, n]`.
#[cfg(feature = "flex")]
fn out_part(out: &[f32], m: usize, n: usize, first: usize, width: usize) -> Vec<f32> {
    out.chunks_exact(n).take(m).flat_map(|row| row[first..first + width].iter().copied()).collect()
}

/// Rows of `x` that meet a panel while it is in the cache, and its rows that are added up before they go to
/// the result.
#[cfg(feature = "flex")]
const BLOCK: [usize; 2] = [120, 512];

/// `out += x W`: `x` `[m, k]`, the panels of `[k, n]`, `out` `[m, n]`.
#[cfg(feature = "flex")]
fn add_panels(x: &[f32], m: usize, k: usize, panels: &[f32], out: &mut [f32], n: usize) {
    let [rows, depth] = BLOCK;
    for top in (0..m).step_by(rows) {
        let bottom = (top + rows).min(m);
        for (p, panel) in panels.chunks_exact(k * WIDE).enumerate() {
            let columns = p * WIDE..((p + 1) * WIDE).min(n);
            for start in (0..k).step_by(depth) {
                let end = (start + depth).min(k);
                let lines = panel[start * WIDE..end * WIDE].as_chunks().0;
                let mut i = top;
                while i < bottom {
                    let (x, out) = (&x[i * k + start..], &mut out[i * n..]);
                    i += match bottom - i {
                        6.. => tile::<6>(lines, x, k, out, n, &columns),
                        4.. => tile::<4>(lines, x, k, out, n, &columns),
                        2.. => tile::<2>(lines, x, k, out, n, &columns),
                        _ => tile::<1>(lines, x, k, out, n, &columns),
                    };
                }
            }
        }
    }
}

/// `R` rows times some lines of a panel, added to some columns of the result; gives `R`.
#[cfg(feature = "flex")]
fn tile<const R: usize>(
    lines: &[[f32; WIDE]],
    x: &[f32],
    stride: usize,
    out: &mut [f32],
    out_stride: usize,
    columns: &std::ops::Range<usize>,
) -> usize {
    let mut sums = [[0.0_f32; WIDE]; R];
    add_outer(lines, x, stride, &mut sums);
    for (row, sums) in out.chunks_mut(out_stride).zip(&sums) {
        for (out, sum) in row[columns.clone()].iter_mut().zip(sums) {
            *out += sum;
        }
    }
    R
}
