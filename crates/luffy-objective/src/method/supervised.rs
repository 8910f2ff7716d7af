//! Methods that copy demonstrations.

use std::sync::Arc;

use luffy_core::{
    GradedGroup, GroupPlan, MemberPlan, Method, MethodMemory, OptimizerSlot, PlanRequest, Prompt,
    Row, StepShape, StepView, TokenRuns, Update, UpdateRow,
};

use super::{n_learned, pick};
use crate::SupervisedLoss;

/// Supervised fine-tuning on one demonstration per prompt.
#[derive(Debug, Clone)]
pub(super) struct Supervised {
    /// Whether a demonstration must have earned a reward above zero.
    pub(super) only_rewarded: bool,
}

impl Method for Supervised {
    /// One demonstration; no member at all for a prompt that has none.
    fn plan(&self, prompt: &Prompt, request: &PlanRequest<'_>) -> GroupPlan {
        if !request.rewards.is_empty() {
            return GroupPlan::default();
        }
        let choice = request.draws.uniform_at(0);
        let picked = pick(prompt.demonstrations.len(), choice);
        let members = picked.map(|position| MemberPlan::Demonstrate(position as u32));
        GroupPlan { members: members.into_iter().collect() }
    }

    /// 1 on what is learned from, 0 on the rest.
    fn advantages(&self, groups: &[GradedGroup]) -> Vec<TokenRuns> {
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
        let StepView { groups, advantages, max_response_len, .. } = *step;
        let n_rows: usize = groups.iter().map(|group| group.group.trajectories.len()).sum();
        assert_eq!(advantages.len(), n_rows, "a step has one advantage per trajectory");
        let members = (0_u32..).zip(groups).flat_map(|(group_idx, group)| {
            let trajectories = (0_u32..).zip(&group.group.trajectories);
            trajectories.map(move |(_, trajectory)| (group_idx, trajectory))
        });
        let mut rows = Vec::new();
        let mut n_tokens = 0;
        let n_demonstrated = 0;
        for ((group_idx, trajectory), advantage) in members.zip(advantages) {
            if !advantage.is_zero() {
                n_tokens += n_learned(trajectory);
                rows.push(UpdateRow {
                    group: group_idx,
                    row: Row::new(Arc::clone(&groups[group_idx as usize].group.prompt.tokens), trajectory, advantage),
                });
            }
        }
        if rows.is_empty() {
            return Vec::new();
        }
        let shape = StepShape { n_rows: n_rows as u64, n_tokens, n_demonstrated, max_response_len };
        vec![Update { rows, objective: Arc::new(SupervisedLoss::default()), slot: OptimizerSlot(0), lr_factor: 1.0, shape }]
    }
}

