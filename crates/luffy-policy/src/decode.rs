//! Generation token by token on a plain device.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{Decoder, SampleError, Weights};

use crate::CausalLm;
use crate::attention::{Attended, LayerCache};
use crate::named::load_named;

/// A policy that decodes. Holds a plain copy of the weights that shares their buffers, and for a tied head
/// a row-major copy of it, since burn reads a transposed matrix slowly for small batches.
#[derive(Debug, Clone)]
pub struct LmDecoder {
    model: CausalLm,
    tied_head: Option<Tensor<2>>,
    device: Device,
}

/// Keys and values of the sequences in flight. Prompts of different lengths are padded on the right, so
/// that a row has a gap between its prompt and what was appended: positions count without it, and no query
/// sees it.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    /// Places of the padding, by row.
    gaps: Vec<Range<usize>>,
    /// Tokens in the cache, padding included.
    len: usize,
}

impl LmDecoder {
    /// A decoder on the plain device of `model`.
    pub fn new(model: CausalLm) -> Self {
        let model = model.valid();
        let device = model.model.embed_tokens.weight.val().device();
        let mut decoder = Self { model, tied_head: None, device };
        decoder.copy_head();
        decoder
    }

    fn copy_head(&mut self) {
        let model = &self.model;
        self.tied_head = model.lm_head.is_none().then(|| {
            let head = model.head_matrix();
            let [d, v] = head.dims();
            // Through a flat view, so that the copy is contiguous.
            head.reshape([d * v]).reshape([d, v])
        });
    }

    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let head = self.tied_head.clone().unwrap_or_else(|| self.model.head_matrix());
        self.model.norm(hidden).matmul(head)
    }

    fn ints(&self, values: Vec<i64>) -> Tensor<1, Int> {
        let n = values.len();
        Tensor::from_data(TensorData::new(values, [n]), &self.device)
    }
}

impl Decoder for LmDecoder {
    type Cache = KvCache;

    fn prefill(&self, prompts: &[&[u32]]) -> (Tensor<2>, KvCache) {
        assert!(
            prompts.iter().all(|prompt| !prompt.is_empty()) && !prompts.is_empty(),
            "nothing predicts the first token of an empty prompt"
        );
        let r = prompts.len();
        let s = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
        let mut tokens = vec![0; r * s];
        for (row, prompt) in tokens.chunks_mut(s).zip(prompts) {
            for (place, token) in row.iter_mut().zip(*prompt) {
                *place = i64::from(*token);
            }
        }
        let tokens = self.ints(tokens).reshape([r, s]);
        let positions = Tensor::<1, Int>::arange(0..s as i64, &self.device).reshape([1, s]);
        let rotation = self.model.rotation(positions);
        let attended = Attended::causal(s, self.model.heads, &self.device);
        let mut layers = vec![LayerCache::default(); self.model.n_layers()];
        let hidden = self.model.hidden(tokens, &rotation, &attended, Some(&mut layers));
        let ends = prompts.iter().enumerate().map(|(i, prompt)| (i * s + prompt.len() - 1) as i64);
        let last = self.ints(ends.collect());
        let logits = self.logits(hidden.select(0, last));
        assert!(!logits.is_autodiff(), "decoding runs without a graph");
        let gaps = prompts.iter().map(|prompt| prompt.len()..s).collect();
        (logits, KvCache { layers, gaps, len: s })
    }

    fn step(&self, tokens: Tensor<1, Int>, cache: &mut KvCache) -> Tensor<2> {
        let [r] = tokens.dims();
        let ragged = cache.gaps.iter().any(|gap| !gap.is_empty());
        let positions = if ragged {
            let at = cache.gaps.iter().map(|gap| (cache.len - gap.len()) as i64).collect();
            self.ints(at).reshape([r, 1])
        } else {
            self.ints(vec![cache.len as i64]).reshape([1, 1])
        };
        cache.len += 1;
        let attended = if ragged {
            Attended::except(cache.len, &cache.gaps, &self.device)
        } else {
            Attended::All
        };
        let rotation = self.model.rotation(positions);
        let tokens = tokens.reshape([r, 1]);
        let hidden = self.model.hidden(tokens, &rotation, &attended, Some(&mut cache.layers));
        self.logits(hidden)
    }

    fn reorder(&self, cache: &mut KvCache, rows: &[u32]) {
        let index = self.ints(rows.iter().map(|row| i64::from(*row)).collect());
        for layer in &mut cache.layers {
            layer.select(&index);
        }
        cache.gaps = rows.iter().map(|row| cache.gaps[*row as usize].clone()).collect();
    }

    fn context_len(&self) -> usize {
        self.model.context_len
    }

    fn publish(&mut self, weights: &Weights) -> Result<(), SampleError> {
        let model = load_named(self.model.clone(), weights)
            .map_err(|error| SampleError::Weights(error.to_string()))?;
        self.model = model;
        self.copy_head();
        Ok(())
    }
}
