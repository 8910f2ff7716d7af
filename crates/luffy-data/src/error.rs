//! Everything that can be wrong with files, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use luffy_core::CodecError;

use crate::AdmissionReport;

/// Where in a file a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Row of a parquet file, counted from 0 as pandas does.
    Row(u64),
    /// Line of a text file, counted from 1 as editors do.
    Line(u64),
}

impl Position {
    /// The bare number, as it stands in [`luffy_core::Task::id`].
    pub fn number(self) -> u64 {
        match self {
            Self::Row(number) | Self::Line(number) => number,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(row) => write!(f, "row {row}"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}

/// What to do about a message of the parquet reader.
fn parquet_remedy(message: &str) -> &'static str {
    if message.contains("Disabled feature") {
        "readable are uncompressed and snappy parquet files"
    } else {
        "the file is damaged, cut off or no parquet; fetch or write it again"
    }
}

/// Why data, a tokenizer or a chat template could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried: `read`, `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said; part of the message, hence no `source` to print again.
        error: io::Error,
    },
    /// The name of a data file says nothing known about its format.
    #[error("{}: expected a file name ending in .parquet or .jsonl", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The file is not parquet, is damaged, or is compressed in a way that is not built in.
    #[error("{}: {message}; {}", path.display(), parquet_remedy(message))]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the parquet reader or writer said.
        message: String,
    },
    /// A line or file is not JSON.
    #[error("{}{}: not valid JSON: {message}", path.display(), line.map(|n| format!(": line {n}")).unwrap_or_default())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; absent where the whole file is one value.
        line: Option<u64>,
        /// What the parser said.
        message: String,
    },
    /// The file has no rows.
    #[error("{}: no rows in the file", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A cell is missing or of the wrong type.
    #[error("{}: {position}: column `{column}`: expected {expected}, found {found}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The row or line.
        position: Position,
        /// The cell as a path, `prompt[1].role` say.
        column: String,
        /// What the format asks for.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// There is no column setting of this name.
    #[error("there is no column setting `{key}`; there are {known}")]
    NoSuchKey {
        /// The setting asked for.
        key: String,
        /// Those that exist.
        known: String,
    },
    /// A file is not what a preparation works on.
    #[error("{}: expected {expected}, found {found}", path.display())]
    NotAsExpected {
        /// The file.
        path: PathBuf,
        /// What the preparation works on.
        expected: &'static str,
        /// What the file holds.
        found: String,
    },
    /// A column that was asked for by name is in no row.
    #[error("{}: column `{column}`, named in the column settings, is in no row; the columns are {present}", path.display())]
    NoSuchColumn {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        column: String,
        /// The names that are there.
        present: String,
    },
    /// A source of training data cannot be drawn from with this weight.
    #[error("weight {weight} of a data file: expected above 0 and at most 1000")]
    Weight {
        /// The weight asked for.
        weight: f64,
    },
    /// A task has no place in LUFFY's schema or in the file's format.
    #[error("task {task} cannot be written: {problem}")]
    Unwritable {
        /// The task's id.
        task: String,
        /// What does not fit, and the remedy.
        problem: String,
    },
    /// A tokenizer file is missing something or contradicts another.
    #[error("{}: {message}", path.display())]
    Tokenizer {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and the remedy.
        message: String,
    },
    /// The chat template does not compile.
    #[error("chat template from {origin}: {message}")]
    Template {
        /// Where the template comes from.
        origin: String,
        /// What the template engine said.
        message: String,
    },
    /// Neither a built-in template nor a file.
    #[error("no chat template `{name}`: neither `own`, `qwen`, `simplerl` or `none`, nor a file")]
    NoTemplate {
        /// The name asked for.
        name: String,
    },
    /// A template of the reference that is known by name only.
    #[error(
        "the chat template `{name}` is not built in: its text belongs to the model it was made for; write it \
         to a file and name that"
    )]
    TemplateName {
        /// The name asked for.
        name: String,
    },
    /// The generation prompt and the format of responses contradict each other about the thought.
    #[error("the rendered prompt and the format disagree: {problem}\nthe prompt:\n{rendered}")]
    Thinking {
        /// What does not fit, and the remedy.
        problem: &'static str,
        /// The prompt as the model reads it.
        rendered: String,
    },
    /// The tokenizer knows tokens for which the model has no row.
    #[error(
        "{}: the tokenizer has ids up to {max_id}, the model's vocab_size is {vocab_size} and its last id \
         {}; tokenizer and model do not belong together",
        path.display(), vocab_size.saturating_sub(1)
    )]
    Vocabulary {
        /// The model's folder.
        path: PathBuf,
        /// Largest token id.
        max_id: u32,
        /// Rows of the model's embedding.
        vocab_size: usize,
    },
    /// The text of a task could not be rendered or tokenised.
    #[error("task {task}: {error}")]
    Codec {
        /// The task's id.
        task: String,
        /// What failed; part of the message.
        error: CodecError,
    },
    /// Recorded probabilities do not cover the demonstration.
    #[error(
        "task {task}: {found} recorded probabilities for a demonstration of {expected} tokens, end token \
         included; they belong to another tokenizer or template, drop the column or tokenise as it was made"
    )]
    ProbabilityCount {
        /// The task's id.
        task: String,
        /// Tokens of the demonstration with its end token.
        expected: usize,
        /// Probabilities in the row.
        found: usize,
    },
    /// A recorded probability is no probability.
    #[error("task {task}: recorded probability {index} is {value}, expected above 0 and at most 1")]
    Probability {
        /// The task's id.
        task: String,
        /// Position of the token.
        index: usize,
        /// What is recorded.
        value: f32,
    },
    /// A codec without end tokens cannot end a demonstration.
    #[error("the codec names no end token; set eos_token_id in generation_config.json")]
    NoEndToken,
    /// Not one prompt is left to train on.
    #[error("no prompt was admitted\n{0}")]
    NoPrompts(Box<AdmissionReport>),
}

impl DataError {
    pub(crate) fn read(path: &Path, error: io::Error) -> Self {
        Self::Io { action: "read", path: path.to_owned(), error }
    }

    pub(crate) fn write(path: &Path, error: io::Error) -> Self {
        Self::Io { action: "write", path: path.to_owned(), error }
    }

    pub(crate) fn codec(task: &str, error: CodecError) -> Self {
        Self::Codec { task: task.to_owned(), error }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let io = DataError::read(Path::new("x"), io::Error::other("no"));
        let codec = DataError::codec("x", CodecError::Render("no".into()));
        for error in [io, codec] {
            assert!(error.to_string().ends_with("no") && error.source().is_none(), "{error}");
        }
    }
}
