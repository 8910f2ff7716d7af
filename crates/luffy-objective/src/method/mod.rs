//! Methods as settings.

mod config;
#[cfg(test)]
pub(crate) mod fixtures;
mod group;
mod mix;
mod overlay;
mod phases;
mod plan;
mod prefix;
mod settings;
mod supervised;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use luffy_core::{Method, OptimizerSlot, Shaping};
use serde::{Deserialize, Serialize};

use crate::{
    Clip, Likelihood, MixedPolicyLoss, Regularized, RlPlus, ShapingConfig, ShapingError,
    SrftDemonstration, SrftSample, SupervisedLoss, SupervisedTerm, Trapo,
};
pub use config::{
    ChordConfig, HptConfig, LuffyConfig, MixedConfig, OnPolicyConfig, PrefixRftConfig,
    ReliftConfig, RlPlusConfig, RlWithSftLossConfig, SftThenRlConfig, SrftConfig, SupervisedConfig,
    TrapoConfig, UftConfig,
};
use group::{GroupMethod, KeepUnsolved, Rollout, SampledAdvantage};
use mix::Mix;
pub use mix::Mu;
use phases::Phases;
pub use plan::MicroGroup;
use plan::{Members, MicroGroups};
pub use prefix::PrefixSchedule;
pub use settings::{EntropyControl, Filter, GuidanceSettings, PolicySettings};
use supervised::Supervised;

/// One line per method: variant, settings, name, defaults.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident($config:ty) = $name:literal, $default:expr;)*) => {
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
        /// What is not said has the default of that method; a key that it does not know is refused.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name", rename_all = "kebab-case", try_from = "toml::Table")]
        pub enum MethodConfig {
            $($(#[$doc])* #[serde(rename = $name)] $variant($config),)*
        }

        impl MethodConfig {
            /// Every method with its default settings.
            pub fn all() -> Vec<Self> {
                vec![$(Self::$variant($default)),*]
            }

            /// Its name, as run files write it.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)*
                }
            }
        }

        impl TryFrom<toml::Table> for MethodConfig {
            type Error = String;

            fn try_from(mut given: toml::Table) -> Result<Self, String> {
                let name = overlay::take_name(&mut given)?;
                match name.as_str() {
                    $($name => Ok(Self::$variant(overlay::over($name, &$default, given)?)),)*
                    _ => Err(overlay::unknown_method(&name)),
                }
            }
        }
    };
}

methods! {
    /// Demonstrations in the group, shaped: the paper's method.
    Luffy(LuffyConfig) = "luffy", LuffyConfig::default();
    /// Demonstrations in the group, unshaped or with another weight form: mixed-policy GRPO.
    Mixed(MixedConfig) = "mixed", MixedConfig::default();
    /// Sampled responses only.
    Grpo(OnPolicyConfig) = "grpo", OnPolicyConfig::grpo();
    /// Sampled responses only, without deviation and with a constant length.
    DrGrpo(OnPolicyConfig) = "dr-grpo", OnPolicyConfig::dr_grpo();
    /// Sampled responses only, clip higher, mean over tokens, groups without spread left out.
    Dapo(OnPolicyConfig) = "dapo", OnPolicyConfig::dapo();
    /// Demonstrations as supervised targets.
    Sft(SupervisedConfig) = "sft", SupervisedConfig::sft();
    /// Demonstrations that the verifier pays as supervised targets.
    SftFiltered(SupervisedConfig) = "sft-filtered", SupervisedConfig::sft();
    /// Demonstrations as supervised targets, each token weighed by its probability.
    Dft(SupervisedConfig) = "dft", SupervisedConfig::dft();
    /// Policy gradient on samples plus likelihood of demonstrations.
    RlWithSftLoss(RlWithSftLossConfig) = "rl-with-sft-loss", RlWithSftLossConfig::default();
    /// Supervised learning, then RL.
    SftThenRl(SftThenRlConfig) = "sft-then-rl", SftThenRlConfig::default();
    /// Single-stage supervised and reinforcement learning, weighed by entropy.
    Srft(SrftConfig) = "srft", SrftConfig::default();
    /// RL from hints that shrink, with the likelihood of the hints.
    Uft(UftConfig) = "uft", UftConfig::default();
    /// A blend of policy gradient and weighed likelihood that shifts over the run.
    Chord(ChordConfig) = "chord", ChordConfig::default();
    /// RL on prompts that the policy solves, supervision on the others.
    Hpt(HptConfig) = "hpt", HptConfig::default();
    /// RL, and now and then supervision on prompts that were never solved.
    Relift(ReliftConfig) = "relift", ReliftConfig::default();
    /// One member of each group continues a demonstration.
    PrefixRft(PrefixRftConfig) = "prefix-rft", PrefixRftConfig::default();
    /// Demonstrations in the group, weighed by multiple importance sampling and by novelty.
    RlPlus(RlPlusConfig) = "rl-plus", RlPlusConfig::default();
    /// Rounds of samples that get help where the rewards so far are low.
    Trapo(TrapoConfig) = "trapo", TrapoConfig::default();
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self::Luffy(LuffyConfig::default())
    }
}

/// Settings that make no method.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MethodError {
    /// A count that must be there.
    #[error("{key} is 0, it must be at least 1")]
    Zero {
        /// The setting.
        key: &'static str,
    },
    /// One member has nobody to compare with.
    #[error(
        "group-size is 1, but `{method}` compares the members of a group with each other: set it to 2 or \
         more, or estimator to reinforce"
    )]
    Alone {
        /// The method.
        method: &'static str,
    },
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
    /// NaN, infinity or below zero where that makes no sense.
    #[error("{key} is {value}, it must be finite{}", if *.at_least_zero { " and at least 0" } else { "" })]
    Number {
        /// The setting.
        key: &'static str,
        /// As configured.
        value: f64,
        /// Whether it must not be negative.
        at_least_zero: bool,
    },
    /// A weight form that is undefined.
    #[error("{key}: {fault}")]
    Shaping {
        /// The setting.
        key: &'static str,
        /// What is wrong.
        fault: ShapingError,
    },
    /// Rounds that do not add up.
    #[error("micro-groups have {sum} members in all, group-size is {group_size}; make them equal")]
    Rounds {
        /// Members of all rounds.
        sum: u64,
        /// As configured.
        group_size: u32,
    },
    /// A setting with parts that do not fit.
    #[error("{key} makes no sense: {fault}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What is wrong.
        fault: &'static str,
    },
}

fn at_least_zero(key: &'static str, value: f64) -> Result<(), MethodError> {
    let is_fine = value.is_finite() && value >= 0.0;
    if is_fine { Ok(()) } else { Err(MethodError::Number { key, value, at_least_zero: true }) }
}

fn no_fault(key: &'static str, fault: Option<&'static str>) -> Result<(), MethodError> {
    fault.map_or(Ok(()), |fault| Err(MethodError::Setting { key, fault }))
}

fn shaping_fault(shaping: ShapingConfig) -> Result<(), MethodError> {
    shaping.validate().map_err(|fault| MethodError::Shaping { key: "shaping", fault })
}

impl MethodConfig {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Names the first setting that makes no sense.
    pub fn validate(&self) -> Result<(), MethodError> {
        if let Some(policy) = self.policy() {
            policy.validate()?;
            if policy.group_size == 1 && policy.estimator.compares() {
                return Err(MethodError::Alone { method: self.name() });
            }
            if let Some(guidance) = self.guidance() {
                guidance.validate(policy.group_size)?;
            }
        }
        match self {
            Self::Luffy(config) if !(config.gamma.is_finite() && config.gamma > 0.0) => {
                Err(MethodError::Gamma(config.gamma))
            }
            Self::Luffy(_) | Self::RlPlus(_) | Self::Grpo(_) | Self::DrGrpo(_) | Self::Dapo(_) => {
                Ok(())
            }
            Self::Srft(SrftConfig { policy, .. })
                if policy.clip != Clip::None || policy.reshape != ShapingConfig::None =>
            {
                let fault = "the weight of samples is the method's own; set both to none";
                Err(MethodError::Setting { key: "clip or reshape", fault })
            }
            Self::Srft(_) => Ok(()),
            Self::Mixed(config) => shaping_fault(config.shaping),
            Self::Sft(config) | Self::SftFiltered(config) | Self::Dft(config) => {
                shaping_fault(config.shaping)
            }
            Self::RlWithSftLoss(config) => at_least_zero("sft-coefficient", config.sft_coefficient),
            Self::SftThenRl(config) => at_least_zero("sft-lr-factor", config.sft_lr_factor),
            Self::Uft(config) => {
                at_least_zero("sft-coefficient", config.sft_coefficient)?;
                no_fault("prefix", config.prefix.fault())
            }
            Self::Chord(config) => {
                no_fault("mu", config.mu.fault())?;
                shaping_fault(config.shaping)
            }
            Self::Hpt(config) if config.gate >= config.policy.group_size => {
                let fault =
                    "no prompt has more solved samples than group-size; lower gate, or use sft";
                Err(MethodError::Setting { key: "gate", fault })
            }
            Self::Hpt(config) if config.policy.demonstrated_weight.abs() > 0.0 => {
                let fault = "demonstrations are only supervised here; leave it at 0";
                Err(MethodError::Setting { key: "demonstrated-weight", fault })
            }
            Self::Hpt(config) => at_least_zero("sft-coefficient", config.sft_coefficient),
            Self::Relift(config) if config.sft_batch == 0 => {
                Err(MethodError::Zero { key: "sft-batch" })
            }
            Self::Relift(config) => at_least_zero("sft-lr-factor", config.sft_lr_factor),
            Self::PrefixRft(config) => no_fault(
                "prefix-entropy",
                (!(config.prefix_entropy > 0.0 && config.prefix_entropy <= 1.0))
                    .then_some("a share of tokens lies above 0 and is at most 1"),
            ),
            Self::Trapo(config) => {
                at_least_zero("sft-coefficient", config.sft_coefficient)?;
                no_fault(
                    "alpha",
                    (!(config.alpha > 0.0 && config.alpha <= 1.0))
                        .then_some("it must lie above 0 and be at most 1"),
                )?;
                let is_round =
                    |round: &MicroGroup| round.size > 0 && (0.0..=1.0).contains(&round.share);
                no_fault(
                    "micro-groups",
                    (!config.micro_groups.iter().all(is_round))
                        .then_some("a round has at least 1 member and a share within 0 and 1"),
                )?;
                let sum = config.micro_groups.iter().map(|round| u64::from(round.size)).sum();
                let group_size = config.policy.group_size;
                let adds_up = sum == u64::from(group_size);
                if adds_up { Ok(()) } else { Err(MethodError::Rounds { sum, group_size }) }
            }
        }
    }

    /// The settings of its rollouts and its policy term, where it has any.
    pub const fn policy(&self) -> Option<&PolicySettings> {
        Some(match self {
            Self::Luffy(config) => &config.policy,
            Self::Mixed(config) => &config.policy,
            Self::Grpo(config) | Self::DrGrpo(config) | Self::Dapo(config) => &config.policy,
            Self::RlWithSftLoss(config) => &config.policy,
            Self::SftThenRl(config) => &config.policy,
            Self::Srft(config) => &config.policy,
            Self::Uft(config) => &config.policy,
            Self::Chord(config) => &config.policy,
            Self::Hpt(config) => &config.policy,
            Self::Relift(config) => &config.policy,
            Self::PrefixRft(config) => &config.policy,
            Self::RlPlus(config) => &config.policy,
            Self::Trapo(config) => &config.policy,
            Self::Sft(_) | Self::SftFiltered(_) | Self::Dft(_) => return None,
        })
    }

    const fn guidance(&self) -> Option<&GuidanceSettings> {
        Some(match self {
            Self::Luffy(config) => &config.guidance,
            Self::Mixed(config) => &config.guidance,
            Self::RlWithSftLoss(config) => &config.guidance,
            Self::Srft(config) => &config.guidance,
            Self::PrefixRft(config) => &config.guidance,
            Self::RlPlus(config) => &config.guidance,
            _ => return None,
        })
    }

    /// The method of that name with its default settings.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|method| method.name() == name)
    }

    /// The method itself.
    ///
    /// # Panics
    /// If [`validate`](Self::validate) refuses the settings: call it where they come from outside.
    pub fn build(&self) -> Arc<dyn Method> {
        if let Err(error) = self.validate() {
            panic!("settings of a method are validated before it is built: {error}");
        }
        match self {
            Self::Luffy(LuffyConfig { gamma, guidance, policy }) => {
                let shaping = Arc::new(Regularized { gamma: *gamma });
                Arc::new(guided(policy, guidance, policy.objective(shaping)))
            }
            Self::Mixed(MixedConfig { shaping, guidance, policy }) => {
                Arc::new(guided(policy, guidance, policy.objective(shaping.build())))
            }
            Self::Grpo(config) | Self::DrGrpo(config) | Self::Dapo(config) => {
                Arc::new(on_policy(&config.policy))
            }
            Self::Sft(config) | Self::Dft(config) => Arc::new(supervised(config, false)),
            Self::SftFiltered(config) => Arc::new(supervised(config, true)),
            Self::RlWithSftLoss(RlWithSftLossConfig { sft_coefficient, guidance, policy }) => {
                let method =
                    guided(policy, guidance, policy.objective(ShapingConfig::None.build()));
                Arc::new(method.with_supervised(Arc::new(Likelihood), *sft_coefficient))
            }
            Self::SftThenRl(SftThenRlConfig { sft_steps, sft_lr_factor, policy }) => {
                let first = Supervised {
                    lr_factor: *sft_lr_factor,
                    ..supervised(&SupervisedConfig::sft(), false)
                };
                let second = GroupMethod { slot: OptimizerSlot(1), ..on_policy(policy) };
                let (first, second) = (Arc::new(first), Arc::new(second));
                Arc::new(Phases { first, n_first: *sft_steps, second })
            }
            Self::Srft(SrftConfig { guidance, policy }) => {
                let mut objective = policy.objective(ShapingConfig::None.build());
                objective.reshape = Arc::new(SrftSample);
                let method = guided(policy, guidance, objective)
                    .with_supervised(Arc::new(SrftDemonstration), 1.0);
                Arc::new(GroupMethod { sampled: SampledAdvantage::Sign, ..method })
            }
            Self::Uft(UftConfig { sft_coefficient, prefix, policy }) => {
                let members = Members {
                    n_samples: 0,
                    n_demonstrated: policy.group_size,
                    prefix: *prefix,
                    fill: true,
                    is_hint: true,
                };
                let objective = policy.objective(ShapingConfig::None.build());
                let method = method(policy, Rollout::Members(members), objective);
                Arc::new(method.with_supervised(Arc::new(Likelihood), *sft_coefficient))
            }
            Self::Chord(ChordConfig { mu, shaping, policy }) => {
                let method = beside(policy).with_supervised(shaping.build(), 1.0);
                Arc::new(GroupMethod { mix: Mix::Blend(*mu), ..method })
            }
            Self::Hpt(HptConfig { gate, sft_coefficient, policy }) => {
                let method = beside(policy).with_supervised(Arc::new(Likelihood), *sft_coefficient);
                Arc::new(GroupMethod { gate: Some(*gate), ..method })
            }
            Self::Relift(ReliftConfig { sft_batch, sft_lr_factor, policy }) => {
                let keep = KeepUnsolved { batch: *sft_batch, lr_factor: *sft_lr_factor };
                Arc::new(GroupMethod { keep_unsolved: Some(keep), ..on_policy(policy) })
            }
            Self::PrefixRft(PrefixRftConfig { prefix_entropy, guidance, policy }) => {
                let mut objective = policy.objective(Arc::new(Likelihood));
                objective.prefix_entropy = Some(*prefix_entropy);
                Arc::new(guided(policy, guidance, objective))
            }
            Self::RlPlus(RlPlusConfig { guidance, policy }) => {
                Arc::new(guided(policy, guidance, policy.objective(Arc::new(RlPlus))))
            }
            Self::Trapo(TrapoConfig { alpha, sft_coefficient, micro_groups, policy }) => {
                let rounds = Rollout::MicroGroups(MicroGroups(micro_groups.clone()));
                let method = method(policy, rounds, policy.objective(ShapingConfig::None.build()));
                let shaping = Arc::new(Trapo { alpha: *alpha });
                Arc::new(method.with_supervised(shaping, *sft_coefficient))
            }
        }
    }
}

fn method(policy: &PolicySettings, rollout: Rollout, objective: MixedPolicyLoss) -> GroupMethod {
    GroupMethod {
        rollout,
        advantages: policy.advantages(),
        sampled: SampledAdvantage::Relative,
        mix: Mix::Sum(0.0),
        objective,
        entropy: policy.entropy_control,
        filter: policy.filter,
        gate: None,
        keep_unsolved: None,
        mini_batches: policy.mini_batches,
        epochs: policy.epochs,
        slot: OptimizerSlot(0),
    }
}

/// Groups in which demonstrations stand for some of the samples.
fn guided(
    policy: &PolicySettings,
    guidance: &GuidanceSettings,
    objective: MixedPolicyLoss,
) -> GroupMethod {
    let members = Members {
        n_samples: policy.group_size - guidance.demonstrations,
        n_demonstrated: guidance.demonstrations,
        prefix: guidance.prefix,
        fill: true,
        is_hint: false,
    };
    method(policy, Rollout::Members(members), objective)
}

/// Groups of samples alone.
fn on_policy(policy: &PolicySettings) -> GroupMethod {
    let none = GuidanceSettings { demonstrations: 0, prefix: PrefixSchedule::Whole };
    guided(policy, &none, policy.objective(ShapingConfig::None.build()))
}

/// Groups of samples with a demonstration beside them, for a supervised term.
fn beside(policy: &PolicySettings) -> GroupMethod {
    let members = Members {
        n_samples: policy.group_size,
        n_demonstrated: 1,
        prefix: PrefixSchedule::Whole,
        fill: false,
        is_hint: false,
    };
    method(policy, Rollout::Members(members), policy.objective(ShapingConfig::None.build()))
}

impl GroupMethod {
    fn with_supervised(mut self, shaping: Arc<dyn Shaping>, coefficient: f64) -> Self {
        self.objective.supervised = Some(SupervisedTerm { shaping, coefficient });
        self.mix = Mix::Sum(coefficient);
        self
    }
}

fn supervised(config: &SupervisedConfig, only_rewarded: bool) -> Supervised {
    let objective = Arc::new(SupervisedLoss { shaping: config.shaping.build() });
    Supervised { objective, only_rewarded, lr_factor: 1.0 }
}
