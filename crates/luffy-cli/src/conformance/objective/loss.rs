//! Losses, their gradients and what is logged beside them.

use std::sync::Arc;

use burn::tensor::{Bool, Device, Tensor};
use luffy_core::{
    LossOutput, MetricId, Metrics, MicroBatch, Objective, PackedRows, Shaping, StepShape,
    TokenStats, TokenView,
};
use luffy_objective::{
    Aggregate, Bounded, Clip, Identity, IdentityPlusLog, Likelihood, Log, MixedPolicyLoss, Power,
    Regularized, RegularizedRatio, SupervisedLoss, metric, reference,
};

use super::Found;
use super::arguments::{MixedConfig, MixedInputs, PpoConfig, PpoInputs, Reshape, SftInputs};
use super::array::{Array, Mask};
use super::figure::{Figure, Precision};

/// The reference adds this to a recorded probability before it divides by it.
const PROB_EPSILON: f64 = 1e-6;

/// What a loss reads, `[B, T]` each.
struct Streams {
    logprobs: Array,
    behavior: Array,
    advantages: Array,
    learned: Mask,
    demonstrated: Mask,
}

/// A loss, its gradient in the log-probs, and what it measured.
struct Evaluated {
    loss: f64,
    gradient: Array,
    metrics: Metrics,
}

impl Streams {
    /// All rows as one micro-batch.
    fn evaluate(
        &self,
        objective: &dyn Objective,
        precision: Precision,
        device: &Device,
    ) -> Evaluated {
        let device = &device.clone().autodiff();
        let Array { rows: b, tokens: t, .. } = self.logprobs;
        let plain = |array: &Array| array.tensor(precision, device);
        let batch = MicroBatch {
            packed: PackedRows::unread([b, t], device),
            response_mask: self.learned.tensor(device),
            demonstrated: self.demonstrated.tensor(device),
            behavior_logprobs: plain(&self.behavior),
            advantages: plain(&self.advantages),
            reference_logprobs: None,
        };
        let logprobs = plain(&self.logprobs).require_grad();
        let entropy = plain(&self.logprobs.map(|_| 0.0));
        let n_tokens = self.learned.count() as u64;
        let shape = StepShape {
            n_rows: b as u64,
            n_tokens,
            n_policy_tokens: n_tokens,
            n_demonstrated: self.learned.and(&self.demonstrated).count() as u64,
            max_response_len: u32::try_from(t).unwrap_or(u32::MAX),
        };
        let scale = objective.scale(&shape);
        let stats = TokenStats { logprobs: logprobs.clone(), entropy };
        let LossOutput { loss, metrics } = objective.loss(stats, &batch, &scale);
        let gradients = loss.backward();
        let gradient =
            logprobs.grad(&gradients).map_or_else(|| self.logprobs.map(|_| 0.0), Array::read);
        let loss = loss.into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        Evaluated { loss, gradient, metrics }
    }
}

fn aggregate(remove_token_mean: bool) -> Aggregate {
    if remove_token_mean {
        Aggregate::Reference { devices: 1, micro_batches: 1 }
    } else {
        Aggregate::TokenMean
    }
}

fn shaping(name: Reshape, weight: f64, exponent: f64) -> Arc<dyn Shaping> {
    match name {
        Reshape::Identity => Arc::new(Identity),
        Reshape::Log => Arc::new(Log { weight }),
        Reshape::IdentityPlusLog => Arc::new(IdentityPlusLog { weight }),
        Reshape::SquareRoot => Arc::new(Power { exponent: 0.5 }),
        Reshape::Power => Arc::new(Power { exponent }),
        Reshape::Regularized { gamma } => Arc::new(Regularized { gamma }),
    }
}

/// The shaping of demonstrated tokens before it is bounded.
fn off_policy_unbounded(config: &MixedConfig, inputs: &MixedInputs) -> Arc<dyn Shaping> {
    let (weight, exponent) = (config.off_policy_reshape_weight, config.off_policy_reshape_pow_exp);
    // The reference does not shape where a behaviour probability is recorded.
    match inputs.behaviour_prob {
        None => shaping(config.off_policy_reshape, weight, exponent),
        Some(_) => Arc::new(Identity),
    }
}

/// The shaping of demonstrated tokens.
fn off_policy(config: &MixedConfig, inputs: &MixedInputs) -> Arc<dyn Shaping> {
    let inner = off_policy_unbounded(config, inputs);
    match (config.off_min_clip, config.off_max_clip) {
        (None, None) => inner,
        (min, max) => Arc::new(Bounded {
            inner,
            min: min.unwrap_or(f64::NEG_INFINITY),
            max: max.unwrap_or(f64::INFINITY),
        }),
    }
}

/// The shaping of sampled tokens. It acts on the ratio, but `p_div_p_G` is a ratio of shaped
/// probabilities; `logp` alone takes no weight.
fn on_policy(config: &MixedConfig) -> Arc<dyn Shaping> {
    match config.on_policy_reshape {
        Reshape::Log => Arc::new(Log { weight: 1.0 }),
        Reshape::Regularized { gamma } => Arc::new(RegularizedRatio { gamma }),
        name => shaping(name, config.on_policy_reshape_weight, config.on_policy_reshape_pow_exp),
    }
}

/// Shaped weights of all tokens, whatever their origin, on the host.
fn shaped(
    shaping: &dyn Shaping,
    logprobs: &Array,
    behavior: &Array,
    precision: Precision,
    device: &Device,
) -> Vec<f64> {
    let plain = |array: &Array| array.tensor(precision, device);
    let view = TokenView {
        logprobs: plain(logprobs),
        behavior_logprobs: plain(behavior),
        entropy: plain(&logprobs.map(|_| 0.0)),
        demonstrated: Tensor::<2, Bool>::full([logprobs.rows, logprobs.tokens], true, device),
        advantages: plain(&logprobs.map(|_| 1.0)),
    };
    Array::read(shaping.shape(&view)).values
}

/// The mean of a metric, and 0 over nothing, where the reference logs that.
fn or_zero(metrics: &Metrics, id: MetricId) -> Figure {
    metrics.mean(id).unwrap_or(0.0).into()
}

/// `mixed_policy_loss`.
pub(super) fn mixed(
    config: &MixedConfig,
    inputs: &MixedInputs,
    precision: Precision,
    device: &Device,
) -> Found {
    let MixedInputs {
        log_prob,
        behavior: recorded,
        advantages,
        response_mask,
        off_policy_mask,
        ..
    } = inputs;
    let demonstrated = &off_policy_mask.values;
    // Of a demonstration the loss reads the probability that came with it, or takes it for certain.
    let given = inputs.behaviour_prob.as_ref().map(|prob| prob.map(|p| (p + PROB_EPSILON).ln()));
    let given = given.unwrap_or_else(|| log_prob.map(|_| 0.0));
    let choose = |at: usize| if demonstrated[at] { given.values[at] } else { recorded.values[at] };
    let behavior = Array { values: (0..demonstrated.len()).map(choose).collect(), ..*log_prob };

    let range = (1.0 - config.clip_range, config.clip_upper_bound.max(1.0 + config.clip_range));
    let clip = Clip::Epsilon { low: config.clip_range, high: range.1 - 1.0 };
    let objective = MixedPolicyLoss {
        reshape: on_policy(config),
        clip: if config.remove_clip { Clip::None } else { clip },
        aggregate: aggregate(config.remove_token_mean),
        ..MixedPolicyLoss::new(off_policy(config, inputs))
    };
    let streams = Streams {
        logprobs: log_prob.clone(),
        behavior,
        advantages: advantages.clone(),
        learned: response_mask.clone(),
        demonstrated: off_policy_mask.clone(),
    };
    let all = streams.evaluate(&objective, precision, device);
    let logged = all.metrics.clone();
    // Tokens that the policy is too sure of leave the loss and its mask, and are logged all the same.
    let Evaluated { loss, gradient, .. } = match config.all_max_clip {
        None => all,
        Some(max) => {
            let kept = reference::all_max_clip(&log_prob.values, &response_mask.values, max);
            let learned = Mask { values: kept, ..*response_mask };
            Streams { learned, ..streams }.evaluate(&objective, precision, device)
        }
    };

    let valid = &response_mask.values;
    let taught = &response_mask.and(off_policy_mask).values;
    // These two look at all valid tokens, as if each was sampled.
    let ratios = shaped(&*on_policy(config), log_prob, recorded, precision, device);
    let clipped = reference::on_pg_clipfrac(
        &ratios,
        &advantages.values,
        valid,
        (!config.remove_clip).then_some(range),
    );
    let moved = reference::ppo_kl(&log_prob.values, &recorded.values, valid);
    let weights =
        shaped(&*off_policy_unbounded(config, inputs), log_prob, &given, precision, device);
    let (min, max) = (config.off_min_clip, config.off_max_clip);
    Found::from([
        ("pg_loss", loss.into()),
        ("grad_log_prob", gradient.into()),
        ("off_pg_loss", or_zero(&logged, metric::OFF_PG_LOSS)),
        ("on_pg_loss", logged.mean(metric::ON_PG_LOSS).into()),
        // Demonstrated tokens are never clipped, and the reference logs that too.
        ("off_pg_clipfrac", 0.0.into()),
        ("on_pg_clipfrac", clipped.into()),
        ("ppo_kl", moved.into()),
        ("off_policy_prob", or_zero(&logged, metric::OFF_POLICY_PROB)),
        ("on_policy_prob", or_zero(&logged, metric::ON_POLICY_PROB)),
        ("off_ratio_mean", or_zero(&logged, metric::OFF_RATIO_MEAN)),
        (
            "off_ratio_max_clip_frac",
            reference::off_ratio_max_clip_frac(&weights, taught, max).into(),
        ),
        (
            "off_ratio_min_clip_frac",
            reference::off_ratio_min_clip_frac(&weights, taught, min).into(),
        ),
    ])
}

/// `ppo_clip_loss`: no token is demonstrated.
pub(super) fn ppo(
    config: &PpoConfig,
    inputs: &PpoInputs,
    precision: Precision,
    device: &Device,
) -> Found {
    let PpoInputs { log_prob, behavior, advantages, response_mask } = inputs;
    let clip = Clip::Epsilon { low: config.clip_range, high: config.clip_range };
    let objective = MixedPolicyLoss {
        clip: if config.remove_clip { Clip::None } else { clip },
        aggregate: aggregate(config.remove_token_mean),
        ..MixedPolicyLoss::new(Arc::new(Identity))
    };
    let streams = Streams {
        logprobs: log_prob.clone(),
        behavior: behavior.clone(),
        advantages: advantages.clone(),
        learned: response_mask.clone(),
        demonstrated: response_mask.map(|_| false),
    };
    let Evaluated { loss, gradient, metrics } = streams.evaluate(&objective, precision, device);
    let ratios = shaped(&Identity, log_prob, behavior, precision, device);
    let range = (1.0 - config.clip_range, 1.0 + config.clip_range);
    let is_on = !config.remove_clip;
    let clipped =
        reference::pg_clipfrac(&ratios, &advantages.values, &response_mask.values, range, is_on);
    Found::from([
        ("pg_loss", loss.into()),
        ("grad_log_prob", gradient.into()),
        ("pg_clipfrac", clipped.into()),
        ("ppo_kl", metrics.mean(metric::PPO_KL).into()),
    ])
}

/// `sft_loss`.
pub(super) fn supervised(inputs: &SftInputs, precision: Precision, device: &Device) -> Found {
    let SftInputs { log_prob, response_mask } = inputs;
    let zeros = log_prob.map(|_| 0.0);
    let streams = Streams {
        logprobs: log_prob.clone(),
        behavior: zeros.clone(),
        advantages: zeros,
        learned: response_mask.clone(),
        demonstrated: response_mask.clone(),
    };
    let objective = SupervisedLoss { shaping: Arc::new(Likelihood) };
    let Evaluated { loss, gradient, .. } = streams.evaluate(&objective, precision, device);
    Found::from([("loss", loss.into()), ("grad_log_prob", gradient.into())])
}
