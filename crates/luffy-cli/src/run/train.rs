//! The loop: step, log, evaluate if due, save if due.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use luffy_core::{LearnError, Objective as _, Prompt, Row, StepShape};
use luffy_objective::SupervisedLoss;
use luffy_trainer::{EvalAnswer, EvalReport, EvalSettings, StepOutcome, TrainError, Trainer};
use serde_json::json;

use super::checkpoint::{self, Checkpoint, Progress};
use super::digest::check_data;
use super::directory::RunDir;
use super::rows::{answer_rows, eval_row, rollout_rows, train_row};
use super::setup::{Assembly, assemble};
use super::summary::{FromMetrics, Summary, accuracies};
use crate::atomic::write_atomic;
use crate::clock::Stopwatch;
use crate::config::RunConfig;
use crate::exit::{Code, Exit};
use crate::jsonl::{JsonlLog, read_jsonl, write_jsonl_zst};
use crate::plan::Plan;
use crate::progress::{Progress as ProgressLine, Show, StepLine};
use crate::{crash, machine, report};

/// Answers of the last evaluation, a file of the run directory.
pub(crate) const ANSWERS: &str = "answers.jsonl.zst";

/// What a run needs to know of the world around it.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Set when the user asks to stop; the run saves and ends.
    pub interrupted: Arc<AtomicBool>,
    /// What is shown on stderr.
    pub show: Show,
    /// The command line, for `run.json`.
    pub command: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What came out.
    pub summary: Summary,
    /// Where it is.
    pub dir: PathBuf,
}

/// Starts a run in a new directory.
///
/// # Errors
/// With the exit code of what went wrong; [`Code::Interrupted`] after saving on request.
pub fn train(config: &RunConfig, out: &Path, options: &RunOptions) -> anyhow::Result<Outcome> {
    super::validate(config)?;
    let dir = RunDir::create(out, config)?;
    run(config, &dir, options)
}

/// Continues a run from its newest checkpoint, to the same bytes as if it had never stopped.
///
/// # Errors
/// As [`train`].
pub fn resume(
    path: &Path,
    replicas: Option<usize>,
    options: &RunOptions,
) -> anyhow::Result<Outcome> {
    let (dir, mut config) = RunDir::open(path)?;
    if let Some(replicas) = replicas {
        config.parallel.replicas = replicas;
    }
    run(&config, &dir, options)
}

/// A run in motion.
struct Loop<'a> {
    config: &'a RunConfig,
    dir: &'a Path,
    assembly: Assembly,
    metrics: JsonlLog,
    timing: JsonlLog,
    stopwatch: Stopwatch,
    /// Seconds of earlier sessions.
    seconds_before: f64,
    progress: ProgressLine,
}

fn run(config: &RunConfig, dir: &RunDir, options: &RunOptions) -> anyhow::Result<Outcome> {
    let stopwatch = Stopwatch::start();
    let path = dir.path();
    crate::atomic::remove_stale_tmp(path)?;
    let program = machine::peak_memory_bytes().unwrap_or(0);
    let mut assembly = assemble(config, path)?;
    let plan = Plan::of(config, &assembly.model_config, program);
    assembly.notes.push_str(&plan.line());
    assembly.notes.push('\n');
    let saved = checkpoint::load_latest(path).map_err(|error| Exit(Code::Input, error))?;
    let progress = saved.as_ref().map(|saved| saved.progress.clone());
    if let Some(progress) = &progress {
        check_data(progress, &assembly.data_digest, path)?;
    }
    write_atomic(&path.join("log.txt"), assembly.notes.as_bytes())?;
    let run_json = machine::describe(&options.command, config.seed);
    write_atomic(&path.join("run.json"), &serde_json::to_vec_pretty(&run_json)?)?;
    if let Some(saved) = &saved {
        assembly.trainer.restore(&saved.state)?;
    }
    let offset = |of: fn(&Progress) -> u64| progress.as_ref().map_or(0, of);
    let start = offset(|p| p.step);
    let line = ProgressLine::new(config.steps, start, options.show);
    line.note(&assembly.notes);
    if start > 0 {
        line.note(&format!("continuing after step {start}"));
    }
    let mut this = Loop {
        config,
        dir: path,
        metrics: JsonlLog::open(&path.join("metrics.jsonl"), offset(|p| p.metrics_offset))?,
        timing: JsonlLog::open(&path.join("timing.jsonl"), offset(|p| p.timing_offset))?,
        assembly,
        stopwatch,
        seconds_before: progress.as_ref().map_or(0.0, |p| p.seconds),
        progress: line,
    };
    if start < config.steps && config.memory.try_largest.unwrap_or_else(|| plan.is_tight()) {
        let note = try_largest(&mut this.assembly.trainer, &plan);
        this.progress.note(&note);
        this.assembly.notes.push_str(&note);
        write_atomic(&path.join("log.txt"), this.assembly.notes.as_bytes())?;
    }
    if start == 0 {
        this.evaluate(0, true)?;
    }
    for step in start..config.steps {
        this.step(step).map_err(with_code)?;
        let done = step + 1;
        let interrupted = options.interrupted.load(Ordering::SeqCst);
        if done < config.steps && due(done, config.evaluation.every) {
            this.evaluate(done, false)?;
        }
        if done == config.steps {
            this.evaluate(done, true)?;
        }
        if done == config.steps || interrupted || due(done, config.checkpoint.every) {
            this.save(done)?;
        }
        if interrupted && done < config.steps {
            let how = format!(
                "interrupted after step {done}; saved. Continue with `--resume {}`",
                path.display()
            );
            return Err(Exit(Code::Interrupted, anyhow::anyhow!(how)).into());
        }
    }
    this.finish(&run_json)
}

/// Learns from the largest micro-batch and forgets it: a machine that is too small shows before the first step.
/// Gives what to say of it.
fn try_largest(trainer: &mut Trainer, plan: &Plan) -> String {
    let rows = plan.largest_rows();
    let count = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>() as u64;
    let longest = rows.iter().map(|row| row.response.len()).max().unwrap_or(0) as u32;
    let shape = StepShape::supervised(rows.len() as u64, count(Row::n_learned), longest);
    let objective = SupervisedLoss::default();
    let n_done = trainer.rehearse(&rows, &objective, &objective.scale(&shape));
    let peak = machine::peak_memory_bytes().map_or_else(String::new, |bytes| {
        format!(", peak memory so far {:.2} GiB", bytes as f64 / f64::from(1 << 30))
    });
    format!("largest micro-batch tried: {} rows, replicas: {n_done}{peak}\n", rows.len())
}

const fn due(done: u64, every: u64) -> bool {
    every > 0 && done.is_multiple_of(every)
}

/// Divergence has an exit code of its own.
fn with_code(error: anyhow::Error) -> anyhow::Error {
    let diverged = error.downcast_ref::<TrainError>().is_some_and(|error| {
        matches!(
            error,
            TrainError::Learn(LearnError::NotFinite { .. })
                | TrainError::Sample { source: luffy_core::SampleError::NotFinite { .. }, .. }
        )
    });
    if diverged { Exit(Code::Diverged, error).into() } else { error }
}

impl Loop<'_> {
    fn seconds(&self) -> f64 {
        self.seconds_before + self.stopwatch.seconds()
    }

    fn step(&mut self, step: u64) -> anyhow::Result<()> {
        let begun = self.stopwatch.seconds();
        let prompts: Vec<Arc<Prompt>> = self
            .assembly
            .order
            .batch(step, self.config.rollout.prompts_per_step)
            .into_iter()
            .map(|i| Arc::clone(&self.assembly.train[i]))
            .collect();
        let StepOutcome { report, graded } = self.assembly.trainer.step(step, &prompts)?;
        let done = step + 1;
        self.metrics.append(&train_row(done, &report))?;
        if due(done, self.config.checkpoint.rollouts_every) || done == self.config.steps {
            let file = self.dir.join(format!("rollouts/step-{done:06}.jsonl.zst"));
            write_jsonl_zst(&file, &rollout_rows(done, &graded))?;
        }
        crash::point("step/logged");
        let seconds = self.stopwatch.seconds() - begun;
        let tokens = report.get("perf/tokens_generated").unwrap_or(0.0)
            + report.get("perf/tokens_trained").unwrap_or(0.0);
        self.timing.append(&json!({
            "step": done, "timing_s/step": seconds, "perf/tokens_per_second": tokens / seconds,
        }))?;
        self.progress.step(&StepLine {
            done,
            elapsed: self.stopwatch.seconds(),
            on_reward: report.get("on_off_metrics/on_score"),
            off_reward: report.get("on_off_metrics/off_score"),
            entropy: report.get("actor/entropy_loss"),
            response_len: report
                .get("on_off_metrics/on_response_length_mean")
                .or_else(|| report.get("on_off_metrics/off_response_length_mean")),
            tokens_per_second: tokens / seconds,
            skipped: report.get("batch/skipped").is_some_and(|skipped| skipped > 0.5),
        });
        Ok(())
    }

    /// Evaluates on all test prompts, or on an even share of them in between.
    fn evaluate(&mut self, done: u64, complete: bool) -> anyhow::Result<()> {
        let test = &self.assembly.test;
        if test.is_empty() {
            return Ok(());
        }
        let settings = &self.config.evaluation;
        let limit = settings.max_problems;
        let complete = complete || limit == 0 || limit >= test.len();
        let prompts: Vec<Arc<Prompt>> = if complete {
            test.clone()
        } else {
            (0..limit).map(|i| Arc::clone(&test[i * test.len() / limit])).collect()
        };
        let (report, answers) = evaluate(&mut self.assembly.trainer, &prompts, self.config, done)?;
        if done == self.config.steps {
            let file = self.dir.join(ANSWERS);
            write_jsonl_zst(&file, &answer_rows(&prompts, &answers))?;
        }
        self.metrics.append(&eval_row(done, &report, complete))?;
        self.progress.note(&eval_line(done, &report));
        Ok(())
    }

    fn save(&mut self, done: u64) -> anyhow::Result<()> {
        self.metrics.sync()?;
        self.timing.sync()?;
        let state = self.assembly.trainer.state();
        let progress = Progress {
            schema: 1,
            step: done,
            version: state.version,
            memory: state.memory.clone(),
            optimizer_steps: state.learner.steps.clone(),
            metrics_offset: self.metrics.offset(),
            timing_offset: self.timing.offset(),
            seconds: self.seconds(),
            data_digest: self.assembly.data_digest.clone(),
        };
        let model = (&self.assembly.model_config, self.assembly.model_dir.as_path());
        let checkpoint = Checkpoint { progress, state };
        checkpoint::save(self.dir, &checkpoint, model, self.config.checkpoint.keep_last)?;
        Ok(())
    }

    fn finish(self, run_json: &serde_json::Value) -> anyhow::Result<Outcome> {
        let rows = read_jsonl(&self.dir.join("metrics.jsonl"))?;
        let figures = FromMetrics::read(&rows);
        let summary = Summary {
            schema: 1,
            method: self.config.method.name().to_owned(),
            seed: self.config.seed,
            steps: self.config.steps,
            skipped_steps: figures.skipped_steps,
            seconds: self.seconds(),
            peak_memory_bytes: machine::peak_memory_bytes(),
            base_accuracy: accuracies(&figures.base),
            accuracy: accuracies(&figures.last),
            base_counts: figures.base,
            counts: figures.last,
            tokens_generated: figures.tokens_generated,
            tokens_trained: figures.tokens_trained,
            hard_takeoff_step: figures.hard_takeoff_step,
        };
        self.progress.finish();
        report::write_run(self.dir, self.config, run_json, &summary, &rows)
            .context("the run is complete, its report could not be written")?;
        // Last, since it says that the run is complete.
        write_atomic(&self.dir.join("summary.json"), &serde_json::to_vec_pretty(&summary)?)?;
        Ok(Outcome { summary, dir: self.dir.to_owned() })
    }
}

fn evaluate(
    trainer: &mut Trainer,
    prompts: &[Arc<Prompt>],
    config: &RunConfig,
    done: u64,
) -> anyhow::Result<(EvalReport, Vec<EvalAnswer>)> {
    let settings = EvalSettings {
        seed: config.seed,
        step: done,
        sampling: config.evaluation.sampling(),
        max_response_len: config.rollout.max_response_tokens,
        unit_prompts: config.rollout.max_rows,
    };
    Ok(trainer.evaluate(prompts, &settings)?)
}

fn eval_line(done: u64, report: &EvalReport) -> String {
    let groups: Vec<String> = report
        .groups
        .iter()
        .map(|(name, count)| {
            format!("{name} {:.3} ({}/{})", count.accuracy(), count.correct, count.total)
        })
        .collect();
    format!("accuracy after step {done}: {}", groups.join("  "))
}
