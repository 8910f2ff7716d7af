//! `luffy measure-memory`: what loading, scoring and one training step hold and take.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::anyhow;
use clap::Args;
use luffy_core::{
    AdamWSettings, Gradients, Learner as _, MicroBatch, Objective as _, OptimizerSlot, Policy as _,
    Purpose, Row, StepShape, StreamKey,
};
use luffy_objective::{SupervisedLoss, metric};
use luffy_policy::{CausalLm, ModelConfig, ReplicaLearner, load_pretrained};
use luffy_trainer::Replicas;
use serde_json::json;

use crate::device::{BACKEND, device};
use crate::exit::{Code, WithCode};
use crate::machine::peak_memory_bytes;
use crate::stdout::say;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    /// A Hugging Face folder.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Tokens of a sequence to score; 0 scores none.
    #[arg(long, default_value_t = 2048)]
    score_tokens: usize,
    /// Sequences of the training step; 0 trains none.
    #[arg(long, default_value_t = 1)]
    rows: usize,
    /// Tokens of each.
    #[arg(long, default_value_t = 1024, value_parser = at_least(2))]
    row_tokens: usize,
    /// Workers side by side.
    #[arg(long, default_value_t = 1, value_parser = at_least(1))]
    replicas: usize,
    /// Run layers again on the way back.
    #[arg(long)]
    recompute: bool,
}

/// Whole numbers from `least` up.
fn at_least(least: usize) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| match text.parse() {
        Ok(n) if n >= least => Ok(n),
        _ => Err(format!("a whole number from {least} up is needed")),
    }
}

/// Prints one JSON object a phase.
pub(crate) fn measure(args: &MeasureArgs) -> anyhow::Result<()> {
    let mut clock = Phases { began: now() };
    let device = device();
    let (config, model) = load_pretrained(&args.model, &device).code(Code::Input)?;
    let longest = args.score_tokens.max(if args.rows > 0 { args.row_tokens } else { 0 });
    if longest > config.max_position_embeddings {
        let context = config.max_position_embeddings;
        return Err(anyhow!("{longest} tokens exceed the context of {context}")).code(Code::Config);
    }
    clock.end("load", json!({ "backend": BACKEND }))?;
    if args.score_tokens > 1 {
        let row = row(&config, args.score_tokens, 0);
        let stats = model.score(&MicroBatch::collate(&[&row], &device));
        let sum = stats.logprobs.sum().into_scalar::<f64>();
        let logprob = sum / row.response.len() as f64;
        clock.end("score", json!({ "tokens": args.score_tokens, "mean_logprob": logprob }))?;
    }
    if args.rows > 0 {
        let said = train(args, &config, model)?;
        clock.end("train", said)?;
    }
    Ok(())
}

/// One optimiser step over all rows, a row a unit.
fn train(
    args: &MeasureArgs,
    config: &ModelConfig,
    model: CausalLm,
) -> anyhow::Result<serde_json::Value> {
    let rows: Vec<Row> = (0..args.rows).map(|i| row(config, args.row_tokens, i as u64)).collect();
    let n_tokens = rows.iter().map(Row::n_learned).sum::<usize>() as u64;
    let shape = StepShape::supervised(args.rows as u64, n_tokens, args.row_tokens as u32);
    let scale = SupervisedLoss::default().scale(&shape);
    let model = model.with_recompute(args.recompute);
    let first = ReplicaLearner::new(model, &device(), AdamWSettings::default());
    let workers = (0..args.replicas).map(|_| first.replica()).collect();
    drop(first);
    let mut replicas = Replicas::new(workers);
    let units: Vec<&[Row]> = rows.chunks(1).collect();
    let parts = replicas
        .map(&units, |learner, rows| learner.gradients(rows, &SupervisedLoss::default(), &scale));
    let (mut gradients, mut loss) = (Gradients::default(), 0.0);
    for part in parts {
        let (part, metrics) = part?;
        gradients.accumulate(part);
        loss += metrics.mean(metric::SFT_LOSS).unwrap_or(f64::NAN) / args.rows as f64;
    }
    let report = replicas.first(|learner| learner.apply(OptimizerSlot(0), gradients, 1e-6))?;
    Ok(json!({
        "rows": args.rows,
        "row_tokens": args.row_tokens,
        "replicas": args.replicas,
        "recompute": args.recompute,
        "loss": loss,
        "grad_norm": report.grad_norm,
    }))
}

/// A sequence of uniformly drawn tokens, learned from but for the first.
fn row(config: &ModelConfig, tokens: usize, prompt: u64) -> Row {
    let key = StreamKey { seed: 0, purpose: Purpose::Generate, step: 1, prompt, member: 0 };
    let mut stream = key.stream();
    let mut draw = || stream.below(config.vocab_size as u64) as u32;
    let first = draw();
    let response: Vec<u32> = (1..tokens).map(|_| draw()).collect();
    Row::given(vec![first].into(), response)
}

#[allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Seconds since the last phase, and the most memory so far.
struct Phases {
    began: Instant,
}

impl Phases {
    fn end(&mut self, phase: &str, said: serde_json::Value) -> anyhow::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        let peak = peak_memory_bytes().map(|bytes| bytes as f64 / f64::from(1 << 30));
        let line = json!({ "phase": phase, "seconds": seconds, "peak_gib": peak, "of": said });
        self.began = now();
        say(&line.to_string())
    }
}
