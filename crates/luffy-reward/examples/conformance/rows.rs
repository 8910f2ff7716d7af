//! Rows of a conformance file: a JSON object a line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use luffy_core::Task;
use luffy_reward::Format;
use serde_json::{Map, Value};

/// What is written where a row has no rule or no category.
const NONE: &str = "-";

/// A response and what is expected of the verdict on it.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) task: Task,
    pub(crate) response: String,
    /// Nothing is expected of a debatable row.
    pub(crate) expected: Option<bool>,
    /// How the row was made.
    pub(crate) rule: String,
    pub(crate) category: String,
    pub(crate) format: Format,
}

impl Row {
    /// The row in line `number`; what is wrong with the line otherwise.
    pub(crate) fn parse(line: &[u8], number: usize) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let Value::Object(mut row) = value else {
            return Err("not a JSON object".to_owned());
        };
        let response = match row.remove("response") {
            Some(Value::String(response)) => response,
            Some(_) => return Err("`response` is not a string".to_owned()),
            None => return Err("no `response`".to_owned()),
        };
        let expected = match row.get("expected") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(expected)) => Some(*expected),
            Some(_) => return Err("`expected` is not true, false or null".to_owned()),
        };
        let format = match row.get("format").map(Value::as_str) {
            None | Some(Some("plain")) => Format::Plain,
            Some(Some("think")) => Format::Think,
            Some(_) => return Err("`format` is not `think` or `plain`".to_owned()),
        };
        let id = text(&row, "id").unwrap_or_else(|| format!("line {number}"));
        let task = Task {
            id: id.clone(),
            source: "conformance".to_owned(),
            messages: vec![],
            golds: golds(&mut row)?,
            demonstrations: vec![],
            extra: Map::new(),
        };
        let rule = text(&row, "rule").unwrap_or_else(|| NONE.to_owned());
        let category = text(&row, "category").unwrap_or_else(|| NONE.to_owned());
        Ok(Self { id, task, response, expected, rule, category, format })
    }
}

/// `golds`, or the one `gold`.
fn golds(row: &mut Map<String, Value>) -> Result<Vec<String>, String> {
    let golds = match row.remove("golds").or_else(|| row.remove("gold")) {
        Some(Value::Array(golds)) => golds,
        Some(gold) => vec![gold],
        None => return Err("no `gold` and no `golds`".to_owned()),
    };
    golds
        .into_iter()
        .map(|gold| match gold {
            Value::String(gold) => Ok(gold),
            Value::Number(gold) => Ok(gold.to_string()),
            _ => Err("a gold answer is not a string".to_owned()),
        })
        .collect()
}

/// A string or number of the row.
fn text(row: &Map<String, Value>, key: &str) -> Option<String> {
    match row.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Calls `each` with the number of every line that is not empty and with what is in it.
///
/// One line is held at a time. An error is about the file, not about a line.
pub(crate) fn read(
    path: &Path,
    mut each: impl FnMut(usize, Result<Row, String>),
) -> Result<(), String> {
    let complaint = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = BufReader::new(File::open(path).map_err(complaint)?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(complaint)? == 0 {
            break;
        }
        let line = line.trim_ascii();
        if !line.is_empty() {
            each(number, Row::parse(line, number));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, golds: &[&str], expected: Option<bool>, rule: &str, format: Format) {
        let row = Row::parse(line.as_bytes(), 1).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(row.task.golds, golds, "{line}");
        assert_eq!((row.expected, row.rule.as_str(), row.format), (expected, rule, format));
    }

    fn check_refused(line: &[u8], complaint: &str) {
        match Row::parse(line, 1) {
            Ok(_) => panic!("{} passed", line.escape_ascii()),
            Err(error) => assert!(error.contains(complaint), "{error}"),
        }
    }

    #[test]
    fn a_full_row_and_a_bare_row_are_read() {
        check(
            r#"{"id": "a", "gold": "1", "response": "", "expected": true, "rule": "int:same",
                "category": "equality", "format": "think", "note": {"any": 1}}"#,
            &["1"],
            Some(true),
            "int:same",
            Format::Think,
        );
        check(
            r#"{"golds": ["1", 2.5], "response": "", "expected": null}"#,
            &["1", "2.5"],
            None,
            "-",
            Format::Plain,
        );
        check(r#"{"gold": "1", "response": ""}"#, &["1"], None, "-", Format::Plain);
    }

    #[test]
    fn a_row_without_a_name_is_called_after_its_line() {
        let row = Row::parse(br#"{"gold": "1", "response": ""}"#, 7);
        assert_eq!(row.ok().map(|row| row.id).as_deref(), Some("line 7"));
    }

    #[test]
    fn a_line_that_is_no_row_is_refused() {
        check_refused(b"{", "EOF");
        check_refused(b"[1]", "object");
        check_refused(b"\"\xff\"", "unicode");
        check_refused(br#"{"gold": "1"}"#, "response");
        check_refused(br#"{"response": "1"}"#, "gold");
        check_refused(br#"{"gold": null, "response": "1"}"#, "gold");
        check_refused(br#"{"gold": "1", "response": "1", "expected": 1}"#, "expected");
        check_refused(br#"{"gold": "1", "response": "1", "format": "xml"}"#, "format");
    }
}
