//! The base policy of recipe `addition`: it can add, but answers hard problems without thinking.
//!
//! Two phases of supervised learning. *Skill*: correct traces of all levels. *Habit*: problems of levels 3
//! and 4 are answered at once; a share of correct traces without loss on their first tokens keeps the
//! skill. So two decisions (open `<think>`; write something in it) become rare while what follows them
//! stays intact: a chain that a policy alone does not find, and that a demonstration shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use luffy_core::{
    AdamWSettings, Behavior, FinishReason, Gradients, HostTensor, Learner, Message, MicroBatch,
    Objective, OptimizerSlot, Origin, Policy, Prompt, Purpose, Row, Sampling, Span, StepShape,
    StreamKey, TextCodec, TokenRuns, Trajectory,
};
use luffy_data::HfCodec;
use luffy_data::tasks::addition::{self, BaseExample, HabitMix};
use luffy_objective::SupervisedLoss;
use luffy_policy::{
    CausalLm, ModelConfig, ReplicaLearner, SaveOptions, init_weights, load_weights, save_pretrained,
};
use luffy_rollout::Engine;
use luffy_trainer::{Decay, Replicas, Schedule};
use serde::{Deserialize, Serialize};

use crate::atomic::write_atomic;
use crate::device::device;

/// The shipped base, made by `luffy base`.
const SHIPPED_WEIGHTS: &[u8] = include_bytes!("../assets/addition-base/model.safetensors");
/// How it was made.
const SHIPPED_RECIPE: &str = include_str!("../assets/addition-base/recipe.json");

/// Writes the shipped base as a Hugging Face folder, unless it is there already.
pub(crate) fn write_shipped(dir: &Path) -> anyhow::Result<()> {
    write_side_files(dir)?;
    write_atomic(&dir.join("recipe.json"), SHIPPED_RECIPE.as_bytes())?;
    write_atomic(&dir.join("model.safetensors"), SHIPPED_WEIGHTS)
}

fn write_side_files(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    addition::write_side_files(dir)?;
    Ok(())
}

/// How a base is made. The defaults are measured: `docs/src/recipes.md` tells what else was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BaseRecipe {
    /// Keys initial weights and examples.
    pub seed: u64,
    /// Steps of the first phase.
    pub skill_steps: u64,
    /// Learning rate of the first phase: 20 steps of warm-up, cosine to 10 %.
    pub skill_lr: f64,
    /// Steps of the second phase.
    pub habit_steps: u64,
    /// Learning rate of the second phase: cosine to 5 %.
    pub habit_lr: f64,
    /// Examples a step.
    pub batch: u64,
}

impl Default for BaseRecipe {
    fn default() -> Self {
        Self {
            seed: 0,
            skill_steps: 1000,
            skill_lr: 4e-3,
            habit_steps: 300,
            habit_lr: 2e-3,
            batch: 128,
        }
    }
}

/// What a base can do and what it is inclined to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaseReport {
    /// The recipe.
    pub recipe: BaseRecipe,
    /// Share of right answers by level after the first phase, greedy.
    pub skill_accuracy: BTreeMap<String, f64>,
    /// Share of right answers by level of the finished base, greedy.
    pub accuracy: BTreeMap<String, f64>,
    /// The same when `<think>` and the newline are given.
    pub accuracy_when_thinking: BTreeMap<String, f64>,
    /// Mean probability of `<think>` on levels 3 and 4.
    pub p_think: f64,
    /// Mean probability of a newline after `<think>` there.
    pub p_newline: f64,
    /// Mean product of the two.
    pub p_joint: f64,
}

/// Rows per unit of parallel work; part of what a base is.
const UNIT_ROWS: usize = 32;
/// Problems per level in the reports.
const PROBLEMS: u64 = 200;
const MAX_TOKENS: u32 = 24;

/// Makes a base and writes it to `dir`. `say` hears a line now and then.
///
/// # Errors
/// If the skill is not learned, or files cannot be written.
pub fn build(
    dir: &Path,
    recipe: BaseRecipe,
    replicas: usize,
    say: &dyn Fn(&str),
) -> anyhow::Result<BaseReport> {
    write_side_files(dir)?;
    let config = ModelConfig::read(dir)?;
    let codec = HfCodec::open(dir, None)?;
    let device = device();
    let weights = init_weights(&config, recipe.seed);
    let model = load_weights(CausalLm::new(&config, &device), &weights)?;
    let settings = AdamWSettings { beta2: 0.95, weight_decay: 0.0, ..AdamWSettings::default() };

    let skill = Phase {
        schedule: Schedule {
            lr: recipe.skill_lr,
            warmup_steps: 20,
            decay: Decay::Cosine { floor: 0.1 },
        },
        steps: recipe.skill_steps,
        batch: recipe.batch,
        slot: OptimizerSlot(0),
        example: &|index| addition::skill_example(recipe.seed, index),
    };
    let first = ReplicaLearner::new(model.clone(), &device, settings);
    let mut learners = Replicas::new((0..replicas.max(1)).map(|_| first.replica()).collect());
    skill.run(&mut learners, &codec, "skill", say)?;
    let probe = Probe { codec: Arc::new(HfCodec::open(dir, None)?), model: model.clone(), device };
    let weights = learners.first(|learner| learner.state().weights);
    let skill_accuracy = probe.accuracy(&weights, "")?;
    say(&format!("accuracy after the skill phase: {skill_accuracy:?}"));
    ensure!(
        skill_accuracy.values().all(|accuracy| *accuracy >= 0.97),
        "the skill was not learned with seed {} ({skill_accuracy:?}); RL does not repair that, take another seed",
        recipe.seed
    );

    let mix = HabitMix::default();
    let habit = Phase {
        schedule: Schedule {
            lr: recipe.habit_lr,
            warmup_steps: 0,
            decay: Decay::Cosine { floor: 0.05 },
        },
        steps: recipe.habit_steps,
        batch: recipe.batch,
        slot: OptimizerSlot(1),
        example: &|index| addition::habit_example(recipe.seed, index, &mix),
    };
    habit.run(&mut learners, &codec, "habit", say)?;
    let weights = learners.first(|learner| learner.state().weights);
    let (p_think, p_newline, p_joint) = probe.inclination(&weights)?;
    let report = BaseReport {
        recipe,
        skill_accuracy,
        accuracy: probe.accuracy(&weights, "")?,
        accuracy_when_thinking: probe.accuracy(&weights, "<think>\n")?,
        p_think,
        p_newline,
        p_joint,
    };
    save_pretrained(dir, &config, &weights, &SaveOptions::default())?;
    write_atomic(&dir.join("recipe.json"), &serde_json::to_vec_pretty(&report)?)?;
    Ok(report)
}

/// One phase of supervised learning.
struct Phase<'a> {
    schedule: Schedule,
    steps: u64,
    batch: u64,
    slot: OptimizerSlot,
    example: &'a dyn Fn(u64) -> BaseExample,
}

impl Phase<'_> {
    fn run(
        &self,
        learners: &mut Replicas<ReplicaLearner<CausalLm>>,
        codec: &HfCodec,
        name: &str,
        say: &dyn Fn(&str),
    ) -> anyhow::Result<()> {
        let objective = SupervisedLoss::default();
        for step in 0..self.steps {
            let rows: Vec<Row> = (0..self.batch)
                .map(|i| base_row(codec, &(self.example)(step * self.batch + i)))
                .collect::<anyhow::Result<_>>()?;
            let n_tokens = rows.iter().map(|row| row.n_learned() as u64).sum();
            let shape = StepShape::supervised(self.batch, n_tokens, MAX_TOKENS);
            let scale = objective.scale(&shape);
            let units: Vec<&[Row]> = rows.chunks(UNIT_ROWS).collect();
            let mut gradients = Gradients::default();
            let mut loss = 0.0;
            for result in
                learners.map(&units, |learner, rows| learner.gradients(rows, &objective, &scale))
            {
                let (unit, metrics) = result?;
                gradients.accumulate(unit);
                loss += metrics.mean("actor/sft_loss").unwrap_or(0.0) / units.len() as f64;
            }
            let (slot, lr) = (self.slot, self.schedule.rate(step, self.steps));
            learners.first(|learner| learner.apply(slot, gradients, lr))?;
            let weights = learners.first(|learner| learner.weights());
            learners
                .each(|i, learner| if i == 0 { Ok(()) } else { learner.set_weights(&weights) })?;
            if (step + 1) % 50 == 0 {
                say(&format!("{name} {}/{}: loss {loss:.4} nats a token", step + 1, self.steps));
            }
        }
        Ok(())
    }
}

fn base_row(codec: &HfCodec, example: &BaseExample) -> anyhow::Result<Row> {
    let prompt = encode_prompt(codec, &example.messages)?;
    let mut tokens = codec.encode(&example.response)?;
    tokens.push(codec.end_tokens()[0]);
    let len = tokens.len() as u32;
    let unlearned = example.unlearned.min(len);
    let trajectory = Trajectory {
        tokens,
        spans: vec![
            Span { len: unlearned, origin: Origin::Context },
            Span { len: len - unlearned, origin: Origin::Demonstrated(Behavior::One) },
        ],
        text: String::new(),
        finish: FinishReason::Stop,
        key: StreamKey { seed: 0, purpose: Purpose::Generate, step: 0, prompt: 0, member: 0 },
        version: 0,
    };
    Ok(Row::new(prompt, &trajectory, &TokenRuns::constant(len, 1.0)))
}

fn encode_prompt(codec: &HfCodec, messages: &[Message]) -> anyhow::Result<Arc<[u32]>> {
    Ok(codec.encode(&codec.render(messages)?)?.into())
}

/// Measures a base.
struct Probe {
    codec: Arc<HfCodec>,
    model: CausalLm,
    device: burn::tensor::Device,
}

impl Probe {
    fn prompts(&self, level: u32, given: &str) -> anyhow::Result<Vec<Arc<Prompt>>> {
        (0..PROBLEMS)
            .map(|index| {
                let task = addition::test_task(crate::run::TEST_SEED, index, Some(level));
                let mut tokens = encode_prompt(&self.codec, &task.messages)?.to_vec();
                tokens.extend(self.codec.encode(given)?);
                let tokens = tokens.into();
                Ok(Arc::new(Prompt { task, index, tokens, demonstrations: Vec::new() }))
            })
            .collect()
    }

    /// Greedy accuracy by level, with `given` written at the start of each answer.
    fn accuracy(
        &self,
        weights: &BTreeMap<String, HostTensor>,
        given: &str,
    ) -> anyhow::Result<BTreeMap<String, f64>> {
        use luffy_core::{SampleRequest, Sampler as _};
        let model = load_weights(self.model.clone(), weights)?;
        let codec: Arc<dyn TextCodec> = Arc::<HfCodec>::clone(&self.codec);
        let decoder = luffy_policy::LmDecoder::new(model);
        let mut engine = Engine::new(decoder, codec, self.device.clone(), PROBLEMS as usize);
        let mut accuracy = BTreeMap::new();
        for level in 1..=4 {
            let prompts = self.prompts(level, given)?;
            let requests: Vec<SampleRequest> = prompts
                .iter()
                .map(|prompt| SampleRequest {
                    prompt: Arc::clone(&prompt.tokens),
                    prefix: [].into(),
                    max_new_tokens: MAX_TOKENS,
                    sampling: Sampling::Greedy,
                    stop: [].into(),
                    key: StreamKey {
                        seed: 0,
                        purpose: Purpose::Evaluation,
                        step: 0,
                        prompt: prompt.index,
                        member: 0,
                    },
                })
                .collect();
            let mut correct = 0;
            for (prompt, answer) in prompts.iter().zip(engine.sample(&requests)) {
                let boxed = format!("\\boxed{{{}}}", prompt.task.golds[0]);
                correct += u64::from(format!("{given}{}", answer?.text).ends_with(&boxed));
            }
            accuracy.insert(level.to_string(), correct as f64 / PROBLEMS as f64);
        }
        Ok(accuracy)
    }

    /// Mean probabilities of `<think>`, of the newline after it, and of both, on levels 3 and 4.
    fn inclination(
        &self,
        weights: &BTreeMap<String, HostTensor>,
    ) -> anyhow::Result<(f64, f64, f64)> {
        let model = load_weights(self.model.clone(), weights)?;
        let response = self.codec.encode("<think>\n")?;
        ensure!(response.len() == 2, "`<think>` and the newline are one token each");
        let mut rows = Vec::new();
        for level in [3, 4] {
            for prompt in self.prompts(level, "")? {
                rows.push(Row::given(Arc::clone(&prompt.tokens), response.clone()));
            }
        }
        let rows: Vec<&Row> = rows.iter().collect();
        let stats = model.score(&MicroBatch::collate(&rows, &self.device));
        let logprobs: Vec<f64> = stats.logprobs.into_data().iter::<f64>().collect();
        let n = rows.len() as f64;
        let mean = |of: &dyn Fn(&[f64]) -> f64| logprobs.chunks(2).map(of).sum::<f64>() / n;
        Ok((mean(&|p| p[0].exp()), mean(&|p| p[1].exp()), mean(&|p| (p[0] + p[1]).exp())))
    }
}
