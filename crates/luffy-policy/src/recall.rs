//! Which activations of a batch decoding has kept, and the forward pass over the rest.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Int, Tensor, TensorData};
use luffy_core::{PackedRows, Packing};
use luffy_kernels::attention;

use crate::CausalLm;
use crate::activations::{Pass, Place, Recalled};
use crate::layer::Attend;
use crate::named::weights_of;

impl CausalLm {
    /// Where the activations of packed tokens lie, if decoding kept those of some sequence; those of the others are
    /// computed.
    pub(crate) fn recall(&self, rows: &PackedRows) -> Option<Recalled> {
        let activations = self.activations.as_ref().filter(|_| !self.recompute)?;
        // Before any tensor is read.
        if activations.n_sequences() == 0 {
            return None;
        }
        let tokens: Vec<u32> =
            rows.tokens.to_data().iter::<i64>().map(|token| token as u32).collect();
        let segments = &rows.packing.segments;
        let whole: Vec<Vec<u32>> = segments
            .iter()
            .map(|segment| {
                let prefix = segment.prefix.clone().map_or(&[][..], |prefix| &tokens[prefix]);
                [prefix, &tokens[segment.tokens.clone()]].concat()
            })
            .collect();
        let found = activations.find(&weights_of(self), whole.iter().map(Vec::as_slice));
        if found.iter().all(Option::is_none) {
            return None;
        }
        let mut places: Vec<Option<Place>> = vec![None; tokens.len()];
        let mut put = |tokens: Range<usize>, from: &[Place]| {
            for (token, place) in tokens.zip(from) {
                places[token] = Some(place.clone());
            }
        };
        for (segment, sequence) in segments.iter().zip(&found) {
            if let Some(sequence) = sequence {
                let (prefix, own) = sequence.places().split_at(segment.prefix_len());
                put(segment.tokens.clone(), own);
                put(segment.prefix.clone().unwrap_or(0..0), prefix);
            }
        }
        // What is missing is computed, behind its prefix if it has one.
        let mut missing = Packing::default();
        let mut sources: Vec<Range<usize>> = vec![];
        for segment in segments.iter().filter(|segment| places[segment.tokens.start].is_none()) {
            let prefix = segment.prefix.as_ref().map(|prefix| {
                if let Some(known) = sources.iter().position(|source| source == prefix) {
                    return missing.segments[known].tokens.clone();
                }
                sources.push(prefix.clone());
                missing.push(prefix.len(), None)
            });
            missing.push(segment.len(), prefix);
            sources.push(segment.tokens.clone());
        }
        if !sources.is_empty() {
            let asked: Vec<usize> = sources.into_iter().flatten().collect();
            let pass = Arc::new(self.pass(asked.iter().map(|token| tokens[*token]), &missing));
            for (row, token) in (0..).zip(asked) {
                places[token].get_or_insert_with(|| (Arc::clone(&pass), row));
            }
        }
        let places = places.into_iter().map(|place| place.expect("found or computed"));
        Some(Recalled::new(places.collect()))
    }

    /// A forward pass of which everything is kept.
    fn pass(&self, tokens: impl Iterator<Item = u32>, packing: &Packing) -> Pass {
        let tokens: Vec<i64> = tokens.map(i64::from).collect();
        let n = tokens.len();
        let device = self.model.embed_tokens.weight.val().device();
        let tokens = Tensor::<1, Int>::from_data(TensorData::new(tokens, [n]), &device);
        let rotation = self.rotation(&packing.positions());
        let mut layers = Vec::with_capacity(self.model.layers.len());
        let attend = |_, Attend { q, k, v }: &Attend| attention(q, k, v, self.heads, packing);
        let hidden = self.hidden(tokens, &rotation, None, attend, |kept| layers.push(kept));
        Pass { layers, hidden }
    }
}
