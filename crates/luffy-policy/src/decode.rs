//! Generation token by token on a plain device.

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

/// Keys and values of the sequences in flight. Prompts of different lengths are padded on the left.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    padding: Vec<usize>,
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
            let head = model.model.embed_tokens.weight.val();
            let [v, d] = head.dims();
            // Through a flat view, so that the copy is contiguous.
            head.transpose().reshape([d * v]).reshape([d, v])
        });
    }

    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.tied_head {
            Some(head) => hidden.matmul(head.clone()),
            None => self.model.head(hidden),
        }
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
        let padding: Vec<usize> = prompts.iter().map(|prompt| s - prompt.len()).collect();
        let ragged = padding.iter().any(|n| *n > 0);
        let mut tokens = Vec::with_capacity(r * s);
        let mut positions = Vec::with_capacity(r * s);
        for (prompt, n) in prompts.iter().zip(&padding) {
            tokens.extend(std::iter::repeat_n(0, *n));
            tokens.extend(prompt.iter().map(|token| i64::from(*token)));
            positions.extend((0..s).map(|j| j.saturating_sub(*n) as i64));
        }
        let tokens = self.ints(tokens).reshape([r, s]);
        let positions = if ragged {
            self.ints(positions).reshape([r, s])
        } else {
            Tensor::<1, Int>::arange(0..s as i64, &self.device).reshape([1, s])
        };
        let attended =
            Attended::causal(s, ragged.then_some(&padding), self.model.heads, &self.device);
        let mut layers = vec![LayerCache::default(); self.model.n_layers()];
        let hidden = self.model.hidden(tokens, positions, &attended, Some(&mut layers));
        let last = self.ints((0..r).map(|row| (row * s + s - 1) as i64).collect());
        let logits = self.logits(hidden.select(0, last));
        assert!(!logits.is_autodiff(), "decoding runs without a graph");
        (logits, KvCache { layers, padding, len: s })
    }

    fn step(&self, tokens: Tensor<1, Int>, cache: &mut KvCache) -> Tensor<2> {
        let [r] = tokens.dims();
        let ragged = cache.padding.iter().any(|n| *n > 0);
        let positions = if ragged {
            let at = cache.padding.iter().map(|n| (cache.len - n) as i64).collect();
            self.ints(at).reshape([r, 1])
        } else {
            self.ints(vec![cache.len as i64]).reshape([1, 1])
        };
        cache.len += 1;
        let attended = if ragged {
            Attended::padded(cache.len, &cache.padding, &self.device)
        } else {
            Attended::all()
        };
        let tokens = tokens.reshape([r, 1]);
        let hidden = self.model.hidden(tokens, positions, &attended, Some(&mut cache.layers));
        self.logits(hidden)
    }

    fn reorder(&self, cache: &mut KvCache, rows: &[u32]) {
        let index = self.ints(rows.iter().map(|row| i64::from(*row)).collect());
        for layer in &mut cache.layers {
            layer.select(&index);
        }
        cache.padding = rows.iter().map(|row| cache.padding[*row as usize]).collect();
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
