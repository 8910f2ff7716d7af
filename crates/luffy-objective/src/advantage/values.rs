//! The arithmetic of the estimators on plain numbers.

use luffy_core::GradedGroup;

use super::AdvantageScale;

/// Added to the standard deviation of a group, as the reference does.
const STD_EPSILON: f64 = 1e-6;

/// Added to the variance of a step, as the reference does.
const VARIANCE_EPSILON: f64 = 1e-8;

/// The rewards of a group.
pub(super) fn rewards(group: &GradedGroup) -> Vec<f64> {
    assert_eq!(
        group.rewards.len(),
        group.group.trajectories.len(),
        "a group has one reward per trajectory"
    );
    group.rewards.iter().map(|reward| f64::from(*reward)).collect()
}

/// `(R - mean) / scale`.
pub(super) fn group_relative(
    rewards: &[f64],
    is_compared: &[bool],
    scale: AdvantageScale,
) -> Vec<f64> {
    let (mean, std) = mean_and_std(&compared(rewards, is_compared));
    let divisor = match scale {
        AdvantageScale::None => 1.0,
        AdvantageScale::Std => std + STD_EPSILON,
    };
    rewards.iter().map(|reward| (reward - mean) / divisor).collect()
}

/// `R - mean of the others`.
pub(super) fn leave_one_out(rewards: &[f64], is_compared: &[bool]) -> Vec<f64> {
    let compared = compared(rewards, is_compared);
    let (sum, n) = (compared.iter().sum::<f64>(), compared.len() as f64);
    let value = |(reward, is_compared): (&f64, &bool)| {
        let (own, n_own) = if *is_compared { (*reward, 1.0) } else { (0.0, 0.0) };
        let n_others = n - n_own;
        if n_others > 0.0 { reward - (sum - own) / n_others } else { *reward }
    };
    rewards.iter().zip(is_compared).map(value).collect()
}

/// `(R - mean) / mean`.
pub(super) fn mean_normalized(rewards: &[f64], is_compared: &[bool]) -> Vec<f64> {
    let compared = compared(rewards, is_compared);
    let mean = compared.iter().sum::<f64>() / (compared.len().max(1) as f64);
    let value = |reward: &f64| if mean > 0.0 { (reward - mean) / mean } else { 0.0 };
    rewards.iter().map(value).collect()
}

/// `(x - mean) / sqrt(variance + 1e-8)` over tokens: value `i` stands on `n_tokens[i]` of them.
pub(super) fn whitened(values: &[f64], n_tokens: &[f64]) -> Vec<f64> {
    let n: f64 = n_tokens.iter().sum();
    let weighted = |f: &dyn Fn(f64) -> f64| -> f64 {
        values.iter().zip(n_tokens).map(|(value, n)| n * f(*value)).sum()
    };
    let mean = weighted(&|value| value) / n.max(1.0);
    let variance = weighted(&|value| (value - mean).powi(2)) / (n - 1.0).max(1.0);
    let divisor = (variance + VARIANCE_EPSILON).sqrt();
    values.iter().map(|value| (value - mean) / divisor).collect()
}

fn compared(rewards: &[f64], is_compared: &[bool]) -> Vec<f64> {
    let pairs = rewards.iter().zip(is_compared);
    pairs.filter(|(_, is_compared)| **is_compared).map(|(reward, _)| *reward).collect()
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
