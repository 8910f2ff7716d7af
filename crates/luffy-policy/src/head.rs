//! The head, a chunk of tokens at a time: logits of `[tokens, vocabulary]` never stand whole.
//!
//! With `l = log_softmax(h W / temperature)`, `p = exp(l)` and `H = -sum(p l)`, the score of token `y` is
//! `l_y`, and the way back has a closed form: for cotangents `a` of the log-prob and `b` of the entropy,
//!
//! ```text
//! d/d logits = (a [y] - p (a + b (l + H))) / temperature
//! ```
//!
//! so a chunk needs no graph either way.

use std::ops::Range;

use burn::tensor::{IndexingUpdateOp, Int, Tensor, s};
use luffy_core::{MicroBatch, TokenStats};

/// Most logits of a chunk: 64 MiB in f32, of which a handful of temporaries live at once. For a vocabulary
/// of 151,936 that is 110 tokens.
const CHUNK_LOGITS: usize = 1 << 24;

/// The matrix of logits, and how it is read. All tensors are plain, except
/// where logits are taken with their graph.
pub(crate) struct Head {
    /// `[d, V]`.
    pub(crate) matrix: Tensor<2>,
    pub(crate) temperature: f64,
}

/// What comes back through the head.
pub(crate) struct Pulled {
    /// With respect to the hidden states, `[N, d]`.
    pub(crate) hidden: Tensor<2>,
    /// With respect to the matrix, `[d, V]`.
    pub(crate) matrix: Tensor<2>,
}

/// `logits - lse`, row by row.
pub(crate) fn log_softmax(logits: Tensor<2>) -> Tensor<2> {
    let shifted = logits.clone() - logits.max_dim(1);
    let lse = shifted.clone().exp().sum_dim(1).log();
    shifted - lse
}

/// Log-probs `[N]` of given tokens `[N]` and entropies `[N]`, from `log_softmax` of all tokens `[N, V]`.
pub(crate) fn read(all: &Tensor<2>, targets: Tensor<1, Int>) -> (Tensor<1>, Tensor<1>) {
    let [n, _] = all.dims();
    let chosen = all.clone().gather(1, targets.reshape([n, 1])).reshape([n]);
    (chosen, (all.clone().exp() * all.clone()).sum_dim(1).neg().reshape([n]))
}

impl Head {
    /// The chunks of `n` tokens.
    fn chunks(&self, n: usize) -> impl Iterator<Item = Range<usize>> {
        let size = (CHUNK_LOGITS / self.matrix.dims()[1]).max(1);
        (0..n).step_by(size).map(move |start| start..(start + size).min(n))
    }

    /// Logits of hidden states, over the temperature.
    pub(crate) fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let logits = hidden.matmul(self.matrix.clone());
        if self.is_scaled() { logits / self.temperature } else { logits }
    }

    /// `log_softmax` of the logits of some hidden states.
    fn log_softmax(&self, hidden: Tensor<2>) -> Tensor<2> {
        log_softmax(self.logits(hidden))
    }

    fn is_scaled(&self) -> bool {
        (self.temperature - 1.0).abs() > 0.0
    }

    /// Scores of the response tokens of a batch under the hidden states `[B * T, d]` that predict them, and
    /// `log_softmax` of all tokens, kept where one chunk holds them.
    pub(crate) fn score(
        &self,
        hidden: &Tensor<2>,
        batch: &MicroBatch,
    ) -> (TokenStats, Option<Tensor<2>>) {
        let [b, t] = batch.targets.dims();
        let targets = batch.targets.clone().reshape([b * t]);
        let [n, _] = hidden.dims();
        let (mut logprobs, mut entropy, mut kept) = (Vec::new(), Vec::new(), None);
        for chunk in self.chunks(n) {
            let m = chunk.len();
            let all = self.log_softmax(hidden.clone().slice(s![chunk.clone(), ..]));
            let (chosen, spread) = read(&all, targets.clone().slice(s![chunk]));
            logprobs.push(chosen);
            entropy.push(spread);
            kept = (m == n).then_some(all);
        }
        let stats = TokenStats {
            logprobs: Tensor::cat(logprobs, 0).reshape([b, t]),
            entropy: Tensor::cat(entropy, 0).reshape([b, t]),
        };
        (stats, kept)
    }

    /// The way back, given the cotangents `[N]` of log-probs and entropies.
    pub(crate) fn pull_back(
        &self,
        hidden: &Tensor<2>,
        targets: &Tensor<1, Int>,
        mut kept: Option<Tensor<2>>,
        logprobs: Option<Tensor<1>>,
        entropy: Option<Tensor<1>>,
    ) -> Pulled {
        let [n, _] = hidden.dims();
        let (mut to_hidden, mut to_matrix) = (Vec::new(), None::<Tensor<2>>);
        for chunk in self.chunks(n) {
            let m = chunk.len();
            let hidden = hidden.clone().slice(s![chunk.clone(), ..]);
            let column = |all: &Tensor<1>| all.clone().slice(s![chunk.clone()]).reshape([m, 1]);
            let all = kept.take().unwrap_or_else(|| self.log_softmax(hidden.clone()));
            let p = all.clone().exp();
            let slope = logprobs.as_ref().map(column);
            let mut to_logits = match &entropy {
                Some(entropy) => {
                    let b = column(entropy);
                    let own = (p.clone() * all.clone()).sum_dim(1).neg();
                    let spread = (all + own) * b;
                    let spread = match &slope {
                        Some(a) => spread + a.clone(),
                        None => spread,
                    };
                    (p * spread).neg()
                }
                None => match &slope {
                    Some(a) => (p * a.clone()).neg(),
                    None => p.zeros_like(),
                },
            };
            if let Some(a) = slope {
                let index = targets.clone().slice(s![chunk]).reshape([m, 1]);
                to_logits = to_logits.scatter(1, index, a, IndexingUpdateOp::Add);
            }
            if self.is_scaled() {
                to_logits = to_logits / self.temperature;
            }
            to_hidden.push(to_logits.clone().matmul(self.matrix.clone().transpose()));
            let part = hidden.transpose().matmul(to_logits);
            to_matrix = Some(match to_matrix {
                Some(sum) => sum + part,
                None => part,
            });
        }
        Pulled {
            hidden: Tensor::cat(to_hidden, 0),
            matrix: to_matrix.unwrap_or_else(|| self.matrix.zeros_like()),
        }
    }
}
