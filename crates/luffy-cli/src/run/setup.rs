//! From a resolved configuration to prompts, a codec and a trainer.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use luffy_core::{Learner, Prompt, Sampler, TextCodec, Verdict};
use luffy_data::{EpochOrder, HfCodec, TemplateSource};
use luffy_policy::{
    Activations, LmDecoder, ModelConfig, ReplicaLearner, load_pretrained, parameter_shapes,
};
use luffy_rollout::Engine;
use luffy_trainer::{Grader, Trainer, TrainerSettings, Workers};

use super::digest::digest;
use super::prompts::{self, Loaded};
use crate::config::{BUILTIN_ADDITION, RunConfig, build_verifier};
use crate::device::device;
use crate::exit::{Code, WithCode};

/// Everything a run needs, ready to step.
pub(crate) struct Assembly {
    pub(crate) trainer: Trainer,
    pub(crate) train: Vec<Arc<Prompt>>,
    pub(crate) test: Vec<Arc<Prompt>>,
    /// Which training prompts a step takes.
    pub(crate) order: EpochOrder,
    /// Of the training prompts, to know them again.
    pub(crate) data_digest: String,
    /// The folder the policy came from; its side files are carried into checkpoints.
    pub(crate) model_dir: PathBuf,
    pub(crate) model_config: ModelConfig,
    /// What was read, left out and kept, for people.
    pub(crate) notes: String,
}

/// Reads data and model and puts the trainer together.
pub(crate) fn assemble(config: &RunConfig, dir: &Path) -> anyhow::Result<Assembly> {
    let model_dir = model_dir(config, dir)?;
    let device = device();
    let (model_config, model) = load_pretrained(&model_dir, &device)
        .with_context(|| format!("cannot load the model in {}", model_dir.display()))
        .code(Code::Input)?;
    let template = TemplateSource::find(&config.model.chat_template).code(Code::Input)?;
    let codec = HfCodec::open(&model_dir, template.as_ref()).code(Code::Input)?;
    codec.check_vocabulary(model_config.vocab_size).code(Code::Input)?;
    let mut notes = String::new();
    let Some(origin) = codec.template_origin() else {
        let error = anyhow::anyhow!(
            "{} has no chat template; set `model.chat-template` to `qwen`, `simplerl`, `none` or a file",
            model_dir.display()
        );
        return Err(error).code(Code::Config);
    };
    let _ = writeln!(notes, "chat template: {origin}");
    let codec: Arc<dyn TextCodec> = Arc::new(codec);
    let verifier = build_verifier(&config.reward);

    let context_len = model_config.max_position_embeddings as u32;
    let prompts = prompts::load(config, dir, &*codec, context_len, &*verifier)?;
    notes.push_str(&prompts.notes);

    let replicas = config.parallel.replicas;
    let mut samplers: Vec<Box<dyn Sampler>> = Vec::with_capacity(replicas);
    let mut learners: Vec<Box<dyn Learner>> = Vec::with_capacity(replicas);
    let trained = model
        .clone()
        .with_recompute(config.memory.recompute)
        .with_temperature(f64::from(config.rollout.temperature));
    let activations = Activations::default();
    // What they hold is for the forward pass of an update, which then need not be made.
    let is_handed_over = crate::plan::hands_over_activations(config, &model_config);
    let trained = if is_handed_over { trained.with_activations(&activations) } else { trained };
    let first = ReplicaLearner::new(trained, &device, config.optimizer.adamw())
        .with_max_tokens(config.memory.max_tokens);
    // Clones of one decoder share the copy of the weights that is laid out for decoding.
    let decoder = LmDecoder::new(model);
    let decoder = if is_handed_over { decoder.keeping(&activations) } else { decoder };
    for _ in 0..n_samplers(&model_config, replicas) {
        samplers.push(Box::new(Engine::new(
            decoder.clone(),
            Arc::clone(&codec),
            device.clone(),
            config.rollout.max_rows,
        )));
    }
    for _ in 0..replicas {
        learners.push(Box::new(first.replica()));
    }
    let values = config.reward.values;
    let grader: Grader = Arc::new(move |verdict: &Verdict| values.reward(verdict));
    let settings = TrainerSettings {
        seed: config.seed,
        n_steps: config.steps,
        schedule: config.optimizer.schedule(),
        sampling: config.rollout.sampling(),
        max_response_len: config.rollout.max_response_tokens,
        sample_unit_prompts: config.parallel.sample_unit_prompts,
        learn_unit_prompts: config.parallel.learn_unit_prompts,
    };
    let trainer = Trainer::new(
        settings,
        config.method.build(),
        verifier,
        grader,
        Workers { samplers, learners, threads: replicas },
    )?;
    let Loaded { train, test, order, notes: _ } = prompts;
    let data_digest = digest(&train);
    Ok(Assembly { trainer, train, test, order, data_digest, model_dir, model_config, notes })
}

/// Weights above this do not stay in the cache between two tokens: then decoding waits for memory.
const CACHED_PARAMETERS: usize = 1 << 25;

/// How many samplers share the threads: one for each replica where the weights stay in the cache; else one with
/// all threads, which reads them once for all sequences. What is sampled is the same.
pub(crate) fn n_samplers(model: &ModelConfig, replicas: usize) -> usize {
    let n_parameters: usize =
        parameter_shapes(model).values().map(|shape| shape.iter().product::<usize>()).sum();
    if n_parameters > CACHED_PARAMETERS { 1 } else { replicas }
}

/// The model's folder; the built-in base is written into the run directory, so that it goes through the
/// same loader as any other.
fn model_dir(config: &RunConfig, dir: &Path) -> anyhow::Result<PathBuf> {
    if config.model.path == BUILTIN_ADDITION {
        let base = dir.join("base");
        crate::base::write_shipped(&base)?;
        return Ok(base);
    }
    if config.model.path.is_empty() {
        let error = anyhow::anyhow!(
            "`model.path` is not set; name a Hugging Face folder, or start from a recipe: \
             `luffy train --recipe addition`"
        );
        return Err(error).code(Code::Config);
    }
    Ok(PathBuf::from(&config.model.path))
}

/// Refuses settings that cannot work together, before anything is read.
pub(crate) fn validate(config: &RunConfig) -> anyhow::Result<()> {
    let check = || -> anyhow::Result<()> {
        ensure!(config.steps > 0, "`steps` must be at least 1");
        ensure!(
            config.rollout.prompts_per_step > 0,
            "`rollout.prompts-per-step` must be at least 1"
        );
        ensure!(
            config.rollout.max_response_tokens > 0,
            "`rollout.max-response-tokens` must be at least 1"
        );
        ensure!(config.rollout.max_rows > 0, "`rollout.max-rows` must be at least 1");
        ensure!(config.memory.max_tokens > 0, "`memory.max-tokens` must be at least 1");
        ensure!(
            config.memory.activations_gib.is_none_or(|room| room >= 0.0),
            "`memory.activations-gib` is below 0; 0 hands nothing over"
        );
        ensure!(
            config.rollout.temperature > 0.0,
            "`rollout.temperature` is {}, but training rollouts are drawn from a distribution: set it above 0",
            config.rollout.temperature
        );
        ensure!(
            (0.0..=1.0).contains(&config.addition.fault_rate),
            "`addition.fault-rate` is {}, a share lies in 0..=1",
            config.addition.fault_rate
        );
        ensure!(
            config.addition.levels.iter().all(|level| (1..=4).contains(level)),
            "`addition.levels` knows the levels 1 to 4"
        );
        ensure!(config.optimizer.lr > 0.0, "`optimizer.lr` must be above 0");
        ensure!(
            config.optimizer.max_grad_norm > 0.0,
            "`optimizer.max-grad-norm` is {}; set it above 0, `inf` turns clipping off",
            config.optimizer.max_grad_norm
        );
        for (key, beta) in [("beta1", config.optimizer.beta1), ("beta2", config.optimizer.beta2)] {
            ensure!(
                (0.0..1.0).contains(&beta),
                "`optimizer.{key}` is {beta}; a decay lies in 0 to 1, without 1"
            );
        }
        config.method.validate().context("`method` makes no sense")?;
        ensure!(
            config.data.test.iter().all(|file| (file.weight - 1.0).abs() <= 0.0),
            "`data.test` has a weight, but every test problem is asked once: leave it out"
        );
        let weights: Vec<_> = config.data.train.iter().map(|file| (1, file.weight)).collect();
        EpochOrder::weighted(&weights, config.seed).context("`data.train` makes no sense")?;
        Ok(())
    };
    check().code(Code::Config)
}
