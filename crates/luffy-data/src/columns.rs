//! One record of a data file, whatever the file format, to one task.

use std::collections::BTreeSet;
use std::path::Path;

use luffy_core::{Demonstration, Task};
use serde_json::{Map, Value};

use crate::kind::not_finite;
use crate::nearest::{hint, list};
use crate::{ColumnNames, DataError, Position};

mod conversation;

/// Turns the records of one file into tasks and remembers which columns occurred.
pub(crate) struct RecordReader<'a> {
    path: &'a Path,
    columns: &'a ColumnNames,
    seen: BTreeSet<String>,
    tasks: Vec<Task>,
}

impl<'a> RecordReader<'a> {
    pub(crate) fn new(path: &'a Path, columns: &'a ColumnNames) -> Self {
        Self { path, columns, seen: BTreeSet::new(), tasks: Vec::new() }
    }

    /// Adds the record at `position`.
    pub(crate) fn push(
        &mut self,
        position: Position,
        record: Map<String, Value>,
    ) -> Result<(), DataError> {
        for name in record.keys() {
            if !self.seen.contains(name) {
                self.seen.insert(name.clone());
            }
        }
        let task = Record { path: self.path, position, fields: record }.into_task(self.columns)?;
        self.tasks.push(task);
        Ok(())
    }

    /// All tasks, if there are any and every column asked for by name occurred.
    pub(crate) fn finish(self) -> Result<Vec<Task>, DataError> {
        if self.tasks.is_empty() {
            return Err(DataError::Empty { path: self.path.to_owned() });
        }
        for name in self.columns.overridden() {
            if !self.seen.contains(&name) {
                return Err(DataError::NoSuchColumn {
                    path: self.path.to_owned(),
                    present: format!("{}{}", list(self.seen.iter()), hint(&[&name], &self.seen)),
                    column: name,
                });
            }
        }
        Ok(self.tasks)
    }
}

const TEXTS: &str = "a string or a non-empty list of strings";
const TARGET: &str = "null, a string or a list of at most one message";

struct Record<'a> {
    path: &'a Path,
    position: Position,
    fields: Map<String, Value>,
}

impl Record<'_> {
    fn into_task(mut self, names: &ColumnNames) -> Result<Task, DataError> {
        let (messages, last) = self.conversation(names)?;
        let (golds, demonstrations) = self.golds_and_demonstrations(names, last)?;
        let file = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let source = match self.take(&names.source) {
            None => self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Some(Value::String(source)) => source,
            Some(other) => return Err(self.wrong(&names.source, "a string", &other)),
        };
        // Evaluation groups by `level`, which LUFFY's schema has room for only inside `extra_info`.
        if !self.fields.contains_key("level")
            && let Some(Value::Object(info)) = self.fields.get(&names.extra_info)
            && let Some(level) = info.get("level").filter(|level| !level.is_null()).cloned()
        {
            self.fields.insert("level".into(), level);
        }
        let id = format!("{file}:{}", self.position.number());
        Ok(Task { id, source, messages, golds, demonstrations, extra: self.fields })
    }

    /// Removes a cell; null counts as absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        // `shift_remove` keeps the other columns in file order.
        self.fields.shift_remove(name).filter(|value| !value.is_null())
    }

    fn golds_and_demonstrations(
        &mut self,
        names: &ColumnNames,
        last_message: Option<Demonstration>,
    ) -> Result<(Vec<String>, Vec<Demonstration>), DataError> {
        let golds = self.golds(names)?;
        let mut demonstrations = Vec::from_iter(last_message);
        let target_name =
            [&names.target, &names.completion].into_iter().find(|name| self.has(name)).cloned();
        if let Some(name) = target_name {
            let target = self.take(&name).expect("the column is there and not null");
            demonstrations.extend(self.target(&name, target)?);
        } else {
            self.take(&names.target);
        }
        if let Some(value) = self.take(&names.target_probs) {
            let probs = self.probabilities(&names.target_probs, value)?;
            match demonstrations.first_mut() {
                Some(first) => first.behavior_probs = Some(probs),
                None if probs.is_empty() => {}
                None => {
                    let found = format!("{} probabilities", probs.len());
                    let expected = "null, as the row has no demonstration";
                    return Err(self.error(&names.target_probs, expected, found));
                }
            }
        }
        if let Some(value) = self.take(&names.target_list) {
            for text in self.texts(&names.target_list, value, "null or a list of strings")? {
                // Files list the first target again among the further ones; a trace counts once.
                let known = demonstrations.iter().any(|other| other.text == text);
                if !known && !text.is_empty() {
                    demonstrations.push(Demonstration { text, behavior_probs: None });
                }
            }
        }
        match golds {
            Some(golds) => Ok((golds, demonstrations)),
            // A prompt with a completion and no gold is data to imitate, not to grade.
            None if !demonstrations.is_empty() && !self.has(&names.reward_model) => {
                Ok((Vec::new(), demonstrations))
            }
            None => {
                let name = format!("{}.{}", names.reward_model, names.ground_truth);
                let names =
                    [&names.ground_truth, &names.answer, &names.solution].map(String::as_str);
                Err(self.absent(&name, &names, TEXTS))
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    /// The gold answers; `None` if no column holds any. The rest of `reward_model` stays in the record.
    fn golds(&mut self, names: &ColumnNames) -> Result<Option<Vec<String>>, DataError> {
        if let Some(group) = self.fields.get_mut(&names.reward_model).filter(|v| !v.is_null()) {
            let name = format!("{}.{}", names.reward_model, names.ground_truth);
            let Value::Object(fields) = group else {
                let found = describe(group);
                return Err(self.error(&names.reward_model, "a struct", found));
            };
            let gold = fields.shift_remove(&names.ground_truth).unwrap_or(Value::Null);
            let present = list(fields.keys());
            let hint = hint(&[&names.ground_truth], fields.keys());
            if gold.is_null() {
                let found = format!("nothing; the other fields are {present}{hint}");
                return Err(self.error(&name, TEXTS, found));
            }
            return self.texts(&name, gold, TEXTS).map(Some);
        }
        for name in [&names.answer, &names.solution] {
            if let Some(gold) = self.take(name) {
                return self.texts(name, gold, TEXTS).map(Some);
            }
        }
        Ok(None)
    }

    fn texts(
        &self,
        name: &str,
        value: Value,
        expected: &'static str,
    ) -> Result<Vec<String>, DataError> {
        match value {
            Value::String(text) => Ok(vec![text]),
            Value::Array(items) if !items.is_empty() || expected != TEXTS => items
                .into_iter()
                .enumerate()
                .map(|(i, item)| match item {
                    Value::String(text) => Ok(text),
                    other => Err(self.wrong(&format!("{name}[{i}]"), "a string", &other)),
                })
                .collect(),
            other => Err(self.wrong(name, expected, &other)),
        }
    }

    /// The trace of a target cell. An empty list and an empty text mean that there is none: the
    /// reference treats such a group as on-policy.
    fn target(&self, name: &str, value: Value) -> Result<Option<Demonstration>, DataError> {
        let text = match value {
            Value::String(text) => text,
            Value::Array(mut items) if items.len() <= 1 => match items.pop() {
                None => return Ok(None),
                Some(item) => self.message(&format!("{name}[0]"), item)?.content,
            },
            other => return Err(self.wrong(name, TARGET, &other)),
        };
        Ok((!text.is_empty()).then_some(Demonstration { text, behavior_probs: None }))
    }

    fn probabilities(&self, name: &str, value: Value) -> Result<Vec<f64>, DataError> {
        let Value::Array(items) = value else {
            return Err(self.wrong(name, "null or a list of numbers", &value));
        };
        let numbers = items.into_iter().enumerate();
        numbers
            .map(|(i, item)| match item.as_f64() {
                Some(number) => Ok(number),
                None => Err(self.wrong(&format!("{name}[{i}]"), "a finite number", &item)),
            })
            .collect()
    }

    fn absent(&self, column: &str, names: &[&str], expected: &'static str) -> DataError {
        let found = format!(
            "nothing; the other columns are {}{}",
            list(self.fields.keys()),
            hint(names, self.fields.keys())
        );
        self.error(column, expected, found)
    }

    fn wrong(&self, column: &str, expected: &'static str, value: &Value) -> DataError {
        self.error(column, expected, describe(value))
    }

    fn error(&self, column: &str, expected: &'static str, found: String) -> DataError {
        DataError::Column {
            path: self.path.to_owned(),
            position: self.position,
            column: column.to_owned(),
            expected,
            found,
        }
    }
}

/// The type of a value in words, with its size or a short excerpt.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(text) if text.is_empty() => "an empty string".into(),
        Value::String(text) => {
            let excerpt: String = text.chars().take(40).collect();
            let dots = if excerpt.len() < text.len() { ".." } else { "" };
            format!("the string {excerpt:?}{dots}")
        }
        Value::Array(items) => format!("a list of {}", items.len()),
        value if let Some(number) = not_finite(value) => format!("the number {number}"),
        Value::Object(fields) => {
            format!(
                "a struct with the fields {}",
                fields.keys().cloned().collect::<Vec<_>>().join(", ")
            )
        }
    }
}
