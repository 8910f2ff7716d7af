//! `luffy grade` from outside: rows, messages, exit codes.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::program::{self, stderr, stdout};

fn luffy(args: &[&str], stdin: &str) -> Output {
    program::luffy(&[&["grade"], args].concat(), stdin)
}

const ROWS: &str = r#"{"id": 1, "gold": "1000", "response": "</think>\\boxed{1,000.0}"}
{"id": 2, "golds": [3, "4"], "response": "</think>\\boxed{5}", "reward": "stale"}

{"id": 3, "gold": "5", "response": "\\boxed{5}"}
{"id": 4, "gold": "", "response": "</think>\\boxed{5}"}
"#;

#[test]
fn rows_come_out_in_order_with_their_verdicts() {
    let output = luffy(&["--input", "-"], ROWS);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<&str> = stdout(&output).lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with(r#"{"id":1,"gold":"1000","#), "{}", lines[0]);
    for (line, end) in lines.iter().zip([
        r#","extracted":"1,000.0","reward":1.0}"#,
        r#","correct":false,"verdict":"incorrect","reason":"different","extracted":"5","reward":0.0}"#,
        r#","correct":false,"verdict":"malformed","reason":"format","extracted":null,"reward":0.0}"#,
        r#","correct":false,"verdict":"bad-gold","reason":"bad-gold","extracted":null,"reward":null}"#,
    ]) {
        assert!(line.ends_with(end), "{line}");
    }
    assert!(!lines[1].contains("stale"), "{}", lines[1]);
    let summary = stderr(&output);
    assert!(summary.contains("correct         1  25.0 %\n"), "{summary}");
    assert!(summary.contains("4 rows in "), "{summary}");
}

#[test]
fn a_bad_line_is_named_and_the_rest_is_graded() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let (input, graded) = (root.path().join("in.jsonl"), root.path().join("out.jsonl"));
    let rows = "{\"gold\":\"5\",\"response\":\"\\\\boxed{5}\"}\nno\n{\"gold\":\"5\"}\n\
                {\"response\":\"\"}\n{\"gold\":\"5\",\"response\":\"\\\\boxed{6}\"}";
    fs::write(&input, rows).expect("a file");
    fs::write(&graded, "old").expect("a file");
    let (input, path) = (input.to_str().expect("UTF-8"), graded.to_str().expect("UTF-8"));
    let output = luffy(&["--input", input, "--output", path, "--format", "plain"], "");
    assert_eq!(output.status.code(), Some(3));
    let said = stderr(&output);
    for line in [
        format!("{input}:2: not a JSON object: "),
        format!("{input}:3: no `response`\n"),
        format!("{input}:4: no `gold` and no `golds`\n"),
        "3 lines could not be graded\n".to_owned(),
    ] {
        assert!(said.contains(&line), "{line} in {said}");
    }
    let rows = fs::read_to_string(&graded).expect("the output");
    assert_eq!(rows.lines().count(), 2);
    assert!(stdout(&output).is_empty());
    let files = fs::read_dir(root.path()).expect("a directory").count();
    assert_eq!(files, 2, "no temporary file is left");
}

#[test]
fn flags_choose_verifier_and_values() {
    let row = r#"{"gold": "(C)", "response": "Answer: C"}"#;
    let graded = |args: &[&str]| {
        let output = luffy(&[&["--input", "-", "--format", "plain"], args].concat(), row);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).trim_end().rsplit_once("\"reward\":").expect("a reward").1.to_owned()
    };
    let choice = ["--verifier", "choice", "--profile", "lenient"];
    assert_eq!(graded(&choice), "1.0}");
    assert_eq!(graded(&["--verifier", "choice", "--values", "1,-0.5,-2"]), "-2.0}");
    assert_eq!(graded(&["--verifier", "reference-v1"]), "-1.0}");
    assert_eq!(graded(&["--verifier", "reference-v0"]), "0.0}");
}

#[test]
fn wrong_usage_and_a_missing_file_have_their_codes() {
    let missing = Path::new("/nonexistent/rows.jsonl").to_str().expect("UTF-8");
    let output = luffy(&["--input", missing], "");
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot read /nonexistent/rows.jsonl"));
    for args in [&["--format", "loose"][..], &["--verifier", "llm"], &["--values", "1"]] {
        let output = luffy(&[&["--input", "-"], args].concat(), "");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    }
    let output = luffy(&["--input", "-", "--output", "/nonexistent/out.jsonl"], "");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}
