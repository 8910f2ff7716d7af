//! Advantages, importance weights, policy shaping and losses that mix demonstrations with RL.
//!
//! LUFFY ("Learning to Reason under Off-Policy Guidance", <https://arxiv.org/abs/2504.14945>) puts traces
//! of a stronger model into the groups of GRPO. The parts, each of them usable alone:
//!
//! | part | formula | type |
//! |---|---|---|
//! | advantage | `A = R - mean of the group` | [`Advantages`] |
//! | importance weight | `w = exp(logprob - behavior_logprob)` | [`importance_weights`] |
//! | shaping, demonstrated tokens | `f(w) = w / (w + gamma)` | [`Regularized`], [`ShapingConfig`] |
//! | clipping, sampled tokens | `w` kept within `[1 - low, 1 + high]` | [`Clip`] |
//! | correction, samples of another engine | `min(r, max)` | [`Correction`] |
//! | loss | `-(1 / divisor) * sum of A * f(w) or A * w` | [`MixedPolicyLoss`] |
//! | divisor | rows times the longest response | [`Aggregate`] |
//! | distance to a reference policy | `exp(-d) - 1 + d` | [`KlPenalty`] |
//! | imitation | `-sum of ln pi / n_tokens` | [`SupervisedLoss`], [`SupervisedTerm`] |
//! | entropy coefficient | follows a target | [`AdaptiveEntropy`] |
//!
//! [`MethodConfig`] names the settings of a method and builds what the trainer runs.
//! Nothing here has a random number of its own, reads a file or picks a device: methods draw from the stream
//! they are handed.

mod adaptive;
mod advantage;
mod aggregate;
mod clip;
mod correction;
mod entropy;
mod importance;
mod kl;
mod method;
pub mod metric;
mod mixed;
mod prefix;
pub mod reference;
mod selection;
mod shaping;
mod supervised;

pub use adaptive::{AdaptiveEntropy, EntropyRule};
pub use advantage::{AdvantageScale, Advantages, Baseline, Estimator, Truncated};
pub use aggregate::Aggregate;
pub use clip::{Clip, SampledTokens, Surrogate};
pub use correction::{Correction, Level};
pub use entropy::entropy_bonus;
pub use importance::{importance_weights, log_importance_weights};
pub use kl::{KlEstimator, KlPenalty};
pub use method::{
    ChordConfig, EntropyControl, Filter, GuidanceSettings, HptConfig, LuffyConfig, MethodConfig,
    MethodError, MicroGroup, MixedConfig, Mu, OnPolicyConfig, PolicySettings, PrefixRftConfig,
    PrefixSchedule, ReliftConfig, RlPlusConfig, RlWithSftLossConfig, SftThenRlConfig, SrftConfig,
    SupervisedConfig, TrapoConfig, UftConfig,
};
pub use mixed::{MixedPolicyLoss, SupervisedTerm};
pub use shaping::{
    Bounded, ChordPhi, Dft, Identity, IdentityPlusLog, Likelihood, Log, Power, Regularized,
    RegularizedRatio, RlPlus, ShapingConfig, ShapingError, SrftDemonstration, SrftSample, Trapo,
};
pub use supervised::SupervisedLoss;
