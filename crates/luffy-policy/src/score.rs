//! Log-probs and entropies of given tokens.

use burn::tensor::{Int, Tensor};
use luffy_core::{MicroBatch, Policy, TokenStats};

use crate::CausalLm;
use crate::attention::Attended;

impl Policy for CausalLm {
    fn score(&self, batch: &MicroBatch) -> TokenStats {
        let [_, s] = batch.tokens.dims();
        let device = batch.tokens.device();
        let positions = Tensor::<1, Int>::arange(0..s as i64, &device).reshape([1, s]);
        let attended = Attended::causal(s, None, self.heads, &device);
        let hidden = self.hidden(batch.tokens.clone(), positions, &attended, None);
        let logits = self.head(hidden.select(0, batch.response_places.clone()));
        let scaled = (self.temperature - 1.0).abs() > 0.0;
        stats(if scaled { logits / self.temperature } else { logits }, batch)
    }
}

/// From the logits `[B * T, V]` that predict the response tokens.
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
