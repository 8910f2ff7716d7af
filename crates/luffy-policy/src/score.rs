//! Log-probs and entropies of given tokens.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use luffy_core::{MicroBatch, Policy, TokenStats};

use crate::CausalLm;
use crate::attention::Attended;
use crate::head::{Head, log_softmax, read};
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
            return stats(head.logits(self.predicting(batch)), batch.targets.clone());
        }
        self.head().score(&self.predicting(batch), batch).0
    }
}

/// Log-probs and entropies of given tokens under given logits, in nats, in the dtype of the logits:
///
/// ```text
/// logprob = logit of the token - lse        entropy = lse - sum(p * logit)
/// ```
///
/// What [`CausalLm`] computes behind its head, at temperature 1, one chunk at once.
///
/// # Shapes
/// - `logits`: `[B, T, V]`; `targets` and both results: `[B, T]`.
/// - gradient: logits on an autodiff device get `[token] - p` from the log-prob and
///   `-p (log p + entropy)` from the entropy; on a plain device there is no graph.
///
/// # Panics
/// If the shapes do not fit.
pub fn token_statistics(logits: Tensor<3>, targets: Tensor<2, Int>) -> TokenStats {
    let [b, t, v] = logits.dims();
    assert_eq!(targets.dims(), [b, t], "one token for each distribution");
    let logits = logits.reshape([b * t, v]);
    if logits.is_autodiff() {
        return stats(logits, targets);
    }
    let (logprobs, entropy) = read(&log_softmax(logits), targets.reshape([b * t]));
    TokenStats { logprobs: logprobs.reshape([b, t]), entropy: entropy.reshape([b, t]) }
}

/// From the logits `[B * T, V]` that predict the response tokens `[B, T]`, with their graph.
///
/// `logprob = logit - lse`, `entropy = lse - sum(p * logit)`, with the maximum taken out of the graph.
pub(crate) fn stats(logits: Tensor<2>, targets: Tensor<2, Int>) -> TokenStats {
    let [b, t] = targets.dims();
    let max = logits.clone().detach().max_dim(1);
    let shifted = logits - max;
    let exp = shifted.clone().exp();
    let sum = exp.clone().sum_dim(1);
    let lse = sum.clone().log();
    let chosen = shifted.clone().gather(1, targets.reshape([b * t, 1]));
    let entropy = lse.clone() - (exp * shifted).sum_dim(1) / sum;
    TokenStats { logprobs: (chosen - lse).reshape([b, t]), entropy: entropy.reshape([b, t]) }
}

/// The module off the graph, sharing buffers.
pub(crate) fn off_graph(model: &CausalLm) -> CausalLm {
    if model.model.embed_tokens.weight.val().is_autodiff() { model.valid() } else { model.clone() }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};

    use super::*;

    /// Log-prob and entropy of the second of three tokens, in f64.
    fn check(logits: [f64; 3], logprob: f64, entropy: f64) {
        for device in [Device::flex(), Device::flex().autodiff()] {
            let data = TensorData::new(logits.to_vec(), [1, 1, 3]);
            let logits = Tensor::<3>::from_data(data, (&device, DType::F64));
            let targets = Tensor::<2, Int>::from_data([[1]], &device);
            let stats = token_statistics(logits, targets);
            for (got, expected) in [(stats.logprobs, logprob), (stats.entropy, entropy)] {
                let got = got.into_data().iter::<f64>().next().unwrap();
                assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");
            }
        }
    }

    #[test]
    fn statistics_of_logits_are_the_closed_forms_in_their_dtype() {
        let third = 3.0_f64.ln();
        check([0.0, 0.0, 0.0], -third, third);
        // p = (1, 2, 1) / 4: ln p = (-2 ln 2, -ln 2, -2 ln 2), entropy 3/2 ln 2; a constant changes nothing.
        let two = 2.0_f64.ln();
        check([0.0, two, 0.0], -two, 1.5 * two);
        check([700.0, 700.0 + two, 700.0], -two, 1.5 * two);
        // p = (1, e^-800, 0) as far as numbers go.
        check([800.0, 0.0, -800.0], -800.0, 0.0);
    }
}
