//! Methods that compare the members of a group.

use std::sync::Arc;

use luffy_core::{
    AdvantageEstimator, GradedGroup, GroupPlan, MemberPlan, Method, MethodMemory, OptimizerSlot,
    PlanRequest, Prompt, Row, StepShape, StepView, TokenRuns, Update, UpdateRow,
};

use super::{n_learned, pick};
use crate::{Advantages, MixedPolicyLoss};

/// LUFFY, mixed-policy GRPO and GRPO: one group per prompt, one update per step.
#[derive(Debug, Clone)]
pub(super) struct GroupMethod {
    /// Members of a group.
    pub(super) group_size: u32,
    /// How many of them are demonstrations where the prompt has that many.
    pub(super) n_demonstrations: u32,
    /// How rewards become advantages.
    pub(super) estimator: Advantages,
    /// The loss.
    pub(super) objective: Arc<MixedPolicyLoss>,
}

impl Method for GroupMethod {
    /// Samples, then different demonstrations from a drawn one on, wrapping around.
    fn plan(&self, prompt: &Prompt, request: &PlanRequest<'_>) -> GroupPlan {
        if !request.rewards.is_empty() {
            return GroupPlan::default();
        }
        let choice = request.draws.uniform_at(0);
        let n_available = prompt.demonstrations.len();
        let n_demonstrations = n_available.min(self.n_demonstrations as usize);
        let n_samples = (self.group_size as usize).saturating_sub(n_demonstrations);
        let mut members = vec![MemberPlan::Sample; n_samples];
        if let Some(first) = pick(n_available, choice) {
            members.extend(
                (first..first + n_demonstrations)
                    .map(|position| MemberPlan::Demonstrate((position % n_available) as u32)),
            );
        }
        GroupPlan { members }
    }

    fn advantages(&self, groups: &[GradedGroup]) -> Vec<TokenRuns> {
        self.estimator.advantages(groups)
    }

    /// All rows of the groups in which any advantage is not zero; with an entropy bonus all rows of all
    /// groups. No update at all where every advantage of the step is zero, bonus or not: the optimiser
    /// would turn the bonus alone into a step of full size.
    ///
    /// `n_rows` counts every row of the step and `n_tokens` the learned tokens of the rows in the
    /// update: a constant-length loss shrinks with the groups that teach nothing, a token mean does not
    /// know them.
    fn updates(&self, step: &StepView<'_>, _memory: &mut MethodMemory) -> Vec<Update> {
        let StepView { groups, advantages, max_response_len, .. } = *step;
        let n_rows: usize = groups.iter().map(|group| group.group.trajectories.len()).sum();
        assert_eq!(advantages.len(), n_rows, "a step has one advantage per trajectory");
        if advantages.iter().all(TokenRuns::is_zero) {
            return Vec::new();
        }
        let keep_all = self.objective.entropy_coefficient.abs() > 0.0;
        let mut rows = Vec::new();
        let mut n_tokens = 0;
        let n_demonstrated = 0;
        let mut rest = advantages;
        for (group_idx, group) in (0_u32..).zip(groups) {
            let (own, others) = rest.split_at(group.group.trajectories.len());
            rest = others;
            if !keep_all && own.iter().all(TokenRuns::is_zero) {
                continue;
            }
            for (trajectory, advantage) in group.group.trajectories.iter().zip(own)
            {
                n_tokens += n_learned(trajectory);
                rows.push(UpdateRow {
                    group: group_idx,
                    row: Row::new(Arc::clone(&group.group.prompt.tokens), trajectory, advantage),
                });
            }
        }
        let shape = StepShape { n_rows: n_rows as u64, n_tokens, n_demonstrated, max_response_len };
        let objective = self.objective.clone();
        vec![Update { rows, objective, slot: OptimizerSlot(0), lr_factor: 1.0, shape }]
    }
}

