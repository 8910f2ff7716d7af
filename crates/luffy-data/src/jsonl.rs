//! JSON Lines: one record per line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use luffy_core::Task;
use serde_json::{Map, Value};

use crate::columns::{RecordReader, describe};
use crate::numbers::{TooLarge, exact};
use crate::{ColumnNames, DataError, Position};

/// Reads a JSONL file; lines of white space are skipped.
pub(crate) fn read(path: &Path, columns: &ColumnNames) -> Result<Vec<Task>, DataError> {
    let mut reader = RecordReader::new(path, columns);
    for_each_object(path, |line, record| reader.push(Position::Line(line), record))?;
    reader.finish()
}

/// Calls `visit` with every object of the file and its line number, counted from 1.
pub(crate) fn for_each_object(
    path: &Path,
    mut visit: impl FnMut(u64, Map<String, Value>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut file = BufReader::new(File::open(path).map_err(|e| DataError::read(path, e))?);
    let mut bytes = Vec::new();
    let mut line = 0;
    loop {
        bytes.clear();
        let n = file.read_until(b'\n', &mut bytes).map_err(|e| DataError::read(path, e))?;
        if n == 0 {
            return Ok(());
        }
        line += 1;
        // Editors on Windows put a byte order mark before the first line.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").filter(|_| line == 1).unwrap_or(&bytes);
        if text.trim_ascii().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_slice(text).map_err(|error| DataError::Json {
            path: path.to_owned(),
            line: Some(line),
            message: at_column(&error),
        })?;
        match value {
            Value::Object(mut record) => {
                exact(text, &mut record).map_err(|TooLarge { column, number }| {
                    DataError::Column {
                        path: path.to_owned(),
                        position: Position::Line(line),
                        column,
                        expected: "whole numbers of at most 64 bits, larger ones as a text",
                        found: format!("the number {number}"),
                    }
                })?;
                visit(line, record)?;
            }
            other => {
                return Err(DataError::Column {
                    path: path.to_owned(),
                    position: Position::Line(line),
                    column: "(the line)".into(),
                    expected: "an object",
                    found: describe(&other),
                });
            }
        }
    }
}

/// The parser's message with the column only: its own line number counts within the line.
fn at_column(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let own = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&own) {
        Some(message) => format!("{message} at column {}", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use luffy_core::Message;

    fn check(text: &str) -> Result<Vec<Task>, String> {
        check_with(text.as_bytes(), &ColumnNames::default())
    }

    fn check_with(bytes: &[u8], columns: &ColumnNames) -> Result<Vec<Task>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        std::fs::write(&path, bytes).unwrap();
        read(&path, columns)
            .map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn luffy_keys_are_read_by_name() {
        let tasks = check(concat!(
            r#"{"data_source":"math","prompt":[{"content":"s","role":"system"},{"role":"user","content":"q"}],"#,
            r#""reward_model":{"style":"rule","ground_truth":"$69$,$84$"},"ability":"math","#,
            r#""target":[{"role":"assistant","content":"<think>\nx"}],"target_lst":["<think>\nx","y"],"#,
            r#""target_ds_qwen_7b_probs":[0.5,0.25],"extra_info":{"index":3,"split":"default","level":"2"}}"#,
        ))
        .unwrap();
        let task = &tasks[0];
        assert_eq!(task.id, "rows.jsonl:1");
        assert_eq!(task.source, "math");
        assert_eq!(task.messages[0], Message { role: "system".into(), content: "s".into() });
        assert_eq!(task.messages[1], Message::user("q"));
        assert_eq!(task.golds, ["$69$,$84$"]);
        let texts: Vec<_> = task.demonstrations.iter().map(|d| d.text.as_str()).collect();
        assert_eq!(texts, ["<think>\nx", "y"]);
        assert_eq!(task.demonstrations[0].behavior_probs, Some(vec![0.5, 0.25]));
        assert_eq!(task.demonstrations[1].behavior_probs, None);
        let extra = serde_json::to_string(&task.extra).unwrap();
        assert_eq!(
            extra,
            r#"{"reward_model":{"style":"rule"},"ability":"math","extra_info":{"index":3,"split":"default","level":"2"},"level":"2"}"#
        );
    }

    #[test]
    fn trl_answer_wins_over_solution_and_completion_needs_no_gold() {
        let tasks = check(
            "{\"prompt\":\"1+1\",\"answer\":\"2\",\"solution\":\"add\"}\n\n\
             {\"prompt\":\"1+2\",\"solution\":[\"3\",\"three\"]}\r\n\
             {\"prompt\":\"1+3\",\"completion\":[{\"role\":\"assistant\",\"content\":\"4\"}]}",
        )
        .unwrap();
        assert_eq!(tasks[0].golds, ["2"]);
        assert_eq!(tasks[0].extra["solution"], "add");
        assert_eq!(tasks[0].source, "rows", "the file's name stands in for a missing source");
        assert_eq!((tasks[1].id.as_str(), tasks[1].golds[1].as_str()), ("rows.jsonl:3", "three"));
        assert!(tasks[2].golds.is_empty());
        assert_eq!(tasks[2].demonstrations[0].text, "4");
    }

    #[test]
    fn trl_messages_end_with_the_demonstration() {
        let names = ColumnNames { prompt: "messages".into(), ..ColumnNames::default() };
        let rows = concat!(
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},"#,
            r#"{"role":"user","content":"r"},{"role":"assistant","content":"b"}]}"#,
            "\n",
            r#"{"messages":[{"role":"user","content":"q"}],"answer":"1","completion":"c"}"#,
        );
        for names in [ColumnNames::default(), names] {
            let tasks = check_with(rows.as_bytes(), &names).unwrap();
            let roles: Vec<_> = tasks[0].messages.iter().map(|m| m.role.as_str()).collect();
            assert_eq!(roles, ["user", "assistant", "user"]);
            assert_eq!(tasks[0].demonstrations[0].text, "b");
            assert_eq!(tasks[1].demonstrations[0].text, "c");
            assert!(tasks[0].extra.is_empty() && tasks[1].extra.is_empty());
        }
    }

    #[test]
    fn a_null_or_empty_target_is_a_task_without_demonstration() {
        let row = |target: &str| format!(r#"{{"prompt":"q","answer":"1","target":{target}}}"#);
        let text = [row("null"), row("[]"), row("\"\"")].join("\n");
        for task in check(&text).unwrap() {
            assert!(task.demonstrations.is_empty());
            assert!(task.extra.is_empty());
        }
    }

    #[test]
    fn names_can_be_overridden() {
        let columns = ColumnNames {
            prompt: "question".into(),
            answer: "gold".into(),
            target: "trace".into(),
            ..ColumnNames::default()
        };
        let row = br#"{"question":"q","gold":"1","trace":"t","target":"kept"}"#;
        let tasks = check_with(row, &columns).unwrap();
        assert_eq!(tasks[0].demonstrations[0].text, "t");
        assert_eq!(tasks[0].extra["target"], "kept");
        let error = check_with(br#"{"question":"q","gold":"1"}"#, &columns).unwrap_err();
        assert_eq!(
            error,
            "rows.jsonl: column `trace`, named in the column settings, is in no row; the columns are \
             `gold`, `question`"
        );
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let row = b"\xef\xbb\xbf{\"prompt\":\"q\",\"answer\":\"1\"}";
        assert_eq!(check_with(row, &ColumnNames::default()).unwrap().len(), 1);
    }

    #[test]
    fn errors_name_line_column_and_types() {
        let good = r#"{"prompt":"q","answer":"1"}"#;
        let cases = [
            (
                r#"{"prompt":"q","answer""#,
                "line 2: not valid JSON: EOF while parsing an object at column 22",
            ),
            ("[1]", "line 2: column `(the line)`: expected an object, found a list of 1"),
            (
                r#"{"answer":"1","x":0}"#,
                "line 2: column `prompt`: expected a string or a non-empty list of messages, found nothing; \
                 the other columns are `answer`, `x`",
            ),
            (
                r#"{"prompt":[],"answer":"1"}"#,
                "line 2: column `prompt`: expected a string or a non-empty list of messages, found a list of 0",
            ),
            (
                r#"{"prompt":[{"role":"user"}],"answer":"1"}"#,
                "line 2: column `prompt[0].content`: expected a string, found nothing",
            ),
            (
                r#"{"prompt":[{"role":"user","content":[1,2]}],"answer":"1"}"#,
                "line 2: column `prompt[0].content`: expected a string, found a list of 2",
            ),
            (
                r#"{"prompt":[{"role":"user","content":"q","tool_calls":[1]}],"answer":"1"}"#,
                "line 2: column `prompt[0].tool_calls`: expected only the fields role and content, \
                 found a list of 1",
            ),
            (
                r#"{"prompt":"q"}"#,
                "line 2: column `reward_model.ground_truth`: expected a string or a non-empty list of \
                 strings, found nothing; the other columns are ",
            ),
            (
                r#"{"prompt":"q","reward_model":{"style":"rule"}}"#,
                "line 2: column `reward_model.ground_truth`: expected a string or a non-empty list of \
                 strings, found nothing; the other fields are `style`",
            ),
            (
                r#"{"prompt":"q","reward_model":"7"}"#,
                "line 2: column `reward_model`: expected a struct, found the string \"7\"",
            ),
            (
                r#"{"prompt":"q","answer":7}"#,
                "line 2: column `answer`: expected a string or a non-empty list of strings, found the \
                 number 7",
            ),
            (
                r#"{"prompt":"q","answer":"1","data_source":true}"#,
                "line 2: column `data_source`: expected a string, found the boolean true",
            ),
            (
                r#"{"prompt":"q","answer":"1","target":[{"role":"a","content":"b"},{"role":"a","content":"b"}]}"#,
                "line 2: column `target`: expected null, a string or a list of at most one message, found a \
                 list of 2",
            ),
            (
                r#"{"prompt":"q","answer":"1","target":{"a":1}}"#,
                "line 2: column `target`: expected null, a string or a list of at most one message, found a \
                 struct with the fields a",
            ),
            (
                r#"{"prompt":"q","answer":"1","target_lst":["a",null]}"#,
                "line 2: column `target_lst[1]`: expected a string, found null",
            ),
            (
                r#"{"prompt":"q","answer":"1","target":"t","target_ds_qwen_7b_probs":[0.5,"NaN"]}"#,
                "line 2: column `target_ds_qwen_7b_probs[1]`: expected a finite number, found the string \"NaN\"",
            ),
            (
                r#"{"prompt":"q","answer":"1","target_ds_qwen_7b_probs":[0.5]}"#,
                "line 2: column `target_ds_qwen_7b_probs`: expected null, as the row has no demonstration, \
                 found 1 probabilities",
            ),
        ];
        for (row, expected) in cases {
            let error = check(&format!("{good}\n{row}")).unwrap_err();
            assert_eq!(error, format!("rows.jsonl: {expected}"));
        }
        assert_eq!(check(" \n").unwrap_err(), "rows.jsonl: no rows in the file");
        let error = check_with(b"{\"prompt\":\"\xff\"}", &ColumnNames::default()).unwrap_err();
        assert!(error.starts_with("rows.jsonl: line 1: not valid JSON: "), "{error}");
    }
}
