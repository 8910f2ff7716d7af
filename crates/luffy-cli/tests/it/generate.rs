//! `luffy generate` from outside, against the greedy continuations of transformers.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::program::{expected, luffy, model, rows, stderr, stdout};

fn generate(flags: &[&str], input: &str) -> Vec<Value> {
    rows(&[&["generate", "--model", &model()], flags].concat(), input)
}

/// Prompts of very different lengths.
fn prompts() -> String {
    let mut input = String::new();
    for i in 0..6_u32 {
        let ids: Vec<u32> = (0..=7 * i).map(|j| (i * 37 + j * 11) % 380).collect();
        let _ = writeln!(input, "{}", json!({"id": i, "ids": ids}));
    }
    input.push_str(r#"{"messages":[{"role":"user","content":"What is 2+2?"}]}"#);
    input
}

#[test]
fn greedy_responses_are_those_of_transformers() {
    let expected = expected();
    let cases = expected["greedy"].as_array().expect("a list");
    let mut input = String::new();
    for case in cases {
        let _ = writeln!(input, "{}", json!({"ids": case["prompt"]}));
    }
    for flags in [&["--greedy"][..], &["--temperature", "0"], &["--top-k", "1"]] {
        let found = generate(&[flags, &["--max-new-tokens", "24"]].concat(), &input);
        for (row, case) in found.iter().zip(cases) {
            assert_eq!(row["response_ids"], case["new_tokens"], "{flags:?}");
            assert_eq!(row["prompt_len"], case["prompt"].as_array().expect("a list").len());
        }
    }
}

#[test]
fn a_response_depends_on_seed_line_and_sample_alone() {
    let flags = ["--max-new-tokens", "20", "-n", "3", "--logprobs", "--seed"];
    let expected = generate(&[&flags[..], &["5"]].concat(), &prompts());
    assert_eq!(expected.len(), 21);
    for max_rows in ["1", "4", "200"] {
        let found = generate(&[&flags[..], &["5", "--max-rows", max_rows]].concat(), &prompts());
        for (found, expected) in found.iter().zip(&expected) {
            for field in ["id", "sample", "response_ids", "response", "finish"] {
                assert_eq!(found[field], expected[field], "{max_rows} rows");
            }
        }
    }
    let one = generate(&["--max-new-tokens", "20", "--seed", "5"], &prompts());
    for (one, expected) in one.iter().zip(expected.iter().step_by(3)) {
        assert_eq!(one["response_ids"], expected["response_ids"], "sample 0 of three is the one");
    }
    let other = generate(&[&flags[..], &["6"]].concat(), &prompts());
    assert_ne!(other[0]["response_ids"], expected[0]["response_ids"]);
    let samples: Vec<&Value> = expected[..3].iter().map(|row| &row["response_ids"]).collect();
    assert!(samples[0] != samples[1] && samples[1] != samples[2]);
}

#[test]
fn logprobs_are_those_of_scoring() {
    let row = &generate(
        &["--max-new-tokens", "8", "--temperature", "0.7", "--logprobs"],
        r#"{"ids":[64,65,66]}"#,
    )[0];
    let ids: Vec<&Value> = row["ids"]
        .as_array()
        .expect("a list")
        .iter()
        .chain(row["response_ids"].as_array().expect("a list"))
        .collect();
    let input = json!({"ids": ids, "prompt_len": 3}).to_string();
    let scored = rows(&["score", "--model", &model(), "--temperature", "0.7"], &input);
    let pairs = row["response_logprobs"].as_array().expect("a list");
    assert_eq!(pairs.len(), row["response_ids"].as_array().expect("a list").len());
    for (drawn, scored) in pairs.iter().zip(scored[0]["logprobs"].as_array().expect("a list")) {
        let (drawn, scored) = (drawn.as_f64().expect("a number"), scored.as_f64().expect("one"));
        assert!((drawn - scored).abs() < 1e-4, "{drawn} {scored}");
    }
    assert!(
        generate(&["--max-new-tokens", "2"], r#"{"ids":[1]}"#)[0]["response_logprobs"].is_null()
    );
}

#[test]
fn a_stop_string_cuts_text_and_tokens() {
    let flags = ["--max-new-tokens", "30"];
    let free = generate(&flags, &prompts());
    // A piece of three characters in the middle of the first response, whatever its tokens are.
    let text: Vec<char> = free[0]["response"].as_str().expect("a text").chars().collect();
    let stop: String = text[9..12].iter().collect();
    assert!(!stop.contains('\u{fffd}'), "choose another place: {text:?}");
    let cut = generate(&[&flags[..], &["--stop", &stop, "--stop", "never"]].concat(), &prompts());
    let (free, cut) = (&free[0], &cut[0]);
    let whole = free["response"].as_str().expect("a text");
    let at = whole.find(&stop).expect("it is there");
    assert_eq!(cut["response"].as_str(), whole.get(..at));
    assert_eq!(cut["finish"], "stop");
    let (free, cut) = (&free["response_ids"], &cut["response_ids"]);
    let (free, cut) = (free.as_array().expect("a list"), cut.as_array().expect("a list"));
    assert!(cut.len() < free.len() && free.starts_with(cut));
}

#[test]
fn a_response_ends_where_the_context_does_and_a_full_one_is_named() {
    let ids = |n: usize| json!({"ids": vec![1; n]}).to_string();
    let input = format!("{}\n{}\n{{\"ids\":[]}}\n{{\"ids\":[400]}}", ids(250), ids(256));
    let output = luffy(&["generate", "--model", &model(), "--temperature", "2"], &input);
    assert_eq!(output.status.code(), Some(3));
    let row: Value = serde_json::from_str(stdout(&output)).expect("one row");
    assert!(row["response_ids"].as_array().expect("a list").len() <= 6);
    for line in [
        "stdin:2: the prompt has 256 tokens, the context of the model 256\n",
        "stdin:3: the prompt has no tokens\n",
        "stdin:4: token 400 is unknown to the model",
    ] {
        assert!(stderr(&output).contains(line), "{line} in {}", stderr(&output));
    }
    for flags in [&["--top-p", "2"][..], &["-n", "0"], &["--greedy", "--top-k", "3"]] {
        let model = model();
        let args = [&["generate", "--model", &*model], flags].concat();
        assert_eq!(luffy(&args, "").status.code(), Some(2), "{flags:?}");
    }
}

#[test]
fn numbers_out_of_range_are_told_as_such() {
    let model = model();
    for (flags, part) in [
        (["--temperature", "-1"], "-1 is below 0"),
        (["--top-k", "-1"], "`-1` is no whole number from 0 on"),
        (["--top-p", "-0.5"], "-0.5 is no share"),
        (["--min-p", "-1"], "-1 is no share"),
        (["--seed", "-1"], "`-1` is no whole number from 0 on"),
        (["-n", "-1"], "`-1` is no whole number above 0"),
        (["--max-rows", "-1"], "`-1` is no whole number above 0"),
        (["--max-new-tokens", "-1"], "`-1` is no whole number above 0"),
        (["--max-new-tokens", "99999999999"], "`99999999999` is too large"),
        (["--seed", "99999999999999999999"], "is too large"),
        (["--chat-template", "nosuch"], "`qwen`, `simplerl`"),
    ] {
        let output = luffy(&[&["generate", "--model", &*model], &flags[..]].concat(), "");
        let code = if flags[0] == "--chat-template" { 3 } else { 2 };
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{flags:?}: {}", stderr(&output));
    }
}
