//! The loss of LUFFY, of mixed-policy GRPO and of GRPO.

use std::sync::Arc;

use luffy_core::{
    LossOutput, Metrics, MicroBatch, Objective, Scale, Shaping, StepShape, TokenStats, TokenView,
};

use crate::selection::{Selection, Sums, keep};
use crate::{Aggregate, Clip, entropy_bonus, log_importance_weights, metric};

/// A policy gradient over groups that mix sampled and demonstrated responses:
///
/// ```text
/// loss = -(1 / divisor) * sum over learned tokens of A * g  -  entropy_coefficient * mean entropy
///
/// g = f(pi / pi_behavior)       on demonstrated tokens, never clipped
/// g = clip(pi / pi_behavior)    on sampled tokens
/// ```
///
/// Tokens are told apart one by one, so a response may begin with a demonstration and go on sampled.
/// Demonstrations of unknown probability carry a behaviour log-prob of 0, which makes the weight the
/// probability itself.
///
/// # Shapes
/// - all streams of the batch: `[B, T]`; loss: `[1]`.
///
/// # Reference
/// "Learning to Reason under Off-Policy Guidance", <https://arxiv.org/abs/2504.14945>, eq. 5 and 7.
/// The paper divides by the number of tokens, its code by a constant length; see [`Aggregate`].
#[derive(Debug, Clone)]
pub struct MixedPolicyLoss {
    /// `f`, for demonstrated tokens.
    pub shaping: Arc<dyn Shaping>,
    /// For sampled tokens.
    pub clip: Clip,
    /// What the sum is divided by.
    pub aggregate: Aggregate,
    /// Weight of the mean entropy over all learned tokens, demonstrated ones included; 0 turns it off.
    pub entropy_coefficient: f64,
}

impl Objective for MixedPolicyLoss {
    fn scale(&self, shape: &StepShape) -> Scale {
        self.aggregate.scale(shape)
    }

    fn loss(&self, stats: TokenStats, batch: &MicroBatch, scale: &Scale) -> LossOutput {
        let TokenStats { logprobs, entropy } = stats;
        let selection = Selection::of(batch);
        let Selection { learned, demonstrated, sampled } = &selection;
        let behavior = &batch.behavior_logprobs;
        let advantages = keep(batch.advantages.clone(), learned);

        // Outside its selection each branch sees a log-weight of zero: finite, and without gradient.
        let view = TokenView {
            logprobs: keep(logprobs.clone(), demonstrated),
            behavior_logprobs: keep(behavior.clone(), demonstrated),
            entropy: keep(entropy.clone(), demonstrated),
            demonstrated: demonstrated.clone(),
            advantages: advantages.clone(),
        };
        let off_weights = self.shaping.shape(&view);
        let log_weights = log_importance_weights(logprobs.clone(), behavior.clone());
        let on = self.clip.surrogate(keep(log_weights.clone(), sampled), advantages.clone());
        let weights = on.weights.mask_where(demonstrated.clone(), off_weights.clone());
        let token_losses = -(advantages * weights);
        let policy_loss = token_losses.clone().sum() / scale.divisor;
        let loss = match entropy_bonus(
            self.entropy_coefficient,
            entropy.clone(),
            learned.clone(),
            scale,
        ) {
            Some(bonus) => policy_loss + bonus,
            None => policy_loss,
        };

        let mut sums = Sums::default();
        sums.count(learned);
        sums.count(demonstrated);
        sums.add(&token_losses, sampled);
        sums.add(&token_losses, demonstrated);
        sums.add(&behavior.clone().inner().exp(), sampled);
        sums.add(&logprobs.inner().exp(), demonstrated);
        sums.add(&off_weights, demonstrated);
        sums.add(&entropy, learned);
        sums.add(&entropy, sampled);
        sums.count(&on.clipped);
        sums.add(&log_weights, sampled);
        let [n, n_off, on_loss, off_loss, on_prob, off_prob, off_ratio, h, h_on, n_clipped, moved] =
            sums.read();
        let n_on = n - n_off;
        let mut metrics = Metrics::default();
        // The share of the divisor that these tokens stand for: over all micro-batches the sum of sums
        // over the sum of shares is the loss of the update.
        metrics.add(metric::PG_LOSS, on_loss + off_loss, scale.divisor * n / scale.n_tokens);
        metrics.add(metric::OFF_PG_LOSS, off_loss, n_off);
        metrics.add(metric::ON_PG_LOSS, on_loss, n_on);
        metrics.add(metric::OFF_POLICY_PROB, off_prob, n_off);
        metrics.add(metric::ON_POLICY_PROB, on_prob, n_on);
        metrics.add(metric::OFF_RATIO_MEAN, off_ratio, n_off);
        metrics.add(metric::ENTROPY, h, n);
        metrics.add(metric::ENTROPY_ON, h_on, n_on);
        metrics.add(metric::PG_CLIPFRAC, n_clipped, n_on);
        metrics.add(metric::PPO_KL, -moved, n_on);
        LossOutput { loss, metrics }
    }
}
