//! Parquet files, through the record interface and without arrow.

use std::fs::File;
use std::path::Path;

use luffy_core::Task;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value};

use crate::columns::RecordReader;
use crate::kind::number;
use crate::unwind::caught;
use crate::{ColumnNames, DataError, Position};

/// Reads a parquet file, one row at a time.
pub(crate) fn read(path: &Path, columns: &ColumnNames) -> Result<Vec<Task>, DataError> {
    let mut reader = RecordReader::new(path, columns);
    for_each_row(path, |row, record| reader.push(Position::Row(row), record))?;
    reader.finish()
}

/// Calls `visit` with every row and its number, counted from 0.
pub(crate) fn for_each_row(
    path: &Path,
    mut visit: impl FnMut(u64, Map<String, Value>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let damaged = |message: String| DataError::Parquet { path: path.to_owned(), message };
    let file = File::open(path).map_err(|e| DataError::read(path, e))?;
    let file = SerializedFileReader::new(file).map_err(|e| damaged(e.to_string()))?;
    let mut rows = file.get_row_iter(None).map_err(|e| damaged(e.to_string()))?;
    let promised = file.metadata().file_metadata().num_rows();
    let mut position = 0;
    loop {
        let row = caught(|| rows.next())
            .unwrap_or_else(|message| Some(Err(parquet::errors::ParquetError::General(message))));
        let Some(row) = row else { break };
        let row = row.map_err(|e| damaged(format!("row {position}: {e}")))?;
        visit(position, record(row))?;
        position += 1;
    }
    if i64::try_from(position) != Ok(promised) {
        return Err(damaged(format!("{position} rows found, the file promises {promised}")));
    }
    Ok(())
}

fn record(row: Row) -> Map<String, Value> {
    row.into_columns().into_iter().map(|(name, field)| (name, json(field))).collect()
}

/// A cell as JSON. Numbers that JSON has no notation for get that of `MongoDB`, dates and decimals their
/// text, bytes that are no UTF-8 a list of numbers: nothing turns into null.
fn json(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::Bool(value),
        Field::Byte(value) => value.into(),
        Field::Short(value) => value.into(),
        Field::Int(value) => value.into(),
        Field::Long(value) => value.into(),
        Field::UByte(value) => value.into(),
        Field::UShort(value) => value.into(),
        Field::UInt(value) => value.into(),
        Field::ULong(value) => value.into(),
        Field::Float16(value) => number(f64::from(value)),
        Field::Float(value) => number(f64::from(value)),
        Field::Double(value) => number(value),
        Field::Str(text) => Value::String(text),
        // Writers that leave out the string annotation store text as plain bytes.
        Field::Bytes(bytes) => match bytes.as_utf8() {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => bytes.data().iter().map(|byte| Value::from(*byte)).collect(),
        },
        Field::Group(row) => Value::Object(record(row)),
        Field::ListInternal(list) => list.elements().iter().cloned().map(json).collect(),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, value)| {
                let key = match key {
                    Field::Str(text) => text.clone(),
                    other => other.to_string(),
                };
                (key, json(value.clone()))
            });
            Value::Object(entries.collect())
        }
        other => Value::String(other.to_string()),
    }
}
