//! Shaping: from what is known of a token to what multiplies its advantage.
//!
//! A token contributes `A * f` to the objective. With `f` a function of the importance weight `w`, its
//! log-prob moves with `A * w * f'(w)` and the logit of the token itself with `A * w * f'(w) * (1 - p)`.
//! Formulas in `w` are evaluated from `ln w`, so no weight overflows before it is shaped.
//!
//! Two families: `f(w)` of the weight `w = pi / pi_behavior`, and functions of the probability `pi` alone,
//! which come from methods that never ask what wrote a token. Where the behaviour probability is taken as
//! 1 they see the same number.

mod bounded;
mod config;
mod power;
mod regularized;
mod srft;
mod supervised;

use burn::tensor::Tensor;
use luffy_core::{Shaping, TokenView};

use crate::log_importance_weights;

pub use bounded::Bounded;
pub use config::{ShapingConfig, ShapingError};
pub use power::{IdentityPlusLog, Log, Power};
pub use regularized::{Regularized, RegularizedRatio};
pub use srft::{SrftDemonstration, SrftSample};
pub use supervised::{ChordPhi, Dft, Likelihood, RlPlus, Trapo};

fn log_weights(tokens: &TokenView) -> Tensor<2> {
    log_importance_weights(tokens.logprobs.clone(), tokens.behavior_logprobs.clone())
}

/// No shaping: `f(w) = w`, gradient in the log-prob `w`. Starves tokens the policy finds unlikely.
///
/// # Shapes
/// - result: `[B, T]`, in `[0, inf)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity;

impl Shaping for Identity {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        log_weights(tokens).exp()
    }
}

#[cfg(test)]
mod tests;
