//! What the program does when nobody takes what it prints.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::program::{model, stderr};

/// Runs the program with something in place of its stdout.
fn run(args: &[&str], stdout: impl Into<Stdio>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_luffy"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .output()
        .expect("the program ends")
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// A file that takes no byte, where the system has one.
fn full() -> Option<File> {
    OpenOptions::new().write(true).open("/dev/full").ok()
}

#[test]
fn a_closed_stdout_ends_commands_quietly() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let model = model();
    let config = format!("{model}/config.json");
    let name = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    let rows = name("rows.jsonl");
    fs::write(&rows, "{\"gold\":\"1\",\"response\":\"1\",\"text\":\"ab\"}\n").expect("a file");
    for args in [
        &["recipes"][..],
        &["recipes", "addition"],
        &["train", "--dry-run"],
        &["init", "--config", &config, "--out", &name("drawn")],
        &["export", "--model", &model, "--out", &name("exported")],
        &["eval", "--responses", &rows],
        &["generate", "--model", &model, "--input", &rows, "--max-new-tokens", "1"],
        &["tokenize", "--model", &model, "--input", &rows],
        &["grade", "--input", &rows],
    ] {
        let output = run(args, closed());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert!(!said.contains("error") && !said.contains("panicked"), "{args:?}: {said}");
        let Some(full) = full() else { continue };
        // What was written is there now.
        let _ = fs::remove_dir_all(name("drawn"));
        let _ = fs::remove_dir_all(name("exported"));
        let output = run(args, full);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("error: cannot write stdout: "), "{args:?}: {said}");
    }
}

#[test]
fn figures_are_saved_before_they_are_printed() {
    let Some(full) = full() else { return };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let rows = dir.path().join("rows.jsonl");
    fs::write(&rows, "{\"gold\":\"1\",\"response\":\"\\\\boxed{1}\"}\n").expect("a file");
    let out = dir.path().join("out");
    let (rows, name) = (rows.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
    let output = run(&["eval", "--responses", rows, "--out", name], full);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(Path::new(&out).join("summary.json").exists());
}

#[test]
fn the_first_rows_may_be_all_that_is_wanted() {
    let model = model();
    let mut child = Command::new(env!("CARGO_BIN_EXE_luffy"))
        .args(["tokenize", "--model", &model])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("stdin is a pipe");
    let writer = std::thread::spawn(move || {
        for _ in 0..20_000 {
            if input.write_all(b"{\"text\":\"ab\"}\n").is_err() {
                break;
            }
        }
    });
    let mut first = String::new();
    let mut output = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
    output.read_line(&mut first).expect("a line");
    drop(output);
    writer.join().expect("the writer ends");
    let output = child.wait_with_output().expect("the program ends");
    assert!(first.starts_with("{\"text\":\"ab\""), "{first}");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}
