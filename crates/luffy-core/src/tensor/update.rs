//! A method as the trainer sees it: it plans groups and turns graded ones into updates.

use std::fmt::Debug;
use std::sync::Arc;

use crate::{GradedGroup, GroupPlan, Objective, OptimizerSlot, Prompt, StepShape, TokenRuns};

/// One optimiser step to take: advantages for chosen rows, a loss and an optimiser.
#[derive(Debug, Clone)]
pub struct Update {
    /// The rows, as `(group, member, advantages)`: positions in the step's graded groups, ascending.
    pub rows: Vec<(u32, u32, TokenRuns)>,
    /// The loss.
    pub objective: Arc<dyn Objective>,
    /// The optimiser state.
    pub slot: OptimizerSlot,
    /// What the loss divides by is computed from this.
    pub shape: StepShape,
}

/// A training method. The trainer never asks which one it runs.
pub trait Method: Debug + Send + Sync {
    /// The members of the group of `prompt`. `choice` in `[0, 1)` is a random draw for methods that pick
    /// one of several demonstrations.
    fn plan(&self, prompt: &Prompt, choice: f64) -> GroupPlan;

    /// The advantage of every member, groups in order, as logged; computed over the whole step.
    fn advantages(&self, groups: &[GradedGroup]) -> Vec<TokenRuns>;

    /// The updates of a step. Empty when there is nothing to learn: then no optimiser step is taken.
    fn updates(
        &self,
        groups: &[GradedGroup],
        advantages: &[TokenRuns],
        max_response_len: u32,
    ) -> Vec<Update>;
}
