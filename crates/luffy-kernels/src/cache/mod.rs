//! Keys and values of sequences that grow token by token.

mod composed;
#[cfg(feature = "flex")]
mod fused;

use burn::tensor::Tensor;

#[cfg(feature = "flex")]
use crate::host;
use crate::{Attended, HeadShape};
use luffy_core::Packing;

/// Keys and values of every layer, for sequences of any lengths, one row for each.
///
/// On the CPU a row owns its buffers, so that rows leave and join at the cost of a pointer. Elsewhere rows
/// are columns of one tensor; a row that joins later has columns that it does not see.
#[derive(Debug, Clone)]
pub struct KvCache {
    heads: HeadShape,
    /// Tokens of each row.
    lens: Vec<usize>,
    store: Store,
}

#[derive(Debug, Clone)]
enum Store {
    #[cfg(feature = "flex")]
    Fused(fused::Rows),
    Composed(Box<composed::Columns>),
}

impl KvCache {
    /// From the keys and values of a first pass over whole sequences, by layer: `[N, n_kv_heads * head_dim]`
    /// each. Every segment of `packing` becomes a row.
    ///
    /// # Panics
    /// If a segment has a prefix.
    pub fn prefilled(
        layers: Vec<(Tensor<2>, Tensor<2>)>,
        heads: HeadShape,
        packing: &Packing,
    ) -> Self {
        let is_plain = packing.segments.iter().all(|segment| segment.prefix.is_none());
        assert!(is_plain, "a row of a cache holds a whole sequence");
        let lens = packing.segments.iter().map(luffy_core::Segment::len).collect();
        #[cfg(feature = "flex")]
        if layers.iter().all(|(k, v)| host::values(k).is_some() && host::values(v).is_some()) {
            let store = Store::Fused(fused::Rows::new(&layers, heads, packing));
            return Self { heads, lens, store };
        }
        let store = Store::Composed(Box::new(composed::Columns::new(layers, heads, packing)));
        Self { heads, lens, store }
    }

    /// Rows.
    pub fn n_rows(&self) -> usize {
        self.lens.len()
    }

    /// The position of the next token of every row.
    pub fn positions(&self) -> Vec<u32> {
        self.lens.iter().map(|len| *len as u32).collect()
    }

    /// Adds keys and values of one new token a row to a layer, `[R, n_kv_heads * head_dim]`, and lets its
    /// queries `[R, n_heads * head_dim]` attend to all tokens of their row: `[R, n_heads * head_dim]`, on the
    /// CPU with what [`attention_backward`](crate::attention_backward) needs. Follow the last layer with
    /// [`Self::advance`].
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn attend(
        &mut self,
        layer: usize,
        q: &Tensor<2>,
        k: &Tensor<2>,
        v: &Tensor<2>,
    ) -> Attended {
        let r = self.n_rows();
        assert_eq!(q.dims(), [r, self.heads.n_heads * self.heads.head_dim], "one query a row");
        assert_eq!(k.dims(), [r, self.heads.n_kv_heads * self.heads.head_dim], "one key a row");
        assert_eq!(v.dims(), k.dims(), "values are as many as keys");
        match &mut self.store {
            #[cfg(feature = "flex")]
            Store::Fused(rows) => {
                let read = |x| host::values(x).expect("one backend for the whole sequence");
                let (out, sums) = rows.attend(layer, &self.lens, &read(q), &read(k), &read(v));
                let device = q.device();
                let shape = [r, self.heads.n_heads * 2];
                let sums = Some(host::tensor(sums, shape, &device));
                Attended { out: host::tensor(out, q.dims(), &device), sums }
            }
            Store::Composed(columns) => {
                Attended { out: columns.attend(layer, q, k, v), sums: None }
            }
        }
    }

    /// Counts the token that every layer has been given.
    pub fn advance(&mut self) {
        for len in &mut self.lens {
            *len += 1;
        }
        if let Store::Composed(columns) = &mut self.store {
            columns.advance();
        }
    }

    /// Makes row `i` what row `rows[i]` was: rows are dropped, repeated, reordered.
    pub fn select(&mut self, rows: &[u32]) {
        self.lens = rows.iter().map(|row| self.lens[*row as usize]).collect();
        match &mut self.store {
            #[cfg(feature = "flex")]
            Store::Fused(store) => store.select(rows),
            Store::Composed(store) => store.select(rows),
        }
    }

    /// Adds the rows of another cache behind its own.
    ///
    /// # Panics
    /// If the two come from different models or backends.
    pub fn append(&mut self, other: Self) {
        assert_eq!(self.heads, other.heads, "rows of one model");
        self.lens.extend(other.lens);
        match (&mut self.store, other.store) {
            #[cfg(feature = "flex")]
            (Store::Fused(own), Store::Fused(other)) => own.append(other),
            (Store::Composed(own), Store::Composed(other)) => own.append(*other),
            #[cfg(feature = "flex")]
            _ => panic!("rows of one backend"),
        }
    }
}
