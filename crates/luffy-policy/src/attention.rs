//! Grouped-query attention from softmax and matrix products, the same on every backend.

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData, activation, s};

use crate::ModelConfig;

/// Heads of one layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadShape {
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl HeadShape {
    pub(crate) const fn of(config: &ModelConfig) -> Self {
        Self {
            n_heads: config.num_attention_heads,
            n_kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
        }
    }

    /// Query heads that share one key head.
    pub(crate) const fn group(self) -> usize {
        self.n_heads / self.n_kv_heads
    }
}

/// Added to the score of a key that must not be seen: its weight is exactly zero for any score. `exp` of it
/// is also the cheap one; a finite number that underflows costs a slow path in the C library.
const HIDDEN: f32 = f32::NEG_INFINITY;

/// Queries that are scored together. Longer sequences go block by block, each against the keys up to its
/// end: half the products, and never more scores at once than a block has.
const BLOCK: usize = 512;

/// Which keys a query sees.
#[derive(Debug, Clone)]
pub(crate) enum Attended {
    /// Every key.
    All,
    /// The keys up to its own. The table holds one block of queries at the end of the sequence,
    /// `[1, 1, block * group, S]`; its last rows and columns serve every other block.
    Causal(Tensor<4>),
    /// One query per row; a bias over the keys, `[R, 1, 1, L]`.
    Keys(Tensor<4>),
}

impl Attended {
    /// Causal within `s` tokens.
    pub(crate) fn causal(s: usize, heads: HeadShape, device: &Device) -> Self {
        let (block, group) = (s.min(BLOCK), heads.group());
        let mut bias = Vec::with_capacity(block * group * s);
        for query in s - block..s {
            for _ in 0..group {
                bias.extend((0..s).map(|key| if key <= query { 0.0 } else { HIDDEN }));
            }
        }
        Self::Causal(Tensor::from_data(TensorData::new(bias, [1, 1, block * group, s]), device))
    }

    /// One query per row over `n_keys` keys; those of `gaps[row]` are hidden.
    pub(crate) fn except(n_keys: usize, gaps: &[Range<usize>], device: &Device) -> Self {
        let bias: Vec<f32> = gaps
            .iter()
            .flat_map(|gap| (0..n_keys).map(|key| if gap.contains(&key) { HIDDEN } else { 0.0 }))
            .collect();
        let shape = [gaps.len(), 1, 1, n_keys];
        Self::Keys(Tensor::from_data(TensorData::new(bias, shape), device))
    }
}

/// `softmax(q k' / sqrt(hd)) v` by heads: `q` `[B, S, H, hd]`, `k` and `v` `[B, KV, L, hd]` to
/// `[B * S, H * hd]`.
///
/// The `H / KV` query heads of a key head are folded into the query axis, so keys and values are never
/// repeated: rows of the scores are queries, `group` of them for each.
pub(crate) fn attend(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, attended: &Attended) -> Tensor<2> {
    let [b, s, h, hd] = q.dims();
    let kv = k.dims()[1];
    let group = h / kv;
    let q = q * (hd as f32).sqrt().recip();
    let q = q.reshape([b, s, kv, group * hd]).swap_dims(1, 2).reshape([b, kv, s * group, hd]);
    let mixed = match attended {
        Attended::All => mix(q, k, v, None),
        Attended::Keys(bias) => mix(q, k, v, Some(bias.clone())),
        Attended::Causal(table) if s <= BLOCK => mix(q, k, v, Some(table.clone())),
        Attended::Causal(table) => {
            let blocks = (0..s).step_by(BLOCK).map(|start| {
                let end = (start + BLOCK).min(s);
                let n = (end - start) * group;
                let q = q.clone().slice(s![.., .., start * group..end * group, ..]);
                let k = k.clone().slice(s![.., .., 0..end, ..]);
                let v = v.clone().slice(s![.., .., 0..end, ..]);
                let rows = BLOCK * group;
                let bias = table.clone().slice(s![.., .., rows - n..rows, s - end..s]);
                mix(q, k, v, Some(bias))
            });
            Tensor::cat(blocks.collect(), 2)
        }
    };
    mixed.reshape([b, kv, s, group * hd]).swap_dims(1, 2).reshape([b * s, h * hd])
}

/// `softmax(q k' + bias) v`.
fn mix(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<4> {
    let scores = q.matmul(k.swap_dims(2, 3));
    let scores = match bias {
        Some(bias) => scores + bias,
        None => scores,
    };
    activation::softmax(scores, 3).matmul(v)
}

/// Keys and values of one layer, `[R, KV, L, hd]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct LayerCache {
    keys_values: Option<(Tensor<4>, Tensor<4>)>,
}

impl LayerCache {
    /// Adds the newest tokens and gives all.
    pub(crate) fn append(&mut self, k: Tensor<4>, v: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let (k, v) = match self.keys_values.take() {
            Some((keys, values)) => {
                (Tensor::cat(vec![keys, k], 2), Tensor::cat(vec![values, v], 2))
            }
            None => (k, v),
        };
        self.keys_values = Some((k.clone(), v.clone()));
        (k, v)
    }

    /// Makes row `i` a copy of row `rows[i]`.
    pub(crate) fn select(&mut self, rows: &Tensor<1, burn::tensor::Int>) {
        if let Some((k, v)) = self.keys_values.take() {
            self.keys_values = Some((k.select(0, rows.clone()), v.select(0, rows.clone())));
        }
    }
}
