//! Which members a group has.

use luffy_core::{GroupPlan, MemberPlan, PlanRequest, Prompt};
use serde::{Deserialize, Serialize};

use super::PrefixSchedule;

/// Members of one round: samples, then members that begin with a demonstration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Members {
    /// Members drawn from the policy alone.
    pub(super) n_samples: u32,
    /// Members that begin with a demonstration.
    pub(super) n_demonstrated: u32,
    /// How much of it.
    pub(super) prefix: PrefixSchedule,
    /// Whether a member without a demonstration becomes a sample, so that the group keeps its size.
    pub(super) fill: bool,
    /// Whether all of them go on from one and the same beginning, of which the policy writes at least the last
    /// token: a hint.
    pub(super) is_hint: bool,
}

impl Members {
    /// Different demonstrations from a drawn one on, wrapping around. A whole demonstration is taken once
    /// at most; one that the policy goes on from may serve several members.
    pub(super) fn plan(&self, prompt: &Prompt, request: &PlanRequest<'_>) -> GroupPlan {
        if !request.rewards.is_empty() {
            return GroupPlan::default();
        }
        let n_available = prompt.demonstrations.len();
        let n_wanted = self.n_demonstrated as usize;
        let n_demonstrated = match self.prefix {
            PrefixSchedule::Whole if !self.is_hint => n_wanted.min(n_available),
            _ if n_available == 0 => 0,
            _ => n_wanted,
        };
        let n_filled = if self.fill { n_wanted - n_demonstrated } else { 0 };
        let mut members = vec![MemberPlan::Sample; self.n_samples as usize + n_filled];
        if let Some(first) = pick(n_available, request.draws.uniform_at(0)) {
            members.extend((0..n_demonstrated as u32).map(|member| {
                let (offset, draw) =
                    if self.is_hint { (0, 1) } else { (member as usize, 1 + u64::from(member)) };
                let position = (first + offset) % n_available;
                let share = self.prefix.share(
                    request.progress,
                    member,
                    n_demonstrated as u32,
                    request.draws.uniform_at(draw),
                );
                let most = prompt.demonstrations[position].tokens.len();
                let most = if self.is_hint { most.saturating_sub(1) } else { most };
                begin_with(prompt, position, share, most)
            }));
        }
        // Samples come first; which they are is known only after the shares.
        members.sort_by_key(|member| !matches!(member, MemberPlan::Sample));
        GroupPlan { members }
    }
}

/// One round of a group that is planned in rounds: `trapo`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MicroGroup {
    /// Members of the round, at least 1.
    pub size: u32,
    /// The round begins with demonstrations if the mean reward so far is below this.
    pub below: f64,
    /// How much of a demonstration they begin with, in `[0, 1]`.
    pub share: f64,
}

/// Rounds whose help depends on the rewards so far: TRAPO, <https://arxiv.org/abs/2512.17636>.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MicroGroups(pub(super) Vec<MicroGroup>);

impl MicroGroups {
    pub(super) fn plan(&self, prompt: &Prompt, request: &PlanRequest<'_>) -> GroupPlan {
        let n_done = request.rewards.len();
        let mut first = 0;
        for round in &self.0 {
            if first == n_done {
                return GroupPlan {
                    members: vec![round.member(prompt, request); round.size as usize],
                };
            }
            first += round.size as usize;
        }
        GroupPlan::default()
    }
}

impl MicroGroup {
    fn member(&self, prompt: &Prompt, request: &PlanRequest<'_>) -> MemberPlan {
        let sum: f64 = request.rewards.iter().map(|reward| f64::from(*reward)).sum();
        let mean = sum / request.rewards.len().max(1) as f64;
        match pick(prompt.demonstrations.len(), request.draws.uniform_at(0)) {
            Some(position) if mean < self.below => {
                begin_with(prompt, position, self.share, usize::MAX)
            }
            _ => MemberPlan::Sample,
        }
    }
}

/// The member that begins with this share of a demonstration, rounded down to whole tokens, `most` at most.
#[expect(clippy::cast_sign_loss, reason = "a share is not negative")]
fn begin_with(prompt: &Prompt, position: usize, share: f64, most: usize) -> MemberPlan {
    let len = prompt.demonstrations[position].tokens.len();
    let prefix_len = ((len as f64 * share) as usize).min(len).min(most);
    let demonstration = position as u32;
    match prefix_len {
        0 => MemberPlan::Sample,
        whole if whole == len => MemberPlan::Demonstrate(demonstration),
        prefix_len => MemberPlan::Continue { demonstration, prefix_len: prefix_len as u32 },
    }
}

/// The position of the first demonstration for a draw in `[0, 1)`; `None` if there is none.
#[expect(clippy::cast_sign_loss, reason = "a draw is not negative")]
pub(super) fn pick(n_demonstrations: usize, choice: f64) -> Option<usize> {
    let last = n_demonstrations.checked_sub(1)?;
    Some(((choice * n_demonstrations as f64) as usize).min(last))
}

#[cfg(test)]
mod tests {
    use luffy_core::{Progress, Purpose, StreamKey};

    use super::*;
    use crate::method::fixtures::prompt;

    /// Draws whose first is below or above one half.
    fn draws(is_low: bool) -> StreamKey {
        let key = |step| StreamKey {
            seed: 0,
            purpose: Purpose::Demonstration,
            step,
            prompt: 0,
            member: 0,
        };
        let fits = |key: &StreamKey| (key.uniform_at(0) < 0.5) == is_low;
        (0..64).map(key).find(fits).expect("one of 64 draws lies on either side")
    }

    fn show(plan: &GroupPlan) -> String {
        let member = |member: &MemberPlan| match member {
            MemberPlan::Sample => "s".to_owned(),
            MemberPlan::Demonstrate(position) => position.to_string(),
            MemberPlan::Continue { demonstration, prefix_len } => {
                format!("({demonstration}:{prefix_len})")
            }
        };
        plan.members.iter().map(member).collect()
    }

    fn plan(members: Members, n_available: usize, is_low: bool) -> String {
        let request = PlanRequest {
            progress: Progress { step: 0, n_steps: 10 },
            draws: draws(is_low),
            rewards: &[],
        };
        show(&members.plan(&prompt(n_available), &request))
    }

    const LUFFY: Members = Members {
        n_samples: 7,
        n_demonstrated: 1,
        prefix: PrefixSchedule::Whole,
        fill: true,
        is_hint: false,
    };

    #[test]
    fn seven_samples_come_before_one_demonstration() {
        assert_eq!(plan(LUFFY, 1, true), "sssssss0");
        assert_eq!(plan(LUFFY, 2, true), "sssssss0");
        assert_eq!(plan(LUFFY, 2, false), "sssssss1");
    }

    #[test]
    fn several_demonstrations_of_a_group_differ() {
        let two = Members { n_samples: 2, n_demonstrated: 2, ..LUFFY };
        assert_eq!(plan(two, 2, true), "ss01");
        assert_eq!(plan(two, 2, false), "ss10");
    }

    #[test]
    fn missing_demonstrations_are_sampled_where_the_group_keeps_its_size() {
        let two = Members { n_samples: 2, n_demonstrated: 2, ..LUFFY };
        assert_eq!(plan(two, 0, true), "ssss");
        assert_eq!(plan(two, 1, true), "sss0");
        assert_eq!(plan(Members { fill: false, ..two }, 1, true), "ss0");
        assert_eq!(plan(Members { fill: false, ..two }, 0, true), "ss");
    }

    #[test]
    fn a_prefix_is_a_share_of_the_tokens_rounded_down() {
        // Demonstrations of the fixture have 4 tokens.
        let prefix = PrefixSchedule::Fixed { min: 0.0, max: 1.0 };
        let all = Members { n_samples: 1, n_demonstrated: 4, prefix, fill: true, is_hint: false };
        // Shares 0, 1/3, 2/3, 1: nothing is a sample, everything a demonstration.
        assert_eq!(plan(all, 1, true), "ss(0:1)(0:2)0");
    }

    #[test]
    fn every_member_has_a_draw_of_its_own_beside_the_choice() {
        let prefix = PrefixSchedule::Random { min: 0.0, max: 0.99 };
        let members =
            Members { n_samples: 0, n_demonstrated: 2, prefix, fill: true, is_hint: false };
        for step in 0..20 {
            let draws = StreamKey { step, ..draws(true) };
            let request = PlanRequest { progress: Progress::default(), draws, rewards: &[] };
            let share = |draw: u64| 0.99 * draws.uniform_at(draw);
            let len = |draw: u64| {
                (1..4_u32).filter(|n| f64::from(*n) <= 4.0 * share(draw)).count() as u32
            };
            let mut expected = vec![len(1), len(2)];
            let mut got: Vec<u32> = members
                .plan(&prompt(1), &request)
                .members
                .iter()
                .map(|member| match member {
                    MemberPlan::Continue { prefix_len, .. } => *prefix_len,
                    MemberPlan::Sample => 0,
                    MemberPlan::Demonstrate(_) => 4,
                })
                .collect();
            expected.sort_unstable();
            got.sort_unstable();
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_second_round_is_empty() {
        let request =
            PlanRequest { progress: Progress::default(), draws: draws(true), rewards: &[0.0; 8] };
        assert!(LUFFY.plan(&prompt(1), &request).members.is_empty());
    }

    #[test]
    fn a_hint_is_the_same_for_the_whole_group() {
        let prefix = PrefixSchedule::Slices { slices: 2, steps: 20 };
        let all = Members { n_samples: 0, n_demonstrated: 6, prefix, fill: true, is_hint: true };
        for step in 0..20 {
            let request = PlanRequest {
                progress: Progress { step, n_steps: 20 },
                draws: draws(true),
                rewards: &[],
            };
            let plan = all.plan(&prompt(3), &request);
            assert!(plan.members.windows(2).all(|pair| pair[0] == pair[1]), "{plan:?}");
            // The policy always writes something.
            let is_open = |member: &MemberPlan| !matches!(member, MemberPlan::Demonstrate(_));
            assert!(plan.members.iter().all(is_open), "{plan:?}");
        }
    }

    #[test]
    fn micro_groups_help_where_the_mean_is_low() {
        let rounds = MicroGroups(vec![
            MicroGroup { size: 2, below: -1.0, share: 0.0 },
            MicroGroup { size: 1, below: 0.5, share: 0.5 },
            MicroGroup { size: 1, below: 0.9, share: 1.0 },
        ]);
        let next = |rewards: &[f32]| {
            let request =
                PlanRequest { progress: Progress::default(), draws: draws(true), rewards };
            show(&rounds.plan(&prompt(1), &request))
        };
        assert_eq!(next(&[]), "ss");
        assert_eq!(next(&[0.0, 0.0]), "(0:2)");
        assert_eq!(next(&[1.0, 0.0]), "s");
        assert_eq!(next(&[0.0, 0.0, 1.0]), "0");
        assert_eq!(next(&[1.0, 1.0, 1.0]), "s");
        assert_eq!(next(&[1.0, 1.0, 1.0, 0.0]), "");
    }

    #[test]
    fn a_draw_picks_every_demonstration_equally_often() {
        assert_eq!(
            [0.0, 0.33, 0.34, 0.67, 0.999_999].map(|choice| pick(3, choice)),
            [Some(0), Some(0), Some(1), Some(2), Some(2)]
        );
        assert_eq!(pick(3, 1.0), Some(2));
        assert_eq!(pick(0, 0.5), None);
    }
}
