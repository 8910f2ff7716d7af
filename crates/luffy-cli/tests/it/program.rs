//! The program as its users start it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs the program on a text.
pub(crate) fn luffy(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_luffy"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("stdin is a pipe");
    // A program that refuses its arguments does not read on.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    child.wait_with_output().expect("the program ends")
}

/// Rows through a command that must succeed.
pub(crate) fn rows(args: &[&str], stdin: &str) -> Vec<Value> {
    let output = luffy(args, stdin);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    parsed(stdout(&output))
}

pub(crate) fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a row of JSON")).collect()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// A tiny random model: 384 tokens, a context of 256.
pub(crate) fn model() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/models/qwen2-tied");
    path.to_str().expect("UTF-8").to_owned()
}

/// What transformers gives for that model.
pub(crate) fn expected() -> Value {
    let text = std::fs::read_to_string(PathBuf::from(model()).join("expected.json"));
    serde_json::from_str(&text.expect("the file is there")).expect("JSON")
}

/// A file of the shared folder, or `None` with a notice where it is not there; in CI it must be.
#[expect(clippy::print_stdout, reason = "says why the test did nothing")]
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("LUFFY_SHARED").filter(|dir| !dir.is_empty()).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = shared.join(name);
    if !path.exists() {
        let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!in_ci, "{} is missing; set LUFFY_SHARED", path.display());
        println!("skipped: {} is missing", path.display());
        return None;
    }
    Some(path)
}
