//! `luffy eval`: problems in, responses, verdicts and figures out.
#![allow(clippy::print_stderr, reason = "what was read is told on stderr")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use clap::{Args, ValueEnum};
use luffy_reward::{Format, Profile};
use serde::Serialize;

use crate::atomic::write_atomic;
use crate::config::VerifierName;
use crate::data::ColumnArgs;
use crate::exit::{Code, WithCode};
use crate::generate::{SamplingArgs, count};
use crate::grade::named;
use crate::model::{ModelArgs, TemplateArgs};
use crate::run::free_run_dir;
use crate::stdout;

mod answer;
mod digest;
mod grading;
mod names;
mod options;
mod record;
mod saved;
mod settings;
mod suite;
mod summary;
mod table;

use record::Results;
use summary::Summary;

/// The file of responses in an evaluation's folder.
const RESPONSES: &str = "responses.jsonl";

/// What to evaluate, and how.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// A Hugging Face folder.
    #[arg(long, value_name = "DIR", required_unless_present = "responses")]
    model: Option<PathBuf>,
    #[command(flatten)]
    template: TemplateArgs,
    /// Problems: parquet or JSONL with the columns of training files; may be given several times.
    #[arg(long, value_name = "FILE")]
    data: Vec<PathBuf>,
    #[command(flatten)]
    columns: ColumnArgs,
    /// A benchmark over LUFFY's files: aime24, aime25, amc, math500, minerva, olympiad, luffy (these six) or
    /// arc-c; may be given several times.
    #[arg(long, value_name = "NAME", requires = "data_dir")]
    suite: Vec<String>,
    /// Where the files of the suites are.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Only the first N problems of each source.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count::<usize>)]
    limit: Option<usize>,
    /// Responses to each problem; by default as many as the problem has rows.
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = count::<u32>)]
    samples: Option<u32>,
    /// What becomes of the system message of a row; LUFFY's evaluation drops it, its training keeps it.
    #[arg(long, value_enum, default_value_t)]
    system: System,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Most tokens of a response; fewer where the context of the model ends.
    #[arg(long, value_name = "N", default_value_t = 8192, allow_negative_numbers = true, value_parser = count::<u32>)]
    max_new_tokens: u32,
    #[command(flatten)]
    grading: GradingArgs,
    /// The k of pass@k, with commas; by default the number of responses to a problem.
    #[arg(long, value_name = "K,..", value_delimiter = ',', allow_negative_numbers = true, value_parser = count::<u64>)]
    pass_at: Vec<u64>,
    /// Grade responses that are saved already, `-` for stdin: no model is loaded and nothing generated.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "model", "data", "suite", "data_dir", "limit", "samples", "chat_template", "columns",
    ])]
    responses: Option<PathBuf>,
    /// The folder to write, `runs/eval` or the next free name by default. An evaluation that was
    /// interrupted goes on in its folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Who grades, where the problems do not say so themselves.
#[derive(Debug, Clone, Copy, Args)]
struct GradingArgs {
    /// Who grades; by default `math`, for arc-c `choice`.
    #[arg(long, value_enum)]
    verifier: Option<VerifierName>,
    /// How strictly answers are looked for and compared: `training` or `lenient`.
    #[arg(long, default_value = "lenient", value_parser = named::<Profile>)]
    profile: Profile,
    /// What every response must look like: `think`, `strict-think` or `plain`. By default `think` where the
    /// prompt ends in an opened `<think>`, else `plain`.
    #[arg(long, value_parser = named::<Format>)]
    format: Option<Format>,
    /// Responses cut by the token limit are wrong, whatever they say.
    #[arg(long)]
    require_stop: bool,
}

/// What becomes of the system message of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum System {
    /// It is asked with the rest, as in training.
    #[default]
    Keep,
    /// It is left out.
    Drop,
}

/// Evaluates a model or grades saved responses.
///
/// # Errors
/// If model or data cannot be read, the folder belongs to another evaluation, or it cannot be written.
pub(crate) fn eval(args: &EvalArgs, bar: bool) -> anyhow::Result<()> {
    let (results, out) = if let Some(file) = &args.responses {
        (saved::regrade(args, file, bar)?, args.out.clone())
    } else {
        let out = args.out.clone().unwrap_or_else(|| free_run_dir("eval"));
        (evaluate(args, &out, bar)?, Some(out))
    };
    let summary = Summary::new(&results, &args.pass_at);
    let mut table = table::render(&summary);
    if let Some(out) = out {
        let mut text = serde_json::to_vec_pretty(&summary)?;
        text.push(b'\n');
        // Before anything is printed: stdout may be closed.
        write_atomic(&out.join("summary.json"), &text)?;
        let _ = writeln!(table, "responses and figures: {}", out.display());
    }
    stdout::print(&table)
}

/// Generates and grades what the folder does not hold yet.
fn evaluate(args: &EvalArgs, out: &Path, bar: bool) -> anyhow::Result<Results> {
    if args.data.is_empty() && args.suite.is_empty() {
        let error =
            anyhow!("nothing to evaluate on: name `--data FILE`, or `--suite NAME --data-dir DIR`");
        return Err(error).code(Code::Config);
    }
    let selected = suite::read(&suite::Selection {
        files: &args.data,
        columns: args.columns.names()?,
        suites: &args.suite,
        data_dir: args.data_dir.as_deref(),
        limit: args.limit,
        verifier: args.grading.verifier,
    })?;
    let (data, kept) = (selected.data, selected.problems.len() as u64);
    let limited =
        if kept < data.problems { format!(", {kept} of them asked") } else { String::new() };
    eprintln!("{} rows collapsed to {} problems{limited}", data.rows, data.problems);
    let model = ModelArgs {
        model: args.model.clone().context("a model is needed to generate").code(Code::Config)?,
        template: args.template.clone(),
    };
    answer::answer(args, &model, selected, out, bar)
}

/// A number in words that fit it.
fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Refuses an empty evaluation.
fn ensure_some(n: usize, name: &str) -> anyhow::Result<()> {
    let check = || {
        ensure!(n > 0, "{name} has no responses");
        Ok(())
    };
    check().code(Code::Input)
}
