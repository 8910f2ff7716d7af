//! Grouped-query attention from softmax and matrix products, the same on every backend.

use burn::tensor::{Device, Tensor, TensorData, activation};

/// Heads of one layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadShape {
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl HeadShape {
    /// Query heads that share one key head.
    pub(crate) const fn group(self) -> usize {
        self.n_heads / self.n_kv_heads
    }
}

/// Added to the score of a key that must not be seen: its weight is exactly zero for any score. `exp` of it
/// is also the cheap one; a finite number that underflows costs a slow path in the C library.
const HIDDEN: f32 = f32::NEG_INFINITY;

/// Which keys a query sees, as a bias that is added to the scores, `[B or 1, 1, S * group, L]`.
#[derive(Debug, Clone)]
pub(crate) struct Attended(Option<Tensor<4>>);

impl Attended {
    /// Every key.
    pub(crate) const fn all() -> Self {
        Self(None)
    }

    /// Causal within `s` tokens; the first `padding[row]` tokens of a row are hidden from all others.
    ///
    /// A hidden token still sees itself: a query without any key would be NaN, and NaN times zero is NaN.
    pub(crate) fn causal(
        s: usize,
        padding: Option<&[usize]>,
        heads: HeadShape,
        device: &Device,
    ) -> Self {
        let rows = padding.map_or(1, <[usize]>::len);
        let group = heads.group();
        let mut bias = Vec::with_capacity(rows * s * group * s);
        for row in 0..rows {
            let hidden = padding.map_or(0, |padding| padding[row]);
            for query in 0..s {
                for _ in 0..group {
                    bias.extend((0..s).map(|key| {
                        let seen = key == query || (hidden..query).contains(&key);
                        if seen { 0.0 } else { HIDDEN }
                    }));
                }
            }
        }
        Self(Some(Tensor::from_data(TensorData::new(bias, [rows, 1, s * group, s]), device)))
    }

    /// One query per row over `n_keys` keys, the first `padding[row]` hidden.
    pub(crate) fn padded(n_keys: usize, padding: &[usize], device: &Device) -> Self {
        let bias: Vec<f32> = padding
            .iter()
            .flat_map(|hidden| (0..n_keys).map(move |key| if key < *hidden { HIDDEN } else { 0.0 }))
            .collect();
        let shape = [padding.len(), 1, 1, n_keys];
        Self(Some(Tensor::from_data(TensorData::new(bias, shape), device)))
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
    let scores = q.matmul(k.swap_dims(2, 3));
    let scores = match attended {
        Attended(Some(bias)) => scores + bias.clone(),
        Attended(None) => scores,
    };
    activation::softmax(scores, 3)
        .matmul(v)
        .reshape([b, kv, s, group * hd])
        .swap_dims(1, 2)
        .reshape([b * s, h * hd])
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
