//! The matrix product over slices.

use std::mem::MaybeUninit;

use gemm::Parallelism;

use crate::{blocked, host};

/// A matrix in a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Values between a row and the next, a column and the next.
    pub(crate) strides: [usize; 2],
}

impl<'a> View<'a> {
    /// Rows one after the other.
    pub(crate) const fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { data, rows, columns, strides: [columns, 1] }
    }

    pub(crate) const fn transposed(self) -> Self {
        let [row, column] = self.strides;
        Self { data: self.data, rows: self.columns, columns: self.rows, strides: [column, row] }
    }
}

/// Products below this many multiplications stay on one thread.
const PARALLEL: usize = 192 * 192 * 192;

/// Whether a product is shared between threads.
pub(crate) fn takes_threads(m: usize, n: usize, k: usize) -> bool {
    m * n * k >= PARALLEL && rayon::current_num_threads() > 1
}

/// `dst = a b`, or `dst += a b` where `add`; `dst` is `[a.rows, b.columns]`, its rows `row_stride` apart.
///
/// # Panics
/// If shapes do not fit or a matrix reaches out of its slice.
pub(crate) fn product(dst: &mut [f32], row_stride: usize, add: bool, a: View<'_>, b: View<'_>) {
    #[allow(unsafe_code, reason = "the results of one product are the summands of the next")]
    // Safety: the values are there to be read, and what is written over them are values.
    unsafe {
        into(host::as_room(dst), row_stride, add, a, b);
    }
}

/// `a b` in a buffer of its own, which is written once; and the sum of its squares where that comes with making it.
///
/// # Panics
/// If shapes do not fit or a matrix reaches out of its slice.
pub(crate) fn new_product(a: View<'_>, b: View<'_>) -> (Vec<f32>, Option<f64>) {
    let mut squares = None;
    #[allow(unsafe_code, reason = "a buffer that is written once is not filled with zeros before")]
    // Safety: without `add` all values are written and none is read.
    let out = unsafe {
        host::written(a.rows * b.columns, |out| squares = into(out, b.columns, false, a, b))
    };
    (out, squares)
}

/// By tiles or by the library, whichever is faster here. Writes every value of the result, and gives the sum of their
/// squares where it is known.
///
/// # Safety
/// With `add`, the values of the result are there.
///
/// # Panics
/// If shapes do not fit or a matrix reaches out of its slice.
#[allow(unsafe_code, reason = "the library takes pointers")]
unsafe fn into(
    dst: &mut [MaybeUninit<f32>],
    row_stride: usize,
    add: bool,
    a: View<'_>,
    b: View<'_>,
) -> Option<f64> {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(k, b.rows, "inner sizes of a product are equal");
    if m == 0 || n == 0 {
        return None;
    }
    assert!(row_stride >= n, "rows of a result do not overlap");
    assert!((m - 1) * row_stride + n <= dst.len(), "the result fits its slice");
    if k == 0 {
        for row in dst.chunks_mut(row_stride).take(if add { 0 } else { m }) {
            row[..n].fill(MaybeUninit::new(0.0));
        }
        return None;
    }
    let last = |rows: usize, columns: usize, [row, column]: [usize; 2]| {
        (rows - 1) * row + (columns - 1) * column
    };
    assert!(last(m, k, a.strides) < a.data.len(), "the left matrix lies in its slice");
    assert!(last(k, n, b.strides) < b.data.len(), "the right matrix lies in its slice");
    if blocked::is_faster() {
        // Safety: as the caller says.
        return unsafe { blocked::product(dst, row_stride, add, a, b) };
    }
    let parallelism =
        if takes_threads(m, n, k) { Parallelism::Rayon(0) } else { Parallelism::None };
    let stride =
        |stride: usize| isize::try_from(stride).expect("a slice is shorter than isize::MAX");
    // Safety: the largest offset of each matrix was checked against its slice, strides are not negative, and
    // the caller vouches for what is added to.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr().cast::<f32>(),
            1,
            stride(row_stride),
            add,
            a.data.as_ptr(),
            stride(a.strides[1]),
            stride(a.strides[0]),
            b.data.as_ptr(),
            stride(b.strides[1]),
            stride(b.strides[0]),
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            parallelism,
        );
    }
    None
}
