//! A method as the trainer sees it: it plans groups and turns graded ones into updates.

use std::fmt::Debug;
use std::sync::Arc;

use crate::{
    GradedGroup, GroupPlan, MethodMemory, Metrics, Objective, OptimizerSlot, PlanRequest, Progress,
    Prompt, Row, StepShape, TokenRuns,
};

/// A row of an update.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateRow {
    /// Position of the prompt in the step; rows of one prompt are learned in one unit. Ascending within an
    /// update.
    pub group: u32,
    /// What is learned from.
    pub row: Row,
}

/// One optimiser step to take: rows, a loss and an optimiser.
#[derive(Debug, Clone)]
pub struct Update {
    /// The rows.
    pub rows: Vec<UpdateRow>,
    /// The loss.
    pub objective: Arc<dyn Objective>,
    /// The optimiser state.
    pub slot: OptimizerSlot,
    /// Multiplies the learning rate of the schedule.
    pub lr_factor: f64,
    /// What the loss divides by is computed from this.
    pub shape: StepShape,
}

/// A step after grading, as a method sees it.
#[derive(Debug, Clone, Copy)]
pub struct StepView<'a> {
    /// Where in the run.
    pub progress: Progress,
    /// The groups whose gold is usable, in prompt order.
    pub groups: &'a [GradedGroup],
    /// What [`Method::advantages`] gave for them.
    pub advantages: &'a [TokenRuns],
    /// Most tokens a response may have.
    pub max_response_len: u32,
}

/// A training method. The trainer never asks which one it runs.
pub trait Method: Debug + Send + Sync {
    /// The next members of the group of `prompt`. Asked again, with the rewards so far, until it plans
    /// nothing more: a method that needs one round plans nothing where there are rewards.
    fn plan(&self, prompt: &Prompt, request: &PlanRequest<'_>) -> GroupPlan;

    /// The advantage of every member, groups in order, as logged; computed over the whole step.
    fn advantages(&self, progress: Progress, groups: &[GradedGroup]) -> Vec<TokenRuns>;

    /// The updates of a step, taken in order. Empty when there is nothing to learn: then no optimiser step
    /// is taken.
    fn updates(&self, step: &StepView<'_>, memory: &mut MethodMemory) -> Vec<Update>;

    /// Whether its losses read [`MicroBatch::reference_logprobs`](crate::MicroBatch::reference_logprobs).
    fn needs_reference(&self) -> bool {
        false
    }

    /// Told what each update measured, after it was applied.
    fn observe(
        &self,
        _progress: Progress,
        _slot: OptimizerSlot,
        _metrics: &Metrics,
        _memory: &mut MethodMemory,
    ) {
    }
}
