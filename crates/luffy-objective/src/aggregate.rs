//! From losses of tokens to the loss of an update.

use luffy_core::{Scale, StepShape};
use serde::{Deserialize, Serialize};

/// What the sum over tokens is divided by. Always a number of the whole update, never of a
/// micro-batch, so the loss does not depend on how the update is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// Rows times the longest response allowed: each token weighs the same whatever its row's length,
    /// and rows without signal still count. Dr. GRPO, <https://arxiv.org/abs/2503.20783>; recipe
    /// `addition`.
    #[default]
    ConstantLength,
    /// Learned tokens of the update.
    TokenMean,
    /// The longest response allowed: a sum over rows, as LUFFY's reference computes it per device. Grows
    /// with the number of rows.
    SumOverLength,
}

impl Aggregate {
    /// The divisors for an update of this shape; at least 1, so an empty update has loss zero.
    pub fn scale(&self, shape: &StepShape) -> Scale {
        let n_tokens = shape.n_tokens.max(1) as f64;
        let response_len = f64::from(shape.max_response_len.max(1));
        let divisor = match self {
            Self::ConstantLength => shape.n_rows.max(1) as f64 * response_len,
            Self::TokenMean => n_tokens,
            Self::SumOverLength => response_len,
        };
        Scale { divisor, n_tokens, n_demonstrated: shape.n_demonstrated.max(1) as f64 }
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

    #[test]
    fn divisors_are_counts_of_the_whole_update() {
        // Recipe `addition`: 32 prompts, 8 rows each, 24 tokens at most.
        let shape =
            StepShape { n_rows: 256, n_tokens: 3000, n_demonstrated: 400, max_response_len: 24 };
        check(Aggregate::ConstantLength, shape, 24.0 * 256.0);
        check(Aggregate::TokenMean, shape, 3000.0);
        check(Aggregate::SumOverLength, shape, 24.0);
    }

    #[test]
    fn an_empty_update_is_divided_by_one() {
        let shape = StepShape { n_rows: 0, n_tokens: 0, n_demonstrated: 0, max_response_len: 0 };
        check(Aggregate::ConstantLength, shape, 1.0);
        check(Aggregate::TokenMean, shape, 1.0);
        check(Aggregate::SumOverLength, shape, 1.0);
    }
}
