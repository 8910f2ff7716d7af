//! What decoding computed, for the learner that trains on what was sampled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{Int, Tensor};
use luffy_core::Weights;
use luffy_kernels::{collect_rows, is_same_buffer};

use crate::layer::Kept;

/// Activations of sampled sequences, from a [`LmDecoder`](crate::LmDecoder) that keeps them to a
/// [`CausalLm`](crate::CausalLm) that learns from the sequences: on the weights that sampled, the forward pass of an
/// update is what decoding has computed already. Clones are handles of one store.
///
/// The store belongs to the weights that a decoder was given last. A model looks sequences up by all of their tokens,
/// and only while its weights are those very buffers; what it does not find it computes. Gradients agree with those of
/// a forward pass to rounding.
///
/// It holds `layers * (2 d + 2 H hd + 2 KV hd + 2 H + 2 f) + d` numbers a token (`d` the hidden size, `H` and `KV`
/// heads of queries and keys, `hd` their size, `f` the width of the MLP), until new weights are published. Only
/// plain CPU devices keep any.
#[derive(Debug, Clone, Default)]
pub struct Activations(Arc<Mutex<Store>>);

#[derive(Debug, Default)]
struct Store {
    weights: Weights,
    /// By all tokens that were read.
    sequences: BTreeMap<Vec<u32>, Sequence>,
}

/// One pass over tokens of several sequences.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) layers: Vec<Kept>,
    /// Before the last norm, `[N, d]`.
    pub(crate) hidden: Tensor<2>,
}

/// A token's row in a pass.
pub(crate) type Place = (Arc<Pass>, u32);

/// A sequence that was read token by token after a first pass over its beginning.
#[derive(Debug, Clone)]
pub(crate) struct Sequence {
    tokens: Vec<u32>,
    places: Vec<Place>,
    /// Tokens of the first pass.
    beginning: usize,
}

impl Sequence {
    /// The tokens that begin at row `first` of a first pass.
    pub(crate) fn begin(tokens: &[u32], pass: &Arc<Pass>, first: usize) -> Self {
        let places = (first as u32..).take(tokens.len()).map(|row| (Arc::clone(pass), row));
        let beginning = tokens.len();
        Self { tokens: tokens.to_vec(), places: places.collect(), beginning }
    }

    pub(crate) fn push(&mut self, token: u32, place: Place) {
        self.tokens.push(token);
        self.places.push(place);
    }

    /// Of every token.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }
}

/// Whether two sets of weights are the same buffers.
pub(crate) fn are_same(a: &Weights, b: &Weights) -> bool {
    a.0.len() == b.0.len()
        && a.0
            .iter()
            .zip(&b.0)
            .all(|((name, a), (other, b))| name == other && is_same_buffer(&a.values, &b.values))
}

impl Activations {
    /// Sequences in the store.
    pub fn n_sequences(&self) -> usize {
        self.lock().sequences.len()
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties the store for what these weights will sample.
    pub(crate) fn begin(&self, weights: &Weights) {
        let old = std::mem::replace(
            &mut *self.lock(),
            Store { weights: weights.clone(), sequences: BTreeMap::new() },
        );
        drop(old);
    }

    /// Adds finished sequences. Of two with the same tokens the one with the shorter beginning stays, whoever comes
    /// first: with the same beginning they are the same to the bit.
    pub(crate) fn add(&self, finished: impl IntoIterator<Item = Sequence>) {
        let mut store = self.lock();
        for sequence in finished {
            let known = store.sequences.get(&sequence.tokens);
            if known.is_none_or(|known| sequence.beginning < known.beginning) {
                store.sequences.insert(sequence.tokens.clone(), sequence);
            }
        }
    }

    /// The sequences of which these are all tokens, one for each; `None` in all places where the store is of other
    /// weights.
    pub(crate) fn find<'a>(
        &self,
        weights: &Weights,
        sequences: impl Iterator<Item = &'a [u32]>,
    ) -> Vec<Option<Sequence>> {
        let store = self.lock();
        let fits = are_same(&store.weights, weights);
        sequences.map(|tokens| store.sequences.get(tokens).filter(|_| fits).cloned()).collect()
    }
}

/// Where the activations of packed tokens lie, in passes that were made before.
#[derive(Debug)]
pub(crate) struct Recalled {
    passes: Vec<Arc<Pass>>,
    /// Of each token its pass and the row there.
    places: Vec<(u32, u32)>,
}

impl Recalled {
    pub(crate) fn new(found: Vec<Place>) -> Self {
        let mut known: BTreeMap<*const Pass, u32> = BTreeMap::new();
        let mut passes: Vec<Arc<Pass>> = vec![];
        let place = |(pass, row): Place| {
            let which = *known.entry(Arc::as_ptr(&pass)).or_insert_with(|| {
                passes.push(pass);
                passes.len() as u32 - 1
            });
            (which, row)
        };
        let places = found.into_iter().map(place).collect();
        Self { passes, places }
    }

    /// What layer `i` kept of every token; where only the tokens at `wanted` go on behind attention, of these alone.
    pub(crate) fn layer(&self, i: usize, wanted: Option<&Tensor<1, Int>>) -> Kept {
        let from: Vec<&Kept> = self.passes.iter().map(|pass| &pass.layers[i]).collect();
        Kept::collect(&from, &self.places, wanted)
    }

    /// The last hidden states of tokens, `[tokens, d]`.
    pub(crate) fn hidden(&self, tokens: impl Iterator<Item = usize>) -> Tensor<2> {
        let from: Vec<&Tensor<2>> = self.passes.iter().map(|pass| &pass.hidden).collect();
        let places: Vec<(u32, u32)> = tokens.map(|token| self.places[token]).collect();
        collect_rows(&from, &places)
    }
}
