//! Attention over slices: products of blocks, with softmax between them in place.

use std::ops::Range;

use rayon::prelude::*;

use crate::HeadShape;
use crate::gemm::{View, product};
use crate::simd;
use luffy_core::{Packing, Segment};

/// Rows of scores that a block of queries makes, one for each query and head of a group: few enough to stay in
/// the cache between the two products.
const BLOCK_ROWS: usize = 128;

/// What the way back starts from; shapes as in [`super::attention`].
pub(super) struct Known<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) sums: &'a [f32],
    pub(super) d_out: &'a [f32],
}

/// One key head of one segment.
struct Part<'a> {
    heads: HeadShape,
    segment: &'a Segment,
    kv_head: usize,
}

impl Part<'_> {
    fn n_keys(&self) -> usize {
        self.segment.prefix_len() + self.segment.len()
    }

    /// The packed places of its keys: prefix, then own.
    fn key_places(&self) -> impl Iterator<Item = usize> {
        self.segment.prefix.clone().into_iter().flatten().chain(self.segment.tokens.clone())
    }

    /// Where its numbers lie in row `place` of keys or values.
    fn key_range(&self, place: usize) -> Range<usize> {
        let hd = self.heads.head_dim;
        let start = (place * self.heads.n_kv_heads + self.kv_head) * hd;
        start..start + hd
    }

    /// Gathers keys or values, `[n_keys, hd]`.
    fn gather_keys(&self, all: &[f32], out: &mut Vec<f32>) {
        out.clear();
        for place in self.key_places() {
            out.extend_from_slice(&all[self.key_range(place)]);
        }
    }

    /// Adds the rows of `part` to keys or values.
    fn scatter_keys(&self, part: &[f32], all: &mut [f32]) {
        for (place, row) in self.key_places().zip(part.chunks(self.heads.head_dim)) {
            for (sum, x) in all[self.key_range(place)].iter_mut().zip(row) {
                *sum += x;
            }
        }
    }

    /// Blocks of queries, as places in the segment.
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let (len, size) = (self.segment.len(), (BLOCK_ROWS / self.heads.group()).max(1));
        (0..len).step_by(size).map(move |start| start..(start + size).min(len))
    }

    /// For each row of a block its query (place in the segment) and packed head index `token * n_heads + head`;
    /// heads of the group one after the other, queries within.
    fn rows(&self, block: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        let (heads, kv_head, first) = (self.heads, self.kv_head, self.segment.tokens.start);
        (0..heads.group()).flat_map(move |g| {
            let head = kv_head * heads.group() + g;
            block.clone().map(move |query| (query, (first + query) * heads.n_heads + head))
        })
    }

    /// The packed head indices of the rows of all its blocks.
    fn all_rows(&self) -> impl Iterator<Item = usize> {
        self.blocks().flat_map(|block| self.rows(block)).map(|(_, at)| at)
    }

    /// How many those are.
    fn n_rows(&self) -> usize {
        self.segment.len() * self.heads.group()
    }

    /// Gathers queries, outputs or their derivatives of a block, `[group * block, hd]`.
    fn gather_rows(&self, all: &[f32], block: &Range<usize>, out: &mut Vec<f32>) {
        let hd = self.heads.head_dim;
        out.clear();
        for (_, at) in self.rows(block.clone()) {
            out.extend_from_slice(&all[at * hd..(at + 1) * hd]);
        }
    }
}

fn parts(heads: HeadShape, packing: &Packing) -> impl Iterator<Item = Part<'_>> {
    packing.segments.iter().flat_map(move |segment| {
        (0..heads.n_kv_heads).map(move |kv_head| Part { heads, segment, kv_head })
    })
}

fn scale_of(heads: HeadShape) -> f32 {
    (heads.head_dim as f32).sqrt().recip()
}

/// Scratch and results of one part.
#[derive(Default)]
struct Room {
    keys: Vec<f32>,
    values: Vec<f32>,
    queries: Vec<f32>,
    /// Derivatives of the outputs.
    slopes: Vec<f32>,
    /// Scores of a block, and derivatives of its weights.
    scores: Vec<f32>,
    dscores: Vec<f32>,
    /// Results, those of rows in the order of blocks: outputs or derivatives of queries, and sums.
    rows: Vec<f32>,
    sums: Vec<f32>,
    dkeys: Vec<f32>,
    dvalues: Vec<f32>,
}

/// Makes parts, as many at a time as there are threads, and hands out the results in order.
fn in_order<'a>(
    heads: HeadShape,
    packing: &'a Packing,
    make: impl Fn(&Part<'a>, &mut Room) + Sync,
    mut done: impl FnMut(&Part<'a>, &Room),
) {
    let parts: Vec<Part<'_>> = parts(heads, packing).collect();
    let mut rooms: Vec<Room> = Vec::new();
    rooms.resize_with(rayon::current_num_threads().min(parts.len()), Room::default);
    for parts in parts.chunks(rooms.len().max(1)) {
        if let ([part], [room, ..]) = (parts, &mut rooms[..]) {
            make(part, room);
        } else {
            parts.par_iter().zip(&mut rooms).for_each(|(part, room)| make(part, room));
        }
        for (part, room) in parts.iter().zip(&rooms) {
            done(part, room);
        }
    }
}

/// Output; and of each row of weights the largest score and the inverse of the sum, which make the same weights
/// again, to the bit: `[N, n_heads, 2]`.
pub(super) fn forward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    heads: HeadShape,
    packing: &Packing,
) -> (Vec<f32>, Vec<f32>) {
    let hd = heads.head_dim;
    let scale = scale_of(heads);
    let mut out = vec![0.0; q.len()];
    let mut sums = vec![0.0; packing.n_tokens() * heads.n_heads * 2];
    let make = |part: &Part<'_>, room: &mut Room| {
        let Room { keys, values, queries, scores, rows, sums, .. } = room;
        part.gather_keys(k, keys);
        part.gather_keys(v, values);
        rows.resize(part.n_rows() * hd, 0.0);
        sums.clear();
        let (before, mut done) = (part.segment.prefix_len(), 0);
        for block in part.blocks() {
            part.gather_rows(q, &block, queries);
            let (m, n) = (queries.len() / hd, before + block.end);
            debug_assert!(n <= part.n_keys());
            scores.resize(m * n, 0.0);
            let keys = View::new(&keys[..n * hd], n, hd);
            product(scores, n, false, View::new(queries, m, hd), keys.transposed());
            for ((query, _), row) in part.rows(block.clone()).zip(scores.chunks_mut(n)) {
                sums.extend(softmax_row(row, before + query + 1, scale));
            }
            let values = View::new(&values[..n * hd], n, hd);
            let mixed = &mut rows[done..done + m * hd];
            product(mixed, hd, false, View::new(scores, m, n), values);
            done += m * hd;
        }
    };
    in_order(heads, packing, make, |part, room| {
        let made = room.rows.chunks(hd).zip(room.sums.as_chunks::<2>().0);
        for (at, (row, of_row)) in part.all_rows().zip(made) {
            out[at * hd..(at + 1) * hd].copy_from_slice(row);
            sums[2 * at..2 * at + 2].copy_from_slice(of_row);
        }
    });
    (out, sums)
}

/// Derivatives with respect to queries, keys and values.
pub(super) fn backward(known: &Known<'_>, heads: HeadShape, packing: &Packing) -> [Vec<f32>; 3] {
    let Known { q, k, v, sums, d_out } = *known;
    let hd = heads.head_dim;
    let scale = scale_of(heads);
    let mut dq = vec![0.0; q.len()];
    let (mut dk, mut dv) = (vec![0.0; k.len()], vec![0.0; v.len()]);
    let make = |part: &Part<'_>, room: &mut Room| {
        let Room { keys, values, queries, slopes, scores, dscores, rows, dkeys, dvalues, .. } =
            room;
        part.gather_keys(k, keys);
        part.gather_keys(v, values);
        for sums in [&mut *dkeys, &mut *dvalues] {
            sums.clear();
            sums.resize(keys.len(), 0.0);
        }
        rows.resize(part.n_rows() * hd, 0.0);
        let (before, mut done) = (part.segment.prefix_len(), 0);
        for block in part.blocks() {
            part.gather_rows(q, &block, queries);
            part.gather_rows(d_out, &block, slopes);
            let (m, n) = (queries.len() / hd, before + block.end);
            scores.resize(m * n, 0.0);
            dscores.resize(m * n, 0.0);
            let (keys, values) =
                (View::new(&keys[..n * hd], n, hd), View::new(&values[..n * hd], n, hd));
            let (queries, slopes) = (View::new(queries, m, hd), View::new(slopes, m, hd));
            product(scores, n, false, queries, keys.transposed());
            product(dscores, n, false, slopes, values.transposed());
            let both = scores.chunks_mut(n).zip(dscores.chunks_mut(n));
            for ((query, at), (weights, dscores)) in part.rows(block.clone()).zip(both) {
                let sums = [sums[2 * at], sums[2 * at + 1]];
                softmax_row_back(weights, dscores, before + query + 1, scale, sums);
            }
            let (weights, dscores) = (View::new(scores, m, n), View::new(dscores, m, n));
            product(&mut dvalues[..n * hd], hd, true, weights.transposed(), slopes);
            product(&mut dkeys[..n * hd], hd, true, dscores.transposed(), queries);
            product(&mut rows[done..done + m * hd], hd, false, dscores, keys);
            done += m * hd;
        }
    };
    in_order(heads, packing, make, |part, room| {
        for (at, row) in part.all_rows().zip(room.rows.chunks(hd)) {
            dq[at * hd..(at + 1) * hd].copy_from_slice(row);
        }
        part.scatter_keys(&room.dkeys, &mut dk);
        part.scatter_keys(&room.dvalues, &mut dv);
    });
    [dq, dk, dv]
}

simd::vectorized! {
    /// Turns the first `n_seen` scores of a row into weights, the others into zeros; gives the largest score
    /// and the inverse of the sum.
    fn softmax_row(row: &mut [f32], n_seen: usize, scale: f32) -> [f32; 2] {
        let (seen, hidden) = row.split_at_mut(n_seen);
        let max = simd::max(seen);
        let sum = simd::exp_shifted(seen, max, scale);
        hidden.fill(0.0);
        let inverse = sum.recip();
        for weight in seen {
            *weight *= inverse;
        }
        [max, inverse]
    }

    /// Turns scores into weights and derivatives of weights into derivatives of scores. What is subtracted is
    /// summed from these same weights and not taken from the output: the derivatives of a row then sum to
    /// zero to the last bit or two, and nothing but their sum reaches the bias of the keys.
    fn softmax_row_back(
        weights: &mut [f32],
        dscores: &mut [f32],
        n_seen: usize,
        scale: f32,
        sums: [f32; 2],
    ) {
        let [max, inverse] = sums;
        let (weights, hidden) = weights.split_at_mut(n_seen);
        hidden.fill(0.0);
        let (dscores, hidden) = dscores.split_at_mut(n_seen);
        hidden.fill(0.0);
        for weight in weights.iter_mut() {
            *weight = simd::exp((*weight - max) * scale) * inverse;
        }
        let along = simd::dot(weights, dscores);
        for (weight, dscore) in weights.iter().zip(dscores) {
            *dscore = weight * (*dscore - along) * scale;
        }
    }
}
