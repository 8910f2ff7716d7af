//! `luffy data prepare`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use luffy_core::Task;
use luffy_data::tasks::{gsm8k, openr1};
use luffy_data::{Admission, write_tasks};
use serde_json::json;

use super::{ColumnArgs, check_output};
use crate::config::{RewardSection, VerifierName, build_verifier};
use crate::exit::{Code, WithCode};
use crate::stdout::say;

/// The data sets that can be prepared.
#[derive(Debug, Subcommand)]
pub(crate) enum PrepareCommand {
    /// GSM8K: the question as prompt, the human solution as demonstration.
    Gsm8k {
        /// The published JSONL (`question`, `answer`).
        #[arg(long, value_name = "FILE")]
        input: PathBuf,
        /// Where `train.parquet` (named after the input) goes.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Replace the file if it is there.
        #[arg(long)]
        force: bool,
    },
    /// LUFFY's `openr1.parquet` as it is published, with every trace checked and graded.
    Openr1(Openr1Args),
}

/// How to prepare the reference's training file.
#[derive(Debug, Args)]
pub(crate) struct Openr1Args {
    /// The published parquet.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the file (named after the input) goes.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What becomes of traces that are wrong, malformed or cut; their rows stay in any case.
    #[arg(long, value_enum, default_value_t)]
    admission: Policy,
    /// Who grades, as in `reward.verifier`.
    #[arg(long, value_enum, default_value_t = VerifierName::Math)]
    verifier: VerifierName,
    #[command(flatten)]
    columns: ColumnArgs,
    /// Replace the file if it is there.
    #[arg(long)]
    force: bool,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

/// [`Admission`] on the command line.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Policy {
    /// Leave them out.
    #[default]
    Drop,
    /// Keep and count them.
    Keep,
}

/// Writes a published data set as a training file.
pub(super) fn prepare(command: &PrepareCommand) -> anyhow::Result<()> {
    match command {
        PrepareCommand::Gsm8k { input, out, force } => {
            let tasks = gsm8k::prepare(input).code(Code::Input)?;
            let path = write(&tasks, input, out, *force)?;
            say(&format!("{} problems with demonstrations in {}", tasks.len(), path.display()))
        }
        PrepareCommand::Openr1(args) => openr1(args),
    }
}

fn openr1(args: &Openr1Args) -> anyhow::Result<()> {
    let names = args.columns.names()?;
    let section = RewardSection { verifier: args.verifier, ..RewardSection::default() };
    let admission = match args.admission {
        Policy::Drop => Admission::Drop,
        Policy::Keep => Admission::Keep,
    };
    let verifier = build_verifier(&section);
    let prepared = openr1::prepare(&args.input, &names, &*verifier, admission).code(Code::Input)?;
    let openr1::Prepared { tasks, report, system_texts } = prepared;
    let path = write(&tasks, &args.input, &args.out, args.force)?;
    if args.json {
        let counts = json!({ "output": path, "system-texts": system_texts, "report": report });
        say(&counts.to_string())
    } else {
        say(&format!(
            "{report}\ndifferent system texts: {system_texts}\n{} rows in {}",
            tasks.len(),
            path.display()
        ))
    }
}

/// Writes parquet named after the input.
fn write(tasks: &[Task], input: &Path, out: &Path, force: bool) -> anyhow::Result<PathBuf> {
    let name = input.file_stem().map_or_else(|| "train".into(), OsStr::to_os_string);
    let path = out.join(name).with_extension("parquet");
    check_output(&path, &[&input.to_owned()], force)?;
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    write_tasks(&path, tasks).code(Code::Input)?;
    Ok(path)
}
