//! `luffy score` from outside, against the log-probs of transformers.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::program::{expected, luffy, model, rows, stderr, stdout};

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} {expected}");
    }
}

fn score(flags: &[&str], input: &str) -> Vec<Value> {
    rows(&[&["score", "--model", &model()], flags].concat(), input)
}

fn lines(rows: &[Value]) -> String {
    rows.iter().fold(String::new(), |text, row| text + &row.to_string() + "\n")
}

/// Rows of tokens, lengths 5 to 40, with what transformers says of them.
fn cases() -> (String, Vec<Value>) {
    let expected = expected();
    let cases: Vec<Value> = expected["forward"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|case| numbers(&case["ids"]).len() > 1)
        .cloned()
        .collect();
    let mut input = String::new();
    for case in &cases {
        let _ = writeln!(input, "{}", json!({"ids": case["ids"]}));
    }
    (input, cases)
}

#[test]
fn logprobs_and_entropies_are_those_of_transformers() {
    let (input, cases) = cases();
    let found = score(&[], &input);
    assert_eq!(found.len(), cases.len());
    for (row, case) in found.iter().zip(&cases) {
        let logprobs = numbers(&row["logprobs"]);
        assert_close(&logprobs, &numbers(&case["token_log_prob"]), 2e-4);
        // The entropy after the last token is of a token that is not there.
        let entropy = numbers(&case["entropy"]);
        assert_close(&numbers(&row["entropy"]), &entropy[..entropy.len() - 1], 2e-4);
        let sum: f64 = logprobs.iter().sum();
        assert!((row["logprob_sum"].as_f64().expect("a number") - sum).abs() < 1e-4);
        assert_eq!(row["n_scored"], logprobs.len());
    }
}

#[test]
fn batches_change_nothing_but_rounding() {
    let (input, _) = cases();
    // Long and short in turn, so that batches by length differ from batches in order.
    let input = input.repeat(5);
    let expected = score(&["--max-tokens", "1"], &input);
    for max_tokens in ["60", "100000"] {
        for (row, expected) in score(&["--max-tokens", max_tokens], &input).iter().zip(&expected) {
            assert_eq!(row["ids"], expected["ids"]);
            assert_close(&numbers(&row["logprobs"]), &numbers(&expected["logprobs"]), 1e-5);
            assert_close(&numbers(&row["entropy"]), &numbers(&expected["entropy"]), 1e-5);
        }
    }
}

#[test]
fn a_prompt_is_conditioned_on_and_not_scored() {
    let whole = &score(&[], r#"{"ids":[64,65,66,67]}"#)[0];
    let part = &score(&[], r#"{"ids":[64,65,66,67],"prompt_len":2}"#)[0];
    assert_close(&numbers(&part["logprobs"]), &numbers(&whole["logprobs"])[1..], 1e-6);
    // `ab` and `cd` are those ids.
    let split = &score(&[], r#"{"id":1,"prompt":"ab","response":"cd"}"#)[0];
    assert_eq!((&split["ids"], &split["prompt_len"]), (&part["ids"], &part["prompt_len"]));
    assert_eq!(split["id"], 1);
    let ended = &score(&["--end-token"], r#"{"prompt":"ab","response":"cd"}"#)[0];
    assert_eq!(ended["ids"], json!([64, 65, 66, 67, 383]));
    let chat = r#"{"messages":[{"role":"user","content":"2+2"}],"response":"4"}"#;
    assert_eq!(score(&[], chat)[0]["n_scored"], 1);
}

#[test]
fn at_a_high_temperature_all_tokens_are_alike() {
    let row = &score(&["--temperature", "1e6"], r#"{"ids":[1,2,3]}"#)[0];
    let even = 384_f64.ln();
    assert_close(&numbers(&row["logprobs"]), &[-even; 2], 1e-4);
    assert_close(&numbers(&row["entropy"]), &[even; 2], 1e-4);
}

#[test]
fn what_cannot_be_scored_is_named() {
    let long: Vec<u32> = vec![1; 257];
    let input = format!(
        "{{\"ids\":[1]}}\n{{\"ids\":[1,384]}}\n{{\"ids\":{long:?}}}\n{{\"prompt\":\"a\"}}\n\
         {{\"ids\":[1,2],\"prompt_len\":2}}\n{{\"ids\":[1,2],\"prompt_len\":0}}\n{{\"ids\":[1,2]}}\n"
    );
    let output = luffy(&["score", "--model", &model()], &input);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(stdout(&output).lines().count(), 1);
    for line in [
        "stdin:1: 1 of 1 tokens are the prompt: expected ",
        "stdin:2: token 384 is unknown to the model, which has the tokens 0 to 383\n",
        "stdin:3: 257 tokens, the context of the model holds 256\n",
        "stdin:4: no `response` to the prompt",
        "stdin:5: 2 of 2 tokens are the prompt: expected ",
        "stdin:6: 0 of 2 tokens are the prompt: expected ",
    ] {
        assert!(stderr(&output).contains(line), "{line} in {}", stderr(&output));
    }
    let output = luffy(&["score", "--model", &model(), "--temperature", "0"], "");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

/// What `generate` wrote is scored token by token, whatever the prompt was given as.
#[test]
fn responses_of_generate_are_scored_as_they_were_drawn() {
    let input = concat!(
        r#"{"text":"ab"}"#,
        "\n",
        r#"{"ids":[64,65,66]}"#,
        "\n",
        r#"{"prompt":"What is "}"#,
        "\n",
        r#"{"messages":[{"role":"user","content":"2+2"}]}"#,
        "\n",
    );
    let model = model();
    let flags = ["generate", "--model", &model, "--max-new-tokens", "24", "-n", "3"];
    let flags = [&flags[..], &["--temperature", "0.8", "--logprobs"]].concat();
    let generated = rows(&flags, input);
    let text = lines(&generated);
    let scored = score(&["--temperature", "0.8"], &text);
    assert_eq!(scored.len(), 12);
    for (drawn, scored) in generated.iter().zip(&scored) {
        let n = drawn["prompt_len"].as_u64().expect("a number") as usize;
        assert_eq!(scored["prompt_len"], drawn["prompt_len"]);
        assert_eq!(
            &scored["ids"].as_array().expect("ids")[n..],
            &drawn["response_ids"].as_array().expect("ids")[..]
        );
        let (found, expected) = (&scored["logprobs"], &drawn["response_logprobs"]);
        assert_close(&numbers(found), &numbers(expected), 2e-5);
    }
    // Scoring what was scored changes nothing.
    for (again, scored) in score(&["--temperature", "0.8"], &lines(&scored)).iter().zip(&scored) {
        assert_eq!(again["ids"], scored["ids"]);
    }
}

#[test]
fn an_end_token_is_added_once() {
    let ids = |row: &str| score(&["--end-token"], row)[0]["ids"].clone();
    assert_eq!(ids(r#"{"text":"ab","response_ids":[66,67]}"#), json!([64, 65, 66, 67, 383]));
    assert_eq!(ids(r#"{"ids":[64,65],"response_ids":[66,383]}"#), json!([64, 65, 66, 383]));
    assert_eq!(ids(r#"{"text":"ab","response":"cd"}"#), json!([64, 65, 66, 67, 383]));
    assert_eq!(ids(r#"{"ids":[64,65],"response":"cd"}"#), json!([64, 65, 66, 67, 383]));
    // Tokens that are the whole already stay as they are.
    let whole = r#"{"ids":[64,65,66],"prompt_len":1,"response_ids":[65,66]}"#;
    assert_eq!(ids(whole), json!([64, 65, 66]));
}

#[test]
fn what_leaves_nothing_to_score_is_said_so() {
    let input = "{\"text\":\"a\"}\n{\"text\":\"\"}\n\
                 {\"text\":\"ab\",\"prompt_len\":7,\"response_ids\":[66]}\n";
    let output = luffy(&["score", "--model", &model()], input);
    assert_eq!(output.status.code(), Some(3));
    for line in [
        "stdin:1: nothing to score: the text has 1 token, and nothing predicts the first\n",
        "stdin:2: nothing to score: the text has 0 tokens",
        "stdin:3: the prompt has 2 tokens, and `prompt_len` is 7",
    ] {
        assert!(stderr(&output).contains(line), "{line} in {}", stderr(&output));
    }
    for (flags, part) in [
        (["--max-tokens", "0"], "`0` is no whole number above 0"),
        (["--temperature", "-1"], "-1 is not above 0"),
    ] {
        let output = luffy(&[&["score", "--model", &*model()], &flags[..]].concat(), "");
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(part), "{}", stderr(&output));
    }
}
