//! From a resolved configuration to prompts, a codec and a trainer.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use luffy_core::{Learner, Prompt, Sampler, Task, TextCodec, Verdict, Verifier};
use luffy_data::{
    AdmissionReport, AdmissionSettings, HfCodec, admit, read_tasks, tasks, write_tasks,
};
use luffy_policy::{LmDecoder, ModelConfig, ReplicaLearner, load_pretrained};
use luffy_rollout::Engine;
use luffy_trainer::{Grader, Trainer, TrainerSettings, Workers};

use crate::config::{BUILTIN_ADDITION, RunConfig, build_verifier};
use crate::device::device;
use crate::exit::{Code, WithCode};

/// Everything a run needs, ready to step.
pub(crate) struct Assembly {
    pub(crate) trainer: Trainer,
    pub(crate) train: Vec<Arc<Prompt>>,
    pub(crate) test: Vec<Arc<Prompt>>,
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
    let template = match config.model.chat_template.as_str() {
        "" => None,
        path => Some(
            std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the chat template {path}"))
                .code(Code::Input)?,
        ),
    };
    let codec = HfCodec::open(&model_dir, template.as_deref()).code(Code::Input)?;
    let codec: Arc<dyn TextCodec> = Arc::new(codec);
    let verifier = build_verifier(&config.reward);

    let mut notes = String::new();
    let _ = writeln!(notes, "chat template: {}", template_name(config, &model_dir));
    let context = model_config.max_position_embeddings as u32;
    let (train_files, test_files) = data_files(config, dir)?;
    let settings = |require_demonstration| AdmissionSettings {
        max_prompt_tokens: config.data.max_prompt_tokens,
        max_response_tokens: config.rollout.max_response_tokens,
        context_len: context,
        require_demonstration,
        admission: config.data.admission,
    };
    let train_settings = settings(config.data.require_demonstration);
    let (train, report) = prompts(&train_files, config, &*codec, &train_settings, &*verifier)?;
    describe(&mut notes, "train", &train_files, &report);
    ensure_some(&train, &report)?;
    let test = if test_files.is_empty() {
        Vec::new()
    } else {
        let (test, report) = prompts(&test_files, config, &*codec, &settings(false), &*verifier)?;
        describe(&mut notes, "test", &test_files, &report);
        test
    };
    show_example(&mut notes, &*codec, &train[0])?;

    let replicas = config.parallel.replicas;
    let mut samplers: Vec<Box<dyn Sampler>> = Vec::with_capacity(replicas);
    let mut learners: Vec<Box<dyn Learner>> = Vec::with_capacity(replicas);
    let trained = model.clone().with_recompute(config.memory.recompute);
    let first = ReplicaLearner::new(trained, &device, config.optimizer.adamw());
    for _ in 0..replicas {
        samplers.push(Box::new(Engine::new(
            LmDecoder::new(model.clone()),
            Arc::clone(&codec),
            device.clone(),
            config.rollout.max_rows,
        )));
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
        Workers { samplers, learners },
    )?;
    Ok(Assembly { trainer, train, test, model_dir, model_config, notes })
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

/// Training and test files; the built-in task is written to parquet first.
fn data_files(config: &RunConfig, dir: &Path) -> anyhow::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let data = dir.join("data");
    let resolve = |names: &[String], file: &str, tasks: &dyn Fn() -> Vec<Task>| {
        names
            .iter()
            .map(|name| {
                if name != BUILTIN_ADDITION {
                    return Ok(PathBuf::from(name));
                }
                let path = data.join(file);
                if !path.exists() {
                    std::fs::create_dir_all(&data)
                        .with_context(|| format!("cannot make {}", data.display()))?;
                    write_tasks(&path, &tasks())?;
                }
                Ok(path)
            })
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let addition = &config.addition;
    let train = resolve(&config.data.train, "train.parquet", &|| train_tasks(addition))?;
    let test = resolve(&config.data.test, "test.parquet", &|| {
        test_tasks(addition.test_problems_per_level)
    })?;
    if train.is_empty() {
        let error = anyhow::anyhow!(
            "`data.train` is empty; name parquet or JSONL files, or `{BUILTIN_ADDITION}`"
        );
        return Err(error).code(Code::Config);
    }
    Ok((train, test))
}

fn train_tasks(addition: &crate::config::AdditionSection) -> Vec<Task> {
    (0..addition.train_problems)
        .map(|index| {
            let level = match addition.levels.len() as u64 {
                0 => None,
                n => Some(addition.levels[(index % n) as usize]),
            };
            tasks::addition::task(addition.seed, index, addition.fault_rate, level)
        })
        .collect()
}

/// Keys the test problems of every run.
pub(crate) const TEST_SEED: u64 = 0;

/// The same problems for every run.
fn test_tasks(per_level: u64) -> Vec<Task> {
    (1..=4_u32)
        .flat_map(|level| {
            (0..per_level)
                .map(move |index| tasks::addition::test_task(TEST_SEED, index, Some(level)))
        })
        .collect()
}

fn prompts(
    files: &[PathBuf],
    config: &RunConfig,
    codec: &dyn TextCodec,
    settings: &AdmissionSettings,
    verifier: &dyn Verifier,
) -> anyhow::Result<(Vec<Arc<Prompt>>, AdmissionReport)> {
    let mut tasks = Vec::new();
    for file in files {
        tasks.extend(read_tasks(file, &config.data.columns).code(Code::Input)?);
    }
    let (prompts, report) = admit(tasks, codec, settings, Some(verifier)).code(Code::Input)?;
    Ok((prompts.into_iter().map(Arc::new).collect(), report))
}

fn describe(notes: &mut String, what: &str, files: &[PathBuf], report: &AdmissionReport) {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let _ = writeln!(notes, "{what} data: {}\n{report}", names.join(", "));
}

fn ensure_some(train: &[Arc<Prompt>], report: &AdmissionReport) -> anyhow::Result<()> {
    if train.is_empty() {
        let error = anyhow::anyhow!(
            "no training prompt is left:\n{report}\nraise `data.max-prompt-tokens` or \
             `rollout.max-response-tokens`, or check the file"
        );
        return Err(error).code(Code::Input);
    }
    Ok(())
}

/// Where the chat template comes from.
fn template_name(config: &RunConfig, model_dir: &Path) -> String {
    if !config.model.chat_template.is_empty() {
        return config.model.chat_template.clone();
    }
    let own = model_dir.join("chat_template.jinja");
    let file = if own.exists() { own } else { model_dir.join("tokenizer_config.json") };
    file.display().to_string()
}

/// What the first prompt looks like to the model: the surest way to see a wrong template.
fn show_example(notes: &mut String, codec: &dyn TextCodec, prompt: &Prompt) -> anyhow::Result<()> {
    let rendered = codec.decode(&prompt.tokens);
    ensure!(!rendered.is_empty(), "the first prompt renders to nothing");
    let _ = writeln!(notes, "first prompt as the model reads it:\n{rendered}");
    if let Some(demonstration) = prompt.demonstrations.first() {
        let _ = writeln!(notes, "its demonstration:\n{}", codec.decode(&demonstration.tokens));
    }
    Ok(())
}

/// Refuses settings that cannot work together, before anything is read.
pub(crate) fn validate(config: &RunConfig) -> anyhow::Result<()> {
    let check = || -> anyhow::Result<()> {
        ensure!(config.steps > 0, "`steps` must be at least 1");
        ensure!(
            config.rollout.prompts_per_step > 0,
            "`rollout.prompts-per-step` must be at least 1"
        );
        ensure!(config.rollout.max_rows > 0, "`rollout.max-rows` must be at least 1");
        ensure!(
            config.rollout.temperature > 0.0,
            "`rollout.temperature` is {}, but training rollouts are drawn from a distribution: set it above 0",
            config.rollout.temperature
        );
        if (config.rollout.temperature - 1.0).abs() > 0.0 {
            bail!(
                "`rollout.temperature` is {}; only 1 is supported so far, because log-probs in training \
                 are taken at temperature 1",
                config.rollout.temperature
            );
        }
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
        config.method.validate().context("`method` makes no sense")?;
        Ok(())
    };
    check().code(Code::Config)
}
