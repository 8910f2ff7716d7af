//! Clips that are formulas in the ratio itself.

use burn::tensor::{Tensor, activation};

use super::range::{Range, nowhere};
use super::{SampledTokens, Surrogate};
use crate::log_importance_weights;
use crate::selection::{keep, row_counts};

/// From here on a ratio is beyond what any gate tells apart: its logistic function is 1 in every
/// precision, and its exponential still finite in `f32`.
const MOST_LOG_RATIO: f64 = 50.0;

/// `sg(min(w, 1 + high)) * ln pi`.
pub(super) fn cispo(tokens: &SampledTokens<'_>, high: f64) -> Surrogate {
    let weights = log_ratios(tokens).detach().exp();
    // Outside of the selection the ratio is 1.
    let clipped = weights.clone().greater_elem(1.0 + high);
    let weights = tokens.view.logprobs.clone() * weights.clamp_max(1.0 + high);
    Surrogate { weights, clipped }
}

/// The ratio of the row on each of its tokens, within `range`.
pub(super) fn gspo(tokens: &SampledTokens<'_>, range: Range) -> Surrogate {
    let log_ratios = keep(log_ratios(tokens), tokens.selected);
    let dims = log_ratios.dims();
    let counts = row_counts(tokens.selected, log_ratios.dtype()).clamp_min(1.0);
    let log_ratios = (log_ratios.sum_dim(1) / counts).expand(dims);
    let values = log_ratios.clone().detach().exp();
    let (bounded, clipped) = range.hold(values, &tokens.view.advantages);
    // A clipped ratio may be infinite: it goes through the exponential as zero.
    let weights =
        log_ratios.mask_fill(clipped.clone(), 0.0).exp().mask_where(clipped.clone(), bounded);
    Surrogate { weights, clipped }
}

/// `sigmoid(tau * (w - 1)) * 4 / tau`.
pub(super) fn sapo(tokens: &SampledTokens<'_>, positive: f64, negative: f64) -> Surrogate {
    let log_ratios = log_ratios(tokens);
    let rises = tokens.view.advantages.clone().greater_elem(0.0);
    let tau = log_ratios.clone().detach().zeros_like() + negative;
    let tau = tau.mask_fill(rises, positive);
    let ratios = log_ratios.clamp_max(MOST_LOG_RATIO).exp();
    let weights = activation::sigmoid((ratios - 1.0) * tau.clone()) * 4.0 / tau;
    Surrogate { weights, clipped: nowhere(tokens) }
}

fn log_ratios(tokens: &SampledTokens<'_>) -> Tensor<2> {
    log_importance_weights(tokens.view.logprobs.clone(), tokens.view.behavior_logprobs.clone())
}
