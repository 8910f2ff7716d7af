//! Some columns of a product: their panels are laid out, and rows go over them.

use std::ops::Range;

use super::left::LeftRows;
use super::{PANELS, Shares, most_rows, with_room};
use crate::gemm::View;
use crate::tile::{Columns, Next, Panel, Target, WIDE, laying_strip, narrow_strip, turn};

/// Some columns of the result.
pub(super) struct Part<'a> {
    pub(super) a: &'a LeftRows<'a>,
    pub(super) b: View<'a>,
    pub(super) columns: Range<usize>,
    pub(super) shares: &'a Shares,
}

impl Part<'_> {
    /// Makes these columns of the result, and takes the next before rows go over the last panel: so they are asked for by
    /// who lays them out.
    ///
    /// # Safety
    /// Nobody else touches these columns of the result meanwhile; with `add`, their values are there.
    #[allow(unsafe_code, reason = "results are written before anybody reads them")]
    pub(super) unsafe fn make(&self, out: Target<'_>, add: bool) -> Option<Range<usize>> {
        let Self { a, b, columns, .. } = self;
        let depth = a.depth;
        let out = out.at(a.rows.start, columns.start);
        let n_panels = columns.len().div_ceil(WIDE);
        // Panels that are kept begin in different sets of the cache.
        let panel = (depth + 1) * WIDE;
        let most_rows = most_rows();
        let n_kept = if a.rows.len() > most_rows { n_panels } else { 1 };
        let mut taken = None;
        with_room(&PANELS, n_kept * panel, |panels| {
            for start in a.inner.clone().step_by(depth) {
                let inner = start..(start + depth).min(a.inner.end);
                let add = add || start > 0;
                for top in (0..a.rows.len()).step_by(most_rows) {
                    let height = (a.rows.len() - top).min(most_rows);
                    let left = a.part(&inner, top);
                    for i in 0..n_panels {
                        let panel = &mut panels[i % n_kept * panel..];
                        let lines = &mut panel.as_chunks_mut::<WIDE>().0[..inner.len()];
                        let out = out.at(top, i * WIDE);
                        let first = columns.start + i * WIDE;
                        let columns = first..columns.end.min(first + WIDE);
                        if top > 0 {
                            let panel = Panel { lines, next: Next::Unknown };
                            // Safety: as the caller says, or a part was there before this.
                            unsafe { narrow_strip(height, panel, left, out, columns.len(), add) };
                            continue;
                        }
                        let next = if i + 1 < n_panels {
                            self.next(inner.start, columns.end)
                        } else if inner.end < a.inner.end {
                            self.next(inner.end, self.columns.start)
                        } else {
                            taken = self.shares.take();
                            taken.as_ref().map_or(Next::Unknown, |columns| {
                                self.next(a.inner.start, columns.start)
                            })
                        };
                        if b.strides[1] == 1 && columns.len() == WIDE {
                            let stride = b.strides[0];
                            let data = &b.data[inner.start * stride + first..];
                            let columns = Columns { data, stride, lines, next };
                            // Safety: as above.
                            unsafe { laying_strip(height, columns, left, out, add) };
                        } else {
                            lay_out(*b, inner.start, columns.clone(), lines);
                            let panel = Panel { lines, next };
                            // Safety: as above.
                            unsafe { narrow_strip(height, panel, left, out, columns.len(), add) };
                        }
                    }
                }
            }
        });
        out.finish();
        taken
    }

    /// What is laid out next: sixteen columns of `b`, from this row and column on.
    fn next(&self, row: usize, column: usize) -> Next<'_> {
        let strides = self.b.strides;
        Next::Part { data: &self.b.data[row * strides[0] + column * strides[1]..], strides }
    }
}

/// Lays out up to sixteen columns of `b`, from this row on, the missing ones as zeros.
fn lay_out(b: View<'_>, start: usize, columns: Range<usize>, lines: &mut [[f32; WIDE]]) {
    let [row, column] = b.strides;
    let data = &b.data[start * row + columns.start * column..];
    let mut done = 0;
    if row == 1 && columns.len() == WIDE {
        let (eights, _) = lines.as_chunks_mut::<8>();
        for (i, eight) in eights.iter_mut().enumerate() {
            turn(&data[8 * i..], column, eight, 0);
            turn(&data[8 * i + 8 * column..], column, eight, 8);
        }
        done = eights.len() * 8;
    }
    for (i, line) in lines.iter_mut().enumerate().skip(done) {
        for (j, value) in line.iter_mut().enumerate() {
            *value = if j < columns.len() { data[i * row + j * column] } else { 0.0 };
        }
    }
}
