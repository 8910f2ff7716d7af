//! One method after another.

use std::sync::Arc;

use luffy_core::{
    GradedGroup, GroupPlan, Method, MethodMemory, Metrics, OptimizerSlot, PlanRequest, Progress,
    Prompt, StepView, TokenRuns, Update,
};

/// `first` for a number of steps, then `second`.
#[derive(Debug, Clone)]
pub(super) struct Phases {
    pub(super) first: Arc<dyn Method>,
    /// Steps of the first.
    pub(super) n_first: u64,
    pub(super) second: Arc<dyn Method>,
}

impl Phases {
    fn at(&self, step: u64) -> &dyn Method {
        if step < self.n_first { &*self.first } else { &*self.second }
    }
}

impl Method for Phases {
    fn plan(&self, prompt: &Prompt, request: &PlanRequest<'_>) -> GroupPlan {
        self.at(request.progress.step).plan(prompt, request)
    }

    fn advantages(&self, progress: Progress, groups: &[GradedGroup]) -> Vec<TokenRuns> {
        self.at(progress.step).advantages(progress, groups)
    }

    fn updates(&self, step: &StepView<'_>, memory: &mut MethodMemory) -> Vec<Update> {
        self.at(step.progress.step).updates(step, memory)
    }

    fn needs_reference(&self) -> bool {
        self.first.needs_reference() || self.second.needs_reference()
    }

    fn observe(
        &self,
        progress: Progress,
        slot: OptimizerSlot,
        metrics: &Metrics,
        memory: &mut MethodMemory,
    ) {
        self.at(progress.step).observe(progress, slot, metrics, memory);
    }
}
