//! Generation token by token on a plain device.

use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{Decoder, Packing, SampleError, Weights};
use luffy_kernels::{Attended, KvCache, PackedMatrix, attention, is_same_buffer, matmul};

use crate::CausalLm;
use crate::layer::Attend;
use crate::named::load_named;

/// A policy that decodes. Holds a plain copy of the weights that shares their buffers, and on the CPU a second
/// one laid out for products with few rows ([`PackedMatrix`]), which its clones share: make one decoder and
/// clone it, and new weights are laid out once for all.
#[derive(Debug, Clone)]
pub struct LmDecoder {
    model: CausalLm,
    /// Laid out for decoding, where the device is the CPU.
    head: Option<PackedMatrix>,
    shared: Arc<Mutex<Option<Published>>>,
    device: Device,
}

/// The last weights that one of the clones was given, and the model made of them.
#[derive(Debug, Clone)]
struct Published {
    weights: Weights,
    model: CausalLm,
    head: Option<PackedMatrix>,
}

/// Whether two sets of weights are the same buffers.
fn are_same(a: &Weights, b: &Weights) -> bool {
    a.0.len() == b.0.len()
        && a.0
            .iter()
            .zip(&b.0)
            .all(|((name, a), (other, b))| name == other && is_same_buffer(&a.values, &b.values))
}

impl LmDecoder {
    /// A decoder on the plain device of `model`.
    pub fn new(model: CausalLm) -> Self {
        let model = model.valid();
        let device = model.model.embed_tokens.weight.val().device();
        let mut decoder = Self { model, head: None, shared: Arc::default(), device };
        decoder.pack();
        decoder
    }

    fn pack(&mut self) {
        for layer in &mut self.model.model.layers {
            layer.pack();
        }
        self.head = PackedMatrix::new(&self.model.head_matrix());
    }

    fn logits(&self, hidden: &Tensor<2>) -> Tensor<2> {
        let normed = self.model.norm(hidden);
        match &self.head {
            Some(head) => head.product(&normed, None, None),
            None => matmul(&normed, &self.model.head_matrix()),
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
        let mut packing = Packing::default();
        let ends: Vec<i64> =
            prompts.iter().map(|prompt| packing.push(prompt.len(), None).end as i64 - 1).collect();
        let tokens =
            prompts.iter().copied().flatten().map(|token| i64::from(*token)).collect::<Vec<_>>();
        let rotation = self.model.rotation(&packing.positions());
        let heads = self.model.heads;
        let attend = |_, Attend { q, k, v }: &Attend| attention(q, k, v, heads, &packing);
        let mut layers = Vec::with_capacity(self.model.model.layers.len());
        let hidden = self.model.hidden(self.ints(tokens), &rotation, attend, |kept| {
            layers.push((kept.attend.k, kept.attend.v));
        });
        let logits = self.logits(&hidden.select(0, self.ints(ends)));
        assert!(!logits.is_autodiff(), "decoding runs without a graph");
        (logits, KvCache::prefilled(layers, heads, &packing))
    }

    fn step(&self, tokens: Tensor<1, Int>, cache: &mut KvCache) -> Tensor<2> {
        let rotation = self.model.rotation(&cache.positions());
        let attend =
            |layer, Attend { q, k, v }: &Attend| Attended::from(cache.attend(layer, q, k, v));
        let hidden = self.model.hidden(tokens, &rotation, attend, drop);
        cache.advance();
        self.logits(&hidden)
    }

    fn select(&self, cache: &mut KvCache, rows: &[u32]) {
        cache.select(rows);
    }

    fn is_select_cheap(&self) -> bool {
        self.head.is_some()
    }

    fn append(&self, cache: &mut KvCache, other: KvCache) {
        cache.append(other);
    }

    fn context_len(&self) -> usize {
        self.model.context_len
    }

    fn publish(&mut self, weights: &Weights) -> Result<(), SampleError> {
        let shared = Arc::clone(&self.shared);
        let mut last = shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(known) = last.as_ref().filter(|known| are_same(&known.weights, weights)) {
            (self.model, self.head) = (known.model.clone(), known.head.clone());
            return Ok(());
        }
        // The old copy goes before the new one is made.
        *last = None;
        self.model = load_named(self.model.clone(), weights)
            .map_err(|error| SampleError::Weights(error.to_string()))?;
        self.pack();
        let (model, head) = (self.model.clone(), self.head.clone());
        *last = Some(Published { weights: weights.clone(), model, head });
        Ok(())
    }
}
