//! Products of large matrices in tiles: `a b` with some columns of `b` laid out in panels at a time.
//!
//! The library packs both sides for every product and counts every round of its inner loop; with the inner
//! sizes of small models (32 in a head, 256 in a layer) that is a quarter of its time on a processor without
//! AVX-512. Threads share out columns of `b`, not rows of `a`: a panel is laid out by who reads it, and while it is
//! multiplied the next one is asked for (`part.rs`). Rows of `a` are laid out by all before, where that pays, or read
//! where they lie (`left.rs`).

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::gemm::{View, takes_threads};
use crate::tile::{Target, WIDE, lie_in_lines, tall};

mod left;
mod part;

use left::LeftRows;
use part::Part;

/// Most of the inner size that a tile adds up before its sums go to the result.
const DEPTH: usize = 384;

/// Most rows of `a` at a time, in whole tiles: a part of them stays in the cache of a core.
fn most_rows() -> usize {
    256 / tall() * tall()
}

/// Most columns of `b` that a task has; and where more rows meet them than go at a time, so that panels are kept: these
/// stay in the cache of a core as well.
const COLUMNS: usize = 512;
const KEPT_COLUMNS: usize = 128;

/// Fewest values of a result that pass the cache by, where they are written once and read later.
const STREAMED: usize = 1 << 19;

/// Sums of squares that are known well: in smaller ones, squares that `f32` does not hold would count.
const KNOWN: Range<f64> = 1e-20..f64::INFINITY;

/// Fewest columns of a task, where threads share.
const FEWEST: usize = 16;

/// Most values of `a` that are laid out at a time, and most rows of it: columns of `b` are laid out anew for each.
const LEFT: usize = 1 << 21;
const LEFT_ROWS: usize = 3072;

/// Most values of `a` that are read where they lie across, in lines of the cache: more are read from memory again and
/// again.
const ACROSS: usize = 1 << 21;

/// Columns from which on it pays to lay out rows of `a` that lie across otherwise, and those that lie one after the
/// other, with tiles of six rows and of sixteen: what these read where it lies is as fast, until it leaves the cache
/// between tasks.
const WORTH_TURNING: usize = 128;
const WORTH_PACKING: usize = 768;
const WORTH_PACKING_WIDE: usize = 1 << 14;

thread_local! {
    /// Room for a part of `b`, and for some rows of `a`.
    static PANELS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static PACKED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
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

/// Whether this is faster than the library: where there are tiles in vector instructions.
pub(crate) fn is_faster() -> bool {
    #[cfg(target_arch = "x86_64")]
    return crate::simd::has_avx2();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// `out = a b`, or `out += a b` where `add`; rows of `out` are `stride` apart. Every element is the sum of
/// one chain of fused additions for each [`DEPTH`] of the inner size: it depends neither on how many rows and
/// columns there are nor on the number of threads.
///
/// Columns of the result are shared out: who makes some of them lays out those of `b`, sixteen of them and a part of the
/// inner size at a time, and goes over rows while they are in its cache. Threads take the next columns before they have
/// gone over the last sixteen, and ask for them meanwhile.
///
/// Gives the sum of squares of the result where it comes with making it, rounded as in `f32` for sixteen values at a
/// time, the same for any number of threads.
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
) -> Option<f64> {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    // What a transposed left matrix gives is a gradient of weights, which nobody reads before all are there.
    let is_for_later =
        a.strides[0] == 1 && k <= DEPTH && m * n >= STREAMED && !add && tall() == WIDE;
    let out = Target::new(&mut out[..(m - 1) * stride + n], stride);
    let mut squares = vec![[0.0; WIDE]; if is_for_later { n.div_ceil(WIDE) } else { 0 }];
    let out = if is_for_later { out.for_later(&mut squares) } else { out };
    // Safety: as the caller says.
    unsafe { make(out, add, a, b) };
    // In whole tiles alone, so that they are the same wherever matrices lie.
    let is_whole = m.is_multiple_of(WIDE) && n.is_multiple_of(WIDE);
    let squares = (is_for_later && is_whole).then(|| squares.as_flattened().iter().sum());
    squares.filter(|squares| KNOWN.contains(squares))
}

/// [`product`] into a part of memory.
///
/// # Safety
/// With `add`, the values of the result are there.
#[allow(unsafe_code, reason = "results are written before anybody reads them")]
unsafe fn make(out: Target<'_>, add: bool, a: View<'_>, b: View<'_>) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let depth = k.div_ceil(k.div_ceil(DEPTH));
    let is_parallel = takes_threads(m, n, k);
    let n_threads = if is_parallel { rayon::current_num_threads() } else { 1 };
    let go = |a: &LeftRows<'_>| {
        let most = if a.rows.len() > most_rows() { KEPT_COLUMNS } else { COLUMNS };
        let shares = Shares { next: AtomicUsize::new(0), n, n_threads, most };
        let work = |_| {
            let mut taken = shares.take();
            while let Some(columns) = taken {
                let part = Part { a, b, columns, shares: &shares };
                // Safety: no other task has these columns, and the caller vouches for what is added to.
                taken = unsafe { part.make(out, add) };
            }
        };
        if is_parallel {
            (0..n_threads).into_par_iter().with_max_len(1).for_each(work);
        } else {
            work(0);
        }
    };
    let worth = match a.strides {
        [1, column]
            if tall() == WIDE && m * k <= ACROSS && lie_in_lines(a.data.as_ptr(), column) =>
        {
            n + 1
        }
        [_, 1] if tall() == WIDE => WORTH_PACKING_WIDE,
        [_, 1] => WORTH_PACKING,
        [1, _] => WORTH_TURNING,
        _ => 0,
    };
    if n < worth {
        return go(&LeftRows { a, rows: 0..m, inner: 0..k, depth, packed: None });
    }
    let rows = LEFT_ROWS.min(m).next_multiple_of(tall());
    // Whole parts of the inner size.
    let span = ((LEFT / rows / depth).max(1) * depth).min(k);
    with_room(&PACKED, rows * span, |room| {
        for start in (0..k).step_by(span) {
            for top in (0..m).step_by(rows) {
                let mut left = LeftRows {
                    a,
                    rows: top..(top + rows).min(m),
                    inner: start..(start + span).min(k),
                    depth,
                    packed: None,
                };
                let room = &mut room[..left.rows.len().next_multiple_of(tall()) * left.inner.len()];
                left.lay_out(room, is_parallel);
                left.packed = Some(room);
                go(&left);
            }
        }
    });
}

/// Columns that threads take in turn.
struct Shares {
    /// The first that nobody has.
    next: AtomicUsize,
    n: usize,
    n_threads: usize,
    /// Most columns at a time.
    most: usize,
}

impl Shares {
    /// Columns from `start` on, in whole panels, fewer the fewer are left: threads, which are rarely of one speed, come
    /// to their ends together.
    fn from(&self, start: usize) -> Range<usize> {
        let len = if self.n_threads == 1 {
            self.most
        } else {
            let left = (self.n - start) / (2 * self.n_threads);
            left.next_multiple_of(WIDE).clamp(FEWEST, self.most)
        };
        start..(start + len).min(self.n)
    }

    /// The next columns, for the thread that asks alone.
    fn take(&self) -> Option<Range<usize>> {
        let step = |start| (start < self.n).then(|| self.from(start).end);
        let start = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok()?;
        Some(self.from(start))
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
        let sizes = [
            [1, 1, 1],
            [7, 33, 40],
            [13, 385, 17],
            [97, 9, 130],
            [6, 800, 16],
            [250, 800, 130],
            [200, 390, 800],
            [208, 390, 192],
            [304, 150, 160],
            // To be read later, where the left one lies across.
            [1040, 20, 512],
            [LEFT_ROWS + 8, 9, 300],
            [700, 3200, 8],
        ];
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

    /// Of gradients large enough to pass the cache by, the sum of squares against that of the values, the same to the bit
    /// for any number of threads and wherever matrices lie; none where a square is too large for `f32` or may be too
    /// small, or where sums are added to what is there.
    #[test]
    fn squares_come_with_large_gradients() {
        let (m, k, n) = (1040, 20, 512);
        let (a, b) = (values(m * k, 7), values(k * n, 5));
        for (scale, add, is_known) in
            [(1.0, false, true), (1.0, true, false), (1e-17, false, false), (1e20, false, false)]
        {
            let results = [(1, 0), (3, 0), (1, 3)].map(|(n_threads, skipped)| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
                let left: Vec<f32> = vec![0.0; skipped];
                let left: Vec<f32> = left.into_iter().chain(a.iter().map(|x| x * scale)).collect();
                let across = View::new(&left[skipped..], k, m).transposed();
                let mut out = vec![0.0; skipped + m * n];
                #[allow(unsafe_code, reason = "as in `run`")]
                // Safety: numbers are written over numbers.
                let squares = pool.install(|| unsafe {
                    let out = crate::host::as_room(&mut out[skipped..]);
                    product(out, n, add, across, View::new(&b, k, n))
                });
                (out.split_off(skipped), squares)
            });
            let (out, squares) = &results[0];
            let exact: f64 = out.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
            assert_eq!(squares.is_some(), is_known && tall() == WIDE, "{scale} {add}");
            assert!(squares.is_none_or(|found| (found / exact - 1.0).abs() < 1e-6), "{scale}");
            assert!(results.iter().all(|other| *other == results[0]), "{scale} {add}");
        }
    }
}
