//! Log-probs and entropies of given tokens.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use luffy_core::{MicroBatch, Policy, TokenStats};

use crate::CausalLm;
use crate::attention::Attended;
use crate::head::Head;
use crate::named::plain;
use crate::rope::Rotation;

/// What every layer reads beside the hidden states.
pub(crate) struct Context {
    pub(crate) rows: usize,
    pub(crate) rotation: Rotation,
    pub(crate) attended: Attended,
}

impl CausalLm {
    /// Positions and mask of a batch.
    pub(crate) fn context(&self, batch: &MicroBatch) -> Context {
        let [rows, s] = batch.tokens.dims();
        let device = batch.tokens.device();
        let positions = Tensor::<1, Int>::arange(0..s as i64, &device).reshape([1, s]);
        Context {
            rows,
            rotation: self.rotation(positions),
            attended: Attended::causal(s, self.heads, &device),
        }
    }

    /// The head, off the graph.
    pub(crate) fn head(&self) -> Head {
        Head { matrix: plain(self.head_matrix()), temperature: self.temperature }
    }

    /// Normed hidden states that predict the response tokens of a batch, `[B * T, d]`.
    pub(crate) fn predicting(&self, batch: &MicroBatch) -> Tensor<2> {
        let Context { rotation, attended, .. } = self.context(batch);
        let hidden = self.hidden(batch.tokens.clone(), &rotation, &attended, None);
        self.norm(hidden.select(0, batch.response_places.clone()))
    }
}

impl Policy for CausalLm {
    /// On a plain device no tensor of `[tokens, vocabulary]` stands whole; on an autodiff device the scores
    /// carry the graph, with the logits in it. [`luffy_core::Differentiable`] trains without them.
    fn score(&self, batch: &MicroBatch) -> TokenStats {
        if self.model.embed_tokens.weight.val().is_autodiff() {
            let head = Head { matrix: self.head_matrix(), temperature: self.temperature };
            return stats(head.logits(self.predicting(batch)), batch);
        }
        self.head().score(&self.predicting(batch), batch).0
    }
}

/// From the logits `[B * T, V]` that predict the response tokens, with their graph.
///
/// `logprob = logit - lse`, `entropy = lse - sum(p * logit)`, with the maximum taken out of the graph.
pub(crate) fn stats(logits: Tensor<2>, batch: &MicroBatch) -> TokenStats {
    let [b, t] = batch.targets.dims();
    let max = logits.clone().detach().max_dim(1);
    let shifted = logits - max;
    let exp = shifted.clone().exp();
    let sum = exp.clone().sum_dim(1);
    let lse = sum.clone().log();
    let chosen = shifted.clone().gather(1, batch.targets.clone().reshape([b * t, 1]));
    let entropy = lse.clone() - (exp * shifted).sum_dim(1) / sum;
    TokenStats { logprobs: (chosen - lse).reshape([b, t]), entropy: entropy.reshape([b, t]) }
}

/// The module off the graph, sharing buffers.
pub(crate) fn off_graph(model: &CausalLm) -> CausalLm {
    if model.model.embed_tokens.weight.val().is_autodiff() { model.valid() } else { model.clone() }
}
