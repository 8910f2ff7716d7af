//! Rows that no command was made for: each is answered or named, and nothing panics.

use crate::program::{luffy, model, stderr, stdout};

/// One row a line; `model()` has 384 tokens and a context of 256.
const ROWS: [&str; 38] = [
    "{}",
    "null",
    "[]",
    "\"text\"",
    "{\"text\":",
    "{\"text\":null}",
    "{\"text\":\"\"}",
    "{\"text\":\"\\u0000\\ufffe\\uffff\"}",
    "{\"text\":\"\\ud800\"}",
    "{\"text\":\"<|im_start|><|im_end|>\"}",
    "{\"text\":\"a\",\"text\":5}",
    "{\"text\":[\"a\"]}",
    "{\"text\":\"a\"} trailing",
    "{\"ids\":[]}",
    "{\"ids\":[null]}",
    "{\"ids\":[1.5]}",
    "{\"ids\":[-1]}",
    "{\"ids\":[4294967295]}",
    "{\"ids\":[18446744073709551616]}",
    "{\"ids\":[383,383,383]}",
    "{\"ids\":{}}",
    "{\"ids\":[1,2],\"prompt_len\":-1}",
    "{\"ids\":[1,2],\"prompt_len\":18446744073709551615}",
    "{\"ids\":[1,2],\"prompt_len\":1e99}",
    "{\"ids\":[1,2],\"prompt_len\":\"1\"}",
    "{\"messages\":[]}",
    "{\"messages\":[[]]}",
    "{\"messages\":[{}]}",
    "{\"messages\":[{\"role\":\"\",\"content\":\"\"}]}",
    "{\"messages\":[{\"role\":1,\"content\":\"\"}]}",
    "{\"messages\":[{\"role\":\"user\",\"content\":[]}],\"response\":\"\"}",
    "{\"messages\":{\"role\":\"user\",\"content\":\"a\"}}",
    "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}],\"response\":5}",
    "{\"prompt\":[],\"response\":\"a\"}",
    "{\"prompt\":\"\",\"response\":\"a\"}",
    "{\"prompt\":\"a\",\"response\":\"\"}",
    "{\"prompt\":{},\"response\":\"a\"}",
    "{\"response\":\"a\",\"golds\":[5]}",
];

fn check(args: &[&str]) {
    let deep = format!("{{\"text\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    let long = format!("{{\"text\":\"{}\"}}", "a".repeat(5_000));
    let input = [&ROWS[..], &[&*deep, &*long]].concat().join("\n");
    let output = luffy(&[args, &["--model", &model()]].concat(), &input);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{args:?}: {said}");
    assert!(!said.contains("panicked"), "{args:?}: {said}");
    let n_named = said.lines().filter(|line| line.starts_with("stdin:")).count();
    let n_answered = stdout(&output).lines().count();
    assert_eq!(n_named + n_answered, ROWS.len() + 2, "{args:?}: {said}");
    assert!(n_answered > 0 && n_named > ROWS.len() / 2, "{args:?}: {n_named} {n_answered}");
}

#[test]
fn every_row_is_answered_or_named() {
    check(&["tokenize"]);
    check(&["score"]);
    check(&["generate", "--max-new-tokens", "2"]);
}

#[test]
fn saved_responses_of_any_kind_end_in_figures_or_an_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("rows.jsonl");
    for row in ROWS.iter().chain(&[
        "",
        "{\"response\":\"\",\"golds\":[]}",
        "{\"response\":\"5\",\"gold\":\"5\",\"finish\":\"never\"}",
        "{\"response\":\"5\",\"gold\":\"5\",\"verifier\":\"nobody\"}",
        "{\"response\":\"5\",\"gold\":\"5\",\"format\":7}",
        "{\"response\":\"5\",\"gold\":\"5\",\"n_tokens\":-1}",
    ]) {
        std::fs::write(&path, row).expect("a file");
        let output = luffy(&["eval", "--responses", path.to_str().expect("UTF-8")], "");
        let said = stderr(&output);
        assert!(!said.contains("panicked"), "{row}: {said}");
        let has_figures = stdout(&output).contains("avg@k");
        let code = output.status.code().expect("an end of its own");
        assert_eq!(code, if has_figures { 0 } else { 3 }, "{row}: {said}");
    }
}
