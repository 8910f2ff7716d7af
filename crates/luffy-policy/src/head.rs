//! The head, a chunk of tokens at a time: logits of `[tokens, vocabulary]` never stand whole.

use std::ops::Range;

use burn::tensor::{Int, Tensor, s};
use luffy_kernels::{
    TokenScores, matmul, matmul_add, matmul_squares, token_scores, token_scores_backward,
};

/// Most logits of a chunk: 256 MiB in f32, of which one or two temporaries live at once. For a vocabulary of
/// 151,936 that is 441 tokens: the matrix is laid out for a product often enough to count, and where one chunk is
/// enough its logits are not made a second time for the way back.
const CHUNK_LOGITS: usize = 1 << 26;

/// The matrix of logits, and how it is read. All tensors are plain.
pub(crate) struct Head {
    /// `[d, V]`.
    pub(crate) matrix: Tensor<2>,
    /// Whether it is a view of the embeddings, `[V, d]`.
    pub(crate) is_tied: bool,
    pub(crate) temperature: f64,
}

/// Scored tokens, and what their way back needs.
pub(crate) struct Scored {
    pub(crate) scores: TokenScores,
    targets: Tensor<1, Int>,
    /// The logits, where one chunk holds them.
    logits: Option<Tensor<2>>,
}

/// What comes back through the head.
pub(crate) struct Pulled {
    /// With respect to the hidden states, `[M, d]`.
    pub(crate) hidden: Tensor<2>,
    /// With respect to the matrix as it is stored: `[V, d]` where it is tied, `[d, V]` where not; and the sum of its
    /// squares where that is known.
    pub(crate) matrix: (Tensor<2>, Option<f64>),
}

impl Head {
    /// The chunks of `n` tokens, as few as possible and about as long as one another.
    fn chunks(&self, n: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let most = (CHUNK_LOGITS / self.matrix.dims()[1]).max(1);
        let size = n.div_ceil(n.div_ceil(most)).max(1);
        (0..n).step_by(size).map(move |start| start..(start + size).min(n))
    }

    /// Logits of hidden states, over the temperature.
    fn logits(&self, hidden: &Tensor<2>) -> Tensor<2> {
        let logits = matmul(hidden, &self.matrix);
        if self.is_scaled() { logits / self.temperature } else { logits }
    }

    fn is_scaled(&self) -> bool {
        (self.temperature - 1.0).abs() > 0.0
    }

    /// Scores tokens `[M]` under the hidden states `[M, d]` that predict them.
    pub(crate) fn score(&self, hidden: &Tensor<2>, targets: &Tensor<1, Int>) -> Scored {
        let [n, _] = hidden.dims();
        let mut parts = Vec::new();
        let mut kept = None;
        for chunk in self.chunks(n) {
            let logits = self.logits(&hidden.clone().slice(s![chunk.clone(), ..]));
            parts.push(token_scores(&logits, &targets.clone().slice(s![chunk.clone()])));
            kept = (chunk.len() == n).then_some(logits);
        }
        let scores = TokenScores::cat(&parts);
        Scored { scores, targets: targets.clone(), logits: kept }
    }

    /// The way back, given the cotangents `[M]` of log-probs and entropies.
    pub(crate) fn pull_back(
        &self,
        hidden: &Tensor<2>,
        scored: Scored,
        logprobs: Option<&Tensor<1>>,
        entropy: Option<&Tensor<1>>,
    ) -> Pulled {
        let Scored { scores, targets, logits: mut kept } = scored;
        let [n, _] = hidden.dims();
        let (mut to_hidden, mut to_matrix) = (Vec::new(), None);
        for chunk in self.chunks(n) {
            let hidden = hidden.clone().slice(s![chunk.clone(), ..]);
            let logits = kept.take().unwrap_or_else(|| self.logits(&hidden));
            let part = |all: &Tensor<1>| all.clone().slice(s![chunk.clone()]);
            let mut to_logits = token_scores_backward(
                logits,
                &targets.clone().slice(s![chunk.clone()]),
                &scores.part(chunk.clone()),
                logprobs.map(part).as_ref(),
                entropy.map(part).as_ref(),
            );
            if self.is_scaled() {
                to_logits = to_logits / self.temperature;
            }
            to_hidden.push(matmul(&to_logits, &self.matrix.clone().transpose()));
            let (left, right) = if self.is_tied {
                (to_logits.transpose(), hidden)
            } else {
                (hidden.transpose(), to_logits)
            };
            to_matrix = Some(match to_matrix {
                Some((sum, _)) => (matmul_add(sum, &left, &right), None),
                None => matmul_squares(&left, &right),
            });
        }
        Pulled {
            hidden: Tensor::cat(to_hidden, 0),
            matrix: to_matrix.expect("a batch predicts at least one token"),
        }
    }
}
