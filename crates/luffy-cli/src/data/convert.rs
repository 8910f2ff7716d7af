//! `luffy data convert`.

use std::path::PathBuf;

use clap::Args;
use luffy_data::{read_tasks, write_tasks};
use serde_json::json;

use super::{ColumnArgs, check_output};
use crate::exit::{Code, WithCode};
use crate::stdout::say;

/// What to write again.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// A parquet or JSONL file.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Where it goes; its name ends in `.parquet` or `.jsonl`.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    columns: ColumnArgs,
    /// Replace OUT if it is there.
    #[arg(long)]
    force: bool,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// Reads tasks and writes them with all their columns.
pub(super) fn convert(args: &ConvertArgs) -> anyhow::Result<()> {
    let names = args.columns.names()?;
    check_output(&args.output, &[&args.input], args.force)?;
    let tasks = read_tasks(&args.input, &names).code(Code::Input)?;
    write_tasks(&args.output, &tasks).code(Code::Input)?;
    let n_demonstrations: usize = tasks.iter().map(|task| task.demonstrations.len()).sum();
    if args.json {
        let (rows, output) = (tasks.len(), &args.output);
        let counts = json!({ "rows": rows, "demonstrations": n_demonstrations, "output": output });
        say(&counts.to_string())
    } else {
        let output = args.output.display();
        say(&format!("{} rows with {n_demonstrations} demonstrations in {output}", tasks.len()))
    }
}
