//! The loss of LUFFY, of mixed-policy GRPO and of GRPO, and of most methods around them.

use std::sync::Arc;

use burn::tensor::Tensor;
use luffy_core::{
    LossOutput, Metrics, MicroBatch, Objective, Scale, Shaping, StepShape, TokenStats, TokenView,
};

use crate::prefix::most_undecided;
use crate::selection::{Selection, Streams, Sums, keep};
use crate::{
    Aggregate, Clip, Correction, Identity, KlPenalty, SampledTokens, entropy_bonus, metric,
};

/// A supervised term next to the policy term:
/// `-coefficient * sum of f over learned demonstrated tokens / their number in the update`.
///
/// Advantages play no part in it.
#[derive(Debug, Clone)]
pub struct SupervisedTerm {
    /// `f`, with [`Likelihood`](crate::Likelihood) the mean negative log-likelihood.
    pub shaping: Arc<dyn Shaping>,
    /// Its weight; 0 turns it off.
    pub coefficient: f64,
}

/// A policy gradient over groups that mix sampled and demonstrated responses:
///
/// ```text
/// loss = -(1 / divisor) * sum over learned tokens of A * g
///        - entropy_coefficient * mean entropy + kl.coefficient * mean KL + supervised term
///
/// g = f(pi / pi_behavior)                    on demonstrated tokens, never clipped
/// g = c * clip(reshape(pi / pi_behavior))    on sampled tokens, with the correction c
/// ```
///
/// Tokens are told apart one by one, so a response may begin with a demonstration and go on sampled.
/// Demonstrations of unknown probability carry a behaviour log-prob of 0, which makes the weight the
/// probability itself. Without correction `c` is 1; with one, `pi_behavior` of sampled tokens is replaced
/// by the present policy, cut from the graph, and `c` accounts for the difference.
///
/// Works in the precision of the log-probs: `f64` in, `f64` out.
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
    /// For sampled tokens, before the clip.
    pub reshape: Arc<dyn Shaping>,
    /// For sampled tokens.
    pub clip: Clip,
    /// For sampled tokens that another engine drew.
    pub correction: Correction,
    /// What the sum is divided by.
    pub aggregate: Aggregate,
    /// Weight of the mean entropy over all learned tokens, demonstrated ones included; 0 turns it off.
    pub entropy_coefficient: f64,
    /// Pull towards a reference policy, over all learned tokens.
    pub kl: Option<KlPenalty>,
    /// Whether demonstrated tokens are in the policy term. Where they are only supervised they are not, and a
    /// mean over a row is one over its sampled tokens.
    pub learns_demonstrations: bool,
    /// Imitation of demonstrated tokens next to the policy term.
    pub supervised: Option<SupervisedTerm>,
    /// Share of each row's demonstrated tokens that stay in the policy term, those with the highest
    /// entropy, rounded up; `None` keeps all. Prefix-RFT, <https://arxiv.org/abs/2507.01679>.
    pub prefix_entropy: Option<f64>,
}

impl MixedPolicyLoss {
    /// Mixed-policy GRPO with this shaping of demonstrated tokens: no clip, constant length, nothing else.
    pub fn new(shaping: Arc<dyn Shaping>) -> Self {
        Self {
            shaping,
            reshape: Arc::new(Identity),
            clip: Clip::None,
            correction: Correction::None,
            aggregate: Aggregate::ConstantLength,
            entropy_coefficient: 0.0,
            kl: None,
            learns_demonstrations: true,
            supervised: None,
            prefix_entropy: None,
        }
    }
}

impl Objective for MixedPolicyLoss {
    fn scale(&self, shape: &StepShape) -> Scale {
        self.aggregate.scale(shape)
    }

    /// # Panics
    /// If there is a KL penalty and the batch has no reference log-probs.
    fn loss(&self, stats: TokenStats, batch: &MicroBatch, scale: &Scale) -> LossOutput {
        let streams = Streams::of(stats, batch);
        let selection = Selection::of(batch);
        let Selection { learned, demonstrated, sampled } = &selection;
        let dtype = streams.logprobs.dtype();
        let regularizer_divisor = self.aggregate.regularizer_divisor(scale);
        let mut sums = Sums::new(dtype);
        let mut measured = vec![];
        let n = sums.count(learned);
        let n_off = sums.count(demonstrated);
        let n_on = sums.count(sampled);

        // The policy term.
        let taught = match self.prefix_entropy {
            _ if !self.learns_demonstrations => demonstrated.clone().bool_and(sampled.clone()),
            Some(share) => most_undecided(&streams.entropy, demonstrated, share),
            None => demonstrated.clone(),
        };
        let off_weights = self.shaping.shape(&streams.view(&taught));
        let correction = self.correction.weights(streams.log_ratios(), sampled);
        let on_view = self.sampled_view(&streams, &selection);
        let on = self.clip.surrogate(&SampledTokens {
            view: &on_view,
            selected: sampled,
            reshape: &*self.reshape,
        });
        let on_weights = match &correction {
            Some(correction) => on.weights * correction.clone(),
            None => on.weights,
        };
        let weights = on_weights.mask_where(demonstrated.clone(), off_weights.clone());
        let in_policy_term = taught.clone().bool_or(sampled.clone());
        let token_losses = keep(-(streams.advantages.clone() * weights), &in_policy_term);
        let row_tokens = if self.learns_demonstrations { learned } else { sampled };
        let policy_sum = match self.aggregate.token_weights(row_tokens, dtype) {
            Some(weights) => (token_losses.clone() * weights).sum(),
            None => token_losses.clone().sum(),
        };
        let pg = sums.total(policy_sum.clone());
        // Multiplied, not divided: the way back through a division by a number is rounded to `f32`
        // (burn 0.22.1).
        let mut loss = policy_sum * (1.0 / scale.divisor);

        // The terms next to it.
        let bonus = entropy_bonus(
            self.entropy_coefficient,
            streams.entropy.clone(),
            learned,
            regularizer_divisor,
        );
        if let Some(bonus) = bonus {
            loss = loss + bonus;
        }
        if let Some(penalty) = &self.kl {
            let reference =
                batch.reference_logprobs.clone().expect("a KL penalty needs reference log-probs");
            let estimates = penalty
                .estimator
                .estimate(keep(streams.logprobs.clone(), learned), reference.cast(dtype));
            measured.push((metric::KL_LOSS, sums.add(&estimates, learned), n, 1.0));
            loss =
                loss + keep(estimates, learned).sum() * (penalty.coefficient / regularizer_divisor);
        }
        if let Some(term) = self.supervised.as_ref().filter(|term| term.coefficient.abs() > 0.0) {
            let shaped = keep(term.shaping.shape(&streams.view(demonstrated)), demonstrated);
            // Like the other means beside the policy term it is one per micro-batch in the reference.
            let divisor = scale.n_demonstrated * regularizer_divisor / scale.n_tokens;
            loss = loss - shaped.sum() * (term.coefficient / divisor);
            let logprob = sums.add(&streams.logprobs, demonstrated);
            measured.push((metric::SFT_LOSS, logprob, n_off, -1.0));
        }

        let n_taught = sums.count(&taught);
        let probs = |logprobs: &Tensor<2>| logprobs.clone().inner().exp();
        if let Some(correction) = &correction {
            measured.push((metric::CORRECTION, sums.add(correction, sampled), n_on, 1.0));
        }
        let clipped = sums.count(&on.clipped);
        measured.extend([
            (metric::OFF_PG_LOSS, sums.add(&token_losses, &taught), n_taught, 1.0),
            (metric::ON_PG_LOSS, sums.add(&token_losses, sampled), n_on, 1.0),
            (
                metric::OFF_POLICY_PROB,
                sums.add(&probs(&streams.logprobs), demonstrated),
                n_off,
                1.0,
            ),
            (metric::ON_POLICY_PROB, sums.add(&probs(&streams.behavior), sampled), n_on, 1.0),
            (metric::OFF_RATIO_MEAN, sums.add(&off_weights, &taught), n_taught, 1.0),
            (metric::ENTROPY, sums.add(&streams.entropy, learned), n, 1.0),
            (metric::ENTROPY_ON, sums.add(&streams.entropy, sampled), n_on, 1.0),
            (metric::PG_CLIPFRAC, clipped, n_on, 1.0),
            (metric::PPO_KL, sums.add(&streams.log_ratios(), sampled), n_on, -1.0),
        ]);
        let totals = sums.read();
        let mut metrics = Metrics::default();
        // The share of the divisor that these tokens stand for: over all micro-batches the sum of sums
        // over the sum of shares is the loss of the update.
        let share = scale.divisor * totals.at(n) / scale.n_tokens;
        metrics.add(metric::PG_LOSS, totals.at(pg), share);
        // Said once for every micro-batch with something to learn: the mean is the coefficient itself.
        let is_there = if totals.at(n) > 0.0 { 1.0 } else { 0.0 };
        if self.entropy_coefficient.abs() > 0.0 {
            metrics.add(metric::ENTROPY_COEFFICIENT, self.entropy_coefficient, is_there);
        }
        if let Some(term) = &self.supervised {
            metrics.add(metric::SFT_COEFFICIENT, term.coefficient, is_there);
        }
        for (id, sum, count, sign) in measured {
            metrics.add(id, sign * totals.at(sum), totals.at(count));
        }
        LossOutput { loss, metrics }
    }
}

impl MixedPolicyLoss {
    /// What the clip sees of sampled tokens: under a correction the ratio is current over proximal.
    fn sampled_view(&self, streams: &Streams, selection: &Selection) -> TokenView {
        let view = streams.view(&selection.sampled);
        match self.correction {
            Correction::None => view,
            Correction::Truncate { .. } | Correction::Mask { .. } => {
                TokenView { behavior_logprobs: view.logprobs.clone().detach(), ..view }
            }
        }
    }
}
