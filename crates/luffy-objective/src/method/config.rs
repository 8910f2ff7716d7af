//! The settings of each method and where their defaults come from.

use serde::{Deserialize, Serialize};

use super::settings::Filter;
use super::{GuidanceSettings, MicroGroup, Mu, PolicySettings, PrefixSchedule};
use crate::{AdvantageScale, Aggregate, Baseline, Clip, ShapingConfig};

/// The clip of PPO, and of everything after it that does not say otherwise.
const PPO: Clip = Clip::Epsilon { low: 0.2, high: 0.2 };

/// Settings of LUFFY. Defaults are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LuffyConfig {
    /// `gamma` of [`Regularized`](crate::Regularized) shaping; 0.1 in all experiments of the paper.
    pub gamma: f64,
    /// The demonstrations of a group.
    #[serde(flatten)]
    pub guidance: GuidanceSettings,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for LuffyConfig {
    fn default() -> Self {
        Self {
            gamma: 0.1,
            guidance: GuidanceSettings::default(),
            policy: PolicySettings::default(),
        }
    }
}

/// Settings of mixed-policy GRPO: LUFFY with any weight form, none by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MixedConfig {
    /// The weight form of demonstrated tokens.
    pub shaping: ShapingConfig,
    /// The demonstrations of a group.
    #[serde(flatten)]
    pub guidance: GuidanceSettings,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for MixedConfig {
    fn default() -> Self {
        Self {
            shaping: ShapingConfig::None,
            guidance: GuidanceSettings::default(),
            policy: PolicySettings::default(),
        }
    }
}

/// Settings of a method without demonstrations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OnPolicyConfig {
    /// All there is.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl OnPolicyConfig {
    /// GRPO as published (<https://arxiv.org/abs/2402.03300>): deviation, mean over each sequence, clip 0.2;
    /// without its divergence term of 0.04, as the field runs it today.
    pub fn grpo() -> Self {
        Self { policy: grpo() }
    }

    /// Dr. GRPO (<https://arxiv.org/abs/2503.20783>): no deviation, constant length. The on-policy baseline
    /// of LUFFY's paper.
    pub fn dr_grpo() -> Self {
        Self { policy: PolicySettings { clip: PPO, ..PolicySettings::default() } }
    }

    /// DAPO (<https://arxiv.org/abs/2503.14476>): clip 0.2 and 0.28, mean over tokens, groups without spread
    /// left out. Its reward for length is the reward's business; `truncated = "zero"` is its overlong filter.
    pub fn dapo() -> Self {
        Self {
            policy: PolicySettings {
                scale: AdvantageScale::Std,
                clip: Clip::Epsilon { low: 0.2, high: 0.28 },
                aggregate: Aggregate::TokenMean,
                filter: Filter::Drop,
                ..PolicySettings::default()
            },
        }
    }
}

fn grpo() -> PolicySettings {
    PolicySettings {
        scale: AdvantageScale::Std,
        clip: PPO,
        aggregate: Aggregate::SequenceMean,
        ..PolicySettings::default()
    }
}

/// Policy settings of methods in which demonstrations are supervised and take no part in the comparison.
fn beside_supervision(policy: PolicySettings) -> PolicySettings {
    PolicySettings { baseline: Baseline::OnPolicy, demonstrated_weight: 0.0, ..policy }
}

/// Settings of supervised learning from demonstrations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SupervisedConfig {
    /// The weight form of a token.
    pub shaping: ShapingConfig,
}

impl SupervisedConfig {
    /// Negative log-likelihood.
    pub const fn sft() -> Self {
        Self { shaping: ShapingConfig::Likelihood }
    }

    /// Dynamic fine-tuning, <https://arxiv.org/abs/2508.05629>.
    pub const fn dft() -> Self {
        Self { shaping: ShapingConfig::Dft }
    }
}

/// Settings of RL with an SFT loss: the baseline of LUFFY's paper (`use_sft_multitask_loss`), without clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RlWithSftLossConfig {
    /// Weight of the supervised term; 1 in the reference.
    pub sft_coefficient: f64,
    /// The demonstrations of a group.
    #[serde(flatten)]
    pub guidance: GuidanceSettings,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for RlWithSftLossConfig {
    fn default() -> Self {
        Self {
            sft_coefficient: 1.0,
            guidance: GuidanceSettings::default(),
            policy: beside_supervision(PolicySettings::default()),
        }
    }
}

/// Settings of supervised learning followed by RL: `SFT+RL` of LUFFY's paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SftThenRlConfig {
    /// Steps of supervised learning; the rest of the run is Dr. GRPO with an optimiser of its own.
    pub sft_steps: u64,
    /// Multiplies the learning rate of those steps. The paper's rates differ by 50 (5e-5 and 1e-6).
    pub sft_lr_factor: f64,
    /// The second part.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for SftThenRlConfig {
    fn default() -> Self {
        Self { sft_steps: 100, sft_lr_factor: 1.0, policy: OnPolicyConfig::dr_grpo().policy }
    }
}

/// Settings of SRFT, <https://arxiv.org/abs/2506.19767>. The weights of its terms are the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SrftConfig {
    /// The demonstrations of a group.
    #[serde(flatten)]
    pub guidance: GuidanceSettings,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for SrftConfig {
    fn default() -> Self {
        let policy = PolicySettings {
            scale: AdvantageScale::Std,
            aggregate: Aggregate::TokenMean,
            ..PolicySettings::default()
        };
        Self { guidance: GuidanceSettings::default(), policy }
    }
}

/// Settings of UFT, <https://arxiv.org/abs/2505.16984>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UftConfig {
    /// Weight of the likelihood of hints; 0.001 in the paper, which sums over hint tokens where this is a
    /// mean.
    pub sft_coefficient: f64,
    /// How long the hint is that every member begins with; 5 slices over 300 steps in the paper.
    pub prefix: PrefixSchedule,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for UftConfig {
    fn default() -> Self {
        Self {
            sft_coefficient: 0.001,
            prefix: PrefixSchedule::Slices { slices: 5, steps: 300 },
            policy: PolicySettings { demonstrated_weight: 0.0, ..grpo() },
        }
    }
}

/// Settings of CHORD, <https://arxiv.org/abs/2508.11408>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChordConfig {
    /// Weight of the supervised term; the policy term has the rest.
    pub mu: Mu,
    /// Weight form of demonstrated tokens: `chord-phi` with a constant `mu` of 0.1 is CHORD-phi, `likelihood`
    /// with a `mu` that decays is CHORD-mu, as in the authors' examples.
    pub shaping: ShapingConfig,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for ChordConfig {
    fn default() -> Self {
        Self {
            mu: Mu::Constant { value: 0.1 },
            shaping: ShapingConfig::ChordPhi,
            policy: beside_supervision(grpo()),
        }
    }
}

/// Settings of HPT, <https://arxiv.org/abs/2509.04419>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HptConfig {
    /// A prompt with more rewarded samples than this learns by RL, any other from its demonstration; 0 for
    /// Qwen in the paper.
    pub gate: u32,
    /// Weight of the supervised term.
    pub sft_coefficient: f64,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for HptConfig {
    fn default() -> Self {
        // No clip, as in the launch script of its code.
        let policy = beside_supervision(PolicySettings::default());
        Self { gate: 0, sft_coefficient: 1.0, policy }
    }
}

/// Settings of `ReLIFT`, <https://arxiv.org/abs/2506.07527>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReliftConfig {
    /// Demonstrations of unsolved prompts in a supervised update; it is taken when there are as many.
    pub sft_batch: u32,
    /// Multiplies the learning rate of that update, which has an optimiser of its own.
    pub sft_lr_factor: f64,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for ReliftConfig {
    fn default() -> Self {
        // Clip higher and no deviation, as in its launch script.
        let clip = Clip::Epsilon { low: 0.2, high: 0.28 };
        let policy = PolicySettings { clip, ..PolicySettings::default() };
        Self { sft_batch: 64, sft_lr_factor: 1.0, policy }
    }
}

/// Settings of Prefix-RFT, <https://arxiv.org/abs/2507.01679>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PrefixRftConfig {
    /// Share of a row's demonstrated tokens that are learned from, those of highest entropy; 0.2 in the
    /// paper.
    pub prefix_entropy: f64,
    /// The member that begins with a demonstration; 95 % of it at first, 5 % at last.
    #[serde(flatten)]
    pub guidance: GuidanceSettings,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

impl Default for PrefixRftConfig {
    fn default() -> Self {
        let prefix = PrefixSchedule::Cosine { from: 0.95, to: 0.05 };
        Self {
            prefix_entropy: 0.2,
            guidance: GuidanceSettings { demonstrations: 1, prefix },
            policy: OnPolicyConfig::dr_grpo().policy,
        }
    }
}

/// Settings of RL-PLUS, <https://arxiv.org/abs/2508.00222>: no clip and, as in its launch script, no deviation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RlPlusConfig {
    /// The demonstrations of a group.
    #[serde(flatten)]
    pub guidance: GuidanceSettings,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

/// Settings of TRAPO, <https://arxiv.org/abs/2512.17636>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrapoConfig {
    /// `alpha` of [`Trapo`](crate::Trapo); 0.1 in the paper's code.
    pub alpha: f64,
    /// Weight of the supervised term on prefixes.
    pub sft_coefficient: f64,
    /// The rounds of a group. Their sizes sum to `group-size`.
    pub micro_groups: Vec<MicroGroup>,
    /// Everything else.
    #[serde(flatten)]
    pub policy: PolicySettings,
}

/// The rounds of its code: 4 samples; 2 more, a quarter of the demonstration given if fewer than 2 of 4 are
/// right; 1 with half of it if fewer than 4 of 6 are; 1 demonstration if any is wrong.
impl Default for TrapoConfig {
    fn default() -> Self {
        let round = |size, below, share| MicroGroup { size, below, share };
        Self {
            alpha: 0.1,
            sft_coefficient: 1.0,
            micro_groups: vec![
                round(4, -1.0, 0.0),
                round(2, 0.5, 0.25),
                round(1, 0.66, 0.5),
                round(1, 1.0, 1.0),
            ],
            policy: PolicySettings { demonstrated_weight: 0.0, ..PolicySettings::default() },
        }
    }
}
