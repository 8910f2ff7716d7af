//! Whole methods: rewards in, losses and gradients of rows out, against arithmetic by hand.

use std::sync::Arc;

use luffy_core::{
    Behavior, FinishReason, GradedGroup, Group, Method, MethodMemory, Metrics, Origin, Progress,
    Prompt, Purpose, Span, StepView, StreamKey, Task, Trajectory, UpdateRow,
};
use luffy_objective::{
    Clip, LuffyConfig, MethodConfig, MixedConfig, OnPolicyConfig, PolicySettings, SupervisedConfig,
};

use crate::scored::{Evaluated, ScoredRow, assert_close, evaluate};

/// Most response tokens, the constant of the loss.
const MAX_LEN: u32 = 8;

/// Log-prob of every token under the policy being trained and, for sampled ones, when it was sampled:
/// a weight of `e^0.5`, above `1.2`.
const LOGPROB: f32 = -1.0;
const BEHAVIOR: f32 = -1.5;

fn trajectory(spans: Vec<Span>) -> Trajectory {
    Trajectory {
        tokens: vec![4; spans.iter().map(|span| span.len as usize).sum()],
        spans,
        text: String::new(),
        finish: FinishReason::Stop,
        key: StreamKey { seed: 0, purpose: Purpose::Rollout, step: 0, prompt: 0, member: 0 },
        version: 0,
    }
}

fn sampled(len: u32) -> Span {
    Span { len, origin: Origin::Sampled { logprobs: vec![BEHAVIOR; len as usize] } }
}

fn demonstrated(len: u32) -> Span {
    Span { len, origin: Origin::Demonstrated(Behavior::One) }
}

fn context(len: u32) -> Span {
    Span { len, origin: Origin::Context }
}

fn group(members: Vec<(f32, Vec<Span>)>) -> GradedGroup {
    let task = Task {
        id: "test:0".into(),
        source: "test".into(),
        messages: vec![],
        golds: vec![],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    };
    let prompt = Prompt { task, index: 0, tokens: vec![1, 2, 3].into(), demonstrations: vec![] };
    let (rewards, spans): (Vec<f32>, Vec<Vec<Span>>) = members.into_iter().unzip();
    let trajectories = spans.into_iter().map(trajectory).collect();
    GradedGroup {
        group: Group { prompt: Arc::new(prompt), trajectories },
        verdicts: vec![],
        rewards,
    }
}

/// A group that fails but for its demonstration, one without spread, one that is half right with a tool
/// output in it.
fn step() -> Vec<GradedGroup> {
    vec![
        group(vec![
            (0.0, vec![sampled(2)]),
            (0.0, vec![sampled(5)]),
            (0.0, vec![sampled(1)]),
            (1.0, vec![demonstrated(3)]),
        ]),
        group(vec![(1.0, vec![sampled(4)]), (1.0, vec![demonstrated(2)])]),
        group(vec![(1.0, vec![sampled(1), context(2), sampled(1)]), (0.0, vec![sampled(3)])]),
    ]
}

/// The rows of the step's only update, scored: for each row its gradients, and the loss.
fn score(method: &dyn Method, groups: &[GradedGroup]) -> Evaluated {
    let progress = Progress { step: 0, n_steps: 10 };
    let advantages = method.advantages(progress, groups);
    let view = StepView { progress, groups, advantages: &advantages, max_response_len: MAX_LEN };
    let updates = method.updates(&view, &mut MethodMemory::default());
    let [update] = &updates[..] else { panic!("one update, not {}", updates.len()) };
    let row = |row: &UpdateRow| {
        let n = row.row.response.len();
        ScoredRow { row: row.row.clone(), logprobs: vec![LOGPROB; n], entropy: vec![1.0; n] }
    };
    let rows: Vec<ScoredRow> = update.rows.iter().map(row).collect();
    let scale = update.objective.scale(&update.shape);
    evaluate(&*update.objective, &rows, &scale, -4.0)
}

fn measure(method: &dyn Method, groups: &[GradedGroup]) -> Metrics {
    score(method, groups).metrics
}

fn run(method: &dyn Method, groups: &[GradedGroup]) -> (Vec<Vec<f32>>, f64) {
    let got = score(method, groups);
    (got.gradient, got.loss)
}

/// `expected` holds for each row of the update, for each token, value and gradient before the divisor.
fn check(config: MethodConfig, divisor: f64, expected: &[Vec<(f64, f64)>]) {
    let (gradients, loss) = run(&*config.build(), &step());
    let total: f64 = expected.iter().flatten().map(|(value, _)| value).sum();
    assert_close(loss, total / divisor, "loss");
    assert!(gradients.iter().map(Vec::len).eq(expected.iter().map(Vec::len)), "{gradients:?}");
    for (i, (got, wanted)) in gradients.iter().zip(expected).enumerate() {
        for (got, (_, wanted)) in got.iter().zip(wanted) {
            assert_close(f64::from(*got), wanted / divisor, &format!("row {i}"));
        }
    }
}

/// Tokens of the update by rows, from the value and slope of the weights of both kinds of token.
fn rows(on: impl Fn(f64) -> (f64, f64), off: (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let scaled = |(value, slope): (f64, f64), a: f64| (-a * value, -a * slope);
    let with = |len: usize, a: f64| vec![scaled(on(a), a); len];
    let (right, context) = (scaled(on(0.5), 0.5), (0.0, 0.0));
    vec![
        with(2, -0.25),
        with(5, -0.25),
        with(1, -0.25),
        vec![scaled(off, 0.75); 3],
        vec![right, context, context, right],
        with(3, -0.5),
    ]
}

/// All eight rows of the step times the constant length.
const CONSTANT: f64 = 8.0 * 8.0;

#[test]
fn luffy_shapes_demonstrations_and_leaves_samples_unclipped() {
    let weight = 0.5_f64.exp();
    let p = f64::from(LOGPROB).exp();
    let off = (p / (p + 0.1), 0.1 * p / (p + 0.1).powi(2));
    check(MethodConfig::default(), CONSTANT, &rows(|_| (weight, weight), off));
    let off = (p / (p + 0.3), 0.3 * p / (p + 0.3).powi(2));
    let config = LuffyConfig { gamma: 0.3, ..LuffyConfig::default() };
    check(MethodConfig::Luffy(config), CONSTANT, &rows(|_| (weight, weight), off));
}

#[test]
fn mixed_takes_demonstrations_by_their_probability() {
    let weight = 0.5_f64.exp();
    let p = f64::from(LOGPROB).exp();
    let config = MethodConfig::Mixed(MixedConfig::default());
    check(config, CONSTANT, &rows(|_| (weight, weight), (p, p)));
}

#[test]
fn grpo_clips_samples() {
    let weight = 0.5_f64.exp();
    let p = f64::from(LOGPROB).exp();
    let on = |a: f64| if a > 0.0 { (1.2, 0.0) } else { (weight, weight) };
    check(MethodConfig::DrGrpo(OnPolicyConfig::dr_grpo()), CONSTANT, &rows(on, (p, p)));
    let policy = PolicySettings { clip: Clip::None, ..PolicySettings::default() };
    let config = OnPolicyConfig { policy };
    check(MethodConfig::DrGrpo(config), CONSTANT, &rows(|_| (weight, weight), (p, p)));
}

#[test]
fn supervised_methods_learn_from_demonstrations_by_token() {
    // Rows of 3 and 2 demonstrated tokens, each with a negative log-likelihood of 1.
    let expected = vec![vec![(1.0, -1.0); 3], vec![(1.0, -1.0); 2]];
    check(MethodConfig::Sft(SupervisedConfig::sft()), 5.0, &expected);
    check(MethodConfig::SftFiltered(SupervisedConfig::sft()), 5.0, &expected);
}

#[test]
fn coefficients_of_the_update_are_told() {
    let method = |toml: &str| toml::from_str::<MethodConfig>(toml).expect("a method").build();
    let metrics = |method: &dyn Method| measure(method, &step());
    let blend = metrics(&*method("name = 'chord'\nmu = { constant = { value = 0.25 } }"));
    assert_eq!(blend.mean("actor/sft_coefficient"), Some(0.25));
    assert_eq!(blend.mean("actor/entropy_coefficient"), None);
    let bonus = metrics(&*method("name = 'luffy'\nentropy-coefficient = 0.5"));
    assert_eq!(bonus.mean("actor/entropy_coefficient"), Some(0.5));
    assert_eq!(bonus.mean("actor/sft_coefficient"), None);
}
