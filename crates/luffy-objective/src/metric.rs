//! Names of what the losses measure. They are LUFFY's; each is a mean over tokens.
//!
//! A mean over no token is absent, where the reference logs NaN.

use luffy_core::MetricId;

/// The policy loss of the update, without entropy bonus, KL and supervised term: `sum / divisor`.
pub const PG_LOSS: MetricId = "actor/pg_loss";
/// `-A * weight` of sampled tokens, a correction included.
pub const ON_PG_LOSS: MetricId = "actor/on_pg_loss";
/// `-A * f(weight)` of the demonstrated tokens in the policy term.
pub const OFF_PG_LOSS: MetricId = "actor/off_pg_loss";
/// Probability under the policy being trained of demonstrated tokens.
pub const OFF_POLICY_PROB: MetricId = "actor/off_policy_prob";
/// Probability under the policy that sampled them of sampled tokens.
pub const ON_POLICY_PROB: MetricId = "actor/on_policy_prob";
/// Shaped weight `f(weight)` of the demonstrated tokens in the policy term.
pub const OFF_RATIO_MEAN: MetricId = "actor/off_ratio_mean";
/// Entropy in nats of all learned tokens.
pub const ENTROPY: MetricId = "actor/entropy_loss";
/// Entropy in nats of sampled tokens.
pub const ENTROPY_ON: MetricId = "actor/entropy_on";
/// Share of sampled tokens whose weight is clipped. The reference counts demonstrated tokens too.
pub const PG_CLIPFRAC: MetricId = "actor/pg_clipfrac";
/// `behavior_logprob - logprob` of sampled tokens: how far the policy moved since it sampled, in nats.
/// The reference counts demonstrated tokens too.
pub const PPO_KL: MetricId = "actor/ppo_kl";
/// `-logprob` in nats of the tokens that a supervised loss or term is summed over, whatever their weights.
pub const SFT_LOSS: MetricId = "actor/sft_loss";
/// Estimated KL in nats between the policy and the reference policy, over all learned tokens, without its
/// coefficient.
pub const KL_LOSS: MetricId = "actor/kl_loss";
/// Weight that corrects for another engine's log-probs, over sampled tokens: 1 where the engines agree.
pub const CORRECTION: MetricId = "actor/correction";
/// Weight of the entropy bonus in the update; absent where it is 0.
pub const ENTROPY_COEFFICIENT: MetricId = "actor/entropy_coefficient";
/// Weight of the supervised term in the update; absent without one.
pub const SFT_COEFFICIENT: MetricId = "actor/sft_coefficient";
