//! `luffy data` from outside: what it prints, what it writes, how it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn luffy(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luffy"));
    command.arg("data").args(args).current_dir(dir).output().expect("the program runs")
}

/// What a command that works prints.
fn works(args: &[&str], dir: &Path) -> String {
    let output = luffy(args, dir);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Exit code and message of one that does not.
fn fails(args: &[&str], dir: &Path) -> (Option<i32>, String) {
    let output = luffy(args, dir);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).trim_end().to_owned())
}

/// Invented rows in the schema of LUFFY's training file, as pandas writes them.
fn lookalike() -> PathBuf {
    testdata("lookalike.parquet")
}

fn testdata(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/data").join(name);
    path.canonicalize().expect("the file is there")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn inspect_shows_columns_counts_lengths_and_an_example() {
    let dir = tempfile::tempdir().expect("a folder");
    let rows = concat!(
        r#"{"prompt":"1+1","answer":"2","completion":"<think>\n1</think>2","year":2024}"#,
        "\n",
        r#"{"prompt":"10+1","answer":"11","completion":null}"#,
        "\n"
    );
    fs::write(dir.path().join("sums.jsonl"), rows).expect("a file");
    let plain = works(&["inspect", "sums.jsonl"], dir.path());
    assert_eq!(
        plain,
        "sums.jsonl\n  \
           prompt      string\n  \
           answer      string\n  \
           completion  string  (1 null)\n  \
           year        int64  (1 null)\n\
         rows: 2\n\
         tasks per source:\n  \
           \"sums\": 2\n\
         different prompts: 2\n\
         without gold answer: 0\n\
         without demonstration: 1\n\
         prompts, characters: 2 (p50 9, p90 10, p99 10, max 10)\n\
         demonstrations, characters: 1 (p50 18, p90 18, p99 18, max 18)\n\
         first prompt:\nuser: 1+1\n\
         first demonstration:\n<think>\n1</think>2\n"
    );
    // The folder's template opens the thought; a named template does not.
    let model = testdata("codec/qwen2-untied-sharded-bf16");
    let args = ["inspect", "sums.jsonl", "--json", "--model", text(&model)];
    let own: Value = serde_json::from_str(&works(&args, dir.path())).expect("JSON");
    let example = own["example-prompt"].as_str().expect("a text");
    assert!(example.ends_with("<|im_start|>assistant\n<think>\n"), "{example}");
    let named = [&args[..], &["--chat-template", "none"]].concat();
    let named: Value = serde_json::from_str(&works(&named, dir.path())).expect("JSON");
    assert_eq!(named["example-prompt"], "1+1");
    assert_eq!(named["characters"]["prompts"]["max"], 4);
    assert!(named["tokens"]["prompts"]["max"].as_u64() < own["tokens"]["prompts"]["max"].as_u64());
}

#[test]
fn convert_keeps_every_column_both_ways() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = lookalike();
    let said = works(&["convert", text(&file), "a.jsonl"], dir.path());
    assert_eq!(said, "5 rows with 10 demonstrations in a.jsonl\n");
    let said = works(&["convert", "a.jsonl", "b.parquet", "--json"], dir.path());
    assert_eq!(said, "{\"rows\":5,\"demonstrations\":10,\"output\":\"b.parquet\"}\n");
    works(&["convert", "b.parquet", "c.jsonl"], dir.path());
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("a file");
    let values = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    // Where JSONL leaves out a column, parquet has a null.
    let with_nulls = |mut row: Value| {
        for name in ["target_lst", "target_ds_qwen_7b_probs"] {
            row.as_object_mut().expect("an object").entry(name).or_insert(Value::Null);
        }
        row
    };
    let rows: Vec<Value> = values(&read("a.jsonl")).into_iter().map(with_nulls).collect();
    let back: Vec<Value> = values(&read("c.jsonl")).into_iter().map(with_nulls).collect();
    assert_eq!(rows, back);
    assert_eq!(rows[3]["__index_level_0__"], 21);
    assert_eq!(rows[1]["target"], Value::Null);

    let (code, message) = fails(&["convert", "a.jsonl", "b.parquet"], dir.path());
    let there = "error: b.parquet is already there; name another file or give --force";
    assert_eq!((code, message.as_str()), (Some(2), there));
    let (code, message) = fails(&["convert", "a.jsonl", "a.jsonl", "--force"], dir.path());
    let same = "error: a.jsonl is the input; name another file";
    assert_eq!((code, message.as_str()), (Some(2), same));
}

#[test]
fn columns_can_be_named_and_misnamed() {
    let dir = tempfile::tempdir().expect("a folder");
    let row = r#"{"question":"1+1","label":"2","output":"two"}"#;
    fs::write(dir.path().join("in.jsonl"), row).expect("a file");
    let names =
        ["--column", "prompt=question", "--column", "answer=label", "--column", "target=output"];
    works(&[&["convert", "in.jsonl", "out.jsonl"][..], &names].concat(), dir.path());
    let written = fs::read_to_string(dir.path().join("out.jsonl")).expect("a file");
    assert_eq!(
        written,
        concat!(
            r#"{"data_source":"in","prompt":[{"content":"1+1","role":"user"}],"#,
            r#""target":[{"content":"two","role":"assistant"}],"ability":"math","#,
            r#""reward_model":{"ground_truth":"2","style":"rule"},"#,
            r#""extra_info":{"index":0,"split":"default"}}"#,
            "\n"
        )
    );
    let (code, message) = fails(&["inspect", "in.jsonl"], dir.path());
    assert_eq!(code, Some(3));
    assert!(message.contains("in.jsonl: line 1: column `prompt`: expected"), "{message}");
    for argument in ["question", "promt=question"] {
        let (code, message) = fails(&["inspect", "in.jsonl", "--column", argument], dir.path());
        assert_eq!(code, Some(2), "{message}");
    }
}

#[test]
fn openr1_is_graded_trace_by_trace() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = lookalike();
    let args = ["prepare", "openr1", "--input", text(&file), "--out", "out", "--json"];
    let said: Value = serde_json::from_str(&works(&args, dir.path())).expect("JSON");
    // Of ten traces one ends in the right box; one has no box, and eight no thought at all.
    let report = &said["report"];
    assert_eq!(said["system-texts"], 1);
    assert_eq!(report["prompts-admitted"], 5);
    assert_eq!(report["demonstrations-read"], 10);
    assert_eq!(report["demonstrations-admitted"], 1);
    assert_eq!(report["demonstrations-dropped"]["malformed"]["count"], 9);
    works(&["convert", "out/lookalike.parquet", "dropped.jsonl"], dir.path());
    let rows = fs::read_to_string(dir.path().join("dropped.jsonl")).expect("a file");
    assert_eq!(rows.lines().count(), 5, "rows stay, if only for their samples");
    assert_eq!(rows.matches(r#""role":"assistant""#).count(), 1);
    assert!(rows.contains(r#""__index_level_0__":14"#));

    let (code, message) = fails(&args, dir.path());
    assert_eq!(code, Some(2), "{message}");
    let keep = [&args[..], &["--admission", "keep", "--force"]].concat();
    let said: Value = serde_json::from_str(&works(&keep, dir.path())).expect("JSON");
    assert_eq!(said["report"]["demonstrations-admitted"], 10);
    assert_eq!(said["report"]["demonstrations-kept"]["malformed"]["count"], 9);
    let said = works(&["convert", "out/lookalike.parquet", "kept.jsonl"], dir.path());
    assert_eq!(said, "5 rows with 10 demonstrations in kept.jsonl\n");
}

#[test]
fn gsm8k_replaces_a_file_only_when_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let row = r#"{"question":"How much is 1 and 1?","answer":"1+1=2\n#### 2"}"#;
    fs::write(dir.path().join("test.jsonl"), row).expect("a file");
    let args = ["prepare", "gsm8k", "--input", "test.jsonl", "--out", "out"];
    works(&args, dir.path());
    let (code, message) = fails(&args, dir.path());
    let there = "error: out/test.parquet is already there; name another file or give --force";
    assert_eq!((code, message.as_str()), (Some(2), there));
    works(&[&args[..], &["--force"]].concat(), dir.path());
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_goes_away_ends_it_quietly_and_a_full_disk_is_named() {
    use std::process::Stdio;
    let dir = tempfile::tempdir().expect("a folder");
    let file = lookalike();
    let run = |stdout: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luffy"));
        command.args(["data", "inspect", text(&file), text(&file)]).current_dir(dir.path());
        command.stdout(stdout).output().expect("the program runs")
    };
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let output = run(full.into());
    assert_eq!(output.status.code(), Some(1));
    let message = "error: cannot write stdout: No space left on device (os error 28)\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), message);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = run(writer.into());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_missing_file_is_said_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, message) = fails(&["inspect", "none.jsonl"], dir.path());
    let once = "error: cannot read none.jsonl: No such file or directory (os error 2)";
    assert_eq!((code, message.as_str()), (Some(3), once));
}
