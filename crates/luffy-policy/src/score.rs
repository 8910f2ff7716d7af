//! Log-probs and entropies of given tokens.

use burn::module::Module;
use burn::tensor::{Int, Tensor};
use luffy_core::{MicroBatch, Policy, TokenStats};
use luffy_kernels::{attention, token_scores};

use crate::CausalLm;
use crate::head::Head;
use crate::layer::Attend;
use crate::named::plain;

impl CausalLm {
    /// The head, off the graph.
    pub(crate) fn head(&self) -> Head {
        Head {
            matrix: plain(self.head_matrix()),
            is_tied: self.lm_head.is_none(),
            temperature: self.temperature,
        }
    }

    /// Normed hidden states that predict the response tokens of a batch, `[M, d]`.
    fn predicting(&self, batch: &MicroBatch) -> Tensor<2> {
        let rows = &batch.packed;
        let rotation = self.rotation(&rows.packing.positions());
        let attend = |_, Attend { q, k, v }: &Attend| attention(q, k, v, self.heads, &rows.packing);
        let wanted = Some(&rows.predicting);
        let hidden = self.hidden(rows.tokens.clone(), &rotation, wanted, attend, drop);
        self.norm(&hidden.select(0, rows.predictors.clone()))
    }
}

impl Policy for CausalLm {
    /// On a plain device no tensor of `[tokens, vocabulary]` stands whole; on an autodiff device the scores
    /// carry the graph, with the logits in it. [`luffy_core::Differentiable`] trains without them.
    fn score(&self, batch: &MicroBatch) -> TokenStats {
        let rows = &batch.packed;
        let hidden = self.predicting(batch);
        let (logprobs, entropy) = if hidden.is_autodiff() {
            let logits = hidden.matmul(self.head_matrix()) / self.temperature;
            stats(logits, rows.targets.clone())
        } else {
            let scores = self.head().score(&hidden, &rows.targets).scores;
            (scores.logprobs, scores.entropy)
        };
        TokenStats { logprobs: rows.to_table(logprobs), entropy: rows.to_table(entropy) }
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
    let (logits, targets) = (logits.reshape([b * t, v]), targets.reshape([b * t]));
    let (logprobs, entropy) = if logits.is_autodiff() {
        stats(logits, targets)
    } else {
        let scores = token_scores(&logits, &targets);
        (scores.logprobs, scores.entropy)
    };
    TokenStats { logprobs: logprobs.reshape([b, t]), entropy: entropy.reshape([b, t]) }
}

/// From the logits `[M, V]` that predict tokens `[M]`, with their graph.
///
/// `logprob = logit - lse`, `entropy = lse - sum(p * logit)`, with the maximum taken out of the graph.
pub(crate) fn stats(logits: Tensor<2>, targets: Tensor<1, Int>) -> (Tensor<1>, Tensor<1>) {
    let [m, _] = logits.dims();
    let max = logits.clone().detach().max_dim(1);
    let shifted = logits - max;
    let exp = shifted.clone().exp();
    let sum = exp.clone().sum_dim(1);
    let lse = sum.clone().log();
    let chosen = shifted.clone().gather(1, targets.reshape([m, 1]));
    let entropy = lse.clone() - (exp * shifted).sum_dim(1) / sum;
    ((chosen - lse).reshape([m]), entropy.reshape([m]))
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
