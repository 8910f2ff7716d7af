//! Records as a parquet file.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use luffy_core::Task;
use parquet::basic::{Compression, ConvertedType, Repetition, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};
use serde_json::{Map, Value};

use crate::kind::{Clash, Kind, not_finite};
use crate::record::record;
use crate::{DataError, atomic};

/// Rows per row group: a group of 8,192-token traces stays below about 200 MB in memory.
const GROUP_ROWS: usize = 8192;

/// Writes tasks with snappy, whole or not at all.
pub(crate) fn write(path: &Path, tasks: &[Task]) -> Result<(), DataError> {
    let schema = schema(tasks)?;
    let failed =
        |e: ParquetError| DataError::Parquet { path: path.to_owned(), message: e.to_string() };
    atomic::write(path, |file| {
        let fields = schema.iter().map(|(name, kind)| column_type(name, kind));
        let fields = fields.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let root = Type::group_type_builder("schema").with_fields(fields).build();
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let root = Arc::new(root.map_err(failed)?);
        let mut writer =
            SerializedFileWriter::new(file, root, Arc::new(properties)).map_err(failed)?;
        for (at, group) in tasks.chunks(GROUP_ROWS).enumerate() {
            let records = (at * GROUP_ROWS..).zip(group).map(|(row, task)| record(task, row));
            let records = records.collect::<Result<Vec<_>, _>>()?;
            write_group(&mut writer, &schema, &records).map_err(failed)?;
        }
        writer.close().map_err(failed)?;
        Ok(())
    })
}

/// The columns in order with their types: those of LUFFY whatever they hold, the others as found.
fn schema(tasks: &[Task]) -> Result<Vec<(String, Kind)>, DataError> {
    let unwritable =
        |task: &Task, problem: String| DataError::Unwritable { task: task.id.clone(), problem };
    let mut schema = vec![
        ("data_source".to_owned(), Kind::Text),
        ("prompt".into(), Kind::messages()),
        ("target".into(), Kind::messages()),
        ("ability".into(), Kind::Text),
        ("reward_model".into(), Kind::Null),
        ("extra_info".into(), Kind::Null),
    ];
    let any = |has: fn(&Task) -> bool| tasks.iter().any(has);
    if any(|task| task.demonstrations.len() > 1) {
        schema.push(("target_lst".into(), Kind::List(Box::new(Kind::Text))));
    }
    let probs = || {
        let first = tasks.iter().filter_map(|task| task.demonstrations.first());
        first.filter_map(|demonstration| demonstration.behavior_probs.as_ref())
    };
    if probs().next().is_some() {
        // Single precision, as in the reference's files, where it loses nothing.
        let is_single = |p: &f64| p.is_nan() || f64::from(*p as f32).to_bits() == p.to_bits();
        let kind = if probs().flatten().all(is_single) { Kind::Single } else { Kind::Float };
        schema.push(("target_ds_qwen_7b_probs".into(), Kind::List(Box::new(kind))));
    }
    for (row, task) in tasks.iter().enumerate() {
        if task.golds.len() != 1 {
            let problem = "`ground_truth` holds exactly one answer; write one row for each answer or \
                           use JSONL";
            return Err(unwritable(task, problem.into()));
        }
        for (name, value) in record(task, row)? {
            let at = schema.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                schema.push((name.clone(), Kind::Null));
                schema.len() - 1
            });
            schema[at].1.include(&value).map_err(|Clash { place, expected, found }| {
                let problem = match expected {
                    Some(expected) => format!(
                        "column `{name}{place}` is {expected} in earlier rows and holds {found} here; \
                         parquet has one type for a column, JSONL does not mind"
                    ),
                    None => format!(
                        "column `{name}{place}` holds {found}, which is above the largest int64, {}; \
                         write it as a text or use JSONL",
                        i64::MAX
                    ),
                };
                unwritable(task, problem)
            })?;
        }
    }
    if let Some((name, _)) = schema.iter().find(|(_, kind)| has_empty_struct(kind)) {
        let problem = format!(
            "column `{name}` has a struct without any field, which parquet cannot hold; use JSONL"
        );
        return Err(unwritable(&tasks[0], problem));
    }
    Ok(schema)
}

fn has_empty_struct(kind: &Kind) -> bool {
    match kind {
        Kind::List(element) => has_empty_struct(element),
        Kind::Struct(fields) => {
            fields.is_empty() || fields.iter().any(|(_, kind)| has_empty_struct(kind))
        }
        _ => false,
    }
}

/// Everything may be null. A list is the three levels that the format asks for.
fn column_type(name: &str, kind: &Kind) -> Result<TypePtr, ParquetError> {
    let leaf = |physical| {
        Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL)
    };
    let built = match kind {
        Kind::Bool => leaf(Physical::BOOLEAN).build(),
        Kind::Int | Kind::Wide => leaf(Physical::INT64).build(),
        Kind::Float => leaf(Physical::DOUBLE).build(),
        Kind::Single => leaf(Physical::FLOAT).build(),
        Kind::Null | Kind::Text => {
            leaf(Physical::BYTE_ARRAY).with_converted_type(ConvertedType::UTF8).build()
        }
        Kind::List(element) => {
            let inner = Type::group_type_builder("list")
                .with_repetition(Repetition::REPEATED)
                .with_fields(vec![column_type("element", element)?])
                .build()?;
            Type::group_type_builder(name)
                .with_repetition(Repetition::OPTIONAL)
                .with_converted_type(ConvertedType::LIST)
                .with_fields(vec![Arc::new(inner)])
                .build()
        }
        Kind::Struct(fields) => {
            let fields = fields.iter().map(|(name, kind)| column_type(name, kind));
            Type::group_type_builder(name)
                .with_repetition(Repetition::OPTIONAL)
                .with_fields(fields.collect::<Result<Vec<_>, _>>()?)
                .build()
        }
    };
    built.map(Arc::new)
}

fn write_group(
    writer: &mut SerializedFileWriter<&mut BufWriter<File>>,
    schema: &[(String, Kind)],
    records: &[Map<String, Value>],
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for (name, kind) in schema {
        let mut leaves = Vec::new();
        add_leaves(kind, false, &mut leaves);
        for record in records {
            let value = record.get(name).unwrap_or(&Value::Null);
            shred(kind, value, Levels::default(), &mut leaves);
        }
        for leaf in leaves {
            let column = group.next_column()?.expect("a leaf of the schema is left");
            leaf.write(column)?;
        }
    }
    group.close()?;
    Ok(())
}

/// Where in the nesting a value stands, in Dremel's terms.
#[derive(Debug, Clone, Copy, Default)]
struct Levels {
    /// How many of the optional and repeated ancestors are there.
    definition: i16,
    /// The list that is continued; 0 opens a row.
    repetition: i16,
    /// Lists around.
    lists: i16,
}

/// One leaf column of a row group: its values, and the levels that say which cells have none.
struct Leaf {
    values: Values,
    definition: Vec<i16>,
    repetition: Vec<i16>,
    is_repeated: bool,
}

enum Values {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Single(Vec<f32>),
    Text(Vec<ByteArray>),
}

/// The leaves of a column in the order of the schema.
fn add_leaves(kind: &Kind, is_repeated: bool, leaves: &mut Vec<Leaf>) {
    let values = match kind {
        Kind::List(element) => return add_leaves(element, true, leaves),
        Kind::Struct(fields) => {
            return fields.iter().for_each(|(_, kind)| add_leaves(kind, is_repeated, leaves));
        }
        Kind::Bool => Values::Bool(Vec::new()),
        Kind::Int | Kind::Wide => Values::Int(Vec::new()),
        Kind::Float => Values::Float(Vec::new()),
        Kind::Single => Values::Single(Vec::new()),
        Kind::Null | Kind::Text => Values::Text(Vec::new()),
    };
    leaves.push(Leaf { values, definition: Vec::new(), repetition: Vec::new(), is_repeated });
}

fn n_leaves(kind: &Kind) -> usize {
    match kind {
        Kind::List(element) => n_leaves(element),
        Kind::Struct(fields) => fields.iter().map(|(_, kind)| n_leaves(kind)).sum(),
        _ => 1,
    }
}

/// Spreads a value over its leaves.
fn shred(kind: &Kind, value: &Value, levels: Levels, leaves: &mut [Leaf]) {
    let here = Levels { definition: levels.definition + 1, ..levels };
    match (kind, value) {
        (Kind::List(element), Value::Array(items)) if !items.is_empty() => {
            let lists = levels.lists + 1;
            for (i, item) in items.iter().enumerate() {
                let repetition = if i == 0 { levels.repetition } else { lists };
                let definition = here.definition + 1;
                shred(element, item, Levels { definition, repetition, lists }, leaves);
            }
        }
        (Kind::List(_), Value::Array(_)) => leaves.iter_mut().for_each(|leaf| leaf.absent(here)),
        (Kind::Struct(fields), Value::Object(object)) => {
            let mut rest = leaves;
            for (name, kind) in fields {
                let (own, others) = rest.split_at_mut(n_leaves(kind));
                shred(kind, object.get(name).unwrap_or(&Value::Null), here, own);
                rest = others;
            }
        }
        (_, Value::Null) => leaves.iter_mut().for_each(|leaf| leaf.absent(levels)),
        (_, value) => leaves[0].present(value, here),
    }
}

impl Leaf {
    fn absent(&mut self, levels: Levels) {
        self.definition.push(levels.definition);
        self.repetition.push(levels.repetition);
    }

    fn present(&mut self, value: &Value, levels: Levels) {
        let number = || value.as_f64().or_else(|| not_finite(value)).expect("a column of numbers");
        match &mut self.values {
            Values::Bool(values) => values.push(value.as_bool().expect("a column of booleans")),
            Values::Int(values) => values.push(value.as_i64().expect("a column of integers")),
            Values::Float(values) => values.push(number()),
            Values::Single(values) => values.push(number() as f32),
            Values::Text(values) => {
                values.push(ByteArray::from(value.as_str().expect("a column of texts")));
            }
        }
        self.absent(levels);
    }

    fn write(self, mut column: SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match &self.values {
            Values::Bool(values) => self.batch::<BoolType>(&mut column, values)?,
            Values::Int(values) => self.batch::<Int64Type>(&mut column, values)?,
            Values::Float(values) => self.batch::<DoubleType>(&mut column, values)?,
            Values::Single(values) => self.batch::<FloatType>(&mut column, values)?,
            Values::Text(values) => self.batch::<ByteArrayType>(&mut column, values)?,
        }
        column.close()
    }

    fn batch<D: DataType>(
        &self,
        column: &mut SerializedColumnWriter<'_>,
        values: &[D::T],
    ) -> Result<(), ParquetError> {
        let repetition = self.is_repeated.then_some(self.repetition.as_slice());
        column.typed::<D>().write_batch(values, Some(&self.definition), repetition)?;
        Ok(())
    }
}
