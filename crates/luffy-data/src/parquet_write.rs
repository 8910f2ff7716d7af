//! Tasks as a parquet file in LUFFY's schema.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use luffy_core::{Message, Task};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use crate::{DataError, atomic};

/// Rows per row group: a group of 8,192-token traces stays below about 200 MB in memory.
const GROUP_ROWS: usize = 8192;

/// Writes `tasks` as parquet with snappy, whole or not at all.
///
/// Columns, struct fields in alphabetical order as in the reference's files: `data_source`, `prompt`
/// (list of `{content, role}`), `target` (the first demonstration as a list of one assistant message,
/// or null), `ability` (`math` unless `extra` says otherwise), `reward_model` (`{ground_truth, style}`,
/// style `rule`), `extra_info` (`{index, level, split}`: `index` and `split` from `extra.extra_info`,
/// else the position and `default`). The field `level` and the columns `target_lst` (further
/// demonstrations) and `target_ds_qwen_7b_probs` are there only if some task has them. Other entries of
/// [`Task::extra`] have no column and are not written.
///
/// # Errors
/// If a task does not fit the schema (exactly one gold answer; probabilities for the first
/// demonstration only), if there is no task, or if the file cannot be written.
pub fn write_tasks(path: &Path, tasks: &[Task]) -> Result<(), DataError> {
    if tasks.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    for task in tasks {
        let problem = if task.golds.len() != 1 {
            "`ground_truth` holds exactly one answer; write one row for each answer or use JSONL"
        } else if task.demonstrations.iter().skip(1).any(|d| d.behavior_probs.is_some()) {
            "only the first demonstration has a column for its probabilities; put it first"
        } else {
            continue;
        };
        return Err(DataError::Unwritable { task: task.id.clone(), problem });
    }
    atomic::write(path, |file| {
        write_rows(file, tasks)
            .map_err(|e| DataError::Parquet { path: path.to_owned(), message: e.to_string() })
    })
}

/// Which optional parts of the schema are used.
#[derive(Debug, Clone, Copy)]
struct Shape {
    level: bool,
    further: bool,
    probs: bool,
}

impl Shape {
    fn of(tasks: &[Task]) -> Self {
        Self {
            level: tasks.iter().any(|task| level(task).is_some()),
            further: tasks.iter().any(|task| task.demonstrations.len() > 1),
            probs: tasks.iter().any(|task| probs(task).is_some()),
        }
    }

    fn schema(self) -> String {
        let messages = "(LIST) { repeated group list { optional group element {
            optional binary content (UTF8); optional binary role (UTF8); } } }";
        let level = if self.level { "optional binary level (UTF8);" } else { "" };
        let further = if self.further {
            "optional group target_lst (LIST) { repeated group list { optional binary element (UTF8); } }"
        } else {
            ""
        };
        let probs = if self.probs {
            "optional group target_ds_qwen_7b_probs (LIST) { repeated group list { optional float element; } }"
        } else {
            ""
        };
        format!(
            "message schema {{
                optional binary data_source (UTF8);
                optional group prompt {messages}
                optional group target {messages}
                optional binary ability (UTF8);
                optional group reward_model {{
                    optional binary ground_truth (UTF8); optional binary style (UTF8); }}
                optional group extra_info {{
                    optional int64 index; {level} optional binary split (UTF8); }}
                {further}
                {probs}
            }}"
        )
    }
}

fn write_rows(file: &mut BufWriter<File>, tasks: &[Task]) -> Result<(), ParquetError> {
    let shape = Shape::of(tasks);
    let schema = Arc::new(parse_message_type(&shape.schema())?);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    for (group, first_index) in tasks.chunks(GROUP_ROWS).zip((0..).step_by(GROUP_ROWS)) {
        let mut columns = Columns { group: writer.next_row_group()? };
        write_group(&mut columns, group, first_index, shape)?;
        columns.group.close()?;
    }
    writer.close()?;
    Ok(())
}

/// The leaf columns in schema order.
fn write_group(
    columns: &mut Columns<'_, '_>,
    tasks: &[Task],
    first_index: i64,
    shape: Shape,
) -> Result<(), ParquetError> {
    let texts = |text: fn(&Task) -> String| Column::scalars(1, tasks.iter().map(|t| Some(text(t))));
    columns.text(texts(|task| task.source.clone()))?;
    let prompt = |part: fn(&Message) -> &str| {
        Column::lists(
            4,
            tasks.iter().map(|t| Some(t.messages.iter().map(part).map(bytes).collect())),
        )
    };
    columns.bytes(prompt(|message| &message.content))?;
    columns.bytes(prompt(|message| &message.role))?;
    let target = |part: fn(&str) -> &str| {
        let cells =
            tasks.iter().map(|t| t.demonstrations.first().map(|d| vec![bytes(part(&d.text))]));
        Column::lists(4, cells)
    };
    columns.bytes(target(|text| text))?;
    columns.bytes(target(|_| "assistant"))?;
    columns.text(texts(|task| text_of(&task.extra, "ability").unwrap_or_else(|| "math".into())))?;
    columns.text(Column::scalars(2, tasks.iter().map(|t| Some(t.golds[0].clone()))))?;
    columns.text(Column::scalars(2, tasks.iter().map(|_| Some("rule".into()))))?;
    let index = (first_index..).zip(tasks).map(|(position, task)| {
        let recorded = info(task).and_then(|info| info.get("index")).and_then(Value::as_i64);
        Some(recorded.unwrap_or(position))
    });
    columns.write::<Int64Type>(&Column::scalars(2, index))?;
    if shape.level {
        columns.text(Column::scalars(2, tasks.iter().map(level)))?;
    }
    let split = tasks.iter().map(|task| {
        Some(info(task).and_then(|info| text_of(info, "split")).unwrap_or_else(|| "default".into()))
    });
    columns.text(Column::scalars(2, split))?;
    if shape.further {
        let cells = tasks.iter().map(|task| {
            let further = task.demonstrations.get(1..).filter(|rest| !rest.is_empty());
            further.map(|rest| rest.iter().map(|d| bytes(&d.text)).collect())
        });
        columns.bytes(Column::lists(3, cells))?;
    }
    if shape.probs {
        let cells = tasks.iter().map(|task| probs(task).map(<[f32]>::to_vec));
        columns.write::<FloatType>(&Column::lists(3, cells))?;
    }
    Ok(())
}

fn bytes(text: &str) -> ByteArray {
    ByteArray::from(text)
}

fn info(task: &Task) -> Option<&serde_json::Map<String, Value>> {
    task.extra.get("extra_info").and_then(Value::as_object)
}

fn level(task: &Task) -> Option<String> {
    text_of(&task.extra, "level")
}

/// An entry as text; numbers become their digits.
fn text_of(fields: &serde_json::Map<String, Value>, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn probs(task: &Task) -> Option<&[f32]> {
    task.demonstrations.first().and_then(|d| d.behavior_probs.as_deref())
}

/// One leaf column of a row group: its values and the Dremel levels that say which cells have none.
struct Column<T> {
    values: Vec<T>,
    definition: Vec<i16>,
    repetition: Option<Vec<i16>>,
}

impl<T> Column<T> {
    /// One cell per row. `full` is the definition level of a value: the number of optional ancestors,
    /// itself included. An absent cell lacks itself only.
    fn scalars(full: i16, cells: impl Iterator<Item = Option<T>>) -> Self {
        let mut column = Self { values: Vec::new(), definition: Vec::new(), repetition: None };
        for cell in cells {
            column.definition.push(if cell.is_some() { full } else { full - 1 });
            column.values.extend(cell);
        }
        column
    }

    /// A list per row. Level 0 is a null list, 1 an empty one, `full` a value.
    fn lists(full: i16, cells: impl Iterator<Item = Option<Vec<T>>>) -> Self {
        let mut column = Self { values: Vec::new(), definition: Vec::new(), repetition: None };
        let mut repetition = Vec::new();
        for cell in cells {
            match cell {
                Some(items) if !items.is_empty() => {
                    column.definition.extend(std::iter::repeat_n(full, items.len()));
                    // Repetition 0 opens a row, 1 continues its list.
                    repetition.push(0);
                    repetition.extend(std::iter::repeat_n(1, items.len() - 1));
                    column.values.extend(items);
                }
                other => {
                    column.definition.push(i16::from(other.is_some()));
                    repetition.push(0);
                }
            }
        }
        column.repetition = Some(repetition);
        column
    }
}

struct Columns<'a, 'b> {
    group: SerializedRowGroupWriter<'a, &'b mut BufWriter<File>>,
}

impl Columns<'_, '_> {
    fn text(&mut self, column: Column<String>) -> Result<(), ParquetError> {
        let values = column.values.into_iter().map(|text| ByteArray::from(text.into_bytes()));
        self.bytes(Column {
            values: values.collect(),
            definition: column.definition,
            repetition: column.repetition,
        })
    }

    fn bytes(&mut self, column: Column<ByteArray>) -> Result<(), ParquetError> {
        self.write::<ByteArrayType>(&column)
    }

    fn write<D: DataType>(&mut self, column: &Column<D::T>) -> Result<(), ParquetError> {
        let mut writer = self.group.next_column()?.expect("a leaf of the schema is left");
        writer.typed::<D>().write_batch(
            &column.values,
            Some(&column.definition),
            column.repetition.as_deref(),
        )?;
        writer.close()
    }
}
