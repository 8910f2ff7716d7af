//! From losses of tokens to the loss of an update.

use burn::tensor::{Bool, DType, Tensor};
use luffy_core::{Scale, StepShape};
use serde::{Deserialize, Serialize};

use crate::selection::row_counts;

/// What the sum over tokens is divided by. Always numbers of the whole update or of one row, never of a
/// micro-batch, so the loss does not depend on how the update is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Aggregate {
    /// Rows times the longest response allowed: each token weighs the same whatever its row's length,
    /// and rows without signal still count. Dr. GRPO, <https://arxiv.org/abs/2503.20783>; recipe
    /// `addition`.
    #[default]
    ConstantLength,
    /// Learned tokens of the update that the policy term sees. DAPO, <https://arxiv.org/abs/2503.14476>.
    TokenMean,
    /// Rows, after the losses of a row were divided by its learned tokens: each row weighs the same
    /// whatever its length. GRPO, <https://arxiv.org/abs/2402.03300>.
    SequenceMean,
    /// The scale of LUFFY's code, for those who compare with it. Each device sums its rows, divides by the
    /// longest response allowed, and gradients are averaged over devices; entropy and KL are means of each
    /// micro-batch, added up. So the policy term grows with the rows of an update, and the regularisers
    /// grow with the number of micro-batches, which depends on lengths and on the token budget: no other
    /// aggregate here has either.
    Reference {
        /// Data-parallel devices, 8 in the paper's runs.
        devices: u32,
        /// Micro-batches of one device in an update.
        micro_batches: u32,
    },
}

impl Aggregate {
    /// The divisors for an update of this shape; at least 1, so an empty update has loss zero.
    pub fn scale(&self, shape: &StepShape) -> Scale {
        let n_tokens = shape.n_tokens.max(1) as f64;
        let n_policy_tokens = shape.n_policy_tokens.max(1) as f64;
        let n_rows = shape.n_rows.max(1) as f64;
        let response_len = f64::from(shape.max_response_len.max(1));
        let divisor = match self {
            Self::ConstantLength => n_rows * response_len,
            Self::TokenMean => n_policy_tokens,
            Self::SequenceMean => n_rows,
            Self::Reference { devices, .. } => f64::from((*devices).max(1)) * response_len,
        };
        Scale { divisor, n_tokens, n_demonstrated: shape.n_demonstrated.max(1) as f64 }
    }

    /// What sums of entropy and KL over learned tokens are divided by: `scale.n_tokens`, and for
    /// `Reference` that over the number of micro-batches.
    pub fn regularizer_divisor(&self, scale: &Scale) -> f64 {
        match self {
            Self::Reference { micro_batches, .. } => {
                scale.n_tokens / f64::from((*micro_batches).max(1))
            }
            Self::ConstantLength | Self::TokenMean | Self::SequenceMean => scale.n_tokens,
        }
    }

    /// What the loss of each token is multiplied by before it is summed: `1 / learned tokens of its row`
    /// for `SequenceMean`; `None` where that is 1 everywhere.
    ///
    /// # Shapes
    /// - `learned`, result: `[B, T]`; of `dtype`.
    pub fn token_weights(&self, learned: &Tensor<2, Bool>, dtype: DType) -> Option<Tensor<2>> {
        match self {
            Self::SequenceMean => {
                let weights = row_counts(learned, dtype).clamp_min(1.0).recip();
                Some(weights.expand(learned.dims()))
            }
            Self::ConstantLength | Self::TokenMean | Self::Reference { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(aggregate: Aggregate, shape: StepShape, divisor: f64) {
        let scale = aggregate.scale(&shape);
        assert!((scale.divisor - divisor).abs() < 1e-12, "{aggregate:?}: {}", scale.divisor);
        assert!((scale.n_tokens - shape.n_tokens.max(1) as f64).abs() < 1e-12);
        assert!((scale.n_demonstrated - shape.n_demonstrated.max(1) as f64).abs() < 1e-12);
    }

    const REFERENCE: Aggregate = Aggregate::Reference { devices: 8, micro_batches: 3 };

    #[test]
    fn divisors_are_counts_of_the_whole_update() {
        // Recipe `addition`: 32 prompts, 8 rows each, 24 tokens at most.
        let shape = StepShape {
            n_rows: 256,
            n_tokens: 3000,
            n_policy_tokens: 2600,
            n_demonstrated: 400,
            max_response_len: 24,
        };
        check(Aggregate::ConstantLength, shape, 24.0 * 256.0);
        check(Aggregate::TokenMean, shape, 2600.0);
        check(Aggregate::SequenceMean, shape, 256.0);
        check(REFERENCE, shape, 8.0 * 24.0);
    }

    #[test]
    fn an_empty_update_is_divided_by_one() {
        let shape = StepShape::default();
        let reference = Aggregate::Reference { devices: 0, micro_batches: 0 };
        for aggregate in
            [Aggregate::ConstantLength, Aggregate::TokenMean, Aggregate::SequenceMean, reference]
        {
            check(aggregate, shape, 1.0);
            let divisor = aggregate.regularizer_divisor(&aggregate.scale(&shape));
            assert!((divisor - 1.0).abs() < 1e-12);
        }
    }
}
