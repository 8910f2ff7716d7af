//! Tasks back into files.

use std::io::Write;
use std::path::Path;

use luffy_core::Task;

use crate::record::record;
use crate::{DataError, FileFormat, atomic, parquet_write};

/// Writes `tasks` in LUFFY's schema as `.parquet` (with snappy) or `.jsonl`, whole or not at all.
///
/// Columns, struct fields in alphabetical order as in the reference's files: `data_source`, `prompt`
/// (list of `{content, role}`), `target` (the first demonstration as a list of one assistant message,
/// or null), `ability` (`math` unless `extra` says otherwise), `reward_model` (`{ground_truth, style}`,
/// style `rule`), `extra_info` (`{index, level, split}`: `index` and `split` default to the position and
/// `default`; `level` only where tasks have one), and, if some task has them, `target_lst` (further
/// demonstrations) and `target_ds_qwen_7b_probs`. Everything else in [`Task::extra`] follows under its
/// own name: what was read is written and reads back alike, but for ids, and for these in parquet:
///
/// - a field that is missing becomes null, and a column of nulls becomes one of text;
/// - a column with whole and broken numbers becomes one of broken numbers, and single precision double,
///   but for probabilities that single precision holds.
///
/// A number that JSON cannot write stands in JSONL as `{"$numberDouble": "NaN"}`.
///
/// `extra.level` goes into `extra_info` unless that has another one.
///
/// # Errors
/// If a task does not fit the schema (probabilities of a demonstration that is not the first, a further
/// column with a name of LUFFY's; in parquet also not exactly one gold answer, or values of a column that
/// no type holds), if there is no task, if the file name ends in something else, or if the file cannot be
/// written.
pub fn write_tasks(path: &Path, tasks: &[Task]) -> Result<(), DataError> {
    let format = FileFormat::of(path)?;
    if tasks.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    match format {
        FileFormat::Parquet => parquet_write::write(path, tasks),
        FileFormat::Jsonl => atomic::write(path, |file| {
            for (position, task) in tasks.iter().enumerate() {
                let record = record(task, position)?;
                let line = serde_json::Value::Object(record).to_string();
                writeln!(file, "{line}").map_err(|e| DataError::write(path, e))?;
            }
            Ok(())
        }),
    }
}
