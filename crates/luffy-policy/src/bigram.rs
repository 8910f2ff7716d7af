//! The smallest policy: the next token depends on the last one alone.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{
    Cotangents, Decoder, Differentiable, Gradients, MicroBatch, Policy, SampleError, TokenStats,
    Weights,
};

use crate::named::{gradients_of, load_named, plain};
use crate::score::stats;

/// A `[V, V]` table of logits, zero at first: for tests and benches.
#[derive(Module, Debug)]
pub struct Bigram {
    table: Param<Tensor<2>>,
}

impl Bigram {
    /// A uniform policy over `n_tokens` tokens.
    pub fn new(n_tokens: usize, device: &Device) -> Self {
        Self { table: Param::from_tensor(Tensor::zeros([n_tokens, n_tokens], device)) }
    }
}

impl Policy for Bigram {
    fn score(&self, batch: &MicroBatch) -> TokenStats {
        let rows = &batch.packed;
        let before = rows.tokens.clone().select(0, rows.predicting.clone());
        let before = before.select(0, rows.predictors.clone());
        let (logprobs, entropy) = stats(self.table.val().select(0, before), rows.targets.clone());
        TokenStats { logprobs: rows.to_table(logprobs), entropy: rows.to_table(entropy) }
    }
}

impl Differentiable for Bigram {
    /// The scores with their graph.
    type Tape = TokenStats;

    fn trace(&self, batch: &MicroBatch) -> (TokenStats, TokenStats) {
        let stats = self.score(batch);
        let (logprobs, entropy) = (plain(stats.logprobs.clone()), plain(stats.entropy.clone()));
        (TokenStats { logprobs, entropy }, stats)
    }

    fn pull_back(&self, tape: TokenStats, cotangents: &Cotangents) -> Gradients {
        let part = |score: Tensor<2>, cotangent: &Option<Tensor<2>>| {
            cotangent.clone().map(|cotangent| (score * Tensor::from_inner(cotangent)).sum())
        };
        let parts =
            [part(tape.logprobs, &cotangents.logprobs), part(tape.entropy, &cotangents.entropy)];
        match parts.into_iter().flatten().reduce(|a, b| a + b) {
            Some(sum) => gradients_of(self, sum.backward()),
            None => Gradients::default(),
        }
    }
}

impl Decoder for Bigram {
    type Cache = ();

    fn prefill(&self, prompts: &[&[u32]]) -> (Tensor<2>, ()) {
        let last: Vec<i64> =
            prompts.iter().map(|prompt| prompt.last().copied().map_or(0, i64::from)).collect();
        let n = last.len();
        let table = self.table.val();
        let last = Tensor::from_data(TensorData::new(last, [n]), &table.device());
        (self.step(last, &mut ()), ())
    }

    fn step(&self, tokens: Tensor<1, Int>, (): &mut ()) -> Tensor<2> {
        self.table.val().select(0, tokens)
    }

    fn select(&self, (): &mut (), _rows: &[u32]) {}

    fn append(&self, (): &mut (), (): ()) {}

    fn context_len(&self) -> usize {
        usize::MAX
    }

    fn publish(&mut self, weights: &Weights) -> Result<(), SampleError> {
        *self = load_named(self.clone(), weights)
            .map_err(|error| SampleError::Weights(error.to_string()))?;
        Ok(())
    }
}
