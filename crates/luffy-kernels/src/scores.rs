//! Log-probs and entropies from logits.

use burn::tensor::{IndexingUpdateOp, Int, Tensor};

#[cfg(feature = "flex")]
use crate::{host, simd};

/// What distributions say of given tokens, `[N]` each, in nats.
#[derive(Debug, Clone)]
pub struct TokenScores {
    /// `logit of the token - lse`.
    pub logprobs: Tensor<1>,
    /// `lse - sum(p logit)`.
    pub entropy: Tensor<1>,
    /// `log(sum(exp(logits)))`.
    pub lse: Tensor<1>,
}

/// Scores `targets` `[N]` under `logits` `[N, V]`, without a graph.
pub fn token_scores(logits: &Tensor<2>, targets: &Tensor<1, Int>) -> TokenScores {
    #[cfg(feature = "flex")]
    if let Some(values) = host::values(logits) {
        let [n, v] = logits.dims();
        let targets = targets.to_data();
        let mut room = vec![0.0; v];
        let mut columns = [(); 3].map(|()| Vec::with_capacity(n));
        for (row, target) in values.chunks(v).zip(targets.iter::<i64>()) {
            let (lse, entropy) = row_scores(row, &mut room);
            let scores = [row[target as usize] - lse, entropy, lse];
            for (column, score) in columns.iter_mut().zip(scores) {
                column.push(score);
            }
        }
        let [logprobs, entropy, lse] =
            columns.map(|column| host::tensor(column, [n], &logits.device()));
        return TokenScores { logprobs, entropy, lse };
    }
    let [n, _] = logits.dims();
    let max = logits.clone().max_dim(1);
    let shifted = logits.clone() - max.clone();
    let exp = shifted.clone().exp();
    let sum = exp.clone().sum_dim(1);
    let log_sum = sum.clone().log();
    let chosen = shifted.clone().gather(1, targets.clone().reshape([n, 1]));
    TokenScores {
        logprobs: (chosen - log_sum.clone()).reshape([n]),
        entropy: (log_sum.clone() - (exp * shifted).sum_dim(1) / sum).reshape([n]),
        lse: (log_sum + max).reshape([n]),
    }
}

#[cfg(feature = "flex")]
simd::vectorized! {
    /// `lse` and entropy of one row; `room` is as long.
    fn row_scores(row: &[f32], room: &mut [f32]) -> (f32, f32) {
        let max = simd::max(row);
        room.copy_from_slice(row);
        let sum = simd::exp_shifted(room, max, 1.0);
        // A token that cannot come has no part in the entropy.
        let mean = simd::sum2(row, room, |x, e| if e > 0.0 { e * (x - max) } else { 0.0 });
        let log_sum = sum.ln();
        (log_sum + max, log_sum - mean / sum)
    }

    /// The way back of one row, but for the slope of its token.
    fn row_back(row: &mut [f32], a: f32, b: f32, lse: f32, entropy: f32) {
        for x in row {
            let log_p = *x - lse;
            let p = simd::exp(log_p);
            // Without the choice a hidden token would give 0 times infinity.
            *x = if p > 0.0 { -p * (a + b * (log_p + entropy)) } else { 0.0 };
        }
    }
}

/// The way back of [`token_scores`], into the buffer of `logits` where nobody else holds it: with `p` the
/// distribution, `H` its entropy, and cotangents `a` of the log-prob and `b` of the entropy,
///
/// ```text
/// d/d logits = a ([y] - p) - b p (log p + H)
/// ```
pub fn token_scores_backward(
    logits: Tensor<2>,
    targets: &Tensor<1, Int>,
    scores: &TokenScores,
    logprobs: Option<&Tensor<1>>,
    entropy: Option<&Tensor<1>>,
) -> Tensor<2> {
    let [n, v] = logits.dims();
    #[cfg(feature = "flex")]
    if host::values(&logits).is_some() {
        let read = |column: &Tensor<1>| column.to_data().iter::<f32>().collect::<Vec<f32>>();
        let slope = |column: Option<&Tensor<1>>| column.map_or_else(|| vec![0.0; n], read);
        let (a, b) = (slope(logprobs), slope(entropy));
        let (lse, spread) = (read(&scores.lse), read(&scores.entropy));
        let targets = targets.to_data();
        return host::change(logits, |values| {
            for (i, (row, target)) in values.chunks_mut(v).zip(targets.iter::<i64>()).enumerate() {
                row_back(row, a[i], b[i], lse[i], spread[i]);
                row[target as usize] += a[i];
            }
        });
    }
    let column = |all: &Tensor<1>| all.clone().reshape([n, 1]);
    let log_p = logits - column(&scores.lse);
    let p = log_p.clone().exp();
    let mut slope = p.zeros_like();
    if let Some(a) = logprobs {
        slope = slope + column(a);
    }
    if let Some(b) = entropy {
        slope = slope + (log_p + column(&scores.entropy)) * column(b);
    }
    let out = (p * slope).neg();
    match logprobs {
        Some(a) => {
            out.scatter(1, targets.clone().reshape([n, 1]), column(a), IndexingUpdateOp::Add)
        }
        None => out,
    }
}
