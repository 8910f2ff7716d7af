//! Generation token by token on a plain device.

use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{Decoder, Packing, SampleError, Weights};
use luffy_kernels::{KvCache, PackedMatrix, attention, matmul};

use crate::activations::{Pass, Sequence, are_same};
use crate::layer::Attend;
use crate::named::{load_named, weights_of};
use crate::{Activations, CausalLm};

/// A policy that decodes. Holds a plain copy of the weights that shares their buffers, and on the CPU a second
/// one laid out for products with few rows ([`PackedMatrix`]), which its clones share: make one decoder and
/// clone it, and new weights are laid out once for all.
#[derive(Debug, Clone)]
pub struct LmDecoder {
    model: CausalLm,
    /// Laid out for decoding, where the device is the CPU.
    head: Option<PackedMatrix>,
    shared: Arc<Mutex<Option<Published>>>,
    activations: Option<Activations>,
    device: Device,
}

/// The last weights that one of the clones was given, and the model made of them.
#[derive(Debug, Clone)]
struct Published {
    weights: Weights,
    model: CausalLm,
    head: Option<PackedMatrix>,
}

/// Keys and values of sequences under way, and what is kept of them for a learner.
#[derive(Debug)]
pub struct DecodeCache {
    keys: KvCache,
    keeping: Option<Keeping>,
}

/// What was computed of sequences under way, a row each; finished when their row is dropped.
#[derive(Debug)]
struct Keeping {
    store: Activations,
    rows: Vec<Sequence>,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.store.add(self.rows.drain(..));
    }
}

impl Keeping {
    fn select(&mut self, rows: &[u32]) {
        let mut old: Vec<Option<Sequence>> = self.rows.drain(..).map(Some).collect();
        let mut left = vec![0; old.len()];
        for row in rows {
            left[*row as usize] += 1;
        }
        self.store.add(
            old.iter_mut().zip(&left).filter(|(_, n)| **n == 0).filter_map(|(row, _)| row.take()),
        );
        for row in rows {
            let row = *row as usize;
            left[row] -= 1;
            let kept = if left[row] == 0 { old[row].take() } else { old[row].clone() };
            self.rows.extend(kept);
        }
    }
}

impl LmDecoder {
    /// A decoder on the plain device of `model`.
    pub fn new(model: CausalLm) -> Self {
        let model = model.valid();
        let device = model.model.embed_tokens.weight.val().device();
        let mut decoder =
            Self { model, head: None, shared: Arc::default(), activations: None, device };
        decoder.pack();
        decoder
    }

    /// Keeps what it computes of sequences that a learner wants, where the device is the CPU.
    #[must_use]
    pub fn keeping(mut self, activations: &Activations) -> Self {
        activations.begin(&weights_of(&self.model));
        self.activations = Some(activations.clone());
        self
    }

    fn pack(&mut self) {
        for layer in &mut self.model.model.layers {
            layer.pack();
        }
        self.head = PackedMatrix::new(&self.model.head_matrix());
    }

    /// Reads prompts and keeps what it computes in `store`, if there is one.
    fn first_pass(
        &self,
        prompts: &[&[u32]],
        store: Option<&Activations>,
    ) -> (Tensor<2>, DecodeCache) {
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
        let (mut seen, mut layers) = (vec![], vec![]);
        // What is kept is kept of every token.
        let ends = self.ints(ends);
        let wanted = store.is_none().then_some(&ends);
        let hidden = self.model.hidden(self.ints(tokens), &rotation, wanted, attend, |kept| {
            seen.push((kept.attend.k.clone(), kept.attend.v.clone()));
            if store.is_some() {
                layers.push(kept);
            }
        });
        let logits = match wanted {
            Some(_) => self.logits(&hidden),
            None => self.logits(&hidden.clone().select(0, ends)),
        };
        assert!(!logits.is_autodiff(), "decoding runs without a graph");
        let keys = KvCache::prefilled(seen, heads, &packing);
        let keeping = store.map(|store| {
            let pass = Arc::new(Pass { layers, hidden });
            let starts = packing.segments.iter().map(|segment| segment.tokens.start);
            let rows = prompts.iter().zip(starts);
            let rows = rows.map(|(tokens, start)| Sequence::begin(tokens, &pass, start)).collect();
            Keeping { store: store.clone(), rows }
        });
        (logits, DecodeCache { keys, keeping })
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
    type Cache = DecodeCache;

    fn prefill(&self, prompts: &[&[u32]]) -> (Tensor<2>, DecodeCache) {
        self.first_pass(prompts, None)
    }

    fn prefill_to_learn(&self, prompts: &[&[u32]]) -> (Tensor<2>, DecodeCache) {
        self.first_pass(prompts, self.activations.as_ref().filter(|_| self.head.is_some()))
    }

    fn step(&self, tokens: Tensor<1, Int>, cache: &mut DecodeCache) -> Tensor<2> {
        let DecodeCache { keys, keeping } = cache;
        let rotation = self.model.rotation(&keys.positions());
        let attend = |layer, Attend { q, k, v }: &Attend| keys.attend(layer, q, k, v);
        let Some(keeping) = keeping else {
            let hidden = self.model.hidden(tokens, &rotation, None, attend, drop);
            keys.advance();
            return self.logits(&hidden);
        };
        let mut layers = Vec::with_capacity(self.model.model.layers.len());
        let hidden =
            self.model.hidden(tokens.clone(), &rotation, None, attend, |kept| layers.push(kept));
        keys.advance();
        let logits = self.logits(&hidden);
        let pass = Arc::new(Pass { layers, hidden });
        let tokens = tokens.to_data();
        for ((i, row), token) in (0..).zip(&mut keeping.rows).zip(tokens.iter::<i64>()) {
            row.push(token as u32, (Arc::clone(&pass), i));
        }
        logits
    }

    fn select(&self, cache: &mut DecodeCache, rows: &[u32]) {
        cache.keys.select(rows);
        if let Some(keeping) = &mut cache.keeping {
            keeping.select(rows);
        }
    }

    fn is_select_cheap(&self) -> bool {
        self.head.is_some()
    }

    fn append(&self, cache: &mut DecodeCache, other: DecodeCache) {
        let DecodeCache { keys, keeping } = other;
        cache.keys.append(keys);
        match (&mut cache.keeping, keeping) {
            (Some(own), Some(mut other)) => own.rows.append(&mut other.rows),
            (None, None) => {}
            _ => panic!("sequences are kept or not, all of them"),
        }
    }

    fn context_len(&self) -> usize {
        self.model.context_len
    }

    fn publish(&mut self, weights: &Weights) -> Result<(), SampleError> {
        if let Some(activations) = &self.activations {
            activations.begin(weights);
        }
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
