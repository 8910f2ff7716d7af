//! One replica of the training state.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Gradients, HostTensor, Metrics, Objective, Row, Scale, Weights};

/// Which optimiser state an update uses. Methods with two losses of different nature use two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OptimizerSlot(pub u32);

/// AdamW with a limit on the global gradient norm. Defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Gradients are scaled so that their global L2 norm is at most this; infinity turns it off.
    pub max_grad_norm: f64,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, max_grad_norm: 1.0 }
    }
}

/// What one optimiser step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UpdateReport {
    /// Global L2 norm of the gradients before clipping.
    pub grad_norm: f64,
}

/// Everything a learner must carry over a restart, on the host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LearnerState {
    /// Parameters by name, in the layout of [`Weights`].
    pub weights: BTreeMap<String, HostTensor>,
    /// Optimiser state by `slot/moment/parameter`.
    pub optimizer: BTreeMap<String, HostTensor>,
    /// Steps taken, by slot.
    pub steps: BTreeMap<u32, u64>,
}

/// Why a learner could not go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LearnError {
    /// NaN or infinity in a gradient. The weights are as they were before the update.
    #[error("the gradient of `{parameter}` is not finite: the run has diverged")]
    NotFinite {
        /// The first such parameter by name.
        parameter: String,
    },
    /// State does not fit the model.
    #[error("state does not fit the model: {0}")]
    State(String),
}

/// Turns rows into gradients and gradients into new weights. One replica; how many there are and where
/// they run is not its business.
pub trait Learner: Send {
    /// Gradients of `objective` over `rows`, computed alone: the result depends on nothing else.
    ///
    /// # Errors
    /// If the loss is not finite.
    fn gradients(
        &mut self,
        rows: &[Row],
        objective: &dyn Objective,
        scale: &Scale,
    ) -> Result<(Gradients, Metrics), LearnError>;

    /// Log-prob of each response token of each row in nats, under the present weights and without gradient.
    fn score(&mut self, rows: &[Row]) -> Vec<Vec<f32>>;

    /// One optimiser step. The new weights may take the place of the gradients.
    ///
    /// # Errors
    /// If a gradient is not finite; the weights are untouched then.
    fn apply(
        &mut self,
        slot: OptimizerSlot,
        gradients: Gradients,
        lr: f64,
    ) -> Result<UpdateReport, LearnError>;

    /// The weights, sharing buffers.
    fn weights(&self) -> Weights;

    /// Replaces the weights, sharing buffers; optimiser state stays.
    ///
    /// # Errors
    /// If a name or shape does not fit.
    fn set_weights(&mut self, weights: &Weights) -> Result<(), LearnError>;

    /// A copy of all state.
    fn state(&self) -> LearnerState;

    /// Goes back to a state.
    ///
    /// # Errors
    /// If a name or shape does not fit.
    fn restore(&mut self, state: &LearnerState) -> Result<(), LearnError>;
}
