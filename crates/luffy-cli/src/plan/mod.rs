//! `luffy plan`: peak memory and seconds of a step, before anything is allocated.

mod memory;
mod phases;
mod time;
mod work;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use luffy_core::Row;
use luffy_data::tasks::addition;
use luffy_policy::ModelConfig;
use serde_json::{Value, json};

use self::memory::Sizes;
use self::phases::{Phase, phases};
use self::time::{Seconds, Speeds};
use self::work::Work;
use crate::config::{BUILTIN_ADDITION, DataFile, RunConfig};
use crate::device::device;
use crate::exit::{Code, WithCode};
use crate::machine::{memory_bytes, peak_memory_bytes};

/// Bytes of a prompt with its demonstrations and texts, by byte of its file: JSONL as it is, parquet packed.
const PER_FILE_BYTE: [(&str, u64); 2] = [("parquet", 6), ("jsonl", 2)];
/// Bytes of a built-in problem.
const BUILTIN_PROBLEM: u64 = 1500;

/// What a run will hold.
pub(crate) struct Plan {
    sizes: Sizes,
    work: Work,
    held: u64,
    phases: Vec<Phase>,
}

impl Plan {
    /// From the settings and the `config.json` of the model.
    /// `program` is what the program held before.
    pub(crate) fn of(config: &RunConfig, model: &ModelConfig, program: u64) -> Self {
        let sizes = Sizes::of(model);
        let work = Work::of(config, model);
        let held = program + data_bytes(config);
        let phases = phases(&sizes, &work, held);
        Self { sizes, work, held, phases }
    }

    /// The phase that holds the most.
    fn largest(&self) -> &Phase {
        let by_bytes = self.phases.iter().max_by_key(|phase| phase.bytes());
        by_bytes.expect("a step has an update")
    }

    /// Bytes at the peak.
    fn peak(&self) -> u64 {
        self.largest().bytes()
    }

    /// Whether the peak is above half of the machine's memory: near enough to try it.
    pub(crate) fn is_tight(&self) -> bool {
        memory_bytes().is_some_and(|memory| self.peak() > memory / 2)
    }

    /// The peak in a line.
    pub(crate) fn line(&self) -> String {
        let of = memory_bytes().map_or_else(String::new, |bytes| format!(" of {}", size(bytes)));
        let name = self.largest().name;
        format!(
            "peak memory planned: {}{of}, in phase `{name}`; see `luffy plan`",
            size(self.peak())
        )
    }

    /// The rows of the largest micro-batch, of a token that every model has.
    pub(crate) fn largest_rows(&self) -> Vec<Row> {
        let batch = self.work.batch;
        let per_prompt = batch.rows.div_ceil(batch.prompts.max(1)).max(1);
        let prompt = |_| std::sync::Arc::<[u32]>::from(vec![0; self.work.prompt as usize]);
        let prompts: Vec<_> = (0..batch.prompts).map(prompt).collect();
        let of = |i| std::sync::Arc::clone(&prompts[(i / per_prompt) as usize]);
        let response = vec![0; self.work.response as usize];
        (0..batch.rows).map(|i| Row::given(of(i), response.clone())).collect()
    }

    fn seconds(&self) -> Option<(Speeds, Seconds)> {
        let speeds = Speeds::measure(&self.sizes, &self.work, &device())?;
        Some((speeds, Seconds::of(&self.sizes, &self.work, &speeds)))
    }
}

/// Whether sampling hands its activations to the update: where there is room for those of the largest step.
pub(crate) fn hands_over_activations(config: &RunConfig, model: &ModelConfig) -> bool {
    Work::of(config, model).handed_over > 0
}

/// Prints the plan of a configuration.
pub(crate) fn plan(config: &RunConfig, as_json: bool) -> anyhow::Result<()> {
    crate::run::validate(config)?;
    let model = model_config(config)?;
    let plan = Plan::of(config, &model, peak_memory_bytes().unwrap_or(0));
    let seconds = plan.seconds();
    let advice = if memory_bytes().is_some_and(|memory| plan.peak() > memory) {
        advice(config, &model, &plan)
    } else {
        Vec::new()
    };
    if as_json {
        return crate::stdout::say(&serde_json::to_string_pretty(&value(&plan, seconds, &advice))?);
    }
    crate::stdout::print(&text(&plan, seconds, &advice))
}

/// The model's sizes, without its weights.
fn model_config(config: &RunConfig) -> anyhow::Result<ModelConfig> {
    if config.model.path == BUILTIN_ADDITION {
        let text = addition::model_config_json();
        return Ok(ModelConfig::parse(&text, Path::new(BUILTIN_ADDITION))?);
    }
    if config.model.path.is_empty() {
        let error = anyhow::anyhow!("`model.path` is not set; name a folder with a `config.json`");
        return Err(error).code(Code::Config);
    }
    ModelConfig::read(Path::new(&config.model.path)).code(Code::Input)
}

/// About what prompts and demonstrations hold.
fn data_bytes(config: &RunConfig) -> u64 {
    let of = |file: &DataFile| {
        if file.path == BUILTIN_ADDITION {
            return BUILTIN_PROBLEM * config.addition.train_problems;
        }
        let path = Path::new(&file.path);
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        bytes * PER_FILE_BYTE.iter().find(|(known, _)| *known == kind).map_or(2, |(_, n)| *n)
    };
    config.data.train.iter().chain(&config.data.test).map(of).sum()
}

/// What to change, and the peak it gives.
fn advice(config: &RunConfig, model: &ModelConfig, plan: &Plan) -> Vec<(String, u64)> {
    let mut tried = Vec::new();
    let mut attempt = |what: String, change: &dyn Fn(&mut RunConfig)| {
        let mut changed = config.clone();
        change(&mut changed);
        let work = Work::of(&changed, model);
        let peaks = phases(&plan.sizes, &work, plan.held).iter().map(Phase::bytes).max();
        let peak = peaks.unwrap_or(0);
        if changed != *config && peak < plan.peak() {
            tried.push((what, peak));
        }
    };
    attempt("memory.activations-gib=0".to_owned(), &|c| c.memory.activations_gib = Some(0.0));
    attempt("memory.recompute=true".to_owned(), &|c| c.memory.recompute = true);
    let longest = plan.work.batch.longest as usize;
    for part in [4, 16] {
        let tokens = (plan.work.batch.tokens as usize / part).max(longest);
        attempt(format!("memory.max-tokens={tokens}"), &|c| c.memory.max_tokens = tokens);
    }
    attempt("parallel.replicas=1".to_owned(), &|c| c.parallel.replicas = 1);
    let rows = (config.rollout.max_rows / 4).max(1);
    attempt(format!("rollout.max-rows={rows}"), &|c| c.rollout.max_rows = rows);
    let half = (config.rollout.max_response_tokens / 2).max(1);
    let what = format!("rollout.max-response-tokens={half}");
    attempt(what, &|c| c.rollout.max_response_tokens = half);
    let least = (plan.work.batch.tokens as usize / 16).max(longest);
    let what = format!("recompute=true, max-tokens={least}, replicas=1 and max-rows={rows}");
    attempt(what, &|c| {
        c.memory.recompute = true;
        c.memory.max_tokens = least;
        c.parallel.replicas = 1;
        c.rollout.max_rows = rows;
    });
    tried.dedup();
    tried
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    if bytes < 1 << 30 {
        return format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    }
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

fn text(plan: &Plan, seconds: Option<(Speeds, Seconds)>, advice: &[(String, u64)]) -> String {
    let Plan { work, sizes, phases, .. } = plan;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} parameters; {} prompts a step, {} members of which {} sampled; {} replicas\n\
         assumed: prompts of {} tokens (`data.max-prompt-tokens`), responses of {} \
         (`rollout.max-response-tokens`), their longest",
        sizes.parameters,
        work.prompts,
        work.members,
        work.samples,
        work.replicas,
        work.prompt,
        work.response
    );
    let batch = work.batch;
    let _ = writeln!(out, "largest micro-batch: {} tokens in {} rows\n", batch.tokens, batch.rows);
    for phase in phases {
        let _ = writeln!(out, "{:<30}{:>12}", phase.name, size(phase.bytes()));
        for (name, bytes) in &phase.parts {
            let _ = writeln!(out, "  {name:<28}{:>12}", size(*bytes));
        }
    }
    let _ = writeln!(out, "\n{}", plan.line().replace("; see `luffy plan`", ""));
    match seconds {
        Some((speeds, seconds)) => {
            let _ = writeln!(
                out,
                "seconds of a step: {:.1} (rollout {:.1}, update {:.1}), every response at its longest\n\
                 measured for a replica: {:.0} Gflop/s in products, {:.0} in decoding, {:.1} GB/s",
                seconds.step(),
                seconds.rollout,
                seconds.update,
                speeds.products / 1e9,
                speeds.decoding / 1e9,
                speeds.bandwidth / 1e9
            );
        }
        None => out.push_str("seconds of a step: only known for the CPU backend\n"),
    }
    if let Some(memory) = memory_bytes().filter(|memory| plan.peak() > *memory) {
        let _ = writeln!(out, "\nwarning: the machine has {}; what would help:", size(memory));
        for (what, peak) in advice {
            let _ = writeln!(out, "  {what:<60} peak {}", size(*peak));
        }
    }
    out
}

fn value(plan: &Plan, seconds: Option<(Speeds, Seconds)>, advice: &[(String, u64)]) -> Value {
    let Plan { work, sizes, phases, .. } = plan;
    let phase = |phase: &Phase| {
        let parts: serde_json::Map<String, Value> =
            phase.parts.iter().map(|(name, bytes)| ((*name).to_owned(), json!(bytes))).collect();
        json!({ "name": phase.name, "bytes": phase.bytes(), "parts": parts })
    };
    let advice: Vec<Value> =
        advice.iter().map(|(what, peak)| json!({ "change": what, "peak_bytes": peak })).collect();
    json!({
        "schema": 1,
        "parameters": sizes.parameters,
        "replicas": work.replicas,
        "assumed": { "prompt_tokens": work.prompt, "response_tokens": work.response },
        "micro_batch": { "tokens": work.batch.tokens, "rows": work.batch.rows },
        "phases": phases.iter().map(phase).collect::<Vec<_>>(),
        "peak_bytes": plan.peak(),
        "peak_phase": plan.largest().name,
        "memory_bytes": memory_bytes(),
        "fits": memory_bytes().map(|memory| plan.peak() <= memory),
        "seconds": seconds.map(|(_, s)| json!({
            "rollout": s.rollout, "update": s.update, "step": s.step(),
        })),
        "speeds": seconds.map(|(speeds, _)| json!({
            "product_flops": speeds.products,
            "decoding_flops": speeds.decoding,
            "bytes_per_second": speeds.bandwidth,
            "logits_per_second": speeds.logits,
        })),
        "advice": advice,
    })
}
