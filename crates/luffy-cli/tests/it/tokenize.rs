//! `luffy tokenize` from outside, against what transformers makes of the same texts.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::program::{expected, luffy, model, rows, stderr, stdout};

#[test]
fn texts_have_the_ids_that_transformers_gives_and_come_back() {
    let expected = expected();
    let texts = expected["texts"].as_array().expect("a list");
    let mut input = String::new();
    for case in texts {
        let _ = writeln!(input, "{}", json!({"id": 7, "text": case["text"], "n_tokens": "stale"}));
    }
    let found = rows(&["tokenize", "--model", &model()], &input);
    assert_eq!(found.len(), texts.len());
    let mut back = String::new();
    for (row, case) in found.iter().zip(texts) {
        assert_eq!(row["ids"], case["ids"]);
        assert_eq!(row["n_tokens"], case["ids"].as_array().expect("a list").len());
        assert_eq!(row["id"], 7);
        let _ = writeln!(back, "{}", json!({"ids": row["ids"]}));
    }
    for (row, case) in rows(&["tokenize", "--model", &model()], &back).iter().zip(texts) {
        assert_eq!(row["text"], case["text"]);
    }
}

#[test]
fn conversations_are_rendered_with_and_without_an_opened_answer() {
    let expected = expected();
    for case in expected["chat"].as_array().expect("a list") {
        let mut args = vec!["tokenize", "--model"];
        let model = model();
        args.push(&model);
        if case["add_generation_prompt"] == false {
            args.push("--no-generation-prompt");
        }
        let row = json!({"messages": case["messages"]}).to_string();
        let found = rows(&args, &row);
        assert_eq!(found[0]["text"], case["text"]);
        // LUFFY's own files call a conversation `prompt`.
        let row = json!({"prompt": case["messages"]}).to_string();
        assert_eq!(rows(&args, &row)[0]["ids"], found[0]["ids"]);
    }
}

#[test]
fn another_template_can_be_given() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("plain.jinja");
    std::fs::write(&path, "{{ messages[0].content }}!").expect("a file");
    let path = path.to_str().expect("UTF-8");
    let row = r#"{"messages":[{"role":"user","content":"What"}]}"#;
    let found = rows(&["tokenize", "--model", &model(), "--chat-template", path], row);
    assert_eq!(found[0]["text"], "What!");
    let output = luffy(&["tokenize", "--model", &model(), "--chat-template", "/nonexistent"], row);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn wrong_lines_are_named_and_the_others_pass() {
    let input = "{\"text\": 5}\n\n{\"text\":\"a\"}\nno\n{\"x\":1}\n{\"ids\":[\"a\"]}\n";
    let output = luffy(&["tokenize", "--model", &model()], input);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(stdout(&output).lines().count(), 1);
    for line in [
        "stdin:1: `text`: expected a text, found 5\n",
        "stdin:4: not a JSON object: ",
        "stdin:5: expected `messages`, `prompt`, `text` or `ids`, found none of them\n",
        "stdin:6: `ids`: expected a list of token ids, found [\"a\"]\n",
        "4 lines of stdin could not be used",
    ] {
        assert!(stderr(&output).contains(line), "{line} in {}", stderr(&output));
    }
}

#[test]
fn files_are_read_and_appear_whole() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (input, output) = (dir.path().join("in.jsonl"), dir.path().join("out.jsonl"));
    std::fs::write(&input, "{\"text\":\"a\"}").expect("a file");
    let (input, path) = (input.to_str().expect("UTF-8"), output.to_str().expect("UTF-8"));
    let args = ["tokenize", "--model", &model(), "--input", input, "--output", path];
    let done = luffy(&args, "");
    assert!(done.status.success(), "{}", stderr(&done));
    assert!(stdout(&done).is_empty());
    let row: Value =
        serde_json::from_slice(&std::fs::read(&output).expect("the output")).expect("JSON");
    assert_eq!(row["n_tokens"], 1);
    let missing = luffy(&["tokenize", "--model", &model(), "--input", "/nonexistent/x"], "");
    assert_eq!(missing.status.code(), Some(3));
    let missing = luffy(&["tokenize", "--model", "/nonexistent"], "{}");
    assert_eq!(missing.status.code(), Some(3));
}
