//! Rows with buffers of their own, behind beginnings that they share.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::HeadShape;
use crate::host;
use crate::simd;
use crate::tile::{Left, Next, Panel, WIDE, strip_into};
use luffy_core::Packing;

/// Keys and values of some positions of one sequence in one layer.
#[derive(Debug, Clone)]
struct Block {
    /// `[KV, capacity / 16, hd, 16]`: numbers of sixteen positions stand side by side, so that a query scores
    /// them at once, and what it reads lies in one piece.
    keys: Vec<f32>,
    /// `[KV, hd / 16, capacity, 16]`, `hd` padded: sixteen numbers of one position after the other.
    values: Vec<f32>,
    capacity: usize,
}

/// A sequence in one layer: what a first pass has read, which neighbours may share, and what came since. Every row has
/// both parts, so that what it computes does not depend on whether it shares the first.
#[derive(Debug, Clone)]
struct Row {
    beginning: Arc<Block>,
    /// Positions of the beginning.
    n_first: usize,
    own: Block,
}

/// All rows of all layers.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    heads: HeadShape,
    /// By layer, then row.
    layers: Vec<Vec<Row>>,
}

/// Blocks of sixteen keys between the one that is read and the one that is asked for.
const AHEAD: usize = 4;

const fn padded(n: usize) -> usize {
    n.div_ceil(WIDE) * WIDE
}

impl Block {
    fn new(heads: HeadShape, capacity: usize) -> Self {
        let (kv, hd) = (heads.n_kv_heads, heads.head_dim);
        Self {
            keys: vec![0.0; kv * hd * capacity],
            values: vec![0.0; kv * capacity * padded(hd)],
            capacity,
        }
    }

    /// Writes keys and values `[KV * hd]` of position `at`.
    fn write(&mut self, heads: HeadShape, at: usize, k: &[f32], v: &[f32]) {
        let hd = heads.head_dim;
        for (head, (k, v)) in k.chunks(hd).zip(v.chunks(hd)).enumerate() {
            for (c, x) in k.iter().enumerate() {
                self.keys[(head * self.capacity + at / WIDE * WIDE) * hd + c * WIDE + at % WIDE] =
                    *x;
            }
            for (part, v) in v.chunks(WIDE).enumerate() {
                let parts = padded(hd) / WIDE;
                let start = ((head * parts + part) * self.capacity + at) * WIDE;
                self.values[start..start + v.len()].copy_from_slice(v);
            }
        }
    }

    /// Room for position `at`, half as much again where it must grow.
    fn reserve(&mut self, heads: HeadShape, at: usize) {
        if at < self.capacity {
            return;
        }
        let capacity = padded(at + 1 + at / 2);
        let mut larger = Self::new(heads, capacity);
        let grow = |from: &[f32], to: &mut [f32], width: usize| {
            let (old, new) = (self.capacity * width, capacity * width);
            if old > 0 {
                for (from, to) in from.chunks(old).zip(to.chunks_mut(new)) {
                    to[..old].copy_from_slice(from);
                }
            }
        };
        grow(&self.keys, &mut larger.keys, heads.head_dim);
        grow(&self.values, &mut larger.values, WIDE);
        *self = larger;
    }

    /// The keys of a head at the first `len` positions, sixteen positions after sixteen, `hd` lines each.
    fn keys_of(&self, Head { hd, kv_head }: Head, len: usize) -> &[[f32; WIDE]] {
        let size = hd * self.capacity;
        self.keys[kv_head * size..][..len.div_ceil(WIDE) * hd * WIDE].as_chunks().0
    }

    /// Sixteen numbers of each value of a head, a line for each of the first `len` positions.
    fn values_of(&self, Head { hd, kv_head }: Head, part: usize, len: usize) -> &[[f32; WIDE]] {
        let start = (kv_head * padded(hd) / WIDE + part) * self.capacity * WIDE;
        self.values[start..][..len * WIDE].as_chunks().0
    }

    /// Scores of queries `[n, hd]` of a key head for the first `len` positions, `stride` from query to query; `next` is
    /// read after that.
    fn score(
        &self,
        head: Head,
        len: usize,
        q: &[f32],
        (scores, stride): (&mut [f32], usize),
        next: &[[f32; WIDE]],
    ) {
        let hd = head.hd;
        let blocks = self.keys_of(head, len).chunks(hd);
        let later =
            blocks.clone().chain(next.chunks(hd)).skip(AHEAD).chain(std::iter::repeat(&[][..]));
        for (i, (lines, next)) in blocks.zip(later).enumerate() {
            let panel = Panel { lines, next: Next::Lines(next) };
            let scores = &mut scores[i * WIDE..];
            strip_into(q.len() / hd, panel, Left::Rows(q, hd), scores, stride, false);
        }
    }

    /// Values of the first `len` positions mixed by weights, `stride` from row to row, into rows of `hd` padded, or
    /// added to them; `next` is read after that.
    fn mix(
        &self,
        head: Head,
        len: usize,
        (weights, stride): (&[f32], usize),
        (mixed, add): (&mut [f32], bool),
        next: &[[f32; WIDE]],
    ) {
        let width = padded(head.hd);
        let n = mixed.len() / width;
        let parts = width / WIDE;
        for part in 0..parts {
            let lines = self.values_of(head, part, len);
            let next = if part + 1 < parts { self.values_of(head, part + 1, len) } else { next };
            let panel = Panel { lines, next: Next::Lines(next) };
            let mixed = &mut mixed[part * WIDE..];
            strip_into(n, panel, Left::Rows(weights, stride), mixed, width, add);
        }
    }
}

/// Which key head, and how large.
#[derive(Debug, Clone, Copy)]
struct Head {
    kv_head: usize,
    hd: usize,
}

/// Neighbouring rows that share their beginning, with what goes in and comes out.
struct Run<'a> {
    rows: &'a mut [Row],
    /// Positions of each row before this one.
    lens: &'a [usize],
    /// `[rows, H * hd]`, and `[rows, KV * hd]`.
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    /// `[rows, H * hd]`.
    out: &'a mut [f32],
    /// The largest score and the inverse of the sum, `[rows, H, 2]`.
    sums: &'a mut [f32],
}

/// Scratch of one thread.
#[derive(Default)]
struct Room {
    queries: Vec<f32>,
    /// Scores of the beginning, and of what came since.
    first: Vec<f32>,
    own: Vec<f32>,
    mixed: Vec<f32>,
}

simd::vectorized! {
    /// Turns scores in two parts into weights that are not yet divided by their sum; gives the largest and the inverse
    /// of the sum.
    fn weigh(first: &mut [f32], own: &mut [f32], scale: f32) -> [f32; 2] {
        let (a, b) = (simd::max(first), simd::max(own));
        let max = if a > b { a } else { b };
        let sum = simd::exp_shifted(first, max, scale) + simd::exp_shifted(own, max, scale);
        [max, sum.recip()]
    }
}

impl Run<'_> {
    /// Adds the new position to every row and lets its queries attend.
    fn attend(self, heads: HeadShape, room: &mut Room) {
        let Run { rows, lens, q, k, v, out, sums } = self;
        let (hd, group, narrow) =
            (heads.head_dim, heads.group(), heads.n_kv_heads * heads.head_dim);
        for (((row, len), k), v) in
            rows.iter_mut().zip(lens).zip(k.chunks(narrow)).zip(v.chunks(narrow))
        {
            let at = len - row.n_first;
            row.own.reserve(heads, at);
            row.own.write(heads, at, k, v);
        }
        let wide = heads.n_heads * hd;
        let scale = (hd as f32).sqrt().recip();
        let (beginning, n_first) = (Arc::clone(&rows[0].beginning), rows[0].n_first);
        let first_stride = beginning.capacity;
        let own_stride = rows.iter().map(|row| row.own.capacity).max().unwrap_or(0);
        let (n, width) = (rows.len() * group, padded(hd));
        room.first.resize(n * first_stride, 0.0);
        room.own.resize(n * own_stride, 0.0);
        room.mixed.resize(n * width, 0.0);
        for kv_head in 0..heads.n_kv_heads {
            let head = Head { kv_head, hd };
            let heads_of_group = kv_head * group * hd..(kv_head + 1) * group * hd;
            room.queries.clear();
            for q in q.chunks(wide) {
                room.queries.extend_from_slice(&q[heads_of_group.clone()]);
            }
            let n_own = |i: usize| lens[i] + 1 - n_first;
            let keys_of = |i: usize| rows[i].own.keys_of(head, n_own(i));
            let values_of = |i: usize| rows[i].own.values_of(head, 0, n_own(i));
            let scores = (&mut room.first[..], first_stride);
            beginning.score(head, n_first, &room.queries, scores, keys_of(0));
            for (i, row) in rows.iter().enumerate() {
                let q = &room.queries[i * group * hd..][..group * hd];
                let scores = &mut room.own[i * group * own_stride..][..group * own_stride];
                let next = if i + 1 < rows.len() { keys_of(i + 1) } else { &[] };
                row.own.score(head, n_own(i), q, (scores, own_stride), next);
            }
            let scores = room
                .first
                .chunks_mut(first_stride)
                .zip(room.own.chunks_mut(own_stride))
                .enumerate();
            for (i, (first, own)) in scores.take(n) {
                let (row, of_group) = (i / group, i % group);
                let of_row =
                    weigh(&mut first[..n_first], &mut own[..lens[row] + 1 - n_first], scale);
                let at = 2 * (row * heads.n_heads + kv_head * group + of_group);
                sums[at..at + 2].copy_from_slice(&of_row);
            }
            let (weights, mixed) = ((&room.first[..], first_stride), (&mut room.mixed[..], false));
            beginning.mix(head, n_first, weights, mixed, values_of(0));
            for (i, row) in rows.iter().enumerate() {
                let weights = &room.own[i * group * own_stride..][..group * own_stride];
                let mixed = &mut room.mixed[i * group * width..][..group * width];
                let next = if i + 1 < rows.len() { values_of(i + 1) } else { &[] };
                row.own.mix(head, n_own(i), (weights, own_stride), (mixed, true), next);
            }
            for (i, mixed) in room.mixed.chunks_exact(width).take(n).enumerate() {
                let at = i / group * heads.n_heads + kv_head * group + i % group;
                let inverse = sums[2 * at + 1];
                for (out, x) in out[at * hd..(at + 1) * hd].iter_mut().zip(mixed) {
                    *out = x * inverse;
                }
            }
        }
    }
}

impl Rows {
    pub(super) fn new(
        layers: &[(Tensor<2>, Tensor<2>)],
        heads: HeadShape,
        packing: &Packing,
    ) -> Self {
        let width = heads.n_kv_heads * heads.head_dim;
        let rows = |(k, v): &(Tensor<2>, Tensor<2>)| {
            let read = |x| host::values(x).expect("the caller has looked");
            let (k, v) = (read(k), read(v));
            let row = |segment: &luffy_core::Segment| {
                let n_first = segment.len();
                let mut beginning = Block::new(heads, padded(n_first));
                for (at, place) in segment.tokens.clone().enumerate() {
                    let part = place * width..(place + 1) * width;
                    beginning.write(heads, at, &k[part.clone()], &v[part]);
                }
                Row { beginning: Arc::new(beginning), n_first, own: Block::new(heads, 0) }
            };
            packing.segments.iter().map(row).collect()
        };
        Self { heads, layers: layers.iter().map(rows).collect() }
    }

    /// Output, and what makes the weights again, as in [`crate::Attended`].
    pub(super) fn attend(
        &mut self,
        layer: usize,
        lens: &[usize],
        q: &[f32],
        k: &[f32],
        v: &[f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let heads = self.heads;
        let (wide, narrow) = (heads.n_heads * heads.head_dim, heads.n_kv_heads * heads.head_dim);
        let rows = &mut self.layers[layer];
        let mut out = vec![0.0; q.len()];
        let mut sums = vec![0.0; rows.len() * heads.n_heads * 2];
        let n_threads = rayon::current_num_threads();
        let most = rows.len().div_ceil(n_threads).max(1);
        let mut runs: Vec<Run<'_>> = vec![];
        let cuts = runs_of(rows, most);
        let (mut rest, mut out_rest, mut sums_rest) = (&mut rows[..], &mut out[..], &mut sums[..]);
        for run in cuts {
            let n = run.len();
            let (rows, others) = rest.split_at_mut(n);
            let (out, others_out) = out_rest.split_at_mut(n * wide);
            let (sums, others_sums) = sums_rest.split_at_mut(n * heads.n_heads * 2);
            (rest, out_rest, sums_rest) = (others, others_out, others_sums);
            runs.push(Run {
                rows,
                lens: &lens[run.clone()],
                q: &q[run.start * wide..run.end * wide],
                k: &k[run.start * narrow..run.end * narrow],
                v: &v[run.start * narrow..run.end * narrow],
                out,
                sums,
            });
        }
        if n_threads > 1 {
            runs.into_par_iter().for_each_init(Room::default, |room, run| run.attend(heads, room));
        } else {
            let mut room = Room::default();
            for run in runs {
                run.attend(heads, &mut room);
            }
        }
        (out, sums)
    }

    pub(super) fn select(&mut self, rows: &[u32]) {
        for layer in &mut self.layers {
            // A row that is wanted once moves; only further uses are copies, and share the beginning.
            let mut left: Vec<usize> = vec![0; layer.len()];
            for row in rows {
                left[*row as usize] += 1;
            }
            let mut old: Vec<Option<Row>> = layer.drain(..).map(Some).collect();
            for row in rows {
                let row = *row as usize;
                left[row] -= 1;
                let kept = if left[row] == 0 { old[row].take() } else { old[row].clone() };
                layer.extend(kept);
            }
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        for (own, other) in self.layers.iter_mut().zip(other.layers) {
            own.extend(other);
        }
    }
}

/// Neighbours with one beginning, at most `most` together.
fn runs_of(rows: &[Row], most: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = vec![];
    for (i, row) in rows.iter().enumerate() {
        match runs.last_mut() {
            Some(run)
                if run.len() < most && Arc::ptr_eq(&rows[run.start].beginning, &row.beginning) =>
            {
                run.end = i + 1;
            }
            _ => runs.push(i..i + 1),
        }
    }
    runs
}
