//! Settings that methods have in common.

use std::collections::BTreeMap;

use luffy_core::Shaping;
use serde::{Deserialize, Serialize};

use super::{MethodError, PrefixSchedule};
use crate::{
    AdaptiveEntropy, AdvantageScale, Advantages, Aggregate, Baseline, Clip, Correction,
    EntropyRule, Estimator, KlEstimator, KlPenalty, MixedPolicyLoss, ShapingConfig, Truncated,
};

/// What happens to groups whose rewards do not differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// Their rows are not trained on but count in what a loss divides by: a step in which few groups teach
    /// is a small one.
    #[default]
    Count,
    /// They are as if never drawn: dynamic sampling of DAPO, <https://arxiv.org/abs/2503.14476>, without
    /// drawing others in their place.
    Drop,
}

/// How the entropy coefficient changes over a run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum EntropyControl {
    /// It does not.
    #[default]
    Constant,
    /// Learned so that the mean entropy stays near `target`: `use_adaptive_temperature` of LUFFY's code.
    Adaptive {
        /// In nats.
        target: f64,
        /// Learning rate of the logarithm of the coefficient; 0.01 in LUFFY's code.
        lr: f64,
        /// The coefficient is at most this.
        #[serde(default = "unlimited", skip_serializing_if = "is_unlimited")]
        max: f64,
    },
    /// The coefficient times `target` over the mean entropy of the update before:
    /// `use_adaptive_temperature_fixed` of LUFFY's code, which takes the entropy of the micro-batch itself.
    Proportional {
        /// In nats.
        target: f64,
        /// The coefficient is at most this.
        #[serde(default = "unlimited", skip_serializing_if = "is_unlimited")]
        max: f64,
    },
}

const fn unlimited() -> f64 {
    f64::INFINITY
}

/// JSON has no infinity: a limit that is none is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_unlimited(max: &f64) -> bool {
    *max == f64::INFINITY
}

/// Settings of everything that samples. Which defaults hold is the method's choice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicySettings {
    /// Members of a group.
    pub group_size: u32,
    /// How rewards become advantages.
    pub estimator: Estimator,
    /// Who advantages are relative to.
    pub baseline: Baseline,
    /// What group-relative advantages are divided by.
    pub scale: AdvantageScale,
    /// What a response that the length limit cut learns.
    pub truncated: Truncated,
    /// Factor of the advantage of demonstrated tokens.
    pub demonstrated_weight: f64,
    /// Factor of the advantage of sampled tokens.
    pub sampled_weight: f64,
    /// What happens to groups whose rewards do not differ.
    pub filter: Filter,
    /// Reshaping of the importance weight of sampled tokens, before clipping.
    pub reshape: ShapingConfig,
    /// Clipping of sampled tokens.
    pub clip: Clip,
    /// Correction for samples of an engine whose log-probs differ from the trainer's.
    pub correction: Correction,
    /// What the loss is divided by.
    pub aggregate: Aggregate,
    /// Weight of the entropy bonus.
    pub entropy_coefficient: f64,
    /// How it changes.
    pub entropy_control: EntropyControl,
    /// Weight of the divergence from the weights that training began from; 0 keeps no copy of them.
    pub kl_coefficient: f64,
    /// How that divergence is estimated.
    pub kl_estimator: KlEstimator,
    /// Optimiser steps per rollout, each on a share of its prompts.
    pub mini_batches: u32,
    /// How often a rollout is gone through.
    pub epochs: u32,
}

/// LUFFY's: the paper's, with the constant-length divisor of Dr. GRPO and without entropy bonus.
impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            group_size: 8,
            estimator: Estimator::GroupRelative,
            baseline: Baseline::WholeGroup,
            scale: AdvantageScale::None,
            truncated: Truncated::Keep,
            demonstrated_weight: 1.0,
            sampled_weight: 1.0,
            filter: Filter::Count,
            reshape: ShapingConfig::None,
            clip: Clip::None,
            correction: Correction::None,
            aggregate: Aggregate::ConstantLength,
            entropy_coefficient: 0.0,
            entropy_control: EntropyControl::Constant,
            kl_coefficient: 0.0,
            kl_estimator: KlEstimator::K3,
            mini_batches: 1,
            epochs: 1,
        }
    }
}

impl PolicySettings {
    pub(super) fn advantages(&self) -> Advantages {
        Advantages {
            estimator: self.estimator,
            baseline: self.baseline,
            scale: self.scale,
            truncated: self.truncated,
            demonstrated_weight: self.demonstrated_weight,
            sampled_weight: self.sampled_weight,
        }
    }

    /// The loss, with this shaping of demonstrated tokens.
    pub(super) fn objective(&self, shaping: std::sync::Arc<dyn Shaping>) -> MixedPolicyLoss {
        MixedPolicyLoss {
            reshape: self.reshape.build(),
            clip: self.clip,
            correction: self.correction,
            aggregate: self.aggregate,
            entropy_coefficient: self.entropy_coefficient,
            kl: (self.kl_coefficient.abs() > 0.0).then_some(KlPenalty {
                estimator: self.kl_estimator,
                coefficient: self.kl_coefficient,
            }),
            learns_demonstrations: self.demonstrated_weight.abs() > 0.0,
            ..MixedPolicyLoss::new(shaping)
        }
    }

    /// Checks what the types do not.
    pub(super) fn validate(&self) -> Result<(), MethodError> {
        let at_least_one = [
            ("group-size", self.group_size),
            ("mini-batches", self.mini_batches),
            ("epochs", self.epochs),
        ];
        if let Some((key, _)) = at_least_one.into_iter().find(|(_, value)| *value == 0) {
            return Err(MethodError::Zero { key });
        }
        let finite = [
            ("demonstrated-weight", self.demonstrated_weight),
            ("sampled-weight", self.sampled_weight),
            ("entropy-coefficient", self.entropy_coefficient),
            ("kl-coefficient", self.kl_coefficient),
        ];
        if let Some((key, value)) = finite.into_iter().find(|(_, value)| !value.is_finite()) {
            return Err(MethodError::Number { key, value, at_least_zero: false });
        }
        let faults = [
            ("clip", clip_fault(&self.clip)),
            ("correction", correction_fault(&self.correction)),
            ("entropy-control", self.entropy_control.fault(self.entropy_coefficient)),
        ];
        for (key, fault) in faults {
            if let Some(fault) = fault {
                return Err(MethodError::Setting { key, fault });
            }
        }
        self.reshape.validate().map_err(|fault| MethodError::Shaping { key: "reshape", fault })?;
        if let Aggregate::Reference { devices, micro_batches } = self.aggregate
            && (devices == 0 || micro_batches == 0)
        {
            return Err(MethodError::Zero { key: "devices or micro-batches of aggregate" });
        }
        let is_reshaped = self.reshape != ShapingConfig::None;
        if is_reshaped && self.clip.acts_on_ratio() {
            let fault = "replaces the importance weight itself; set reshape to none or clip to none, \
                         epsilon or dual";
            return Err(MethodError::Setting { key: "clip", fault });
        }
        let has_one_update = self.mini_batches == 1 && self.epochs == 1;
        if self.correction != Correction::None && !has_one_update {
            let fault = "takes the policy at the first update for the one that sampled; it needs \
                         mini-batches = 1 and epochs = 1";
            return Err(MethodError::Setting { key: "correction", fault });
        }
        Ok(())
    }
}

impl EntropyControl {
    fn rule(self, initial: f64) -> Option<AdaptiveEntropy> {
        match self {
            Self::Constant => None,
            Self::Adaptive { target, lr, max } => {
                Some(AdaptiveEntropy { rule: EntropyRule::Learned, initial, target, lr, max })
            }
            Self::Proportional { target, max } => {
                let rule = EntropyRule::Proportional;
                Some(AdaptiveEntropy { rule, initial, target, max, ..AdaptiveEntropy::default() })
            }
        }
    }

    /// The coefficient for the next update.
    pub(super) fn coefficient(self, initial: f64, scalars: &BTreeMap<String, f64>) -> f64 {
        self.rule(initial).map_or(initial, |rule| rule.coefficient(scalars))
    }

    /// Learns from the mean entropy of an update.
    pub(super) fn observe(self, initial: f64, mean: f64, scalars: &mut BTreeMap<String, f64>) {
        if let Some(rule) = self.rule(initial) {
            rule.update(scalars, mean);
        }
    }

    fn fault(self, coefficient: f64) -> Option<&'static str> {
        let rule = self.rule(coefficient)?;
        let is_valid = coefficient > 0.0
            && rule.target.is_finite()
            && (rule.target > 0.0 || rule.rule == EntropyRule::Learned)
            && rule.lr.is_finite()
            && rule.lr > 0.0
            && rule.max > 0.0;
        (!is_valid).then_some(
            "it needs an entropy-coefficient above 0 to begin with, a finite target (above 0 for proportional), and \
             lr and max above 0",
        )
    }
}

/// What is wrong with a clip.
fn clip_fault(clip: &Clip) -> Option<&'static str> {
    let is_range =
        |low: f64, high: f64| (0.0..=1.0).contains(&low) && high.is_finite() && high >= 0.0;
    match *clip {
        Clip::None => None,
        Clip::Epsilon { low, high } | Clip::Gspo { low, high } => (!is_range(low, high))
            .then_some("low must lie within 0 and 1 and high must be finite and at least 0"),
        Clip::Dual { low, high, max } => (!(is_range(low, high) && max > 1.0 + high)).then_some(
            "low must lie within 0 and 1, high must be finite and at least 0, max above 1 + high",
        ),
        Clip::Cispo { high } => {
            (!(high.is_finite() && high >= 0.0)).then_some("high must be finite and at least 0")
        }
        Clip::Sapo { positive, negative } => {
            let is_valid = |tau: f64| tau.is_finite() && tau > 0.0;
            (!(is_valid(positive) && is_valid(negative)))
                .then_some("positive and negative must be finite and above 0")
        }
    }
}

/// What is wrong with a correction.
fn correction_fault(correction: &Correction) -> Option<&'static str> {
    match *correction {
        Correction::None => None,
        Correction::Truncate { max, .. } => {
            (!(max.is_finite() && max >= 1.0)).then_some("max must be finite and at least 1")
        }
        Correction::Mask { low, high, .. } => {
            (!((0.0..=1.0).contains(&low) && high.is_finite() && high >= 1.0))
                .then_some("low must lie within 0 and 1, high must be finite and at least 1")
        }
    }
}

/// Which members of a group begin with a demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GuidanceSettings {
    /// How many of the members. A prompt that has fewer demonstrations gets samples instead.
    pub demonstrations: u32,
    /// How much of a demonstration they begin with.
    pub prefix: PrefixSchedule,
}

impl Default for GuidanceSettings {
    fn default() -> Self {
        Self { demonstrations: 1, prefix: PrefixSchedule::Whole }
    }
}

impl GuidanceSettings {
    /// Checks what the types do not.
    pub(super) fn validate(&self, group_size: u32) -> Result<(), MethodError> {
        let demonstrations = self.demonstrations;
        if demonstrations > group_size {
            return Err(MethodError::Demonstrations { demonstrations, group_size });
        }
        match self.prefix.fault() {
            Some(fault) => Err(MethodError::Setting { key: "prefix", fault }),
            None => Ok(()),
        }
    }
}
