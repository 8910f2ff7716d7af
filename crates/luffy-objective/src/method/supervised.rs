//! Methods that copy demonstrations.

use std::sync::Arc;

use luffy_core::{
    GradedGroup, GroupPlan, MemberPlan, Method, MethodMemory, OptimizerSlot, PlanRequest, Progress,
    Prompt, Row, StepShape, StepView, TokenRuns, Update, UpdateRow,
};

use super::plan::pick;
use crate::SupervisedLoss;

/// Supervised learning from one demonstration per prompt.
#[derive(Debug, Clone)]
pub(super) struct Supervised {
    /// The loss.
    pub(super) objective: Arc<SupervisedLoss>,
    /// Whether a demonstration must have earned a reward above zero.
    pub(super) only_rewarded: bool,
    /// Multiplies the learning rate.
    pub(super) lr_factor: f64,
}

impl Method for Supervised {
    /// One demonstration; no member at all for a prompt that has none.
    fn plan(&self, prompt: &Prompt, request: &PlanRequest<'_>) -> GroupPlan {
        if !request.rewards.is_empty() {
            return GroupPlan::default();
        }
        let picked = pick(prompt.demonstrations.len(), request.draws.uniform_at(0));
        let members = picked.map(|position| MemberPlan::Demonstrate(position as u32));
        GroupPlan { members: members.into_iter().collect() }
    }

    /// 1 on what is learned from, 0 on the rest.
    fn advantages(&self, _progress: Progress, groups: &[GradedGroup]) -> Vec<TokenRuns> {
        let rows =
            groups.iter().flat_map(|group| group.group.trajectories.iter().zip(&group.rewards));
        rows.map(|(trajectory, reward)| {
            let is_target = trajectory.is_demonstrated() && (!self.only_rewarded || *reward > 0.0);
            let value = if is_target { 1.0 } else { 0.0 };
            TokenRuns::constant(trajectory.tokens.len() as u32, value)
        })
        .collect()
    }

    /// The rows with an advantage; no update where there is none.
    fn updates(&self, step: &StepView<'_>, _memory: &mut MethodMemory) -> Vec<Update> {
        let groups = (0_u32..).zip(step.groups);
        let members = groups.flat_map(|(position, group)| {
            group.group.trajectories.iter().map(move |trajectory| (position, group, trajectory))
        });
        let members: Vec<_> = members.collect();
        assert_eq!(step.advantages.len(), members.len(), "a step has one advantage per trajectory");
        let targets =
            members.iter().zip(step.advantages).filter(|(_, advantage)| !advantage.is_zero());
        let rows: Vec<UpdateRow> = targets
            .map(|((position, group, trajectory), advantage)| {
                let prompt = Arc::clone(&group.group.prompt.tokens);
                UpdateRow { group: *position, row: Row::new(prompt, trajectory, advantage) }
            })
            .collect();
        if rows.is_empty() {
            return Vec::new();
        }
        let n_tokens = rows.iter().map(|row| row.row.n_learned() as u64).sum();
        let shape = StepShape {
            n_rows: members.len() as u64,
            n_tokens,
            n_policy_tokens: n_tokens,
            n_demonstrated: rows.iter().map(|row| row.row.n_demonstrated() as u64).sum(),
            max_response_len: step.max_response_len,
        };
        let objective = self.objective.clone();
        vec![Update { rows, objective, slot: OptimizerSlot(0), lr_factor: self.lr_factor, shape }]
    }
}
