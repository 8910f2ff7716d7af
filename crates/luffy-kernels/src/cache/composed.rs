//! Rows of one tensor, for any backend.

use burn::tensor::{Device, Int, Tensor, TensorData, activation};

use crate::HeadShape;
use luffy_core::Packing;

/// Keys and values `[R, KV, L, hd]` by layer; every step adds a column to each.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    heads: HeadShape,
    layers: Vec<(Tensor<4>, Tensor<4>)>,
    /// Which columns a row sees.
    seen: Vec<Vec<bool>>,
    /// For the scores of the step under way, the new column included; `None` if every row sees all.
    bias: Option<Tensor<4>>,
    device: Device,
}

impl Columns {
    pub(super) fn new(
        layers: Vec<(Tensor<2>, Tensor<2>)>,
        heads: HeadShape,
        packing: &Packing,
    ) -> Self {
        let r = packing.segments.len();
        let l = packing.segments.iter().map(luffy_core::Segment::len).max().unwrap_or(0);
        let mut places = vec![0_i64; r * l];
        let mut seen = vec![vec![false; l]; r];
        for (i, segment) in packing.segments.iter().enumerate() {
            for (j, token) in segment.tokens.clone().enumerate() {
                places[i * l + j] = token as i64;
                seen[i][j] = true;
            }
        }
        let device = layers[0].0.device();
        let places = Tensor::<1, Int>::from_data(TensorData::new(places, [r * l]), &device);
        let spread = |x: Tensor<2>| {
            let x = x.select(0, places.clone());
            x.reshape([r, l, heads.n_kv_heads, heads.head_dim]).swap_dims(1, 2)
        };
        let layers = layers.into_iter().map(|(k, v)| (spread(k), spread(v))).collect();
        let mut columns = Self { heads, layers, seen, bias: None, device };
        columns.open();
        columns
    }

    /// Opens the column of the next token.
    fn open(&mut self) {
        for seen in &mut self.seen {
            seen.push(true);
        }
        let shape = [self.seen.len(), 1, 1, self.seen.first().map_or(0, Vec::len)];
        let hides = self.seen.iter().flatten().any(|seen| !seen);
        self.bias = hides.then(|| {
            let of = |seen: &bool| if *seen { 0.0 } else { f32::NEG_INFINITY };
            let bias: Vec<f32> = self.seen.iter().flatten().map(of).collect();
            Tensor::from_data(TensorData::new(bias, shape), &self.device)
        });
    }

    /// Forgets the column that was opened.
    fn close(&mut self) {
        for seen in &mut self.seen {
            seen.pop();
        }
    }

    pub(super) fn attend(
        &mut self,
        layer: usize,
        q: &Tensor<2>,
        k: &Tensor<2>,
        v: &Tensor<2>,
    ) -> Tensor<2> {
        let HeadShape { n_heads, n_kv_heads: kv, head_dim: hd } = self.heads;
        let [r, _] = q.dims();
        let (keys, values) = self.layers[layer].clone();
        let column = |x: &Tensor<2>| x.clone().reshape([r, kv, 1, hd]);
        let keys = Tensor::cat(vec![keys, column(k)], 2);
        let values = Tensor::cat(vec![values, column(v)], 2);
        self.layers[layer] = (keys.clone(), values.clone());
        let q = (q.clone() * (hd as f32).sqrt().recip()).reshape([r, kv, n_heads / kv, hd]);
        let scores = q.matmul(keys.swap_dims(2, 3));
        let scores = match &self.bias {
            Some(bias) => scores + bias.clone().cast(k.dtype()),
            None => scores,
        };
        activation::softmax(scores, 3).matmul(values).reshape([r, n_heads * hd])
    }

    pub(super) fn advance(&mut self) {
        self.open();
    }

    pub(super) fn select(&mut self, rows: &[u32]) {
        let index: Vec<i64> = rows.iter().map(|row| i64::from(*row)).collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [rows.len()]), &self.device);
        for (k, v) in &mut self.layers {
            *k = k.clone().select(0, index.clone());
            *v = v.clone().select(0, index.clone());
        }
        self.close();
        self.seen = rows.iter().map(|row| self.seen[*row as usize].clone()).collect();
        self.open();
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.close();
        other.close();
        let l = |columns: &Self| columns.seen.first().map_or(0, Vec::len);
        let longest = l(self).max(l(&other));
        for columns in [&mut *self, &mut other] {
            columns.widen(longest);
        }
        self.seen.append(&mut other.seen);
        for ((k, v), (other_k, other_v)) in self.layers.iter_mut().zip(other.layers) {
            *k = Tensor::cat(vec![k.clone(), other_k], 0);
            *v = Tensor::cat(vec![v.clone(), other_v], 0);
        }
        self.open();
    }

    /// Adds columns that no row sees.
    fn widen(&mut self, l: usize) {
        for (k, v) in &mut self.layers {
            let [r, kv, own, hd] = k.dims();
            if own < l {
                let none = Tensor::<4>::zeros([r, kv, l - own, hd], &self.device).cast(k.dtype());
                *k = Tensor::cat(vec![k.clone(), none.clone()], 2);
                *v = Tensor::cat(vec![v.clone(), none], 2);
            }
        }
        for seen in &mut self.seen {
            seen.resize(l, false);
        }
    }
}
