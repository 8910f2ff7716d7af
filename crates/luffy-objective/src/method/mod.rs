//! Methods as settings.

#[cfg(test)]
pub(crate) mod fixtures;
mod group;
mod supervised;

use std::sync::Arc;

use luffy_core::{Method, Origin, Shaping, Trajectory};
use serde::{Deserialize, Serialize};

use crate::{
    AdvantageScale, Advantages, Aggregate, Baseline, Clip, Identity, MixedPolicyLoss,
    Regularized,
};
use group::GroupMethod;
use supervised::Supervised;

/// What is trained, by name:
///
/// ```
/// use luffy_objective::{LuffyConfig, MethodConfig};
///
/// let config: MethodConfig = toml::from_str("name = 'luffy'\ngamma = 0.3")?;
/// assert_eq!(config, MethodConfig::Luffy(LuffyConfig { gamma: 0.3, ..Default::default() }));
/// config.validate().expect("0.3 is a valid gamma");
/// let method = config.build();
/// # let _ = method;
/// # Ok::<(), toml::de::Error>(())
/// ```
///
/// A key that a method does not know is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum MethodConfig {
    /// Demonstrations in the group, shaped: the paper's method.
    Luffy(LuffyConfig),
    /// Demonstrations in the group, unshaped: the paper's mixed-policy GRPO.
    Mixed(MixedConfig),
    /// Sampled responses only.
    Grpo(GrpoConfig),
    /// Demonstrations as supervised targets.
    Sft(SftConfig),
    /// Demonstrations that the verifier pays as supervised targets.
    SftFiltered(SftConfig),
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self::Luffy(LuffyConfig::default())
    }
}

/// Settings of LUFFY. Defaults are the paper's, with the constant-length divisor of recipe `addition`
/// and without entropy bonus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LuffyConfig {
    /// Members of a group.
    pub group_size: u32,
    /// How many of them are demonstrations. A prompt that has fewer gets samples instead.
    pub demonstrations: u32,
    /// `gamma` of [`Regularized`].
    pub gamma: f64,
    /// Clipping of sampled tokens.
    pub clip: Clip,
    /// What the loss is divided by.
    pub aggregate: Aggregate,
    /// Weight of the entropy bonus.
    pub entropy_coefficient: f64,
    /// Who advantages are relative to.
    pub baseline: Baseline,
    /// What advantages are divided by.
    pub scale: AdvantageScale,
}

impl Default for LuffyConfig {
    fn default() -> Self {
        Self {
            group_size: 8,
            demonstrations: 1,
            gamma: 0.1,
            clip: Clip::None,
            aggregate: Aggregate::ConstantLength,
            entropy_coefficient: 0.0,
            baseline: Baseline::WholeGroup,
            scale: AdvantageScale::None,
        }
    }
}

/// Settings of mixed-policy GRPO: those of [`LuffyConfig`] without the shaping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MixedConfig {
    /// Members of a group.
    pub group_size: u32,
    /// How many of them are demonstrations. A prompt that has fewer gets samples instead.
    pub demonstrations: u32,
    /// Clipping of sampled tokens.
    pub clip: Clip,
    /// What the loss is divided by.
    pub aggregate: Aggregate,
    /// Weight of the entropy bonus.
    pub entropy_coefficient: f64,
    /// Who advantages are relative to.
    pub baseline: Baseline,
    /// What advantages are divided by.
    pub scale: AdvantageScale,
}

impl Default for MixedConfig {
    fn default() -> Self {
        Self {
            group_size: 8,
            demonstrations: 1,
            clip: Clip::None,
            aggregate: Aggregate::ConstantLength,
            entropy_coefficient: 0.0,
            baseline: Baseline::WholeGroup,
            scale: AdvantageScale::None,
        }
    }
}

/// Settings of on-policy GRPO, without the deviation as in Dr. GRPO unless asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GrpoConfig {
    /// Members of a group.
    pub group_size: u32,
    /// Clipping.
    pub clip: Clip,
    /// What the loss is divided by.
    pub aggregate: Aggregate,
    /// Weight of the entropy bonus.
    pub entropy_coefficient: f64,
    /// What advantages are divided by.
    pub scale: AdvantageScale,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        Self {
            group_size: 8,
            clip: Clip::Epsilon { low: 0.2, high: 0.2 },
            aggregate: Aggregate::ConstantLength,
            entropy_coefficient: 0.0,
            scale: AdvantageScale::None,
        }
    }
}

/// Settings of supervised fine-tuning: there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SftConfig {}

/// Settings that make no method.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MethodError {
    /// No members.
    #[error("group-size is 0, a group needs at least 1 member")]
    EmptyGroup,
    /// More demonstrations than members.
    #[error(
        "demonstrations is {demonstrations}, a group has {group_size} members; lower it or raise group-size"
    )]
    Demonstrations {
        /// As configured.
        demonstrations: u32,
        /// As configured.
        group_size: u32,
    },
    /// Shaping is undefined there.
    #[error("gamma is {0}, it must be finite and above 0; method `mixed` has no shaping")]
    Gamma(f64),
    /// A range that does not hold 1.
    #[error(
        "clip is {low} and {high}, low must lie within 0 and 1 and high must be finite and at least 0"
    )]
    Clip {
        /// As configured.
        low: f64,
        /// As configured.
        high: f64,
    },
    /// NaN or infinity.
    #[error("entropy-coefficient is {0}, it must be finite; 0 turns the bonus off")]
    EntropyCoefficient(f64),
}

impl MethodConfig {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn validate(&self) -> Result<(), MethodError> {
        let (group_size, demonstrations, clip, entropy_coefficient) = match self {
            Self::Luffy(config) => {
                if !(config.gamma.is_finite() && config.gamma > 0.0) {
                    return Err(MethodError::Gamma(config.gamma));
                }
                (config.group_size, config.demonstrations, config.clip, config.entropy_coefficient)
            }
            Self::Mixed(config) => {
                (config.group_size, config.demonstrations, config.clip, config.entropy_coefficient)
            }
            Self::Grpo(config) => (config.group_size, 0, config.clip, config.entropy_coefficient),
            Self::Sft(_) | Self::SftFiltered(_) => return Ok(()),
        };
        if group_size == 0 {
            return Err(MethodError::EmptyGroup);
        }
        if demonstrations > group_size {
            return Err(MethodError::Demonstrations { demonstrations, group_size });
        }
        if let Clip::Epsilon { low, high } = clip
            && !((0.0..=1.0).contains(&low) && high.is_finite() && high >= 0.0)
        {
            return Err(MethodError::Clip { low, high });
        }
        if !entropy_coefficient.is_finite() {
            return Err(MethodError::EntropyCoefficient(entropy_coefficient));
        }
        Ok(())
    }

    /// Its name, as run files write it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Luffy(_) => "luffy",
            Self::Mixed(_) => "mixed",
            Self::Grpo(_) => "grpo",
            Self::Sft(_) => "sft",
            Self::SftFiltered(_) => "sft-filtered",
        }
    }

    /// The method of that name with its default settings.
    pub fn by_name(name: &str) -> Option<Self> {
        let all = [
            Self::Luffy(LuffyConfig::default()),
            Self::Mixed(MixedConfig::default()),
            Self::Grpo(GrpoConfig::default()),
            Self::Sft(SftConfig::default()),
            Self::SftFiltered(SftConfig::default()),
        ];
        all.into_iter().find(|method| method.name() == name)
    }

    /// The method itself.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the settings: call it where they come from outside.
    pub fn build(&self) -> Arc<dyn Method> {
        if let Err(error) = self.validate() {
            panic!("settings of a method are validated before it is built: {error}");
        }
        match self.clone() {
            Self::Luffy(config) => Arc::new(GroupMethod {
                group_size: config.group_size,
                n_demonstrations: config.demonstrations,
                estimator: Advantages { baseline: config.baseline, scale: config.scale, ..Advantages::default() },
                objective: Arc::new(MixedPolicyLoss {
                    clip: config.clip,
                    aggregate: config.aggregate,
                    entropy_coefficient: config.entropy_coefficient,
                    ..MixedPolicyLoss::new(Arc::new(Regularized { gamma: config.gamma }))
                }),
            }),
            Self::Mixed(config) => Arc::new(GroupMethod {
                group_size: config.group_size,
                n_demonstrations: config.demonstrations,
                estimator: Advantages { baseline: config.baseline, scale: config.scale, ..Advantages::default() },
                objective: unshaped(config.clip, config.aggregate, config.entropy_coefficient),
            }),
            Self::Grpo(config) => Arc::new(GroupMethod {
                group_size: config.group_size,
                n_demonstrations: 0,
                estimator: Advantages { baseline: Baseline::WholeGroup, scale: config.scale, ..Advantages::default() },
                objective: unshaped(config.clip, config.aggregate, config.entropy_coefficient),
            }),
            Self::Sft(SftConfig {}) => Arc::new(Supervised { only_rewarded: false }),
            Self::SftFiltered(SftConfig {}) => Arc::new(Supervised { only_rewarded: true }),
        }
    }
}

fn unshaped(clip: Clip, aggregate: Aggregate, entropy_coefficient: f64) -> Arc<MixedPolicyLoss> {
    let shaping: Arc<dyn Shaping> = Arc::new(Identity);
    Arc::new(MixedPolicyLoss { clip, aggregate, entropy_coefficient, ..MixedPolicyLoss::new(shaping) })
}

/// The position of the first demonstration for a draw in `[0, 1)`; `None` if there is none.
#[expect(clippy::cast_sign_loss, reason = "a draw is not negative")]
fn pick(n_demonstrations: usize, choice: f64) -> Option<usize> {
    let last = n_demonstrations.checked_sub(1)?;
    Some(((choice * n_demonstrations as f64) as usize).min(last))
}

/// Tokens of a trajectory that are learned from.
fn n_learned(trajectory: &Trajectory) -> u64 {
    let learned = trajectory.spans.iter().filter(|span| !matches!(span.origin, Origin::Context));
    learned.map(|span| u64::from(span.len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(toml: &str) -> Result<MethodConfig, toml::de::Error> {
        toml::from_str(toml)
    }

    fn check(toml: &str, expected: MethodConfig) {
        let config = parse(toml).unwrap();
        assert_eq!(config, expected, "{toml}");
        // What is written into a run directory reads back as the same method.
        assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config);
        config.validate().unwrap();
    }

    #[test]
    fn a_name_alone_gives_the_defaults() {
        check("name = 'luffy'", MethodConfig::default());
        check("name = 'mixed'", MethodConfig::Mixed(MixedConfig::default()));
        check("name = 'grpo'", MethodConfig::Grpo(GrpoConfig::default()));
        check("name = 'sft'", MethodConfig::Sft(SftConfig {}));
        check("name = 'sft-filtered'", MethodConfig::SftFiltered(SftConfig {}));
    }

    #[test]
    fn every_setting_has_a_key() {
        check(
            "name = 'luffy'\ngroup-size = 4\ndemonstrations = 2\ngamma = 1\n\
             clip = { epsilon = { low = 0.2, high = 0.28 } }\naggregate = 'token-mean'\n\
             entropy-coefficient = 0.01\nbaseline = 'on-policy'\nscale = 'std'",
            MethodConfig::Luffy(LuffyConfig {
                group_size: 4,
                demonstrations: 2,
                gamma: 1.0,
                clip: Clip::Epsilon { low: 0.2, high: 0.28 },
                aggregate: Aggregate::TokenMean,
                entropy_coefficient: 0.01,
                baseline: Baseline::OnPolicy,
                scale: AdvantageScale::Std,
            }),
        );
        let none = GrpoConfig { clip: Clip::None, ..GrpoConfig::default() };
        check("name = 'grpo'\nclip = 'none'", MethodConfig::Grpo(none));
    }

    #[test]
    fn a_key_of_another_method_is_refused_by_name() {
        for (toml, key) in [
            ("name = 'luffy'\ngama = 0.1", "gama"),
            ("name = 'mixed'\ngamma = 0.1", "gamma"),
            ("name = 'grpo'\ndemonstrations = 1", "demonstrations"),
            ("name = 'sft'\ngamma = 0.1", "gamma"),
            ("name = 'sft-filtered'\ngroup-size = 1", "group-size"),
            ("name = 'luffi'", "luffi"),
            ("gamma = 0.1", "name"),
        ] {
            let error = parse(toml).unwrap_err().to_string();
            assert!(error.contains(key), "{toml}: {error}");
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for (toml, word) in [
            ("name = 'luffy'\ngroup-size = 0", "group-size"),
            ("name = 'grpo'\ngroup-size = 0", "group-size"),
            ("name = 'mixed'\ndemonstrations = 9", "demonstrations"),
            ("name = 'luffy'\ngamma = 0.0", "gamma"),
            ("name = 'luffy'\ngamma = nan", "gamma"),
            ("name = 'grpo'\nclip = { epsilon = { low = 1.5, high = 0.2 } }", "clip"),
            ("name = 'grpo'\nentropy-coefficient = inf", "entropy-coefficient"),
        ] {
            let error = parse(toml).unwrap().validate().unwrap_err().to_string();
            assert!(error.starts_with(word), "{toml}: {error}");
        }
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
