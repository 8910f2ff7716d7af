//! From the rewards of a step to one advantage per token.

mod values;

use luffy_core::{AdvantageEstimator, FinishReason, GradedGroup, Origin, TokenRuns, Trajectory};
use serde::{Deserialize, Serialize};

/// How rewards become advantages. `R` is the reward of a trajectory, which all its tokens share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Estimator {
    /// `A = (R - mean) / scale` within a group: LUFFY, GRPO, Dr. GRPO.
    ///
    /// With fewer than two members to compare with, the mean is 0 and the deviation 1; a deviation of zero
    /// counts as 1, which matters only where the baseline leaves members out.
    ///
    /// GRPO, <https://arxiv.org/abs/2402.03300>; over mixed groups, <https://arxiv.org/abs/2504.14945> eq. 4.
    #[default]
    GroupRelative,
    /// `A = R`.
    Reinforce,
    /// `A = (R - mean) / sqrt(variance + 1e-8)` over all learned tokens of the step, each token counted with
    /// the reward of its trajectory (the return without discount); the variance is the unbiased one.
    ///
    /// <https://arxiv.org/abs/2501.03262>.
    ReinforcePlusPlus,
    /// `A = R - mean of the others` of the group, `R` for a member without others.
    ///
    /// RLOO, <https://arxiv.org/abs/2402.14740>.
    Rloo,
    /// `A = (R - mean) / mean` within a group, 0 where the mean is not above 0. For rewards that are not
    /// negative: prompts that rarely succeed weigh more.
    ///
    /// `MaxRL`, <https://arxiv.org/abs/2602.02710>.
    MaxRl,
}

impl Estimator {
    /// Whether a group of one member would leave it nothing to compare with.
    pub const fn compares(self) -> bool {
        matches!(self, Self::GroupRelative | Self::Rloo | Self::MaxRl)
    }
}

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

/// What becomes of a response that the token limit cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Truncated {
    /// It keeps the advantage of its reward.
    #[default]
    Keep,
    /// It gets no advantage, and still counts in the baseline of the others.
    Zero,
}

/// Advantages of a step. The default is LUFFY's: `A = R - mean of the whole group` on every token.
///
/// Computed in `f64`, rounded to `f32` at the end. After the estimator, in this order: the weight of the
/// token's origin, then [`Truncated`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Advantages {
    /// The formula.
    pub estimator: Estimator,
    /// Who is compared with; for `GroupRelative`, `Rloo` and `MaxRl`.
    pub baseline: Baseline,
    /// What differences are divided by; for `GroupRelative`.
    pub scale: AdvantageScale,
    /// What becomes of responses that the token limit cut.
    pub truncated: Truncated,
    /// Multiplies the advantage of demonstrated tokens.
    pub demonstrated_weight: f64,
    /// Multiplies the advantage of sampled and replayed tokens.
    pub sampled_weight: f64,
}

impl Default for Advantages {
    fn default() -> Self {
        Self {
            estimator: Estimator::GroupRelative,
            baseline: Baseline::WholeGroup,
            scale: AdvantageScale::None,
            truncated: Truncated::Keep,
            demonstrated_weight: 1.0,
            sampled_weight: 1.0,
        }
    }
}

impl AdvantageEstimator for Advantages {
    /// # Panics
    /// If a group has not one reward per trajectory.
    fn advantages(&self, groups: &[GradedGroup]) -> Vec<TokenRuns> {
        let trajectories = || groups.iter().flat_map(|group| &group.group.trajectories);
        let values: Vec<f64> = match self.estimator {
            Estimator::ReinforcePlusPlus => {
                let rewards: Vec<f64> = groups.iter().flat_map(values::rewards).collect();
                let n_tokens: Vec<f64> = trajectories().map(|t| t.n_learned() as f64).collect();
                values::whitened(&rewards, &n_tokens)
            }
            _ => groups.iter().flat_map(|group| self.of_group(group)).collect(),
        };
        trajectories().zip(values).map(|(trajectory, value)| self.runs(trajectory, value)).collect()
    }
}

impl Advantages {
    /// One value per member, for the estimators that look at one group alone.
    fn of_group(&self, group: &GradedGroup) -> Vec<f64> {
        let rewards = values::rewards(group);
        let is_compared: Vec<bool> = group
            .group
            .trajectories
            .iter()
            .map(|trajectory| match self.baseline {
                Baseline::WholeGroup => true,
                Baseline::OnPolicy => !trajectory.is_demonstrated(),
            })
            .collect();
        match self.estimator {
            Estimator::GroupRelative => values::group_relative(&rewards, &is_compared, self.scale),
            Estimator::Rloo => values::leave_one_out(&rewards, &is_compared),
            Estimator::MaxRl => values::mean_normalized(&rewards, &is_compared),
            // The second is computed over the whole step and starts from the rewards.
            Estimator::Reinforce | Estimator::ReinforcePlusPlus => rewards,
        }
    }

    /// The value of a trajectory laid out over its tokens. Context tokens, which are not learned from, hold
    /// the value without a weight.
    fn runs(&self, trajectory: &Trajectory, value: f64) -> TokenRuns {
        let len = trajectory.tokens.len() as u32;
        if self.truncated == Truncated::Zero && trajectory.finish == FinishReason::Length {
            return TokenRuns::constant(len, 0.0);
        }
        let is_weighted = |weight: f64| (weight - 1.0).abs() > 0.0;
        if !is_weighted(self.demonstrated_weight) && !is_weighted(self.sampled_weight) {
            return TokenRuns::constant(len, value as f32);
        }
        let mut runs = TokenRuns::default();
        for span in &trajectory.spans {
            let weight = match span.origin {
                Origin::Demonstrated(_) => self.demonstrated_weight,
                Origin::Sampled { .. } | Origin::Replayed { .. } => self.sampled_weight,
                Origin::Context => 1.0,
            };
            runs.push(span.len, (value * weight) as f32);
        }
        runs
    }
}

#[cfg(test)]
mod tests;
