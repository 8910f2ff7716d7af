//! The way back through the model: from cotangents of log-probs and entropies to gradients by name.
//!
//! burn has no segment checkpoint. A segment run without a graph, from an input that was kept, and run
//! again from a leaf when its output's cotangent is known, is one: `sum(output * cotangent)` goes backward.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use luffy_core::{Cotangents, Differentiable, Gradients, MicroBatch, TokenStats};

use crate::CausalLm;
use crate::named::{gradients_into, plain};
use crate::score::{Context, off_graph};

/// What a [`CausalLm`] keeps of a scored batch.
pub struct Tape {
    trunk: Trunk,
    /// Normed hidden states that predict the response tokens, off the graph, `[N, d]`.
    hidden: Tensor<2>,
    /// The response tokens, `[N]`.
    targets: Tensor<1, Int>,
    /// `log_softmax` of all tokens, where it is small.
    kept: Option<Tensor<2>>,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tape").finish_non_exhaustive()
    }
}

/// How the hidden states came about.
enum Trunk {
    /// With the graph of all layers.
    Graph(Box<Tensor<2>>),
    /// Layer by layer, to be run again.
    Segments(Box<Segments>),
}

/// What it takes to run the layers again.
struct Segments {
    context: Context,
    tokens: Tensor<1, Int>,
    places: Tensor<1, Int>,
    /// The input of each layer, and the output of the last, `[B * S, d]`.
    inputs: Vec<Tensor<2>>,
}

const EMBEDDINGS: &str = "model.embed_tokens.weight";

impl Differentiable for CausalLm {
    type Tape = Tape;

    fn trace(&self, batch: &MicroBatch) -> (TokenStats, Tape) {
        let [b, t] = batch.targets.dims();
        let targets = batch.targets.clone().reshape([b * t]);
        let (trunk, hidden) = if self.recompute {
            self.run_segments(batch)
        } else {
            let hidden = self.predicting(batch);
            (Trunk::Graph(Box::new(hidden.clone())), plain(hidden))
        };
        let (stats, kept) = self.head().score(&hidden, batch);
        (stats, Tape { trunk, hidden, targets, kept })
    }

    fn pull_back(&self, tape: Tape, cotangents: &Cotangents) -> Gradients {
        let Tape { trunk, hidden, targets, kept } = tape;
        let flat = |cotangent: &Option<Tensor<2>>| {
            let cotangent = cotangent.clone()?;
            let [b, t] = cotangent.dims();
            Some(plain(cotangent).reshape([b * t]))
        };
        let (a, b) = (flat(&cotangents.logprobs), flat(&cotangents.entropy));
        if a.is_none() && b.is_none() {
            return Gradients::default();
        }
        let pulled = self.head().pull_back(&hidden, &targets, kept, a, b);
        drop(hidden);
        let mut gradients = match trunk {
            Trunk::Graph(output) => back(self, "", *output, &pulled.hidden, None).0,
            Trunk::Segments(segments) => self.back_through_segments(*segments, pulled.hidden),
        };
        let (name, matrix) = match &self.lm_head {
            Some(_) => ("lm_head.weight", pulled.matrix),
            None => (EMBEDDINGS, pulled.matrix.transpose()),
        };
        let [rows, columns] = matrix.dims();
        let matrix = matrix.reshape([rows * columns]);
        gradients.accumulate(Gradients([(name.to_owned(), matrix)].into()));
        gradients
    }
}

impl CausalLm {
    /// Runs all layers without a graph and keeps their inputs.
    fn run_segments(&self, batch: &MicroBatch) -> (Trunk, Tensor<2>) {
        let model = off_graph(self);
        let context = model.context(batch);
        let [b, s] = batch.tokens.dims();
        let tokens = batch.tokens.clone().reshape([b * s]);
        let places = batch.response_places.clone();
        let mut inputs = vec![model.embed(tokens.clone())];
        for layer in &model.model.layers {
            let x = inputs[inputs.len() - 1].clone();
            inputs.push(layer.forward(x, b, &context.rotation, &context.attended, None));
        }
        let hidden = model.norm(inputs[inputs.len() - 1].clone().select(0, places.clone()));
        (Trunk::Segments(Box::new(Segments { context, tokens, places, inputs })), hidden)
    }

    /// Runs the segments again, last first, each with its graph.
    fn back_through_segments(&self, segments: Segments, cotangent: Tensor<2>) -> Gradients {
        let Segments { context, tokens, places, mut inputs } = segments;
        let Context { rows, rotation, attended } = &context;
        let mut gradients = Gradients::default();
        let mut leaf = || Tensor::from_inner(inputs.pop().expect("an input")).require_grad();
        let input = leaf();
        let output = self.norm(input.clone().select(0, places));
        let (norm, pulled) =
            back(&self.model.norm, "model.norm.", output, &cotangent, Some(&input));
        gradients.accumulate(norm);
        let mut cotangent = pulled.expect("the norm reads its input");
        for (i, layer) in self.model.layers.iter().enumerate().rev() {
            let input = leaf();
            let output = layer.forward(input.clone(), *rows, rotation, attended, None);
            let prefix = format!("model.layers.{i}.");
            let (part, pulled) = back(layer, &prefix, output, &cotangent, Some(&input));
            gradients.accumulate(part);
            cotangent = pulled.expect("a layer reads its input");
        }
        let embedded = self.embed(tokens);
        let prefix = "model.embed_tokens.";
        gradients.accumulate(back(&self.model.embed_tokens, prefix, embedded, &cotangent, None).0);
        gradients
    }
}

/// Gradients of `sum(output * cotangent)` for the parameters of a segment, and for its input.
fn back<M: Module>(
    segment: &M,
    prefix: &str,
    output: Tensor<2>,
    cotangent: &Tensor<2>,
    input: Option<&Tensor<2>>,
) -> (Gradients, Option<Tensor<2>>) {
    let mut found = (output * Tensor::from_inner(cotangent.clone())).sum().backward();
    let pulled = input.and_then(|input| input.grad_remove(&mut found));
    (gradients_into(segment, prefix, found), pulled)
}
