//! `luffy data`: what is in a file, from one format to another, and training files from published ones.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use luffy_data::ColumnNames;

use crate::exit::{Code, WithCode};

mod convert;
mod inspect;
mod prepare;

/// What can be done with data files.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Show columns, counts, lengths and one example of parquet or JSONL files.
    Inspect(inspect::InspectArgs),
    /// Write a file again, in LUFFY's schema, as parquet or JSONL.
    Convert(convert::ConvertArgs),
    /// Turn a published data set into parquet with prompts, golds and demonstrations.
    #[command(subcommand)]
    Prepare(prepare::PrepareCommand),
}

/// Does what a data command says.
pub(crate) fn run(command: &DataCommand) -> anyhow::Result<()> {
    match command {
        DataCommand::Inspect(args) => inspect::inspect(args),
        DataCommand::Convert(args) => convert::convert(args),
        DataCommand::Prepare(command) => prepare::prepare(command),
    }
}

/// Names of columns on the command line.
#[derive(Debug, Args)]
pub(crate) struct ColumnArgs {
    /// Names a column: `--column prompt=question`. The keys are those of `[data.columns]`.
    #[arg(long = "column", value_name = "KEY=COLUMN")]
    columns: Vec<String>,
}

impl ColumnArgs {
    pub(crate) fn names(&self) -> anyhow::Result<ColumnNames> {
        let mut names = ColumnNames::default();
        for argument in &self.columns {
            let (key, column) = argument
                .split_once('=')
                .ok_or_else(|| anyhow!("--column {argument}: no `=`; write --column KEY=COLUMN"))
                .code(Code::Config)?;
            names.set(key.trim(), column.trim()).code(Code::Config)?;
        }
        Ok(names)
    }
}

/// A file to write that is not one of those read, nor there unless that is wanted.
fn check_output(output: &PathBuf, inputs: &[&PathBuf], force: bool) -> anyhow::Result<()> {
    let same = |input: &&PathBuf| {
        *input == output
            || output.canonicalize().is_ok_and(|o| input.canonicalize().is_ok_and(|i| i == o))
    };
    let problem = if inputs.iter().any(same) {
        "is the input; name another file"
    } else if !force && output.exists() {
        "is already there; name another file or give --force"
    } else {
        return Ok(());
    };
    Err(anyhow!("{} {problem}", output.display())).code(Code::Config)
}
