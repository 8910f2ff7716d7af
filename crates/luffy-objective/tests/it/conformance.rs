//! `testdata/objective/cases.jsonl`: the reference's functions, evaluated in float64 for this project.
//! Every case agrees in `f64`, losses, gradients and logged figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use luffy_core::{
    AdvantageEstimator, FinishReason, GradedGroup, Group, Objective, Origin, Prompt, Purpose,
    Shaping, Span, StepShape, StreamKey, Task, TokenView, Trajectory,
};
use luffy_objective::{
    AdvantageScale, Advantages, Aggregate, Baseline, Bounded, Clip, Estimator, Identity,
    IdentityPlusLog, KlEstimator, Log, MixedPolicyLoss, Power, Regularized, RegularizedRatio,
    SupervisedLoss, metric, reference,
};
use serde_json::Value;

use crate::precise::{Evaluated, Rows, Token, assert_same, evaluate};
use crate::scored::assert_close;

/// The reference on one device with one micro-batch.
const REFERENCE: Aggregate = Aggregate::Reference { devices: 1, micro_batches: 1 };

fn cases(kind: &str) -> Vec<Value> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/objective/cases.jsonl");
    let text = std::fs::read_to_string(file).expect("the vectors are part of the repository");
    let cases = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    cases.filter(|case| case["kind"] == kind).collect()
}

/// A `[B, T]` array as rows of numbers; booleans count as 0 and 1.
fn array(value: &Value) -> Vec<Vec<f64>> {
    let number = |value: &Value| {
        value.as_f64().or_else(|| value.as_bool().map(f64::from)).expect("a number")
    };
    let rows = value.as_array().expect("rows").iter();
    rows.map(|row| row.as_array().expect("tokens").iter().map(number).collect()).collect()
}

fn number(config: &Value, name: &str) -> f64 {
    config[name].as_f64().unwrap_or_else(|| panic!("{name} is a number"))
}

fn is_set(config: &Value, name: &str) -> bool {
    config[name].as_bool().unwrap_or_else(|| panic!("{name} is a flag"))
}

fn id(case: &Value) -> &str {
    case["id"].as_str().expect("an id")
}

/// The streams of a loss case, one entry per place, padding included.
struct Streams {
    width: usize,
    logprobs: Vec<f64>,
    /// Of all tokens, under the policy before the update.
    recorded: Vec<f64>,
    advantages: Vec<f64>,
    valid: Vec<bool>,
    demonstrated: Vec<bool>,
    /// Probabilities of the demonstrations under their writer, where the case has them.
    behavior_probs: Option<Vec<f64>>,
}

impl Streams {
    fn of(case: &Value) -> Self {
        let inputs = &case["inputs"];
        let logprobs = array(&inputs["log_prob"]);
        let n = logprobs.len() * logprobs[0].len();
        let stream =
            |name: &str| inputs.get(name).map_or(vec![0.0; n], |value| array(value).concat());
        let flags = |name: &str| stream(name).iter().map(|value| *value > 0.5).collect();
        let behavior_probs = inputs.get("behaviour_prob").filter(|probs| !probs.is_null());
        Self {
            width: logprobs[0].len(),
            recorded: stream("old_log_prob"),
            advantages: stream("advantages"),
            valid: flags("response_mask"),
            demonstrated: flags("off_policy_mask"),
            behavior_probs: behavior_probs.map(|probs| array(probs).concat()),
            logprobs: logprobs.concat(),
        }
    }

    /// The log-prob a loss here sees for what wrote the token.
    fn behavior(&self, place: usize) -> f64 {
        match &self.behavior_probs {
            _ if !self.demonstrated[place] => self.recorded[place],
            // The reference divides by the recorded probability plus 1e-6.
            Some(probs) => (probs[place] + 1e-6).ln(),
            None => 0.0,
        }
    }

    /// Rows as wide as the case: its padding is tokens that are not learned.
    fn rows(&self, learned: &[bool]) -> Rows {
        let token = |k: usize| Token {
            is_learned: learned[k],
            is_demonstrated: self.demonstrated[k],
            logprob: self.logprobs[k],
            behavior: self.behavior(k),
            entropy: 0.0,
            advantage: self.advantages[k],
            reference: 0.0,
        };
        let places: Vec<usize> = (0..learned.len()).collect();
        places.chunks(self.width).map(|row| row.iter().map(|k| token(*k)).collect()).collect()
    }

    fn evaluate(&self, objective: &dyn Objective, learned: &[bool]) -> Evaluated {
        let n_tokens = learned.iter().filter(|learned| **learned).count() as u64;
        let rows = self.rows(learned);
        let scale = objective.scale(&StepShape {
            n_rows: rows.len() as u64,
            n_tokens,
            n_policy_tokens: n_tokens,
            n_demonstrated: 0,
            max_response_len: self.width as u32,
        });
        evaluate(objective, &rows, &scale, 0.0)
    }

    /// Shaped weights of all places, with behaviour log-probs as given.
    fn shaped(&self, shaping: &dyn Shaping, behavior: impl Fn(usize) -> f64) -> Vec<f64> {
        let device = Device::flex();
        let n = self.logprobs.len();
        let floats = |values: Vec<f64>| {
            Tensor::<2>::from_data(TensorData::new(values, [1, n]), (&device, DType::F64))
        };
        let view = TokenView {
            logprobs: floats(self.logprobs.clone()),
            behavior_logprobs: floats((0..n).map(behavior).collect()),
            entropy: floats(vec![0.0; n]),
            demonstrated: Tensor::<2, Bool>::full([1, n], true, &device),
            advantages: floats(self.advantages.clone()),
        };
        shaping.shape(&view).into_data().iter::<f64>().collect()
    }
}

#[track_caller]
fn check_gradient(case: &Value, got: &Evaluated) {
    let wanted = array(&case["expected"]["grad_log_prob"]);
    for (got, wanted) in got.gradient.iter().flatten().zip(wanted.iter().flatten()) {
        assert_same(*got, *wanted, id(case));
    }
}

#[track_caller]
fn check_figure(case: &Value, name: &str, got: Option<f64>) {
    let what = format!("{}: {name}", id(case));
    match (got, case["expected"][name].as_f64()) {
        (Some(got), Some(wanted)) => assert_same(got, wanted, &what),
        (None, None) => {}
        (got, wanted) => panic!("{what}: {got:?} is not {wanted:?}"),
    }
}

fn aggregate(config: &Value) -> Aggregate {
    if is_set(config, "remove_token_mean") { REFERENCE } else { Aggregate::TokenMean }
}

/// Least and most of a clip, whether on or not.
fn range(config: &Value) -> (f64, f64) {
    let low = number(config, "clip_range");
    (1.0 - low, config["clip_upper_bound"].as_f64().unwrap_or(0.0).max(1.0 + low))
}

fn clip(config: &Value) -> Clip {
    let (least, most) = range(config);
    if is_set(config, "remove_clip") {
        Clip::None
    } else {
        Clip::Epsilon { low: 1.0 - least, high: most - 1.0 }
    }
}

/// A shape by the reference's name; `weight` and `exponent` are for those that have one.
fn shaping(name: &str, weight: f64, exponent: f64) -> Arc<dyn Shaping> {
    match name {
        "no_reshape" => Arc::new(Identity),
        "logp" => Arc::new(Log { weight }),
        "p_logp" => Arc::new(IdentityPlusLog { weight }),
        "square_root" => Arc::new(Power { exponent: 0.5 }),
        "pow" => Arc::new(Power { exponent }),
        _ => Arc::new(Regularized { gamma: gamma(name).expect("all others are p_div_p_G") }),
    }
}

fn gamma(name: &str) -> Option<f64> {
    name.strip_prefix("p_div_p_").and_then(|gamma| gamma.parse().ok())
}

/// What sampled tokens are reshaped by.
fn reshape(config: &Value) -> Arc<dyn Shaping> {
    let name = config["on_policy_reshape"].as_str().expect("a name");
    match gamma(name) {
        Some(gamma) => Arc::new(RegularizedRatio { gamma }),
        // On samples the reference's logarithm has no weight.
        None if name == "logp" => Arc::new(Log { weight: 1.0 }),
        None => shaping(
            name,
            number(config, "on_policy_reshape_weight"),
            number(config, "on_policy_reshape_pow_exp"),
        ),
    }
}

/// What demonstrated tokens are shaped by, before any bound.
fn unbounded(case: &Value) -> Arc<dyn Shaping> {
    let config = &case["config"];
    // The reference does not shape where a behaviour probability is recorded.
    if !case["inputs"]["behaviour_prob"].is_null() {
        return Arc::new(Identity);
    }
    shaping(
        config["off_policy_reshape"].as_str().expect("a name"),
        number(config, "off_policy_reshape_weight"),
        number(config, "off_policy_reshape_pow_exp"),
    )
}

/// The loss of a `mixed_policy_loss` case.
fn mixed(case: &Value) -> MixedPolicyLoss {
    let config = &case["config"];
    let shaping = Arc::new(Bounded {
        inner: unbounded(case),
        min: config["off_min_clip"].as_f64().unwrap_or(f64::NEG_INFINITY),
        max: config["off_max_clip"].as_f64().unwrap_or(f64::INFINITY),
    });
    MixedPolicyLoss {
        reshape: reshape(config),
        clip: clip(config),
        aggregate: aggregate(config),
        ..MixedPolicyLoss::new(shaping)
    }
}

#[test]
fn mixed_policy_losses_agree_with_the_reference() {
    let cases = cases("mixed_policy_loss");
    for case in &cases {
        let (config, streams, objective) = (&case["config"], Streams::of(case), mixed(case));
        let learned = match config["all_max_clip"].as_f64() {
            Some(max) => reference::all_max_clip(&streams.logprobs, &streams.valid, max),
            None => streams.valid.clone(),
        };
        let got = streams.evaluate(&objective, &learned);
        assert_same(got.loss, number(&case["expected"], "pg_loss"), id(case));
        check_gradient(case, &got);
        if learned.iter().any(|learned| *learned) {
            check_figure(case, "pg_loss", got.metrics.mean(metric::PG_LOSS));
        }

        // The reference logs as if the tokens it is sure of had stayed.
        let logged = streams.evaluate(&objective, &streams.valid).metrics;
        for (ours, theirs) in [
            (metric::OFF_PG_LOSS, "off_pg_loss"),
            (metric::OFF_POLICY_PROB, "off_policy_prob"),
            (metric::ON_POLICY_PROB, "on_policy_prob"),
            (metric::OFF_RATIO_MEAN, "off_ratio_mean"),
        ] {
            check_figure(case, theirs, Some(logged.mean(ours).unwrap_or(0.0)));
        }
        check_figure(case, "on_pg_loss", logged.mean(metric::ON_PG_LOSS));
        let Streams { logprobs, recorded, advantages, valid, .. } = &streams;
        check_figure(case, "ppo_kl", reference::ppo_kl(logprobs, recorded, valid));
        let is_on = !is_set(config, "remove_clip");
        let weights = streams.shaped(&*objective.reshape, |k| recorded[k]);
        let share =
            reference::on_pg_clipfrac(&weights, advantages, valid, is_on.then(|| range(config)));
        check_figure(case, "on_pg_clipfrac", share);
        let shaped = streams.shaped(&*unbounded(case), |k| streams.behavior(k));
        let pairs = streams.demonstrated.iter().zip(valid);
        let off: Vec<bool> = pairs.map(|(demonstrated, valid)| *demonstrated && *valid).collect();
        let max = config["off_max_clip"].as_f64();
        let share = reference::off_ratio_max_clip_frac(&shaped, &off, max);
        check_figure(case, "off_ratio_max_clip_frac", share);
        let min = config["off_min_clip"].as_f64();
        let share = reference::off_ratio_min_clip_frac(&shaped, &off, min);
        check_figure(case, "off_ratio_min_clip_frac", share);
    }
    assert_eq!(cases.len(), 60);
}

#[test]
fn on_policy_losses_agree_with_the_reference() {
    let cases = cases("ppo_clip_loss");
    for case in &cases {
        let (config, streams) = (&case["config"], Streams::of(case));
        let objective = MixedPolicyLoss {
            clip: clip(config),
            aggregate: aggregate(config),
            ..MixedPolicyLoss::new(Arc::new(Identity))
        };
        let got = streams.evaluate(&objective, &streams.valid);
        assert_same(got.loss, number(&case["expected"], "pg_loss"), id(case));
        check_gradient(case, &got);
        check_figure(case, "pg_loss", got.metrics.mean(metric::PG_LOSS));
        check_figure(case, "ppo_kl", got.metrics.mean(metric::PPO_KL));
        let weights = streams.shaped(&Identity, |k| streams.recorded[k]);
        let is_on = !is_set(config, "remove_clip");
        let Streams { advantages, valid, .. } = &streams;
        let share = reference::pg_clipfrac(&weights, advantages, valid, range(config), is_on);
        check_figure(case, "pg_clipfrac", share);
    }
    assert_eq!(cases.len(), 15);
}

#[test]
fn supervised_losses_agree_with_the_reference() {
    let cases = cases("sft_loss");
    for case in &cases {
        let streams = Streams::of(case);
        let got = streams.evaluate(&SupervisedLoss::default(), &streams.valid);
        assert_same(got.loss, number(&case["expected"], "loss"), id(case));
        check_gradient(case, &got);
        check_figure(case, "loss", got.metrics.mean(metric::SFT_LOSS));
    }
    assert_eq!(cases.len(), 15);
}

#[test]
fn kl_estimates_agree_with_the_reference() {
    let cases = cases("kl");
    let device = Device::flex();
    for case in &cases {
        let estimator = match case["config"]["estimator"].as_str().expect("a name") {
            "kl" => KlEstimator::K1,
            "abs" => KlEstimator::Abs,
            "mse" => KlEstimator::Mse,
            "low_var_kl" => KlEstimator::K3Clamped,
            name => panic!("{name} is none of the four estimators"),
        };
        let upload = |name: &str| {
            let values = array(&case["inputs"][name]);
            let dims = [values.len(), values[0].len()];
            Tensor::<2>::from_data(TensorData::new(values.concat(), dims), (&device, DType::F64))
        };
        let got = estimator.estimate(upload("log_prob"), upload("ref_log_prob"));
        let expected = array(&case["expected"]["kl"]).concat();
        for (got, expected) in got.into_data().iter::<f64>().zip(expected) {
            assert_same(got, expected, id(case));
        }
    }
    assert!(!cases.is_empty());
}

/// The rows of an `advantage` case as groups, and for each group the positions of its rows.
fn groups(inputs: &Value) -> (Vec<GradedGroup>, Vec<Vec<usize>>) {
    let (rewards, learned) = (array(&inputs["token_rewards"]), array(&inputs["response_mask"]));
    let mut positions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, name) in inputs["group"].as_array().expect("names").iter().enumerate() {
        positions.entry(name.as_str().expect("a name")).or_default().push(i);
    }
    let trajectory = |i: &usize| {
        let len = learned[*i].iter().filter(|learned| **learned > 0.5).count();
        let is_on_policy = inputs["on_policy"][*i].as_bool().expect("a flag");
        let origin = if is_on_policy {
            Origin::Sampled { logprobs: vec![0.0; len] }
        } else {
            Origin::Demonstrated(luffy_core::Behavior::One)
        };
        Trajectory {
            tokens: vec![0; len],
            spans: vec![Span { len: len as u32, origin }],
            text: String::new(),
            finish: FinishReason::Stop,
            key: StreamKey { seed: 0, purpose: Purpose::Rollout, step: 0, prompt: 0, member: 0 },
            version: 0,
        }
    };
    let group = |rows: &Vec<usize>| GradedGroup {
        group: Group { prompt: prompt(), trajectories: rows.iter().map(trajectory).collect() },
        verdicts: vec![],
        rewards: rows.iter().map(|i| rewards[*i].iter().sum::<f64>() as f32).collect(),
    };
    let positions: Vec<Vec<usize>> = positions.into_values().collect();
    (positions.iter().map(group).collect(), positions)
}

fn prompt() -> Arc<Prompt> {
    let task = Task {
        id: "case".into(),
        source: "case".into(),
        messages: vec![],
        golds: vec![],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    };
    Arc::new(Prompt { task, index: 0, tokens: vec![0].into(), demonstrations: vec![] })
}

#[test]
fn advantages_agree_with_the_reference() {
    let cases = cases("advantage");
    for case in &cases {
        let (estimator, baseline) = match case["config"]["estimator"].as_str().expect("a name") {
            "grpo" => (Estimator::GroupRelative, Baseline::WholeGroup),
            "grpo_split" => (Estimator::GroupRelative, Baseline::OnPolicy),
            "reinforce" => (Estimator::Reinforce, Baseline::WholeGroup),
            "reinforce_plus_plus" => (Estimator::ReinforcePlusPlus, Baseline::WholeGroup),
            name => panic!("{name} is none of the four estimators"),
        };
        let is_scaled = case["config"]["normalise_by_std"].as_bool().unwrap_or(false);
        let scale = if is_scaled { AdvantageScale::Std } else { AdvantageScale::None };
        let (groups, positions) = groups(&case["inputs"]);
        let advantages = Advantages { estimator, baseline, scale, ..Advantages::default() };
        let got = advantages.advantages(&groups);
        let expected = array(&case["expected"]["advantages"]);
        for (row, advantages) in positions.iter().flatten().zip(&got) {
            let advantages = advantages.to_vec();
            let (own, padding) = expected[*row].split_at(advantages.len());
            assert!(padding.iter().all(|value| value.abs() <= 0.0));
            for (got, expected) in advantages.iter().zip(own) {
                assert_close(f64::from(*got), *expected, id(case));
            }
        }
    }
    assert!(cases.len() >= 80);
}
