//! Advantages by comparison within a group.

use luffy_core::{AdvantageEstimator, GradedGroup, TokenRuns};
use serde::{Deserialize, Serialize};

/// Added to the standard deviation, as the reference does.
const STD_EPSILON: f64 = 1e-6;

/// Which members of a group the mean (and the deviation) are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// All of them, demonstrations included: LUFFY.
    #[default]
    WholeGroup,
    /// Only those without a demonstrated token. Demonstrations still get an advantage.
    OnPolicy,
}

/// What the difference from the mean is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdvantageScale {
    /// Nothing: LUFFY, after Dr. GRPO.
    #[default]
    None,
    /// The unbiased standard deviation plus `1e-6`: GRPO.
    Std,
}

/// Group-relative advantages: `A = (R - mean) / scale`, the same on every token of a trajectory.
///
/// With fewer than two members to compare with, the mean is 0 and the deviation 1; a deviation of zero
/// counts as 1, which matters only where the baseline leaves members out. Computed in `f64`.
///
/// # Reference
/// GRPO, <https://arxiv.org/abs/2402.03300>; over mixed groups, <https://arxiv.org/abs/2504.14945> eq. 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupRelative {
    /// Who is compared with.
    pub baseline: Baseline,
    /// What differences are divided by.
    pub scale: AdvantageScale,
}

impl AdvantageEstimator for GroupRelative {
    fn advantages(&self, groups: &[GradedGroup]) -> Vec<TokenRuns> {
        groups.iter().flat_map(|group| self.group(group)).collect()
    }
}

impl GroupRelative {
    fn group(self, group: &GradedGroup) -> Vec<TokenRuns> {
        let trajectories = &group.group.trajectories;
        assert_eq!(
            group.rewards.len(),
            trajectories.len(),
            "a group has one reward per trajectory"
        );
        let compared: Vec<f64> = group
            .rewards
            .iter()
            .zip(trajectories)
            .filter(|(_, trajectory)| match self.baseline {
                Baseline::WholeGroup => true,
                Baseline::OnPolicy => !trajectory.is_demonstrated(),
            })
            .map(|(reward, _)| f64::from(*reward))
            .collect();
        let (mean, std) = mean_and_std(&compared);
        let divisor = match self.scale {
            AdvantageScale::None => 1.0,
            AdvantageScale::Std => std + STD_EPSILON,
        };
        let values = group.rewards.iter().map(|reward| (f64::from(*reward) - mean) / divisor);
        values
            .zip(trajectories)
            .map(|(value, trajectory)| {
                TokenRuns::constant(trajectory.tokens.len() as u32, value as f32)
            })
            .collect()
    }
}

/// Mean and unbiased standard deviation, with the reference's rules for what has neither.
fn mean_and_std(values: &[f64]) -> (f64, f64) {
    if values.len() < 2 {
        return (0.0, 1.0);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::method::fixtures::graded;

    /// Advantages of one group: rewards of sampled members, then of demonstrated ones.
    fn advantages(estimator: GroupRelative, sampled: &[f32], demonstrated: &[f32]) -> Vec<f32> {
        let group = graded(sampled, demonstrated);
        estimator.advantages(&[group]).iter().map(TokenRuns::first).collect()
    }

    fn check(estimator: GroupRelative, sampled: &[f32], demonstrated: &[f32], expected: &[f64]) {
        let got = advantages(estimator, sampled, demonstrated);
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((f64::from(*got) - expected).abs() < 1e-5, "{got} is not {expected}");
        }
    }

    const LUFFY: GroupRelative =
        GroupRelative { baseline: Baseline::WholeGroup, scale: AdvantageScale::None };
    const STD: GroupRelative =
        GroupRelative { baseline: Baseline::WholeGroup, scale: AdvantageScale::Std };
    const SPLIT: GroupRelative =
        GroupRelative { baseline: Baseline::OnPolicy, scale: AdvantageScale::Std };

    #[test]
    fn a_demonstration_gets_seven_eighths_where_nobody_else_succeeds() {
        // luffy.md 4: with k of 7 right, A_right = (7 - k) / 8 and A_wrong = -(k + 1) / 8.
        for k in 0..=7 {
            let sampled: Vec<f32> = (0..7).map(|i| if i < k { 1.0 } else { 0.0 }).collect();
            let (right, wrong) = (f64::from(7 - k) / 8.0, -f64::from(k + 1) / 8.0);
            let mut expected: Vec<f64> =
                (0..7).map(|i| if i < k { right } else { wrong }).collect();
            expected.push(right);
            check(LUFFY, &sampled, &[1.0], &expected);
        }
    }

    #[test]
    fn the_deviation_is_unbiased() {
        // luffy.md 4, executed with torch: 2.47487 and -0.35355 for k = 0.
        let mut expected = vec![-0.353_55; 7];
        expected.push(2.474_87);
        check(STD, &[0.0; 7], &[1.0], &expected);
    }

    #[test]
    fn a_group_without_spread_has_no_advantage() {
        check(STD, &[1.0; 7], &[1.0], &[0.0; 8]);
        check(LUFFY, &[0.1; 3], &[], &[0.0; 3]);
    }

    #[test]
    fn a_group_of_one_keeps_its_reward() {
        check(LUFFY, &[1.0], &[], &[1.0]);
        check(STD, &[0.5], &[], &[0.5 / (1.0 + 1e-6)]);
        // One sampled member is nobody to compare with either.
        check(SPLIT, &[1.0], &[0.5], &[1.0 / (1.0 + 1e-6), 0.5 / (1.0 + 1e-6)]);
        check(SPLIT, &[], &[1.0], &[1.0 / (1.0 + 1e-6)]);
    }

    #[test]
    fn an_on_policy_baseline_leaves_demonstrations_out() {
        // Mean 0.5 and deviation sqrt(1/2) of the two sampled ones.
        let std = 0.5_f64.sqrt() + 1e-6;
        check(SPLIT, &[1.0, 0.0], &[1.0], &[0.5 / std, -0.5 / std, 0.5 / std]);
        // No deviation among the sampled ones counts as 1.
        check(SPLIT, &[0.0, 0.0], &[1.0], &[0.0, 0.0, 1.0 / (1.0 + 1e-6)]);
    }

    #[test]
    fn every_token_of_a_trajectory_has_its_advantage() {
        let groups = [graded(&[1.0, 0.0], &[]), graded(&[0.0], &[3.0])];
        let got = LUFFY.advantages(&groups);
        let lengths: Vec<usize> =
            groups.iter().flat_map(|g| &g.group.trajectories).map(|t| t.tokens.len()).collect();
        assert_eq!(got.iter().map(TokenRuns::len).collect::<Vec<_>>(), lengths);
        assert_eq!(got.iter().map(TokenRuns::first).collect::<Vec<_>>(), [0.5, -0.5, -1.5, 1.5]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn advantages_of_a_group_sum_to_zero(
            rewards in prop::collection::vec(-2.0_f32..2.0, 2..12),
            scale in prop::sample::select(vec![AdvantageScale::None, AdvantageScale::Std]),
        ) {
            let estimator = GroupRelative { baseline: Baseline::WholeGroup, scale };
            let sum: f32 = advantages(estimator, &rewards, &[]).iter().sum();
            prop_assert!(sum.abs() < 1e-5, "{sum}");
        }

        #[test]
        fn a_permuted_group_has_permuted_advantages(
            (rewards, shuffled) in prop::collection::vec((-2_i8..3, 0_u8..9), 2..9).prop_flat_map(|rows| {
                (Just(rows.clone()), Just(rows).prop_shuffle())
            }),
        ) {
            let run = |rows: &[(i8, u8)]| {
                let sampled: Vec<f32> = rows.iter().map(|(reward, _)| f32::from(*reward)).collect();
                let mut pairs: Vec<(i8, f32)> =
                    rows.iter().map(|(r, _)| *r).zip(advantages(LUFFY, &sampled, &[])).collect();
                pairs.sort_by_key(|pair| pair.0);
                pairs
            };
            prop_assert_eq!(run(&rewards), run(&shuffled));
        }
    }
}
