//! The way back through the model: from cotangents of log-probs and entropies to gradients by name.
//!
//! No graph is built: each layer has its way back in closed form (`layer.rs`), from what its forward pass kept.
//! With recomputation a layer keeps its input alone and runs a second time; what decoding has kept is collected
//! layer by layer (`recall.rs`).

use std::sync::Arc;

use burn::tensor::{Int, Tensor};
use luffy_core::{Cotangents, Differentiable, Gradients, MicroBatch, Packing, TokenStats};
use luffy_kernels::{
    Attended, HeadShape, Rotation, add_rows, add_rows_squares, attention, attention_backward,
};

use crate::CausalLm;
use crate::activations::Recalled;
use crate::head::{Pulled, Scored};
use crate::layer::{Attend, Found, Kept};
use crate::named::plain;
use crate::score::off_graph;

/// What a [`CausalLm`] keeps of a scored batch.
pub struct Tape {
    model: CausalLm,
    tokens: Tensor<1, Int>,
    /// Tokens that predict something, and which of them predicts each response token.
    predicting: Tensor<1, Int>,
    predictors: Tensor<1, Int>,
    sequence: Sequence,
    layers: Vec<Step>,
    /// Hidden states that predict the response tokens, before the last norm and behind it, `[M, d]`.
    last: Tensor<2>,
    normed: Tensor<2>,
    scored: Scored,
    /// From `[B, T]` to `[M]`.
    cells: Tensor<1, Int>,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").finish_non_exhaustive()
    }
}

/// What is kept of a layer.
enum Step {
    Whole(Box<Kept>),
    /// Its input, to run it again from.
    Input(Box<Tensor<2>>),
    /// Where to collect it from.
    Recalled(Arc<Recalled>),
}

/// Which tokens see each other, and where they stand.
struct Sequence {
    packing: Packing,
    rotation: Rotation,
    heads: HeadShape,
}

impl Sequence {
    fn attend(&self, Attend { q, k, v }: &Attend) -> Attended {
        attention(q, k, v, self.heads, &self.packing)
    }

    fn back(&self, seen: &Attend, attended: &Attended, d_out: &Tensor<2>) -> [Tensor<2>; 3] {
        let Attend { q, k, v } = seen;
        attention_backward(q, k, v, attended, d_out, self.heads, &self.packing)
    }
}

const EMBEDDINGS: &str = "model.embed_tokens.weight";

impl Differentiable for CausalLm {
    type Tape = Tape;

    fn trace(&self, batch: &MicroBatch) -> (TokenStats, Tape) {
        let model = off_graph(self);
        let rows = &batch.packed;
        let rotation = model.rotation(&rows.packing.positions());
        let sequence = Sequence { packing: rows.packing.clone(), rotation, heads: model.heads };
        let mut layers = Vec::with_capacity(model.model.layers.len());
        let last = if let Some(recalled) = model.recall(rows) {
            let recalled = Arc::new(recalled);
            let step = || Step::Recalled(Arc::clone(&recalled));
            layers.extend(std::iter::repeat_with(step).take(model.model.layers.len()));
            let places = rows.predicting.to_data();
            recalled.hidden(places.iter::<i64>().map(|place| place as usize))
        } else {
            let attend = |_, seen: &Attend| sequence.attend(seen);
            let look = |kept: Kept| {
                layers.push(if model.recompute {
                    Step::Input(Box::new(kept.x))
                } else {
                    Step::Whole(Box::new(kept))
                });
            };
            let wanted = Some(&rows.predicting);
            model.hidden(rows.tokens.clone(), &sequence.rotation, wanted, attend, look)
        };
        let last = last.select(0, rows.predictors.clone());
        let normed = model.norm(&last);
        let scored = model.head().score(&normed, &rows.targets);
        let stats = TokenStats {
            logprobs: rows.to_table(scored.scores.logprobs.clone()),
            entropy: rows.to_table(scored.scores.entropy.clone()),
        };
        let tape = Tape {
            model,
            tokens: rows.tokens.clone(),
            predicting: rows.predicting.clone(),
            predictors: rows.predictors.clone(),
            sequence,
            layers,
            last,
            normed,
            scored,
            cells: rows.cells.clone(),
        };
        (stats, tape)
    }

    fn pull_back(&self, tape: Tape, cotangents: &Cotangents) -> Gradients {
        let Tape {
            model,
            tokens,
            predicting,
            predictors,
            sequence,
            layers,
            last,
            normed,
            scored,
            cells,
        } = tape;
        let column = |cotangent: &Option<Tensor<2>>| {
            let cotangent = plain(cotangent.clone()?);
            let [b, t] = cotangent.dims();
            Some(cotangent.reshape([b * t]).select(0, cells.clone()))
        };
        let (a, b) = (column(&cotangents.logprobs), column(&cotangents.entropy));
        let mut gradients = Gradients::default();
        if a.is_none() && b.is_none() {
            return gradients;
        }
        let Pulled { hidden, mut matrix } =
            model.head().pull_back(&normed, scored, a.as_ref(), b.as_ref());
        drop(normed);
        let mut found = Found(&mut gradients, "model.".to_owned());
        let d_last = model.model.norm.back("norm", &last, &hidden, &mut found);
        let [_, d] = last.dims();
        drop((hidden, last));
        let device = d_last.device();
        let dx = Tensor::<2>::zeros([predicting.dims()[0], d], &device).cast(d_last.dtype());
        let mut dx = add_rows(dx, &predictors, &d_last);
        drop(d_last);
        let mut wanted = Some(&predicting);
        for ((i, layer), step) in model.model.layers.iter().enumerate().zip(layers).rev() {
            // Of the last layer alone.
            let wanted = wanted.take();
            let kept = match step {
                Step::Whole(kept) => *kept,
                Step::Input(input) => {
                    let attend = |seen: &Attend| sequence.attend(seen);
                    layer.run(*input, &sequence.rotation, wanted, attend).1
                }
                Step::Recalled(recalled) => recalled.layer(i, wanted),
            };
            let mut found = Found(&mut gradients, format!("model.layers.{i}."));
            let back = |seen: &Attend, attended: &Attended, d_out: &Tensor<2>| {
                sequence.back(seen, attended, d_out)
            };
            dx = layer.back(kept, dx, &sequence.rotation, back, &mut found);
        }
        let mut found = Found(&mut gradients, String::new());
        if model.lm_head.is_some() {
            found.add(&["lm_head.weight"], matrix);
            matrix = (model.model.embed_tokens.weight.val().zeros_like(), None);
        }
        found.add(&[EMBEDDINGS], add_rows_squares(matrix, &tokens, &dx));
        gradients
    }
}
