//! Methods that compare the members of a group.

use std::sync::Arc;

use luffy_core::{
    AdvantageEstimator, GradedGroup, GroupPlan, MemberPlan, Method, OptimizerSlot, Prompt,
    StepShape, TokenRuns, Update,
};

use super::{n_learned, pick};
use crate::{GroupRelative, MixedPolicyLoss};

/// LUFFY, mixed-policy GRPO and GRPO: one group per prompt, one update per step.
#[derive(Debug, Clone)]
pub(super) struct GroupMethod {
    /// Members of a group.
    pub(super) group_size: u32,
    /// How many of them are demonstrations where the prompt has that many.
    pub(super) n_demonstrations: u32,
    /// How rewards become advantages.
    pub(super) estimator: GroupRelative,
    /// The loss.
    pub(super) objective: Arc<MixedPolicyLoss>,
}

impl Method for GroupMethod {
    /// Samples, then different demonstrations from a drawn one on, wrapping around.
    fn plan(&self, prompt: &Prompt, choice: f64) -> GroupPlan {
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
    fn updates(
        &self,
        groups: &[GradedGroup],
        advantages: &[TokenRuns],
        max_response_len: u32,
    ) -> Vec<Update> {
        let n_rows: usize = groups.iter().map(|group| group.group.trajectories.len()).sum();
        assert_eq!(advantages.len(), n_rows, "a step has one advantage per trajectory");
        if advantages.iter().all(TokenRuns::is_zero) {
            return Vec::new();
        }
        let keep_all = self.objective.entropy_coefficient.abs() > 0.0;
        let mut rows = Vec::new();
        let mut n_tokens = 0;
        let mut rest = advantages;
        for (group_idx, group) in (0_u32..).zip(groups) {
            let (own, others) = rest.split_at(group.group.trajectories.len());
            rest = others;
            if !keep_all && own.iter().all(TokenRuns::is_zero) {
                continue;
            }
            for ((member, trajectory), advantage) in
                (0_u32..).zip(&group.group.trajectories).zip(own)
            {
                n_tokens += n_learned(trajectory);
                rows.push((group_idx, member, advantage.clone()));
            }
        }
        let shape = StepShape { n_rows: n_rows as u64, n_tokens, max_response_len };
        let objective = self.objective.clone();
        vec![Update { rows, objective, slot: OptimizerSlot(0), shape }]
    }
}

#[cfg(test)]
mod tests {
    use luffy_core::{Origin, Span};

    use super::*;
    use crate::method::fixtures::{graded, prompt};
    use crate::{GrpoConfig, LuffyConfig, MethodConfig};

    fn luffy(group_size: u32, demonstrations: u32) -> Arc<dyn Method> {
        let config = LuffyConfig { group_size, demonstrations, ..LuffyConfig::default() };
        MethodConfig::Luffy(config).build()
    }

    fn check_plan(method: &dyn Method, n_available: usize, choice: f64, expected: &str) {
        let plan = method.plan(&prompt(n_available), choice);
        let members: String = plan
            .members
            .iter()
            .map(|member| match member {
                MemberPlan::Sample => "s".to_owned(),
                MemberPlan::Demonstrate(position) => position.to_string(),
            })
            .collect();
        assert_eq!(members, expected);
    }

    #[test]
    fn seven_samples_come_before_one_demonstration() {
        check_plan(&*MethodConfig::default().build(), 1, 0.9, "sssssss0");
        check_plan(&*MethodConfig::default().build(), 3, 0.9, "sssssss2");
    }

    #[test]
    fn several_demonstrations_of_a_group_differ() {
        check_plan(&*luffy(4, 2), 3, 0.0, "ss01");
        check_plan(&*luffy(4, 2), 3, 0.9, "ss20");
        check_plan(&*luffy(2, 2), 2, 0.5, "10");
    }

    #[test]
    fn missing_demonstrations_are_sampled() {
        check_plan(&*luffy(4, 2), 0, 0.5, "ssss");
        check_plan(&*luffy(4, 2), 1, 0.5, "sss0");
        check_plan(&*MethodConfig::Grpo(GrpoConfig::default()).build(), 3, 0.5, "ssssssss");
    }

    /// The `(group, member, advantage)` triples of the only update, and its shape.
    fn update(method: &dyn Method, groups: &[GradedGroup]) -> (Vec<(u32, u32, f32)>, StepShape) {
        let updates = method.updates(groups, &method.advantages(groups), 24);
        let [update] = &updates[..] else { panic!("one update, not {}", updates.len()) };
        for (group, member, advantage) in &update.rows {
            let trajectory = &groups[*group as usize].group.trajectories[*member as usize];
            assert_eq!(advantage.len(), trajectory.tokens.len());
        }
        let rows = update.rows.iter().map(|(group, member, a)| (*group, *member, a.first()));
        assert_eq!(update.slot, OptimizerSlot(0));
        (rows.collect(), update.shape)
    }

    #[test]
    fn each_row_of_a_group_with_spread_carries_its_own_advantage() {
        let groups =
            [graded(&[1.0, 1.0], &[]), graded(&[0.0, 0.0, 0.0], &[1.0]), graded(&[1.0, 0.0], &[])];
        let (rows, shape) = update(&*luffy(4, 1), &groups);
        let expected =
            [(1, 0, -0.25), (1, 1, -0.25), (1, 2, -0.25), (1, 3, 0.75), (2, 0, 0.5), (2, 1, -0.5)];
        assert_eq!(rows, expected);
        let lengths = |group: &GradedGroup| -> u64 {
            group.group.trajectories.iter().map(|t| t.tokens.len() as u64).sum()
        };
        // Rows of the whole step, tokens of the update.
        let n_tokens = lengths(&groups[1]) + lengths(&groups[2]);
        assert_eq!(shape, StepShape { n_rows: 8, n_tokens, max_response_len: 24 });
    }

    #[test]
    fn context_tokens_are_not_counted() {
        let mut group = graded(&[1.0, 0.0], &[]);
        let trajectory = &mut group.group.trajectories[0];
        trajectory.tokens.extend([7, 7, 7]);
        trajectory.spans.push(Span { len: 3, origin: Origin::Context });
        let before = update(&*luffy(2, 0), &[graded(&[1.0, 0.0], &[])]).1;
        assert_eq!(update(&*luffy(2, 0), &[group]).1, before);
    }

    #[test]
    fn a_step_without_spread_takes_no_update_even_with_an_entropy_bonus() {
        let groups = [graded(&[1.0, 1.0], &[]), graded(&[0.0], &[0.0])];
        for entropy_coefficient in [0.0, 0.001] {
            let config = LuffyConfig { entropy_coefficient, ..LuffyConfig::default() };
            let method = MethodConfig::Luffy(config).build();
            assert!(method.updates(&groups, &method.advantages(&groups), 24).is_empty());
            assert!(method.updates(&[], &[], 24).is_empty());
        }
    }

    #[test]
    fn an_entropy_bonus_brings_the_rows_without_advantage() {
        let groups = [graded(&[1.0, 1.0], &[]), graded(&[1.0, 0.0], &[])];
        let config = LuffyConfig { entropy_coefficient: 0.001, ..LuffyConfig::default() };
        let (rows, shape) = update(&*MethodConfig::Luffy(config).build(), &groups);
        assert_eq!(rows, [(0, 0, 0.0), (0, 1, 0.0), (1, 0, 0.5), (1, 1, -0.5)]);
        assert_eq!(shape.n_rows, 4);
    }
}
