//! Advantages, importance weights, policy shaping and losses that mix demonstrations with RL.
//!
//! LUFFY ("Learning to Reason under Off-Policy Guidance", <https://arxiv.org/abs/2504.14945>) puts traces
//! of a stronger model into the groups of GRPO. The parts, each of them usable alone:
//!
//! | part | formula | type |
//! |---|---|---|
//! | advantage | `A = R - mean of the group` | [`GroupRelative`] |
//! | importance weight | `w = exp(logprob - behavior_logprob)` | [`importance_weights`] |
//! | shaping, demonstrated tokens | `f(w) = w / (w + gamma)` | [`Regularized`] |
//! | clipping, sampled tokens | `w` kept within `[1 - low, 1 + high]` | [`Clip`] |
//! | loss | `-(1 / divisor) * sum of A * f(w) or A * w` | [`MixedPolicyLoss`] |
//! | divisor | rows times the longest response | [`Aggregate`] |
//!
//! [`MethodConfig`] names the settings of a method and builds what the trainer runs.
//! Nothing here draws a random number, reads a file or picks a device.

mod advantage;
mod aggregate;
mod clip;
mod entropy;
mod importance;
mod method;
pub mod metric;
mod mixed;
mod selection;
mod sft;
mod shaping;

pub use advantage::{AdvantageScale, Baseline, GroupRelative};
pub use aggregate::Aggregate;
pub use clip::{Clip, Surrogate};
pub use entropy::entropy_bonus;
pub use importance::{importance_weights, log_importance_weights};
pub use method::{GrpoConfig, LuffyConfig, MethodConfig, MethodError, MixedConfig, SftConfig};
pub use mixed::MixedPolicyLoss;
pub use sft::SftLoss;
pub use shaping::{Identity, IdentityPlusLog, Log, Power, Regularized};
