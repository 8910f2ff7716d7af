//! Configurations and arguments of the reference's functions, as a case writes them.

use anyhow::{bail, ensure};
use serde::Deserialize;

use super::array::{Array, Mask};

/// What a function reads.
pub(super) trait Inputs {
    /// Whether the arguments fit one another.
    fn check(&self) -> anyhow::Result<()>;
}

/// No settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MixedConfig {
    pub(super) clip_range: f64,
    pub(super) clip_upper_bound: f64,
    pub(super) off_policy_reshape: Reshape,
    pub(super) off_policy_reshape_weight: f64,
    pub(super) off_policy_reshape_pow_exp: f64,
    pub(super) on_policy_reshape: Reshape,
    pub(super) on_policy_reshape_weight: f64,
    pub(super) on_policy_reshape_pow_exp: f64,
    pub(super) off_max_clip: Option<f64>,
    pub(super) off_min_clip: Option<f64>,
    pub(super) all_max_clip: Option<f64>,
    pub(super) remove_token_mean: bool,
    pub(super) remove_clip: bool,
}

/// The reference's names of shaping functions.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Reshape {
    Identity,
    Log,
    IdentityPlusLog,
    SquareRoot,
    Power,
    Regularized { gamma: f64 },
}

impl TryFrom<String> for Reshape {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        Ok(match name.as_str() {
            "no_reshape" => Self::Identity,
            "logp" => Self::Log,
            "p_logp" => Self::IdentityPlusLog,
            "square_root" => Self::SquareRoot,
            "pow" => Self::Power,
            other => match other.strip_prefix("p_div_p_").and_then(|gamma| gamma.parse().ok()) {
                Some(gamma) if gamma > 0.0 => Self::Regularized { gamma },
                _ => return Err(format!("no shaping is called `{other}`")),
            },
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MixedInputs {
    pub(super) log_prob: Array,
    #[serde(rename = "old_log_prob")]
    pub(super) behavior: Array,
    pub(super) advantages: Array,
    pub(super) response_mask: Mask,
    pub(super) off_policy_mask: Mask,
    pub(super) behaviour_prob: Option<Array>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PpoConfig {
    pub(super) clip_range: f64,
    pub(super) remove_token_mean: bool,
    pub(super) remove_clip: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PpoInputs {
    pub(super) log_prob: Array,
    #[serde(rename = "old_log_prob")]
    pub(super) behavior: Array,
    pub(super) advantages: Array,
    pub(super) response_mask: Mask,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SftInputs {
    pub(super) log_prob: Array,
    pub(super) response_mask: Mask,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KlConfig {
    pub(super) estimator: KlName,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KlName {
    Kl,
    Abs,
    Mse,
    LowVarKl,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KlInputs {
    pub(super) log_prob: Array,
    pub(super) ref_log_prob: Array,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenInputs {
    /// A distribution for each token of each row.
    pub(super) logits: Vec<Array>,
    pub(super) token_ids: Vec<Vec<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdvantageConfig {
    pub(super) estimator: EstimatorName,
    pub(super) normalise_by_std: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EstimatorName {
    Grpo,
    GrpoSplit,
    Reinforce,
    ReinforcePlusPlus,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdvantageInputs {
    pub(super) token_rewards: Array,
    pub(super) response_mask: Mask,
    pub(super) group: Vec<String>,
    pub(super) on_policy: Vec<bool>,
}

impl Inputs for MixedInputs {
    fn check(&self) -> anyhow::Result<()> {
        let Self { log_prob, behavior, advantages, .. } = self;
        let behaviour_prob = self.behaviour_prob.as_ref().unwrap_or(log_prob);
        let masks = [of_mask(&self.response_mask), of_mask(&self.off_policy_mask)];
        let arrays = [behavior, advantages, behaviour_prob].map(shape);
        same_shape(shape(log_prob), arrays.into_iter().chain(masks))
    }
}

impl Inputs for PpoInputs {
    fn check(&self) -> anyhow::Result<()> {
        let Self { log_prob, behavior, advantages, response_mask } = self;
        same_shape(shape(log_prob), [shape(behavior), shape(advantages), of_mask(response_mask)])
    }
}

impl Inputs for SftInputs {
    fn check(&self) -> anyhow::Result<()> {
        same_shape(shape(&self.log_prob), [of_mask(&self.response_mask)])
    }
}

impl Inputs for KlInputs {
    fn check(&self) -> anyhow::Result<()> {
        same_shape(shape(&self.log_prob), [shape(&self.ref_log_prob)])
    }
}

impl Inputs for TokenInputs {
    fn check(&self) -> anyhow::Result<()> {
        let [first, ..] = self.logits.as_slice() else { bail!("there are no logits") };
        ensure!(
            self.logits.iter().all(|row| shape(row) == shape(first)),
            "rows of logits differ in shape"
        );
        ensure!(
            self.token_ids.len() == self.logits.len()
                && self.token_ids.iter().all(|row| row.len() == first.rows),
            "there is not one token for each distribution"
        );
        let unknown = self.token_ids.iter().flatten().find(|id| **id as usize >= first.tokens);
        ensure!(unknown.is_none(), "token {unknown:?} is not among {} logits", first.tokens);
        Ok(())
    }
}

impl Inputs for AdvantageInputs {
    fn check(&self) -> anyhow::Result<()> {
        let Self { token_rewards, response_mask, group, on_policy } = self;
        same_shape(shape(token_rewards), [of_mask(response_mask)])?;
        let rows = token_rewards.rows;
        ensure!(
            group.len() == rows && on_policy.len() == rows,
            "{rows} rows have {} groups and {} origins",
            group.len(),
            on_policy.len()
        );
        Ok(())
    }
}

fn shape(array: &Array) -> [usize; 2] {
    [array.rows, array.tokens]
}

fn of_mask(mask: &Mask) -> [usize; 2] {
    [mask.rows, mask.tokens]
}

fn same_shape(
    first: [usize; 2],
    others: impl IntoIterator<Item = [usize; 2]>,
) -> anyhow::Result<()> {
    match others.into_iter().find(|shape| *shape != first) {
        Some(other) => bail!("arrays of {first:?} and {other:?} rows and tokens"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapings_have_the_names_of_the_reference() {
        let reshape = |name: &str| Reshape::try_from(name.to_owned());
        assert_eq!(reshape("p_div_p_0.3"), Ok(Reshape::Regularized { gamma: 0.3 }));
        assert_eq!(reshape("no_reshape"), Ok(Reshape::Identity));
        for name in ["p_div_p_", "p_div_p_0", "p_div_p_NaN", "cube_root", ""] {
            assert!(reshape(name).is_err(), "{name}");
        }
    }
}
