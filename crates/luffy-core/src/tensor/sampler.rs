//! The seam between the step and whatever generates text.

use crate::{SampleError, SampleRequest, Trajectory, Weights};

/// Turns requests into trajectories. Ours decodes with the policy in memory; a client of an inference
/// server is another.
pub trait Sampler: Send {
    /// One result per request, in order. What a request gives does not depend on its neighbours beyond
    /// rounding, and with equal neighbours it gives equal bytes.
    fn sample(&mut self, requests: &[SampleRequest]) -> Vec<Result<Trajectory, SampleError>>;

    /// Takes new weights; trajectories carry `version` from here on.
    ///
    /// # Errors
    /// If the weights do not fit or cannot be handed over.
    fn publish(&mut self, weights: &Weights, version: u64) -> Result<(), SampleError>;
}
