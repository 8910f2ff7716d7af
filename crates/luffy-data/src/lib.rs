//! Everything between files and prompts: reading and writing data, text to tokens and back, and the
//! tasks that come with the project.
//!
//! ```text
//! train.parquet | train.jsonl --read_tasks--> Vec<Task> --admit--> Vec<Prompt> + AdmissionReport
//!                                   tokenizer.json, chat template --HfCodec--^
//! (seed, step) --EpochOrder--> which prompts a step takes
//! ```
//!
//! - [`read_tasks`], [`write_tasks`]: LUFFY's schema and TRL's columns, by name, in parquet and JSONL.
//! - [`HfCodec`]: a Hugging Face tokenizer with its chat template, rendered as transformers does, or
//!   with another ([`TemplateSource`]); [`check_thinking`]: whether the template fits the format.
//! - [`admit`]: length limits, demonstrations as tokens, verification; whatever is left out is counted.
//!   [`screen`]: the same of demonstrations alone, before there is a model.
//! - [`EpochOrder`]: the order of training, sources by weight, as a pure function.
//! - [`tasks`]: built-in tasks; [`inspect()`], [`columns_of`]: a look at a file.
//!
//! Nothing here knows a method, a model or a tensor.
//!
//! ```
//! use luffy_data::{AdmissionSettings, Admission, admit, tasks::addition};
//!
//! let tasks = (0..8).map(|index| addition::task(1, index, 0.7, None)).collect();
//! let settings = AdmissionSettings::new(18, 24, 64);
//! let (prompts, report) = admit(tasks, &addition::codec(), &settings, None)?;
//! assert_eq!(prompts.len(), 8);
//! assert_eq!(report.demonstrations_admitted, 8);
//! # Ok::<(), luffy_data::DataError>(())
//! ```

use std::path::Path;

use luffy_core::Task;

mod admission;
mod atomic;
mod builtin_template;
mod codec;
mod column_names;
mod columns;
mod error;
mod inspect;
mod jsonl;
mod kind;
mod nearest;
mod numbers;
mod order;
mod parquet_read;
mod parquet_write;
mod record;
pub mod tasks;
mod template;
mod thinking;
mod unwind;
mod write;

pub use admission::{
    Admission, AdmissionReport, AdmissionSettings, DemonstrationFault, PromptDrop, SourceReport,
    Tally, admit, screen,
};
pub use builtin_template::TemplateSource;
pub use codec::HfCodec;
pub use column_names::ColumnNames;
pub use error::{DataError, Position};
pub use inspect::{Column, Inspection, Lengths, TextLengths, columns_of, inspect};
pub use order::EpochOrder;
pub use thinking::{ThinkFormat, check_thinking};
pub use write::write_tasks;

/// Reads all tasks of a `.parquet` or `.jsonl` file.
///
/// Accepted are LUFFY's schema and TRL's columns (`prompt` as string or messages with `answer` or
/// `solution`, or `prompt` with `completion`); struct fields are taken by name. Columns without a
/// meaning here go to [`Task::extra`] as JSON. [`Task::id`] is `FILENAME:ROW`, rows of parquet counted
/// from 0 and lines of JSONL from 1, as in error messages.
///
/// # Errors
/// If the file cannot be read, has no rows, or a cell is missing or of the wrong type: the message
/// names file, row, column, and the expected and found type. Nothing is skipped.
pub fn read_tasks(path: &Path, columns: &ColumnNames) -> Result<Vec<Task>, DataError> {
    match FileFormat::of(path)? {
        FileFormat::Parquet => parquet_read::read(path, columns),
        FileFormat::Jsonl => jsonl::read(path, columns),
    }
}

/// The formats of data files, told by the end of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileFormat {
    Parquet,
    Jsonl,
}

impl FileFormat {
    fn of(path: &Path) -> Result<Self, DataError> {
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        match extension.as_str() {
            "parquet" => Ok(Self::Parquet),
            "jsonl" => Ok(Self::Jsonl),
            _ => Err(DataError::Format { path: path.to_owned() }),
        }
    }
}
