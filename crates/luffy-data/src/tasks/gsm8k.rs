//! GSM8K with its human solutions as demonstrations.

use std::path::Path;

use luffy_core::{Demonstration, Message, Task};
use serde_json::Map;

use crate::columns::describe;
use crate::{DataError, Position, jsonl};

/// Reads GSM8K's `question`/`answer` lines into tasks with source `gsm8k`.
///
/// The question is the user's message. Of the answer, the text after the last `####` without commas is
/// the gold, and the text before it, without the calculator annotations `<<..>>`, the thought of the one
/// demonstration: `<think>\n{steps}\n</think>\n\n\boxed{gold}`. Further keys go to [`Task::extra`].
///
/// # Errors
/// If the file cannot be read or is empty, or a line has no question, no answer, no `####`, nothing
/// after it, or an open annotation; the message names the line.
pub fn prepare(path: &Path) -> Result<Vec<Task>, DataError> {
    let mut tasks = Vec::new();
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    jsonl::for_each_object(path, |line, mut record| {
        let error = |column: &str, expected, found| DataError::Column {
            path: path.to_owned(),
            position: Position::Line(line),
            column: column.to_owned(),
            expected,
            found,
        };
        let mut text = |column: &str| match record.shift_remove(column) {
            Some(serde_json::Value::String(text)) => Ok(text),
            other => {
                let found = other.as_ref().map_or("nothing".into(), describe);
                Err(error(column, "a string", found))
            }
        };
        let question = text("question")?;
        let answer = text("answer")?;
        let wrong = |expected| error("answer", expected, describe(&answer.clone().into()));
        let (steps, gold) =
            answer.rsplit_once("####").ok_or_else(|| wrong("a solution with `#### ANSWER`"))?;
        let gold = gold.trim().replace(',', "");
        if gold.is_empty() {
            return Err(wrong("an answer after `####`"));
        }
        let steps = without_annotations(steps)
            .ok_or_else(|| wrong("every calculator annotation `<<` closed by `>>`"))?;
        tasks.push(Task {
            id: format!("{file}:{line}"),
            source: "gsm8k".into(),
            messages: vec![Message::user(question)],
            demonstrations: vec![Demonstration {
                text: format!("<think>\n{}\n</think>\n\n\\boxed{{{gold}}}", steps.trim()),
                behavior_probs: None,
            }],
            golds: vec![gold],
            extra: std::mem::take(&mut record) as Map<_, _>,
        });
        Ok(())
    })?;
    if tasks.is_empty() { Err(DataError::Empty { path: path.to_owned() }) } else { Ok(tasks) }
}

/// The text without `<<..>>`; `None` if one is left open.
fn without_annotations(text: &str) -> Option<String> {
    let mut parts = text.split("<<");
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        plain.push_str(part.split_once(">>")?.1);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<Vec<Task>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.jsonl");
        std::fs::write(&path, line).unwrap();
        prepare(&path).map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn a_solution_becomes_a_thought_and_a_box() {
        let tasks = check(
            r#"{"question":"How much?","answer":"It is 12/60 = $<<12/60=0.2>>0.2.\nSo <<50*30=1500>>1,500.\n#### 1,500","year":1}"#,
        )
        .unwrap();
        let task = &tasks[0];
        assert_eq!(task.id, "train.jsonl:1");
        assert_eq!(task.messages, [Message::user("How much?")]);
        assert_eq!(task.golds, ["1500"]);
        assert_eq!(
            task.demonstrations[0].text,
            "<think>\nIt is 12/60 = $0.2.\nSo 1,500.\n</think>\n\n\\boxed{1500}"
        );
        assert_eq!(task.extra["year"], 1);
    }

    #[test]
    fn errors_name_the_line() {
        let good = r#"{"question":"q","answer":"a\n#### 1"}"#;
        let cases = [
            (r#"{"answer":"a"}"#, "column `question`: expected a string, found nothing"),
            (
                r#"{"question":"q","answer":3}"#,
                "column `answer`: expected a string, found the number 3",
            ),
            (
                r#"{"question":"q","answer":"a"}"#,
                "column `answer`: expected a solution with `#### ANSWER`, found the string \"a\"",
            ),
            (
                r#"{"question":"q","answer":"a ####"}"#,
                "column `answer`: expected an answer after `####`, found the string \"a ####\"",
            ),
            (
                r#"{"question":"q","answer":"a <<1 #### 2"}"#,
                "column `answer`: expected every calculator annotation `<<` closed by `>>`, found the \
                 string \"a <<1 #### 2\"",
            ),
        ];
        for (line, expected) in cases {
            let error = check(&format!("{good}\n{line}")).unwrap_err();
            assert_eq!(error, format!("train.jsonl: line 2: {expected}"));
        }
        assert_eq!(check("").unwrap_err(), "train.jsonl: no rows in the file");
    }
}
