//! The smallest end-to-end run: a bigram policy over 8 tokens, 7 sampled answers and 1 demonstration,
//! 60 steps. It needs every crate.

use std::sync::Arc;

use luffy_cli::device::device;
use luffy_core::{
    AdamWSettings, Behavior, CodecError, Demonstration, FinishReason, Learner, Message, Origin,
    Outcome, Prompt, Reason, Response, Sampler, Sampling, Task, TextCodec, TokenizedDemonstration,
    Verdict, Verifier,
};
use luffy_objective::{MethodConfig, PrefixSchedule};
use luffy_policy::{Bigram, ReplicaLearner};
use luffy_rollout::Engine;
use luffy_trainer::{
    Decay, Schedule, StepOutcome, StepReport, Trainer, TrainerSettings, TrainerState, Workers,
};

const VOCABULARY: usize = 8;
const END: u32 = 7;

/// Token `i` is the digit `i`; 7 ends a response.
#[derive(Debug)]
struct Digits;

impl TextCodec for Digits {
    fn encode(&self, text: &str) -> Result<Vec<u32>, CodecError> {
        text.chars()
            .map(|c| c.to_digit(10).ok_or_else(|| CodecError::Tokenize(format!("no digit: {c}"))))
            .collect()
    }

    fn decode(&self, tokens: &[u32]) -> String {
        tokens.iter().filter_map(|token| char::from_digit(*token, 10)).collect()
    }

    fn render(&self, messages: &[Message]) -> Result<String, CodecError> {
        Ok(messages.iter().map(|message| message.content.as_str()).collect())
    }

    fn end_tokens(&self) -> &[u32] {
        &[END]
    }
}

#[derive(Debug)]
struct ExactMatch;

impl Verifier for ExactMatch {
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
        let right = response.finish == FinishReason::Stop && task.golds[0] == response.text;
        Verdict::new(if right { Reason::Identical } else { Reason::Different })
    }
}

/// Prompt `0`, answer `2 4 6 end`: one path of 8^4.
fn prompt(index: u64) -> Arc<Prompt> {
    let task = Task {
        id: format!("toy:{index}"),
        source: "toy".into(),
        messages: vec![Message::user("0")],
        golds: vec!["246".into()],
        demonstrations: vec![Demonstration { text: "246".into(), behavior_probs: None }],
        extra: serde_json::Map::new(),
    };
    let demonstration = TokenizedDemonstration {
        tokens: vec![2, 4, 6, END],
        text: "246".into(),
        behavior: Behavior::One,
        finish: FinishReason::Stop,
    };
    Arc::new(Prompt { task, index, tokens: vec![0].into(), demonstrations: vec![demonstration] })
}

fn trainer(method: &str, replicas: usize) -> Trainer {
    trainer_of(&MethodConfig::by_name(method).expect("a method"), replicas)
}

fn trainer_of(method: &MethodConfig, replicas: usize) -> Trainer {
    let device = device();
    let model = Bigram::new(VOCABULARY, &device);
    let adamw = AdamWSettings { weight_decay: 0.0, ..AdamWSettings::default() };
    let first = ReplicaLearner::new(model.clone(), &device, adamw);
    let codec: Arc<dyn TextCodec> = Arc::new(Digits);
    let sampler = || -> Box<dyn Sampler> {
        Box::new(Engine::new(model.clone(), Arc::clone(&codec), device.clone(), 64))
    };
    let learner = || -> Box<dyn Learner> { Box::new(first.replica()) };
    let settings = TrainerSettings {
        seed: 3,
        n_steps: 60,
        schedule: Schedule { lr: 0.1, warmup_steps: 0, decay: Decay::Constant },
        sampling: Sampling::temperature(1.0),
        max_response_len: 5,
        sample_unit_prompts: 1,
        learn_unit_prompts: 1,
    };
    let method = method.build();
    let grader = Arc::new(|verdict: &Verdict| {
        Some(if verdict.outcome() == Outcome::Correct { 1.0 } else { 0.0 })
    });
    let workers = Workers {
        threads: 1,
        samplers: (0..replicas).map(|_| sampler()).collect(),
        learners: (0..replicas).map(|_| learner()).collect(),
    };
    Trainer::new(settings, method, Arc::new(ExactMatch), grader, workers).expect("the parts fit")
}

/// Trains and gives the on-policy reward of the last ten steps and the first and last probability of the
/// demonstrated tokens.
fn learn(method: &str, replicas: usize) -> (f64, f64, f64) {
    let mut trainer = trainer(method, replicas);
    let prompts: Vec<_> = (0..4).map(prompt).collect();
    let (mut rewards, mut probs) = (Vec::new(), Vec::new());
    for step in 0..60 {
        let outcome = trainer.step(step, &prompts).expect("a step");
        rewards.extend(outcome.report.get("on_off_metrics/on_score"));
        probs.extend(outcome.report.get("actor/off_policy_prob"));
    }
    let late = rewards[rewards.len() - 10..].iter().sum::<f64>() / 10.0;
    (late, probs[0], *probs.last().expect("a step with signal"))
}

#[test]
fn a_demonstration_is_learned() {
    let (reward, first, last) = learn("luffy", 1);
    // A uniform policy gives each token 1/8.
    assert!((first - 0.125).abs() < 1e-3, "{first}");
    assert!(last > 0.8, "probability of demonstrated tokens: {last}");
    assert!(reward > 0.8, "on-policy reward of the last ten steps: {reward}");
}

#[test]
fn without_the_demonstration_nothing_is_found() {
    let mut trainer = trainer("grpo", 1);
    let outcome = trainer.step(0, &[prompt(0)]).expect("a step");
    // 8 draws of a path with probability 8^-4: all fail, no spread, no update.
    assert_eq!(outcome.report.get("batch/skipped"), Some(1.0));
}

#[test]
fn two_replicas_learn_the_same_to_the_last_bit() {
    let (one, two) = (learn("luffy", 1), learn("luffy", 2));
    assert_eq!(one.0.to_bits(), two.0.to_bits());
    assert_eq!(one.2.to_bits(), two.2.to_bits());
}

/// Settings under which every path of every method is taken within a few steps of the toy.
fn all_methods() -> Vec<MethodConfig> {
    let lines = [
        "name = 'relift'\nsft-batch = 6",
        "name = 'sft-then-rl'\nsft-steps = 3",
        "name = 'uft'\nprefix = { slices = { slices = 4, steps = 6 } }",
        "name = 'luffy'\nprefix = { random = { min = 0.0, max = 1.0 } }",
        "name = 'luffy'\nkl-coefficient = 0.1\nmini-batches = 2\nepochs = 2",
        "name = 'luffy'\nentropy-coefficient = 0.01\n\
         entropy-control = { adaptive = { target = 1.0, lr = 0.01 } }",
    ];
    let special = lines.iter().map(|toml| toml::from_str(toml).expect("settings of a method"));
    // By default ReLIFT waits for more rows than the toy has.
    let all = MethodConfig::all().into_iter().filter(|method| method.name() != "relift");
    all.chain(special).collect()
}

/// Six steps: the state after each, and what was reported.
fn run(trainer: &mut Trainer, steps: std::ops::Range<u64>) -> Vec<(TrainerState, StepReport)> {
    let prompts: Vec<_> = (0..4).map(prompt).collect();
    steps
        .map(|step| {
            let outcome = trainer.step(step, &prompts).expect("a step");
            (trainer.state(), outcome.report)
        })
        .collect()
}

#[test]
fn every_method_gives_the_same_bytes_with_any_replicas_and_after_a_restart() {
    for method in all_methods() {
        let whole = run(&mut trainer_of(&method, 1), 0..6);
        let two = run(&mut trainer_of(&method, 2), 0..6);
        assert_eq!(whole, two, "{method:?}");
        let mut resumed = trainer_of(&method, 1);
        // As a checkpoint keeps it: what the method remembers goes through text.
        let mut state = whole[2].0.clone();
        let memory = serde_json::to_string(&state.memory).expect("plain data");
        state.memory = serde_json::from_str(&memory).expect("plain data");
        resumed.restore(&state).expect("the state fits");
        assert_eq!(run(&mut resumed, 3..6), whole[3..], "{method:?}");
    }
}

#[test]
fn every_method_with_demonstrations_learns_from_them() {
    // The steps of the demonstration: prompt, 2, 4, 6, end.
    let demonstrated: [(usize, usize); 4] = [(0, 2), (2, 4), (4, 6), (6, 7)];
    for method in all_methods() {
        // Where the policy goes on from a prefix and fails, the prefix is blamed with it; UFT has a thousandth of
        // the weight on its hints.
        let goes_on = matches!(&method, MethodConfig::Luffy(config)
            if config.guidance.prefix != PrefixSchedule::Whole);
        let has_none = matches!(method.name(), "grpo" | "dr-grpo" | "dapo");
        if has_none || goes_on || matches!(method.name(), "prefix-rft" | "uft") {
            continue;
        }
        let mut trainer = trainer_of(&method, 1);
        let states = run(&mut trainer, 0..6);
        let weights = |state: &TrainerState| {
            let (_, table) = state.learner.weights.iter().next().expect("a bigram has one table");
            demonstrated.map(|(from, to)| table.values[from * VOCABULARY + to])
        };
        let (first, last) = (weights(&states[0].0), weights(&states[5].0));
        for (before, after) in first.iter().zip(last) {
            assert!(after > *before, "{method:?}: {before} to {after}");
        }
    }
}

fn outcome(toml: &str, step: u64) -> StepOutcome {
    let method = toml::from_str(toml).expect("settings of a method");
    trainer_of(&method, 1).step(step, &[prompt(0)]).expect("a step")
}

#[test]
fn a_continued_demonstration_is_demonstrated_up_to_where_the_policy_goes_on() {
    let toml = "name = 'luffy'\ngroup-size = 4\ndemonstrations = 2\n\
                prefix = { fixed = { min = 0.5, max = 0.75 } }";
    let outcome = outcome(toml, 0);
    let trajectories = &outcome.graded.groups[0].group.trajectories;
    assert_eq!(trajectories.len(), 4);
    assert!(trajectories[..2].iter().all(|t| !t.is_demonstrated()));
    for (trajectory, n_given) in trajectories[2..].iter().zip([2_usize, 3]) {
        assert_eq!(trajectory.tokens[..n_given], [2, 4, 6][..n_given]);
        assert!(trajectory.text.starts_with(["24", "246"][n_given - 2]), "{}", trajectory.text);
        let [given, sampled] = &trajectory.spans[..] else { panic!("two spans") };
        assert_eq!(given.origin, Origin::Demonstrated(Behavior::One));
        assert_eq!(given.len as usize, n_given);
        let Origin::Sampled { logprobs } = &sampled.origin else { panic!("sampled") };
        assert_eq!(n_given + logprobs.len(), trajectory.tokens.len());
        // A uniform policy over 8 tokens.
        assert!(logprobs.iter().all(|logprob| (logprob + 8.0_f32.ln()).abs() < 1e-5));
        assert!(trajectory.tokens.len() <= 5, "the prefix counts against the limit");
    }
}

#[test]
fn rounds_see_the_rewards_of_the_rounds_before() {
    // Nothing is found, so every later round is helped: 2 of 4 tokens, then the whole demonstration.
    let toml = "name = 'trapo'\ngroup-size = 4\nmicro-groups = [\n\
                { size = 2, below = -1.0, share = 0.0 },\n\
                { size = 1, below = 0.9, share = 0.5 },\n\
                { size = 1, below = 0.9, share = 1.0 },\n]";
    let outcome = outcome(toml, 0);
    let group = &outcome.graded.groups[0];
    let given: Vec<usize> = group
        .group
        .trajectories
        .iter()
        .map(|t| {
            let spans = t.spans.iter();
            let given = spans.filter(|span| matches!(span.origin, Origin::Demonstrated(_)));
            given.map(|span| span.len as usize).sum()
        })
        .collect();
    assert_eq!(given, [0, 0, 2, 4]);
    assert_eq!(group.rewards.len(), 4);
    let mut members: Vec<u32> = group.group.trajectories.iter().map(|t| t.key.member).collect();
    members.dedup();
    assert_eq!(members, [0, 1, 2, 3], "every member has a random stream of its own");
}

#[test]
fn a_divergence_is_measured_from_the_weights_training_began_with() {
    let method = toml::from_str("name = 'luffy'\nkl-coefficient = 0.1").expect("a method");
    let reports = run(&mut trainer_of(&method, 1), 0..6);
    let divergence = |i: usize| reports[i].1.get("actor/kl_loss").expect("a divergence");
    assert!(divergence(0).abs() < 1e-9, "{}", divergence(0));
    assert!(divergence(5) > 1e-3, "{}", divergence(5));
    // It holds the policy back.
    let free = run(&mut trainer("luffy", 1), 0..6);
    let prob = |run: &[(TrainerState, StepReport)]| {
        run[5].1.get("actor/off_policy_prob").expect("a demonstration")
    };
    assert!(prob(&reports) < prob(&free), "{} {}", prob(&reports), prob(&free));
}
