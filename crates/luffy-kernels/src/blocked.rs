//! Products of large matrices in tiles: `a b` with a part of `b` laid out in panels at a time.
//!
//! The library packs both sides for every product and counts every round of its inner loop; with the inner
//! sizes of small models (32 in a head, 256 in a layer) that is a quarter of its time on a processor without
//! AVX-512. Here rows of `a` are read where they lie.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use crate::gemm::{View, takes_threads};
use crate::tile::{Left, TALL, WIDE, narrow_strip, turn};

/// Most of the inner size that a tile adds up before its sums go to the result, rows of `a` that meet a panel
/// while they are in the cache, and columns of `b` that are laid out at a time.
const DEPTH: usize = 384;
const ROWS: usize = 96;
const COLUMNS: usize = 768;

/// Columns from which on it pays to lay out rows of `a` that lie across.
const WORTH_PACKING: usize = 128;

thread_local! {
    /// Room for a part of `b`, and for some rows of `a`.
    static PANELS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static LEFT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Gives `f` the room of this thread. A thread that waits for others may be given another product to make:
/// that one finds no room and makes its own.
fn with_room<R>(
    key: &'static std::thread::LocalKey<Cell<Vec<f32>>>,
    len: usize,
    f: impl FnOnce(&mut [f32]) -> R,
) -> R {
    let mut room = key.take();
    if room.len() < len {
        room.resize(len, 0.0);
    }
    let out = f(&mut room[..len]);
    key.set(room);
    out
}

/// Whether this is faster than the library: where there are 256-bit instructions and no wider ones.
pub(crate) fn is_faster() -> bool {
    #[cfg(target_arch = "x86_64")]
    return crate::simd::has_avx2() && !crate::simd::has_avx512();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// `out = a b`, or `out += a b` where `add`; rows of `out` are `stride` apart. Every element is the sum of
/// one chain of fused additions for each [`DEPTH`] of the inner size: it depends neither on how many rows and
/// columns there are nor on the number of threads.
///
/// # Safety
/// With `add`, the values of the result are there.
///
/// # Panics
/// If a matrix reaches out of its slice.
#[allow(unsafe_code, reason = "results are written before anybody reads them")]
pub(crate) unsafe fn product(
    out: &mut [MaybeUninit<f32>],
    stride: usize,
    add: bool,
    a: View<'_>,
    b: View<'_>,
) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let out = &mut out[..(m - 1) * stride + n];
    let depth = k.div_ceil(k.div_ceil(DEPTH));
    let is_parallel = takes_threads(m, n, k);
    let rows = if is_parallel {
        // Some parts for each thread, of whole tiles.
        let parts = 4 * rayon::current_num_threads();
        m.div_ceil(parts).next_multiple_of(TALL).min(ROWS)
    } else {
        ROWS
    };
    // Panels begin in different sets of the cache.
    let panel = (depth + 1) * WIDE;
    with_room(&PANELS, n.min(COLUMNS).div_ceil(WIDE) * panel, |panels| {
        for first in (0..n).step_by(COLUMNS) {
            let columns = first..(first + COLUMNS).min(n);
            let panels = &mut panels[..columns.len().div_ceil(WIDE) * panel];
            for start in (0..k).step_by(depth) {
                let inner = start..(start + depth).min(k);
                let lay = |(i, panel): (usize, &mut [f32])| {
                    let first = columns.start + i * WIDE;
                    lay_out(b, inner.clone(), first..(first + WIDE).min(columns.end), panel);
                };
                if is_parallel {
                    panels.par_chunks_mut(panel).enumerate().for_each(lay);
                } else {
                    panels.chunks_mut(panel).enumerate().for_each(lay);
                }
                let part = Part { columns: columns.clone(), inner: inner.clone(), panels, panel };
                let add = add || start > 0;
                let fill = |(i, out): (usize, &mut [MaybeUninit<f32>])| {
                    let rows = i * rows..((i + 1) * rows).min(m);
                    // Safety: there are values if the caller says so, or a part was there before this.
                    unsafe { part.rows(a, rows, &mut out[first..], stride, add) };
                };
                if is_parallel {
                    out.par_chunks_mut(rows * stride).enumerate().for_each(fill);
                } else {
                    out.chunks_mut(rows * stride).enumerate().for_each(fill);
                }
            }
        }
    });
}

/// Lays some columns of `b`, sixteen at most, out in a panel, the missing ones as zeros.
fn lay_out(b: View<'_>, inner: Range<usize>, columns: Range<usize>, panel: &mut [f32]) {
    let [row, column] = b.strides;
    let data = &b.data[inner.start * row + columns.start * column..];
    let lines = &mut panel.as_chunks_mut::<WIDE>().0[..inner.len()];
    let width = columns.len();
    if column == 1 && row >= WIDE && width == WIDE {
        for (line, from) in lines.iter_mut().zip(data.chunks(row)) {
            line.copy_from_slice(&from[..WIDE]);
        }
        return;
    }
    let mut done = 0;
    if row == 1 && width == WIDE {
        let (eights, _) = lines.as_chunks_mut::<8>();
        for (i, eight) in eights.iter_mut().enumerate() {
            turn(&data[8 * i..], column, eight, 0);
            turn(&data[8 * i + 8 * column..], column, eight, 8);
        }
        done = eights.len() * 8;
    }
    for (i, line) in lines.iter_mut().enumerate().skip(done) {
        for (j, value) in line.iter_mut().enumerate() {
            *value = if j < width { data[i * row + j * column] } else { 0.0 };
        }
    }
}

/// A part of `b` in panels.
struct Part<'a> {
    columns: Range<usize>,
    inner: Range<usize>,
    panels: &'a [f32],
    /// Values from one panel to the next.
    panel: usize,
}

impl Part<'_> {
    /// Some rows of `a` times all of the panels.
    ///
    /// # Safety
    /// With `add`, the values of the result are there.
    #[allow(unsafe_code, reason = "results are written before anybody reads them")]
    unsafe fn rows(
        &self,
        a: View<'_>,
        rows: Range<usize>,
        out: &mut [MaybeUninit<f32>],
        stride: usize,
        add: bool,
    ) {
        let [row, column] = a.strides;
        let data = &a.data[rows.start * row + self.inner.start * column..];
        let rows = rows.len();
        if column == 1 {
            // Safety: as the caller says.
            unsafe { self.strips(Left::Rows(data, row), rows, out, stride, add) };
        } else if row == 1 && self.columns.len() < WORTH_PACKING {
            // Safety: as the caller says.
            unsafe { self.strips(Left::Columns(data, column), rows, out, stride, add) };
        } else {
            let k = self.inner.len();
            with_room(&LEFT, rows.next_multiple_of(TALL) * k, |room| {
                for (top, packed) in (0..rows).step_by(TALL).zip(room.chunks_mut(TALL * k)) {
                    let height = (rows - top).min(TALL);
                    for (i, values) in packed.as_chunks_mut::<TALL>().0.iter_mut().enumerate() {
                        let from = &data[top * row + i * column..];
                        if row == 1 && height == TALL {
                            values.copy_from_slice(&from[..TALL]);
                        } else {
                            for (r, value) in values[..height].iter_mut().enumerate() {
                                *value = from[r * row];
                            }
                        }
                    }
                }
                // Safety: as the caller says.
                unsafe { self.strips(Left::Packed(room), rows, out, stride, add) };
            });
        }
    }

    /// Rows of `a` that lie in some way times all of the panels.
    ///
    /// # Safety
    /// With `add`, the values of the result are there.
    #[allow(unsafe_code, reason = "results are written before anybody reads them")]
    unsafe fn strips(
        &self,
        left: Left<'_>,
        rows: usize,
        out: &mut [MaybeUninit<f32>],
        stride: usize,
        add: bool,
    ) {
        for (i, panel) in self.panels.chunks(self.panel).enumerate() {
            let lines = &panel.as_chunks::<WIDE>().0[..self.inner.len()];
            let width = (self.columns.len() - i * WIDE).min(WIDE);
            // Safety: as the caller says.
            unsafe {
                narrow_strip(rows, lines, left, &mut out[i * WIDE..], stride, width, add);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(n: usize, step: usize) -> Vec<f32> {
        (0..n).map(|i| (i * step % 31) as f32 / 16.0 - 0.9).collect()
    }

    /// The same matrix with columns side by side, or with both strides larger than one.
    fn lying(rows: usize, columns: usize, data: &[f32], how: usize) -> (Vec<f32>, [usize; 2]) {
        let strides = [[columns, 1], [1, rows], [2 * columns + 1, 2]][how];
        let mut out = vec![f32::NAN; rows * strides[0] + columns * strides[1]];
        for (i, value) in data.iter().enumerate() {
            out[i / columns * strides[0] + i % columns * strides[1]] = *value;
        }
        (out, strides)
    }

    fn run(
        n_threads: usize,
        before: &[f32],
        stride: usize,
        add: bool,
        [a, b]: [View<'_>; 2],
    ) -> Vec<f32> {
        let mut out = before.to_vec();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            #[allow(unsafe_code, reason = "results are summands before")]
            // Safety: numbers are written over numbers.
            unsafe {
                product(crate::host::as_room(&mut out), stride, add, a, b);
            }
        });
        out
    }

    /// Against sums in f64, over tiles, panels and blocks that are full or not, however the two lie; between
    /// the rows of the result nothing is written, and threads leave no trace.
    #[test]
    fn products_agree_with_f64_however_matrices_lie() {
        let sizes =
            [[1, 1, 1], [7, 33, 40], [13, 385, 17], [97, 9, 130], [6, 800, 16], [200, 390, 800]];
        for [m, k, n] in sizes {
            let (a, b) = (values(m * k, 7), values(k * n, 5));
            let stride = n + 3;
            let before = values(m * stride - 3, 3);
            let exact: Vec<f64> = (0..m * n)
                .map(|at| {
                    let row = a[at / n * k..][..k].iter();
                    let column = b[at % n..].iter().step_by(n);
                    row.zip(column).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
                })
                .collect();
            for (how_a, how_b) in (0..9).map(|i| (i / 3, i % 3)) {
                let (a, strides) = lying(m, k, &a, how_a);
                let a = View { data: &a, rows: m, columns: k, strides };
                let (b, strides) = lying(k, n, &b, how_b);
                let b = View { data: &b, rows: k, columns: n, strides };
                for add in [false, true] {
                    let out = run(1, &before, stride, add, [a, b]);
                    assert_eq!(run(3, &before, stride, add, [a, b]), out, "{m} x {k} x {n}");
                    for (at, (found, before)) in out.iter().zip(&before).enumerate() {
                        let (row, column) = (at / stride, at % stride);
                        if column >= n {
                            assert_eq!(found.to_bits(), before.to_bits(), "between rows");
                            continue;
                        }
                        let summand = if add { f64::from(*before) } else { 0.0 };
                        let far = (f64::from(*found) - exact[row * n + column] - summand).abs();
                        assert!(
                            far < 1e-3,
                            "{m} x {k} x {n}, {how_a} {how_b}: {far} at {row}, {column}"
                        );
                    }
                }
            }
        }
    }
}
