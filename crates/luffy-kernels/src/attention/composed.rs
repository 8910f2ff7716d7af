//! Attention from burn's operations, on any backend and with a graph where there is one.
//!
//! Segments are laid into rows of equal length by index: queries on the left, keys with the prefix first.

use burn::tensor::{Device, Int, Tensor, TensorData, activation, s};

use crate::HeadShape;
use luffy_core::Packing;

/// Queries that are scored together. Longer segments go block by block, each against the keys up to its end.
const BLOCK: usize = 512;

pub(super) fn attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    heads: HeadShape,
    packing: &Packing,
) -> Tensor<2> {
    let HeadShape { n_heads, n_kv_heads: kv, head_dim: hd } = heads;
    let group = heads.group();
    let device = q.device();
    let rows = Rows::new(packing);
    let Rows { b, s, before, .. } = rows;
    let l = before + s;
    let index = |places: &[i64]| on(&q, Tensor::<1, Int>::from_data(places, &plain(&device)));
    let (queries, keys, back) = (index(&rows.queries), index(&rows.keys), index(&rows.back));
    let spread = |x: Tensor<2>| x.select(0, keys.clone()).reshape([b, l, kv, hd]).swap_dims(1, 2);
    let (k, v) = (spread(k), spread(v));
    let scaled = q.clone().select(0, queries) * (hd as f32).sqrt().recip();
    let grouped = scaled.reshape([b, s, kv, group * hd]).swap_dims(1, 2);
    let grouped = grouped.reshape([b, kv, s * group, hd]);
    let blocks = (0..s).step_by(BLOCK).map(|start| {
        let end = (start + BLOCK).min(s);
        let part = grouped.clone().slice(s![.., .., start * group..end * group, ..]);
        let k = k.clone().slice(s![.., .., 0..before + end, ..]);
        let v = v.clone().slice(s![.., .., 0..before + end, ..]);
        let data = TensorData::new(
            rows.bias(start..end, before + end, group),
            [b, 1, (end - start) * group, before + end],
        );
        let bias = Tensor::<4>::from_data(data, &plain(&device)).cast(q.dtype());
        let bias = if q.is_autodiff() { Tensor::from_inner(bias) } else { bias };
        activation::softmax(part.matmul(k.swap_dims(2, 3)) + bias, 3).matmul(v)
    });
    let mixed = Tensor::cat(blocks.collect(), 2);
    let flat = mixed.reshape([b, kv, s, group * hd]).swap_dims(1, 2).reshape([b * s, n_heads * hd]);
    flat.select(0, back)
}

fn plain(device: &Device) -> Device {
    device.clone().without_autodiff()
}

fn on(like: &Tensor<2>, index: Tensor<1, Int>) -> Tensor<1, Int> {
    if like.is_autodiff() { Tensor::from_inner(index) } else { index }
}

/// Segments as rows of equal length.
struct Rows<'a> {
    packing: &'a Packing,
    /// Segments.
    b: usize,
    /// Queries of a row.
    s: usize,
    /// Columns of keys for prefixes, on the left.
    before: usize,
    /// The packed place of each query `[b * s]` and key `[b * (before + s)]`; padding is the first token.
    queries: Vec<i64>,
    keys: Vec<i64>,
    /// For each packed token its place among the queries.
    back: Vec<i64>,
}

impl<'a> Rows<'a> {
    fn new(packing: &'a Packing) -> Self {
        let segments = &packing.segments;
        let b = segments.len();
        let s = segments.iter().map(luffy_core::Segment::len).max().unwrap_or(0);
        let before = segments.iter().map(luffy_core::Segment::prefix_len).max().unwrap_or(0);
        let l = before + s;
        let (mut queries, mut keys) = (vec![0; b * s], vec![0; b * l]);
        let mut back = vec![0; packing.n_tokens()];
        for (i, segment) in segments.iter().enumerate() {
            for (j, token) in segment.tokens.clone().enumerate() {
                queries[i * s + j] = token as i64;
                keys[i * l + before + j] = token as i64;
                back[token] = (i * s + j) as i64;
            }
            for (j, token) in segment.prefix.clone().into_iter().flatten().enumerate() {
                keys[i * l + j] = token as i64;
            }
        }
        Self { packing, b, s, before, queries, keys, back }
    }

    /// What is added to scores: nothing where a query sees a key, minus infinity elsewhere.
    fn bias(&self, block: std::ops::Range<usize>, n_keys: usize, group: usize) -> Vec<f32> {
        let mut bias = Vec::with_capacity(self.b * block.len() * group * n_keys);
        for segment in &self.packing.segments {
            let prefix_len = segment.prefix_len();
            for query in block.clone() {
                for _ in 0..group {
                    bias.extend((0..n_keys).map(|key| {
                        let is_seen = if key < self.before {
                            key < prefix_len
                        } else {
                            key - self.before <= query
                        };
                        if is_seen { 0.0 } else { f32::NEG_INFINITY }
                    }));
                }
            }
        }
        bias
    }
}
