//! Every way an input can be bad, with the message a user gets: the table is `bad_input.txt`.

use std::fs;
use std::path::Path;

use luffy_core::{Message, TextCodec};
use luffy_data::tasks::addition;
use luffy_data::{
    AdmissionSettings, ColumnNames, DataError, HfCodec, TemplateSource, ThinkFormat, admit,
    check_thinking, read_tasks, write_tasks,
};

use crate::testdata;

/// One entry of the table.
struct Case<'a> {
    title: &'a str,
    /// What is done: the words of the line below the title.
    action: Vec<&'a str>,
    /// The content of the file.
    content: &'a str,
    message: &'a str,
}

fn cases(table: &str) -> Vec<Case<'_>> {
    let entries = table.split("\n== ").skip(1);
    let cases = entries.map(|entry| {
        let (head, message) = entry.split_once("\n--\n").expect("`--` before the message");
        let (title, rest) = head.split_once('\n').expect("an action below the title");
        let (action, content) = rest.split_once('\n').unwrap_or((rest, ""));
        let action = action.split(' ').collect();
        Case { title, action, content, message: message.trim_end() }
    });
    cases.collect()
}

/// Does what the action says; the error is what is asked for.
fn act(action: &[&str], content: &str, dir: &Path) -> Result<(), DataError> {
    let codec = |file: &str| {
        addition::write_side_files(dir).unwrap();
        fs::write(dir.join(file), content).unwrap();
        HfCodec::open(dir, None)
    };
    let columns = |settings: &[&str]| {
        let mut columns = ColumnNames::default();
        for setting in settings {
            let (key, name) = setting.split_once('=').expect("KEY=COLUMN");
            columns.set(key, name)?;
        }
        Ok::<_, DataError>(columns)
    };
    let with_content = |file: &str| {
        fs::write(dir.join(file), content).unwrap();
        dir.join(file)
    };
    match action {
        ["read", file, settings @ ..] => {
            let columns = columns(settings)?;
            read_tasks(&with_content(file), &columns)?;
        }
        ["lookalike", settings @ ..] => {
            let columns = columns(settings)?;
            read_tasks(&testdata("lookalike.parquet"), &columns)?;
        }
        ["cut", n_bytes] => {
            let bytes = fs::read(testdata("lookalike.parquet")).unwrap();
            fs::write(dir.join("cut.parquet"), &bytes[..n_bytes.parse().unwrap()]).unwrap();
            read_tasks(&dir.join("cut.parquet"), &ColumnNames::default())?;
        }
        ["no-rows"] => {
            let bytes = no_rows();
            fs::write(dir.join("none.parquet"), bytes).unwrap();
            read_tasks(&dir.join("none.parquet"), &ColumnNames::default())?;
        }
        ["read-parquet", "nan"] => {
            let tasks = read_tasks(&with_probabilities(dir, "[0.5,1.0]"), &ColumnNames::default());
            let mut tasks = tasks?;
            tasks[0].demonstrations[0].behavior_probs = Some(vec![0.5, f64::NAN]);
            write_tasks(&dir.join("probs.parquet"), &tasks)?;
            read_tasks(&dir.join("probs.parquet"), &ColumnNames::default())?;
        }
        ["missing", file] => drop(read_tasks(&dir.join(file), &ColumnNames::default())?),
        ["write", from, to] => {
            let tasks = read_tasks(&with_content(from), &ColumnNames::default())?;
            write_tasks(&dir.join(to), &tasks)?;
        }
        ["model", file] => drop(codec(file)?),
        ["model", file, "without", other] => {
            codec(file)?;
            fs::remove_file(dir.join(other)).unwrap();
            HfCodec::open(dir, None)?;
        }
        ["render", file] => {
            let error = codec(file)?.render(&[Message::user("1")]).unwrap_err();
            return Err(DataError::Codec { task: "rows.jsonl:1".into(), error });
        }
        ["vocabulary", file, size] => codec(file)?.check_vocabulary(size.parse().unwrap())?,
        ["template", name] => drop(TemplateSource::find(name)?),
        ["admit", file] => {
            let tasks = read_tasks(&with_content(file), &ColumnNames::default())?;
            admit(tasks, &addition::codec(), &AdmissionSettings::new(20, 24, 44), None)?;
        }
        ["think", format] => {
            let format = match *format {
                "closing" => ThinkFormat::Closing,
                "whole" => ThinkFormat::Whole,
                _ => ThinkFormat::Nothing,
            };
            check_thinking(content, format)?;
        }
        ["openr1", file] => {
            use luffy_data::{Admission, tasks::openr1};
            let path = with_content(file);
            openr1::prepare(&path, &ColumnNames::default(), &Never, Admission::Drop)?;
        }
        ["gsm8k", file] => drop(luffy_data::tasks::gsm8k::prepare(&with_content(file))?),
        other => panic!("the table asks for {other:?}"),
    }
    Ok(())
}

fn with_probabilities(dir: &Path, probs: &str) -> std::path::PathBuf {
    let row =
        format!(r#"{{"prompt":"q","answer":"1","target":"t","target_ds_qwen_7b_probs":{probs}}}"#);
    fs::write(dir.join("probs.jsonl"), row).unwrap();
    dir.join("probs.jsonl")
}

/// Is not asked: the files of the table do not get as far.
#[derive(Debug)]
struct Never;

impl luffy_core::Verifier for Never {
    fn verify(&self, task: &luffy_core::Task, _: &luffy_core::Response<'_>) -> luffy_core::Verdict {
        panic!("{} is graded", task.id)
    }
}

/// A parquet file with a column and without rows.
fn no_rows() -> Vec<u8> {
    use parquet::file::writer::SerializedFileWriter;
    let schema = "message schema { optional binary prompt (UTF8); }";
    let schema = parquet::schema::parser::parse_message_type(schema).unwrap();
    let writer = SerializedFileWriter::new(Vec::new(), schema.into(), <_>::default()).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn every_bad_input_has_its_message() {
    let cases = cases(include_str!("bad_input.txt"));
    assert!(cases.len() >= 40, "the table has {} entries", cases.len());
    let mut wrong = Vec::new();
    for Case { title, action, content, message } in cases {
        let dir = tempfile::tempdir().unwrap();
        let found = match act(&action, content, dir.path()) {
            Ok(()) => "no error".to_owned(),
            Err(error) => error.to_string(),
        };
        let found = found.replace(&format!("{}/", dir.path().display()), "");
        let found = found.replace(&dir.path().display().to_string(), "DIR");
        let found = found.replace(&format!("{}/", testdata("").display()).replace("//", "/"), "");
        // Editors strip blanks at the end of a line, and so does this.
        let found = found.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        if found != message {
            wrong.push(format!("== {title}\n{}\n{content}\n--\n{found}\n", action.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "messages that differ from bad_input.txt:\n\n{}", wrong.join("\n"));
}
