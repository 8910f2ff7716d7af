//! `luffy data inspect`.

use std::path::{Path, PathBuf};

use clap::Args;
use luffy_core::TextCodec;
use luffy_data::{
    Column, HfCodec, Inspection, TemplateSource, columns_of, inspect as look, read_tasks,
};
use serde::Serialize;

use super::ColumnArgs;
use crate::exit::{Code, WithCode};
use crate::stdout::say;

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Parquet or JSONL files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A Hugging Face folder: renders prompts with its template and counts tokens.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// A chat template instead of the model's own: a file, `qwen`, `simplerl` or `none`.
    #[arg(long, value_name = "FILE|NAME", requires = "model")]
    chat_template: Option<String>,
    #[command(flatten)]
    columns: ColumnArgs,
    /// Print one JSON object per file.
    #[arg(long)]
    json: bool,
}

/// What one file holds.
#[derive(Debug, Serialize)]
struct Look<'a> {
    file: &'a Path,
    rows: u64,
    columns: Vec<Column>,
    #[serde(flatten)]
    found: Inspection,
}

/// Prints what every file holds.
pub(super) fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let names = args.columns.names()?;
    let codec = match &args.model {
        None => None,
        Some(dir) => {
            let template = TemplateSource::find(args.chat_template.as_deref().unwrap_or_default());
            let template = template.code(Code::Input)?;
            Some(HfCodec::open(dir, template.as_ref()).code(Code::Input)?)
        }
    };
    let codec = codec.as_ref().map(|codec| codec as &dyn TextCodec);
    for (i, file) in args.files.iter().enumerate() {
        let columns = columns_of(file).code(Code::Input)?;
        if !args.json {
            // Before the rows are read as tasks: where they cannot be, the columns say why.
            let gap = if i == 0 { "" } else { "\n" };
            say(&format!("{gap}{}\n{}", file.display(), table(&columns)))?;
        }
        let tasks = read_tasks(file, &names).code(Code::Input)?;
        let found = look(&tasks, codec).code(Code::Input)?;
        if args.json {
            let look = Look { file, rows: tasks.len() as u64, columns, found };
            say(&serde_json::to_string(&look)?)?;
        } else {
            say(&format!("rows: {}\n{found}", tasks.len()))?;
        }
    }
    Ok(())
}

/// One line per column: name, type, and how often it is null.
fn table(columns: &[Column]) -> String {
    let width = columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0);
    let lines = columns.iter().map(|Column { name, kind, nulls }| {
        let nulls = if *nulls == 0 { String::new() } else { format!("  ({nulls} null)") };
        format!("  {name:<width$}  {kind}{nulls}")
    });
    lines.collect::<Vec<_>>().join("\n")
}
