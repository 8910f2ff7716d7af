//! From the data section of a configuration to prompts and their order.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use luffy_core::{Prompt, Task, TextCodec, Verifier};
use luffy_data::{
    AdmissionReport, AdmissionSettings, DataError, EpochOrder, PromptDrop, ThinkFormat, admit,
    check_thinking, read_tasks, tasks, write_tasks,
};

use crate::config::{AdditionSection, BUILTIN_ADDITION, DataFile, RunConfig};
use crate::exit::{Code, WithCode};

/// What a run trains and is tested on.
pub(super) struct Loaded {
    pub(super) train: Vec<Arc<Prompt>>,
    pub(super) test: Vec<Arc<Prompt>>,
    pub(super) order: EpochOrder,
    /// What was read, left out and kept, for people.
    pub(super) notes: String,
}

/// Reads, admits and checks everything that `data` names.
pub(super) fn load(
    config: &RunConfig,
    dir: &Path,
    codec: &dyn TextCodec,
    context_len: u32,
    verifier: &dyn Verifier,
) -> anyhow::Result<Loaded> {
    let max_response_tokens = config.rollout.max_response_tokens;
    if max_response_tokens >= context_len {
        let error = anyhow!(
            "`rollout.max-response-tokens` is {max_response_tokens}, which leaves no room for a prompt: the \
             context of the model is {context_len} tokens for prompt and response; set it lower"
        );
        return Err(error).code(Code::Config);
    }
    let files = data_files(config, dir)?;
    let settings = |require_demonstration| AdmissionSettings {
        max_prompt_tokens: config.data.max_prompt_tokens,
        max_response_tokens,
        context_len,
        require_demonstration,
        admission: config.data.admission,
    };
    let mut notes = String::new();
    let train_settings = settings(config.data.require_demonstration);
    let train = prompts(&files.train, config, codec, &train_settings, verifier)?;
    describe(&mut notes, "train", &files.train, &train);
    let weights: Vec<(usize, f64)> =
        train.per_file.iter().copied().zip(config.data.train.iter().map(|f| f.weight)).collect();
    let order = EpochOrder::weighted(&weights, config.seed).code(Code::Config)?;
    if weights.iter().any(|(_, weight)| (weight - 1.0).abs() > 0.0) {
        let _ = writeln!(notes, "an epoch is {} draws", order.epoch_len());
    }
    let test = if files.test.is_empty() {
        Vec::new()
    } else {
        let test = prompts(&files.test, config, codec, &settings(false), verifier)?;
        describe(&mut notes, "test", &files.test, &test);
        test.prompts
    };
    let first = train.prompts.first().context("admission leaves at least one prompt")?;
    show_example(&mut notes, codec, first)?;
    let rendered = codec.decode(&first.tokens);
    check_thinking(&rendered, config.reward.think_format())
        .context("`reward.format` and the chat template do not fit together")
        .code(Code::Config)?;
    let shows_thoughts = rendered.contains("<think>")
        || train.prompts.iter().any(|prompt| !prompt.demonstrations.is_empty());
    if config.reward.think_format() != ThinkFormat::Nothing && !shows_thoughts {
        // The reference's users met this: a model that never closes a thought is never rewarded.
        let _ = writeln!(
            notes,
            "note: `reward.format` asks for thoughts, and neither template nor data shows the model \
             `<think>`; unless it thinks by itself, take a template that opens the thought"
        );
    }
    Ok(Loaded { train: train.prompts, test, order, notes })
}

struct Files {
    train: Vec<PathBuf>,
    test: Vec<PathBuf>,
}

/// Training and test files; the built-in task is written to parquet first.
fn data_files(config: &RunConfig, dir: &Path) -> anyhow::Result<Files> {
    let data = dir.join("data");
    let resolve = |files: &[DataFile], file: &str, tasks: &dyn Fn() -> Vec<Task>| {
        files
            .iter()
            .map(|DataFile { path, .. }| {
                if path != BUILTIN_ADDITION {
                    return Ok(PathBuf::from(path));
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
    let test = resolve(&config.data.test, "test.parquet", &|| test_tasks(addition))?;
    if train.is_empty() {
        let error =
            anyhow!("`data.train` is empty; name parquet or JSONL files, or `{BUILTIN_ADDITION}`");
        return Err(error).code(Code::Config);
    }
    Ok(Files { train, test })
}

fn train_tasks(addition: &AdditionSection) -> Vec<Task> {
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

/// The same problems for every run. Their demonstrations say how alike policy and teacher are.
fn test_tasks(addition: &AdditionSection) -> Vec<Task> {
    let task = |index, level| {
        let fault_rate = addition.fault_rate;
        tasks::addition::demonstrated_test_task(TEST_SEED, index, fault_rate, Some(level))
    };
    (1..=4_u32)
        .flat_map(|level| (0..addition.test_problems_per_level).map(move |index| (index, level)))
        .map(|(index, level)| task(index, level))
        .collect()
}

struct Admitted {
    prompts: Vec<Arc<Prompt>>,
    /// Prompts of each file, in the order of the files.
    per_file: Vec<usize>,
    report: AdmissionReport,
}

fn prompts(
    files: &[PathBuf],
    config: &RunConfig,
    codec: &dyn TextCodec,
    settings: &AdmissionSettings,
    verifier: &dyn Verifier,
) -> anyhow::Result<Admitted> {
    let mut tasks = Vec::new();
    let mut ends = Vec::new();
    for file in files {
        tasks.extend(read_tasks(file, &config.data.columns).code(Code::Input)?);
        ends.push(tasks.len() as u64);
    }
    let admitted = admit(tasks, codec, settings, Some(verifier)).map_err(|error| match error {
        DataError::NoPrompts(report) => {
            anyhow!("no prompt was admitted\n{report}\n{}", remedies(&report, settings))
        }
        other => other.into(),
    });
    let (prompts, report) = admitted.code(Code::Input)?;
    let before = |end: u64| prompts.partition_point(|prompt| prompt.index < end);
    let mut done = 0;
    let per_file = ends.into_iter().map(|end| {
        let n = before(end) - done;
        done += n;
        n
    });
    let per_file = per_file.collect();
    Ok(Admitted { per_file, prompts: prompts.into_iter().map(Arc::new).collect(), report })
}

/// What to do about each reason for which prompts were left out, a line each.
fn remedies(report: &AdmissionReport, settings: &AdmissionSettings) -> String {
    let lines = report.prompts_dropped.keys().map(|reason| match reason {
        PromptDrop::Empty => "Empty: check the prompts and `model.chat-template`".to_owned(),
        PromptDrop::TooLong => {
            format!("TooLong: raise `data.max-prompt-tokens`, now {}", settings.max_prompt_tokens)
        }
        PromptDrop::ContextExceeded => format!(
            "ContextExceeded: lower `rollout.max-response-tokens`, now {}: with the prompt it must fit in \
             the model's context of {} tokens",
            settings.max_response_tokens, settings.context_len
        ),
        PromptDrop::NoDemonstration => "NoDemonstration: see what was dropped above; \
             `data.require-demonstration=false` trains without demonstrations, `data.admission=keep` keeps \
             those with a fault"
            .to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn describe(notes: &mut String, what: &str, files: &[PathBuf], admitted: &Admitted) {
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let _ = writeln!(notes, "{what} data: {}\n{}", names.join(", "), admitted.report);
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
