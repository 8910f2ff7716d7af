//! Rows of the left matrix of a product, where they lie or laid out.

use std::ops::Range;

use rayon::prelude::*;

use crate::gemm::View;
use crate::tile::{LOW, Left, WIDE, ask_for, tall};

/// Some rows of `a` and some of the inner size.
pub(super) struct LeftRows<'a> {
    pub(super) a: View<'a>,
    pub(super) rows: Range<usize>,
    pub(super) inner: Range<usize>,
    /// Most of the inner size at a time.
    pub(super) depth: usize,
    /// Not where they lie but laid out: for each part of the inner size tile after tile, [`tall`] rows each.
    pub(super) packed: Option<&'a [f32]>,
}

/// Tiles of `a` that one task lays out.
const GROUP: usize = 16;

/// Values of rows that lie across are asked for so many before they are read: they lie too far apart for the processor
/// to do so.
const AHEAD: usize = 8;

impl LeftRows<'_> {
    /// A part of the inner size, from row `top` of these on, which begins a tile.
    pub(super) fn part(&self, inner: &Range<usize>, top: usize) -> Left<'_> {
        if let Some(packed) = self.packed {
            assert!(top.is_multiple_of(tall()), "rows that are laid out begin a tile");
            let parts_before = inner.start - self.inner.start;
            let rows = self.rows.len().next_multiple_of(tall());
            return Left::Packed(&packed[parts_before * rows + top * inner.len()..]);
        }
        let [row, column] = self.a.strides;
        let data = &self.a.data[(self.rows.start + top) * row + inner.start * column..];
        if column == 1 { Left::Rows(data, row) } else { Left::Columns(data, column) }
    }

    /// Lays the rows out in `room`.
    pub(super) fn lay_out(&self, room: &mut [f32], is_parallel: bool) {
        let rows = self.rows.len().next_multiple_of(tall());
        let part = |(i, room): (usize, &mut [f32])| {
            let (start, k) = (self.inner.start + i * self.depth, room.len() / rows);
            let group = |(i, room): (usize, &mut [f32])| {
                let top = i * GROUP * tall();
                if tall() == WIDE {
                    self.lay_out_tiles::<WIDE>(top, start..start + k, room);
                } else {
                    self.lay_out_tiles::<LOW>(top, start..start + k, room);
                }
            };
            if is_parallel {
                room.par_chunks_mut(GROUP * tall() * k).enumerate().for_each(group);
            } else {
                room.chunks_mut(GROUP * tall() * k).enumerate().for_each(group);
            }
        };
        if is_parallel {
            room.par_chunks_mut(rows * self.depth).enumerate().for_each(part);
        } else {
            room.chunks_mut(rows * self.depth).enumerate().for_each(part);
        }
    }

    /// Lays out tiles from row `top` on; rows that are missing in the last one are left as they are.
    fn lay_out_tiles<const TALL: usize>(&self, top: usize, inner: Range<usize>, room: &mut [f32]) {
        let [row, column] = self.a.strides;
        let k = inner.len();
        let data = &self.a.data[(self.rows.start + top) * row + inner.start * column..];
        let rows_left = self.rows.len() - top;
        if column == 1 {
            for (tile, room) in room.chunks_mut(TALL * k).enumerate() {
                let lines = room.as_chunks_mut::<TALL>().0;
                let first = tile * TALL;
                if rows_left - first >= TALL {
                    let from: [&[f32]; TALL] =
                        std::array::from_fn(|r| &data[(first + r) * row..][..k]);
                    for (i, line) in lines.iter_mut().enumerate() {
                        *line = std::array::from_fn(|r| from[r][i]);
                    }
                } else {
                    for r in 0..rows_left - first {
                        for (line, value) in lines.iter_mut().zip(&data[(first + r) * row..]) {
                            line[r] = *value;
                        }
                    }
                }
            }
            return;
        }
        let width = rows_left.min(room.len() / k);
        for i in 0..k {
            let from = &data[i * column..];
            if row == 1 && i + AHEAD < k {
                ask_for(&data[(i + AHEAD) * column..][..width]);
            }
            for (tile, room) in room.chunks_mut(TALL * k).enumerate() {
                let to = &mut room[i * TALL..(i + 1) * TALL];
                let first = tile * TALL;
                let here = (rows_left - first).min(TALL);
                if row == 1 && here == TALL {
                    to.copy_from_slice(&from[first..first + TALL]);
                } else {
                    for (r, value) in to[..here].iter_mut().enumerate() {
                        *value = from[(first + r) * row];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twenty rows from the third on, five of the inner size from the second on, however they lie.
    fn check<const TALL: usize>() {
        let data: Vec<f32> = (0..50 * 50).map(|i| i as f32).collect();
        for strides in [[50, 1], [1, 50], [20, 3]] {
            let a = View { data: &data, rows: 25, columns: 9, strides };
            let left = LeftRows { a, rows: 3..23, inner: 0..9, depth: 9, packed: None };
            let mut room = vec![f32::NAN; 20_usize.next_multiple_of(TALL) * 5];
            left.lay_out_tiles::<TALL>(0, 2..7, &mut room);
            for (r, i) in (0..20).flat_map(|r| (0..5).map(move |i| (r, i))) {
                let found = room[(r / TALL * 5 + i) * TALL + r % TALL];
                let exact = data[(r + 3) * strides[0] + (i + 2) * strides[1]];
                assert_eq!(found.to_bits(), exact.to_bits(), "{TALL} {strides:?}: row {r}, {i}");
            }
        }
    }

    #[test]
    fn rows_are_laid_out_for_tiles_of_both_heights() {
        check::<LOW>();
        check::<WIDE>();
    }
}
