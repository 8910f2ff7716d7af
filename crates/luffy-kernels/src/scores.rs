//! Log-probs and entropies from logits.

use burn::tensor::{IndexingUpdateOp, Int, Tensor, s};

#[cfg(feature = "flex")]
use crate::{host, simd};
#[cfg(feature = "flex")]
use rayon::prelude::*;

/// What distributions say of given tokens, `[N]` each, in nats.
#[derive(Debug, Clone)]
pub struct TokenScores {
    /// `logit of the token - lse`.
    pub logprobs: Tensor<1>,
    /// `lse - sum(p logit)`.
    pub entropy: Tensor<1>,
    /// The largest logit, the inverse of `sum(exp(logit - largest))`, and `sum(p logit)`. The way back is made
    /// of these: with a rounded `lse` of 12 it would be off by a millionth everywhere in the same direction.
    largest: Tensor<1>,
    inverse: Tensor<1>,
    mean: Tensor<1>,
}

impl TokenScores {
    /// Those of further tokens behind these.
    ///
    /// # Panics
    /// If there are none.
    pub fn cat(parts: &[Self]) -> Self {
        let join = |of: fn(&Self) -> &Tensor<1>| {
            Tensor::cat(parts.iter().map(|part| of(part).clone()).collect(), 0)
        };
        Self {
            logprobs: join(|part| &part.logprobs),
            entropy: join(|part| &part.entropy),
            largest: join(|part| &part.largest),
            inverse: join(|part| &part.inverse),
            mean: join(|part| &part.mean),
        }
    }

    /// Those of some of the tokens.
    #[must_use]
    pub fn part(&self, tokens: std::ops::Range<usize>) -> Self {
        let part = |all: &Tensor<1>| all.clone().slice(s![tokens.clone()]);
        Self {
            logprobs: part(&self.logprobs),
            entropy: part(&self.entropy),
            largest: part(&self.largest),
            inverse: part(&self.inverse),
            mean: part(&self.mean),
        }
    }
}

/// Scores `targets` `[N]` under `logits` `[N, V]`, without a graph.
pub fn token_scores(logits: &Tensor<2>, targets: &Tensor<1, Int>) -> TokenScores {
    #[cfg(feature = "flex")]
    if let Some(values) = host::values(logits) {
        let [n, v] = logits.dims();
        let targets: Vec<i64> = targets.to_data().iter().collect();
        let rows: Vec<[f32; 5]> = (values.par_chunks(v).zip(&targets))
            .map_init(
                || vec![0.0; v],
                |room, (row, target)| row_scores(row, *target as usize, room),
            )
            .collect();
        let [logprobs, entropy, largest, inverse, mean] = [0, 1, 2, 3, 4]
            .map(|i| host::tensor(rows.iter().map(|row| row[i]).collect(), [n], &logits.device()));
        return TokenScores { logprobs, entropy, largest, inverse, mean };
    }
    let [n, _] = logits.dims();
    let largest = logits.clone().max_dim(1);
    let shifted = logits.clone() - largest.clone();
    let exp = shifted.clone().exp();
    let sum = exp.clone().sum_dim(1);
    let log_sum = sum.clone().log();
    let chosen = shifted.clone().gather(1, targets.clone().reshape([n, 1]));
    // A token that cannot come has no part: zero times minus infinity is not zero.
    let part = exp.clone() * shifted;
    let mean = part.mask_fill(exp.equal_elem(0.0), 0.0).sum_dim(1) / sum.clone();
    TokenScores {
        logprobs: (chosen - log_sum.clone()).reshape([n]),
        entropy: (log_sum - mean.clone()).reshape([n]),
        mean: (mean + largest.clone()).reshape([n]),
        largest: largest.reshape([n]),
        inverse: sum.recip().reshape([n]),
    }
}

#[cfg(feature = "flex")]
simd::vectorized! {
    /// Scores of one row in the order of the fields of [`TokenScores`]; `room` is as long as the row.
    fn row_scores(row: &[f32], target: usize, room: &mut [f32]) -> [f32; 5] {
        let max = simd::max(row);
        room.copy_from_slice(row);
        let sum = simd::exp_shifted(room, max, 1.0);
        // A token that cannot come has no part in the entropy.
        let mean = simd::sum2(row, room, |x, e| if e > 0.0 { e * (x - max) } else { 0.0 }) / sum;
        let log_sum = sum.ln();
        [row[target] - max - log_sum, log_sum - mean, max, sum.recip(), mean + max]
    }

    /// The way back of one row, but for the slope of its token.
    fn row_back(row: &mut [f32], a: f32, b: f32, max: f32, inverse: f32, mean: f32) {
        for x in row {
            let p = simd::exp(*x - max) * inverse;
            // Without the choice a hidden token would give 0 times infinity.
            *x = if p > 0.0 { -p * (a + b * (*x - mean)) } else { 0.0 };
        }
    }
}

/// The way back of [`token_scores`], into the buffer of `logits` where nobody else holds it: with `p` the
/// distribution, `H` its entropy, and cotangents `a` of the log-prob and `b` of the entropy,
///
/// ```text
/// d/d logits = a ([y] - p) - b p (log p + H),        log p + H = logit - sum(p logit)
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
        let [max, inverse, mean] = [&scores.largest, &scores.inverse, &scores.mean].map(read);
        let targets: Vec<i64> = targets.to_data().iter().collect();
        return host::change(logits, |values| {
            values.par_chunks_mut(v).zip(&targets).enumerate().for_each(|(i, (row, target))| {
                row_back(row, a[i], b[i], max[i], inverse[i], mean[i]);
                row[*target as usize] += a[i];
            });
        });
    }
    let column = |all: &Tensor<1>| all.clone().reshape([n, 1]);
    let p = (logits.clone() - column(&scores.largest)).exp() * column(&scores.inverse);
    let mut slope = p.zeros_like();
    if let Some(a) = logprobs {
        slope = slope + column(a);
    }
    if let Some(b) = entropy {
        let seen = logits.mask_fill(p.clone().equal_elem(0.0), 0.0);
        slope = slope + (seen - column(&scores.mean)) * column(b);
    }
    let out = (p * slope).neg();
    match logprobs {
        Some(a) => {
            out.scatter(1, targets.clone().reshape([n, 1]), column(a), IndexingUpdateOp::Add)
        }
        None => out,
    }
}
