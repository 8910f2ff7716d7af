//! Clips that hold a value within bounds.

use burn::tensor::{Bool, Tensor};
use luffy_core::TokenView;

use super::{SampledTokens, Surrogate};

/// Bounds of a value that multiplies an advantage.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    /// Lower bound where the advantage is negative.
    pub(super) least: f64,
    /// Upper bound where the advantage is positive.
    pub(super) most: f64,
    /// Upper bound where the advantage is negative.
    pub(super) max: f64,
}

impl Range {
    pub(super) fn around_one(low: f64, high: f64) -> Self {
        Self { least: 1.0 - low, most: 1.0 + high, max: f64::INFINITY }
    }

    /// The reshaped ratio within the bounds.
    pub(super) fn surrogate(self, tokens: &SampledTokens<'_>) -> Surrogate {
        let view = tokens.view;
        let values = tokens.reshape.shape(&TokenView {
            logprobs: view.logprobs.clone().detach(),
            behavior_logprobs: view.behavior_logprobs.clone(),
            entropy: view.entropy.clone().detach(),
            demonstrated: view.demonstrated.clone(),
            advantages: view.advantages.clone(),
        });
        let (bounded, clipped) = self.hold(values, &view.advantages);
        // A clipped value may be infinite, and zero times infinity would reach the gradient: clipped places
        // go through the reshaping as if the policy had not moved.
        let unmoved = TokenView {
            logprobs: view
                .logprobs
                .clone()
                .mask_where(clipped.clone(), view.behavior_logprobs.clone()),
            ..view.clone()
        };
        let weights = tokens.reshape.shape(&unmoved).mask_where(clipped.clone(), bounded);
        Surrogate { weights, clipped }
    }

    /// `values` at the bounds, and which of them are beyond: none without advantage, so none outside of the
    /// selection.
    pub(super) fn hold(
        self,
        values: Tensor<2>,
        advantages: &Tensor<2>,
    ) -> (Tensor<2>, Tensor<2, Bool>) {
        let rises = advantages.clone().greater_elem(0.0);
        let falls = advantages.clone().lower_elem(0.0);
        let too_high = rises.bool_and(values.clone().greater_elem(self.most));
        let too_low = falls.clone().bool_and(values.clone().lower_elem(self.least));
        let mut clipped = too_high.bool_or(too_low);
        let mut bounded = values.clone().clamp(self.least, self.most);
        if self.max < f64::INFINITY {
            let beyond = falls.bool_and(values.greater_elem(self.max));
            bounded = bounded.mask_fill(beyond.clone(), self.max);
            clipped = clipped.bool_or(beyond);
        }
        (bounded, clipped)
    }
}

/// The reshaped ratio as it is.
pub(super) fn unclipped(tokens: &SampledTokens<'_>) -> Surrogate {
    let weights = tokens.reshape.shape(tokens.view);
    Surrogate { weights, clipped: nowhere(tokens) }
}

/// A mask that holds no token.
pub(super) fn nowhere(tokens: &SampledTokens<'_>) -> Tensor<2, Bool> {
    tokens.selected.clone().bool_and(tokens.selected.clone().bool_not())
}
