//! Rows with buffers of their own.

use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::HeadShape;
use crate::host;
use crate::simd;
use crate::tile::{Left, WIDE, outer};
use luffy_core::Packing;

/// Keys and values of one sequence in one layer.
#[derive(Debug, Clone)]
struct Row {
    /// `[KV, capacity / 16, hd, 16]`: numbers of sixteen positions stand side by side, so that a query scores
    /// them at once, and what it reads lies in one piece.
    keys: Vec<f32>,
    /// `[KV, hd / 16, capacity, 16]`, `hd` padded: sixteen numbers of one position after the other.
    values: Vec<f32>,
    capacity: usize,
}

/// All rows of all layers.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    heads: HeadShape,
    /// By layer, then row.
    layers: Vec<Vec<Row>>,
}

const fn padded(n: usize) -> usize {
    n.div_ceil(WIDE) * WIDE
}

impl Row {
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
            for (from, to) in from.chunks(old).zip(to.chunks_mut(new)) {
                to[..old].copy_from_slice(from);
            }
        };
        grow(&self.keys, &mut larger.keys, heads.head_dim);
        grow(&self.values, &mut larger.values, WIDE);
        *self = larger;
    }

    /// Attention of the queries `[H * hd]` to the first `len` positions.
    fn attend(&self, heads: HeadShape, len: usize, q: &[f32], found: Out<'_>, room: &mut Room) {
        let (hd, group) = (heads.head_dim, heads.group());
        let scale = (hd as f32).sqrt().recip();
        room.scores.resize(4 * self.capacity, 0.0);
        room.mixed.resize(4 * padded(hd), 0.0);
        for kv_head in 0..heads.n_kv_heads {
            let keys = &self.keys[kv_head * hd * self.capacity..][..hd * self.capacity];
            let size = self.capacity * padded(hd);
            let values = &self.values[kv_head * size..][..size];
            let mut first = kv_head * group;
            let end = first + group;
            while first < end {
                // Heads of a group read the same keys: as many at once as fit the registers.
                let n = match end - first {
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                let part = first * hd..(first + n) * hd;
                let sums = &mut found.sums[2 * first..2 * (first + n)];
                let (q, found) = (&q[part.clone()], Out { mixed: &mut found.mixed[part], sums });
                let head = Head { keys, values, capacity: self.capacity, hd, len, scale };
                match n {
                    4 => head.attend::<4>(q, found, room),
                    2 => head.attend::<2>(q, found, room),
                    _ => head.attend::<1>(q, found, room),
                }
                first += n;
            }
        }
    }
}

/// What attention gives for some heads of one row.
struct Out<'a> {
    /// `[heads * hd]`.
    mixed: &'a mut [f32],
    /// The largest score and the inverse of the sum of each, `[heads * 2]`.
    sums: &'a mut [f32],
}

/// Scratch of one thread.
#[derive(Default)]
struct Room {
    scores: Vec<f32>,
    mixed: Vec<f32>,
}

/// One key head of one row.
struct Head<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    capacity: usize,
    hd: usize,
    len: usize,
    scale: f32,
}

simd::vectorized! {
    /// Turns scores into weights that are not yet divided by their sum; gives the largest and the inverse of
    /// the sum.
    fn weigh(scores: &mut [f32], scale: f32) -> [f32; 2] {
        let max = simd::max(scores);
        [max, simd::exp_shifted(scores, max, scale).recip()]
    }
}

impl Head<'_> {
    /// `G` query heads at once.
    fn attend<const G: usize>(&self, q: &[f32], found: Out<'_>, room: &mut Room) {
        let Room { scores, mixed } = room;
        let scores = &mut scores[..G * self.capacity];
        let (lines, _) = self.keys.as_chunks::<WIDE>();
        for (i, block) in lines.chunks(self.hd).take(self.len.div_ceil(WIDE)).enumerate() {
            let sums = outer::<G>(block, Left::Rows(q, self.hd));
            for (row, sums) in scores.chunks_exact_mut(self.capacity).zip(&sums) {
                row[i * WIDE..(i + 1) * WIDE].copy_from_slice(sums);
            }
        }
        for (row, sums) in scores.chunks_exact_mut(self.capacity).zip(found.sums.chunks_mut(2)) {
            sums.copy_from_slice(&weigh(&mut row[..self.len], self.scale));
        }
        let width = padded(self.hd);
        let per_position = width / WIDE;
        let (lines, _) = self.values.as_chunks::<WIDE>();
        for part in 0..per_position {
            let lines = &lines[part * self.capacity..][..self.len];
            let sums = outer::<G>(lines, Left::Rows(scores, self.capacity));
            for (row, sums) in mixed.chunks_exact_mut(width).zip(&sums) {
                row[part * WIDE..(part + 1) * WIDE].copy_from_slice(sums);
            }
        }
        let rows = found.mixed.chunks_exact_mut(self.hd).zip(mixed.chunks_exact(width));
        for ((out, mixed), sums) in rows.zip(found.sums.chunks(2)) {
            for (out, x) in out.iter_mut().zip(mixed) {
                *out = x * sums[1];
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
                let mut row = Row::new(heads, padded(segment.len() + 1));
                for (at, place) in segment.tokens.clone().enumerate() {
                    let part = place * width..(place + 1) * width;
                    row.write(heads, at, &k[part.clone()], &v[part]);
                }
                row
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
        let one = |room: &mut Room, (i, (row, found)): (usize, (&mut Row, Out<'_>))| {
            let at = lens[i];
            row.reserve(heads, at);
            let part = i * narrow..(i + 1) * narrow;
            row.write(heads, at, &k[part.clone()], &v[part]);
            row.attend(heads, at + 1, &q[i * wide..(i + 1) * wide], found, room);
        };
        let found = |(mixed, sums)| Out { mixed, sums };
        if rayon::current_num_threads() > 1 {
            let out = out.par_chunks_mut(wide).zip(sums.par_chunks_mut(2 * heads.n_heads));
            let work = rows.par_iter_mut().zip(out.map(found)).enumerate();
            work.for_each_init(Room::default, one);
        } else {
            let mut room = Room::default();
            let out = out.chunks_mut(wide).zip(sums.chunks_mut(2 * heads.n_heads));
            let work = rows.iter_mut().zip(out.map(found)).enumerate();
            work.for_each(|item| one(&mut room, item));
        }
        (out, sums)
    }

    pub(super) fn select(&mut self, rows: &[u32]) {
        for layer in &mut self.layers {
            // A row that is wanted once moves; only further uses are copies.
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
