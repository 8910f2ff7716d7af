//! Methods that copy demonstrations.

use std::sync::Arc;

use luffy_core::{
    GradedGroup, GroupPlan, MemberPlan, Method, OptimizerSlot, Prompt, StepShape, TokenRuns, Update,
};

use super::{n_learned, pick};
use crate::SftLoss;

/// Supervised fine-tuning on one demonstration per prompt.
#[derive(Debug, Clone)]
pub(super) struct Supervised {
    /// Whether a demonstration must have earned a reward above zero.
    pub(super) only_rewarded: bool,
}

impl Method for Supervised {
    /// One demonstration; no member at all for a prompt that has none.
    fn plan(&self, prompt: &Prompt, choice: f64) -> GroupPlan {
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
    fn updates(
        &self,
        groups: &[GradedGroup],
        advantages: &[TokenRuns],
        max_response_len: u32,
    ) -> Vec<Update> {
        let n_rows: usize = groups.iter().map(|group| group.group.trajectories.len()).sum();
        assert_eq!(advantages.len(), n_rows, "a step has one advantage per trajectory");
        let members = (0_u32..).zip(groups).flat_map(|(group_idx, group)| {
            let trajectories = (0_u32..).zip(&group.group.trajectories);
            trajectories.map(move |(member, trajectory)| (group_idx, member, trajectory))
        });
        let mut rows = Vec::new();
        let mut n_tokens = 0;
        for ((group_idx, member, trajectory), advantage) in members.zip(advantages) {
            if !advantage.is_zero() {
                n_tokens += n_learned(trajectory);
                rows.push((group_idx, member, advantage.clone()));
            }
        }
        if rows.is_empty() {
            return Vec::new();
        }
        let shape = StepShape { n_rows: n_rows as u64, n_tokens, max_response_len };
        vec![Update { rows, objective: Arc::new(SftLoss), slot: OptimizerSlot(0), shape }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::fixtures::{graded, prompt};

    fn check_plan(n_available: usize, choice: f64, expected: &[MemberPlan]) {
        let plan = Supervised { only_rewarded: false }.plan(&prompt(n_available), choice);
        assert_eq!(plan.members, expected);
    }

    #[test]
    fn a_prompt_gives_one_of_its_demonstrations_or_nothing() {
        check_plan(3, 0.5, &[MemberPlan::Demonstrate(1)]);
        check_plan(1, 0.99, &[MemberPlan::Demonstrate(0)]);
        check_plan(0, 0.5, &[]);
    }

    fn check_rows(only_rewarded: bool, groups: &[GradedGroup], expected: &[(u32, u32)]) {
        let method = Supervised { only_rewarded };
        let updates = method.updates(groups, &method.advantages(groups), 24);
        let rows = updates.iter().flat_map(|update| &update.rows);
        assert_eq!(rows.map(|(group, member, _)| (*group, *member)).collect::<Vec<_>>(), expected);
        assert_eq!(updates.len(), usize::from(!expected.is_empty()));
        for update in &updates {
            assert!(
                update
                    .rows
                    .iter()
                    .all(|(_, _, advantage)| advantage.first().to_bits() == 1.0_f32.to_bits())
            );
            let learned: u64 =
                update.rows.iter().map(|(_, _, advantage)| advantage.len() as u64).sum();
            assert_eq!(update.shape.n_tokens, learned);
        }
    }

    #[test]
    fn all_demonstrations_are_targets_and_samples_are_not() {
        let groups = [graded(&[1.0], &[0.0]), graded(&[], &[1.0]), graded(&[1.0], &[])];
        check_rows(false, &groups, &[(0, 1), (1, 0)]);
    }

    #[test]
    fn a_filter_keeps_what_the_verifier_pays() {
        let groups = [graded(&[], &[0.0]), graded(&[], &[1.0]), graded(&[], &[-1.0])];
        check_rows(true, &groups, &[(1, 0)]);
        check_rows(true, &groups[..1], &[]);
        check_rows(true, &[], &[]);
    }
}
