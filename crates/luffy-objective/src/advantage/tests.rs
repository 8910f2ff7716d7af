//! Advantages of small groups by hand, and what they must not depend on.

use luffy_core::{Behavior, Span};
use proptest::prelude::*;

use super::*;
use crate::method::fixtures::graded;

/// Advantages of one group: rewards of sampled members, then of demonstrated ones.
fn of_group(advantages: Advantages, sampled: &[f32], demonstrated: &[f32]) -> Vec<f64> {
    let group = graded(sampled, demonstrated);
    let runs = advantages.advantages(&[group]);
    runs.iter().map(|runs| f64::from(runs.last())).collect()
}

#[track_caller]
fn check(advantages: Advantages, sampled: &[f32], demonstrated: &[f32], expected: &[f64]) {
    let got = of_group(advantages, sampled, demonstrated);
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-5, "{got} is not {expected}");
    }
}

fn with(estimator: Estimator, baseline: Baseline) -> Advantages {
    Advantages { estimator, baseline, ..Advantages::default() }
}

fn scaled(baseline: Baseline) -> Advantages {
    Advantages { baseline, scale: AdvantageScale::Std, ..Advantages::default() }
}

#[test]
fn a_demonstration_gets_seven_eighths_where_nobody_else_succeeds() {
    // luffy.md 4: with k of 7 right, A_right = (7 - k) / 8 and A_wrong = -(k + 1) / 8.
    for k in 0..=7 {
        let sampled: Vec<f32> = (0..7).map(|i| if i < k { 1.0 } else { 0.0 }).collect();
        let (right, wrong) = (f64::from(7 - k) / 8.0, -f64::from(k + 1) / 8.0);
        let mut expected: Vec<f64> = (0..7).map(|i| if i < k { right } else { wrong }).collect();
        expected.push(right);
        check(Advantages::default(), &sampled, &[1.0], &expected);
    }
}

#[test]
fn the_deviation_is_unbiased() {
    // luffy.md 4, executed with torch: 2.47487 and -0.35355 for k = 0.
    let mut expected = vec![-0.353_55; 7];
    expected.push(2.474_87);
    check(scaled(Baseline::WholeGroup), &[0.0; 7], &[1.0], &expected);
}

#[test]
fn a_tiny_deviation_is_not_blown_up() {
    // Of 0 and 2e-6: deviation sqrt(2) * 1e-6, to which 1e-6 is added.
    let value = 1.0 / (2.0_f64.sqrt() + 1.0);
    check(scaled(Baseline::WholeGroup), &[0.0, 2e-6], &[], &[-value, value]);
}

#[test]
fn a_group_without_spread_has_no_advantage() {
    check(scaled(Baseline::WholeGroup), &[1.0; 7], &[1.0], &[0.0; 8]);
    check(Advantages::default(), &[0.1; 3], &[], &[0.0; 3]);
    check(with(Estimator::Rloo, Baseline::WholeGroup), &[0.5; 3], &[0.5], &[0.0; 4]);
    check(with(Estimator::MaxRl, Baseline::WholeGroup), &[0.5; 3], &[0.5], &[0.0; 4]);
}

#[test]
fn a_group_of_one_keeps_its_reward() {
    check(Advantages::default(), &[1.0], &[], &[1.0]);
    check(scaled(Baseline::WholeGroup), &[0.5], &[], &[0.5 / (1.0 + 1e-6)]);
    // One sampled member is nobody to compare with either.
    let split = scaled(Baseline::OnPolicy);
    check(split, &[1.0], &[0.5], &[1.0 / (1.0 + 1e-6), 0.5 / (1.0 + 1e-6)]);
    check(split, &[], &[1.0], &[1.0 / (1.0 + 1e-6)]);
    check(with(Estimator::Rloo, Baseline::WholeGroup), &[0.5], &[], &[0.5]);
}

#[test]
fn an_on_policy_baseline_leaves_demonstrations_out() {
    // Mean 0.5 and deviation sqrt(1/2) of the two sampled ones.
    let std = 0.5_f64.sqrt() + 1e-6;
    let split = scaled(Baseline::OnPolicy);
    check(split, &[1.0, 0.0], &[1.0], &[0.5 / std, -0.5 / std, 0.5 / std]);
    // No deviation among the sampled ones counts as 1.
    check(split, &[0.0, 0.0], &[1.0], &[0.0, 0.0, 1.0 / (1.0 + 1e-6)]);
}

#[test]
fn leave_one_out_compares_with_the_others() {
    // Others of the first: (0 + 0 + 1) / 3, of the zeros: 2 / 3.
    let whole = with(Estimator::Rloo, Baseline::WholeGroup);
    let third = 1.0 / 3.0;
    check(whole, &[1.0, 0.0, 0.0], &[1.0], &[2.0 * third, -2.0 * third, -2.0 * third, 2.0 * third]);
    // Among the sampled: 1 against 0, 0 against 1/2; the demonstration against all three.
    let split = with(Estimator::Rloo, Baseline::OnPolicy);
    check(split, &[1.0, 0.0, 0.0], &[1.0], &[1.0, -0.5, -0.5, 2.0 * third]);
    // A sampled member alone has no others, the demonstration has it.
    check(split, &[0.25], &[1.0], &[0.25, 0.75]);
}

#[test]
fn mean_normalisation_lifts_prompts_that_rarely_succeed() {
    let whole = with(Estimator::MaxRl, Baseline::WholeGroup);
    check(whole, &[1.0, 0.0, 0.0, 0.0], &[], &[3.0, -1.0, -1.0, -1.0]);
    check(whole, &[0.0, 0.0, 0.0], &[1.0], &[-1.0, -1.0, -1.0, 3.0]);
    check(whole, &[0.0; 3], &[], &[0.0; 3]);
    let split = with(Estimator::MaxRl, Baseline::OnPolicy);
    check(split, &[1.0, 0.0], &[1.0], &[1.0, -1.0, 1.0]);
    check(split, &[0.0, 0.0], &[1.0], &[0.0; 3]);
}

#[test]
fn reinforce_is_the_reward() {
    check(
        with(Estimator::Reinforce, Baseline::WholeGroup),
        &[1.0, -0.5],
        &[0.25],
        &[1.0, -0.5, 0.25],
    );
}

#[test]
fn whitening_is_over_the_tokens_of_the_step() {
    // Members have 1, 2 tokens in the first group and 1 in the second: tokens 1, 0, 0, 0.5.
    let groups = [graded(&[1.0, 0.0], &[]), graded(&[0.5], &[])];
    let tokens = [1.0, 0.0, 0.0, 0.5_f64];
    let mean = tokens.iter().sum::<f64>() / 4.0;
    let variance = tokens.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 3.0;
    let got = with(Estimator::ReinforcePlusPlus, Baseline::WholeGroup).advantages(&groups);
    for (runs, reward) in got.iter().zip([1.0, 0.0, 0.5]) {
        let expected = (reward - mean) / (variance + 1e-8).sqrt();
        assert!((f64::from(runs.last()) - expected).abs() < 1e-6, "{runs:?}, {expected}");
    }
    let whitened: f64 = got.iter().map(|runs| f64::from(runs.last()) * runs.len() as f64).sum();
    assert!(whitened.abs() < 1e-6, "{whitened}");
    // One token has no variance.
    check(with(Estimator::ReinforcePlusPlus, Baseline::WholeGroup), &[1.0], &[], &[0.0]);
}

#[test]
fn context_tokens_are_not_whitened_over() {
    let mut groups = [graded(&[1.0, 0.0], &[])];
    let plain = with(Estimator::ReinforcePlusPlus, Baseline::WholeGroup);
    let expected = plain.advantages(&groups);
    let trajectory = &mut groups[0].group.trajectories[1];
    trajectory.tokens.extend([7; 5]);
    trajectory.spans.push(Span { len: 5, origin: Origin::Context });
    let got = plain.advantages(&groups);
    assert_eq!(got[1].to_vec()[0].to_bits(), expected[1].to_vec()[0].to_bits());
    assert_eq!(got[1].len(), expected[1].len() + 5);
}

#[test]
fn every_token_of_a_trajectory_has_its_advantage() {
    let groups = [graded(&[1.0, 0.0], &[]), graded(&[0.0], &[3.0])];
    let got = Advantages::default().advantages(&groups);
    let lengths: Vec<usize> =
        groups.iter().flat_map(|g| &g.group.trajectories).map(|t| t.tokens.len()).collect();
    assert_eq!(got.iter().map(TokenRuns::len).collect::<Vec<_>>(), lengths);
    assert_eq!(got.iter().map(TokenRuns::last).collect::<Vec<_>>(), [0.5, -0.5, -1.5, 1.5]);
}

#[test]
fn truncated_responses_may_lose_their_advantage_and_still_count() {
    let mut group = graded(&[1.0, 0.0, 0.0], &[]);
    group.group.trajectories[2].finish = FinishReason::Length;
    let groups = [group];
    let keep = Advantages::default().advantages(&groups);
    let zero = Advantages { truncated: Truncated::Zero, ..Advantages::default() };
    let zero = zero.advantages(&groups);
    assert_eq!(keep[..2], zero[..2]);
    assert!(zero[2].is_zero() && !keep[2].is_zero());
    assert_eq!(zero[2].len(), keep[2].len());
}

#[test]
fn tokens_are_weighted_by_their_origin() {
    let mut group = graded(&[1.0, 0.0], &[]);
    // The second member: two demonstrated tokens, one of context, one sampled.
    group.group.trajectories[1].tokens = vec![5; 4];
    group.group.trajectories[1].spans = vec![
        Span { len: 2, origin: Origin::Demonstrated(Behavior::One) },
        Span { len: 1, origin: Origin::Context },
        Span { len: 1, origin: Origin::Sampled { logprobs: vec![-0.5] } },
    ];
    let weighted =
        Advantages { demonstrated_weight: 3.0, sampled_weight: 0.5, ..Advantages::default() };
    let got = weighted.advantages(&[group]);
    assert_eq!(got[0].to_vec(), [0.25]);
    assert_eq!(got[1].to_vec(), [-1.5, -1.5, -0.5, -0.25]);
}

#[test]
fn settings_read_and_write_in_kebab_case() {
    let toml = "estimator = 'max-rl'\nbaseline = 'on-policy'\ntruncated = 'zero'\ndemonstrated-weight = 2.0";
    let parsed: Advantages = toml::from_str(toml).unwrap();
    let expected = Advantages {
        truncated: Truncated::Zero,
        demonstrated_weight: 2.0,
        ..with(Estimator::MaxRl, Baseline::OnPolicy)
    };
    assert_eq!(parsed, expected);
    assert_eq!(toml::from_str::<Advantages>(&toml::to_string(&parsed).unwrap()).unwrap(), parsed);
    assert_eq!(toml::from_str::<Advantages>("").unwrap(), Advantages::default());
    assert!(toml::from_str::<Advantages>("demonstration-weight = 1").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn advantages_of_a_group_sum_to_zero(
        rewards in prop::collection::vec(-2.0_f32..2.0, 2..12),
        n_demonstrated in 0_usize..3,
    ) {
        let (sampled, demonstrated) = rewards.split_at(rewards.len().saturating_sub(n_demonstrated));
        for advantages in [
            Advantages::default(),
            scaled(Baseline::WholeGroup),
            with(Estimator::Rloo, Baseline::WholeGroup),
        ] {
            let sum: f64 = of_group(advantages, sampled, demonstrated).iter().sum();
            prop_assert!(sum.abs() < 1e-5, "{advantages:?}: {sum}");
        }
    }

    #[test]
    fn leave_one_out_is_the_group_mean_stretched(
        rewards in prop::collection::vec(-2.0_f32..2.0, 2..12),
    ) {
        // R - (S - R) / (n - 1) = (R - S / n) * n / (n - 1).
        let n = rewards.len() as f64;
        let relative = of_group(Advantages::default(), &rewards, &[]);
        let got = of_group(with(Estimator::Rloo, Baseline::WholeGroup), &rewards, &[]);
        for (got, relative) in got.iter().zip(relative) {
            prop_assert!((got - relative * n / (n - 1.0)).abs() < 1e-5);
        }
    }

    #[test]
    fn a_permuted_group_has_permuted_advantages(
        (rewards, shuffled) in prop::collection::vec((-2_i8..3, 0_u8..9), 2..9).prop_flat_map(|rows| {
            (Just(rows.clone()), Just(rows).prop_shuffle())
        }),
    ) {
        for estimator in [Estimator::GroupRelative, Estimator::Rloo, Estimator::MaxRl] {
            let run = |rows: &[(i8, u8)]| {
                let sampled: Vec<f32> = rows.iter().map(|(reward, _)| f32::from(*reward)).collect();
                let values = of_group(with(estimator, Baseline::WholeGroup), &sampled, &[]);
                let mut pairs: Vec<(i8, i64)> = rows
                    .iter()
                    .map(|(reward, _)| *reward)
                    .zip(values.iter().map(|value| (value * 1e5).round() as i64))
                    .collect();
                pairs.sort_unstable();
                pairs
            };
            prop_assert_eq!(run(&rewards), run(&shuffled));
        }
    }
}
