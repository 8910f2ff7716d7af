//! Losses, gradients, advantages and logged figures beside those of the reference.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::program;

/// Exit status and standard output for a file of cases.
fn compare(cases: &Path) -> (Option<i32>, String) {
    let cases = cases.to_str().expect("UTF-8");
    let output = program::luffy(&["conformance-objective", "--cases", cases], "");
    (output.status.code(), program::stdout(&output).to_owned())
}

fn testdata(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/objective").join(name)
}

/// Whether a file passes as a whole; what is printed.
fn check(name: &str, n_cases: usize) -> String {
    let (code, said) = compare(&testdata(name));
    assert_eq!(said.lines().last(), Some(&*format!("{n_cases} passed, 0 failed")), "{said}");
    assert_eq!(code, Some(0));
    // No kind is left out.
    let kinds =
        ["advantage", "kl", "mixed_policy_loss", "ppo_clip_loss", "sft_loss", "token_statistics"];
    let named: Vec<&str> = said.lines().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(named, kinds, "{said}");
    said
}

#[test]
fn every_case_of_the_reference_agrees() {
    let said = check("cases.jsonl", 285);
    // In f64 nothing passes through f32, which would be seen as 6e-8, but advantages, which are stored so.
    for line in said.lines().filter(|line| line.contains("at most") && !line.starts_with("adv")) {
        let (_, share) = line.split_once("at most ").expect("a distance");
        let share: f64 = share.split(' ').next().expect("a word").parse().expect("a number");
        assert!(share < 1e-3, "{line}");
    }
}

/// Cases of `benches/peers/make_objective_cases.py`.
#[test]
fn every_further_case_agrees() {
    check("further.jsonl", 130);
}

/// The first case of each kind, by kind.
fn first_cases() -> Vec<Value> {
    let text = fs::read_to_string(testdata("cases.jsonl")).expect("it is there");
    let mut cases: Vec<Value> = Vec::new();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("JSON");
        if cases.iter().all(|other| other["kind"] != case["kind"]) {
            cases.push(case);
        }
    }
    cases
}

/// Runs cases; standard output, which must end with as many failures.
fn failing(cases: &[Value], n_failed: usize) -> String {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("cases.jsonl");
    let lines: Vec<String> = cases.iter().map(Value::to_string).collect();
    fs::write(&file, lines.join("\n")).expect("written");
    let (code, said) = compare(&file);
    let last = format!("{} passed, {n_failed} failed", cases.len() - n_failed);
    assert_eq!(said.lines().last(), Some(&*last), "{said}");
    assert_eq!(code, Some(i32::from(n_failed > 0)), "{said}");
    said
}

/// A number a little farther from zero.
fn nudge(value: &mut Value) {
    match value {
        Value::Array(values) => nudge(values.first_mut().expect("a value")),
        Value::Null => *value = json!(1.0),
        number => {
            let before = number.as_f64().expect("a number");
            *number = json!(before * 1.00004 + 3e-6 * before.signum());
        }
    }
}

#[test]
fn every_figure_of_a_case_counts() {
    let cases = first_cases();
    assert_eq!(cases.len(), 6);
    let mut changed = Vec::new();
    for case in &cases {
        for name in case["expected"].as_object().expect("figures").keys() {
            let mut wrong = case.clone();
            nudge(&mut wrong["expected"][name]);
            wrong["id"] = json!(format!("{name} of {}", case["id"]));
            changed.push(wrong);
        }
    }
    // 12 figures of the mixed loss, 4 of PPO, 2 of SFT, 1 KL, 2 of tokens, 1 of advantages.
    assert_eq!(changed.len(), 22);
    let said = failing(&changed, 22);
    for case in &changed {
        let id = case["id"].as_str().expect("an id");
        let name = id.split(' ').next().expect("a word");
        let at = if case["expected"][name].is_array() { "[0][0]" } else { "" };
        for dtype in ["f64", "f32"] {
            let line = format!("FAILED {id} {name}{at} in {dtype}: got ");
            assert!(said.contains(&line), "{line}: {said}");
        }
    }
}

#[test]
fn a_figure_over_nothing_must_be_absent() {
    let mut cases = first_cases();
    cases.retain(|case| case["kind"] == "ppo_clip_loss");
    cases[0]["expected"]["ppo_kl"] = Value::Null;
    assert!(failing(&cases, 1).contains("wanted absent"));
    for row in cases[0]["inputs"]["response_mask"].as_array_mut().expect("rows") {
        let n_tokens = row.as_array().expect("tokens").len();
        *row = json!(vec![0; n_tokens]);
    }
    let expected = cases[0]["expected"].as_object_mut().expect("figures");
    expected.retain(|name, _| name != "grad_log_prob");
    expected.values_mut().for_each(|figure| *figure = Value::Null);
    failing(&cases, 0);
}

#[test]
fn what_is_not_understood_is_a_failure() {
    let cases = first_cases();
    let mut wrong = vec![cases[0].clone(); 5];
    wrong[0]["kind"] = json!("dpo_loss");
    wrong[1]["config"]["beta"] = json!(0.1);
    wrong[2]["inputs"]["labels"] = json!([]);
    wrong[3]["expected"]["accuracy"] = json!(1.0);
    wrong[4]["weight"] = json!(2);
    let said = failing(&wrong, 5);
    for word in ["dpo_loss", "beta", "labels", "accuracy", "weight"] {
        assert!(
            said.contains(&format!("`{word}`")) || said.contains(&format!("{word} ")),
            "{said}"
        );
    }
    failing(&[json!("a text"), cases[1].clone()], 1);
}

#[test]
fn a_file_without_a_case_is_a_failure_and_a_missing_one_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("cases.jsonl");
    let (code, _) = compare(&file);
    assert_eq!(code, Some(3));
    for text in ["", "\n\n"] {
        fs::write(&file, text).expect("written");
        let (code, said) = compare(&file);
        assert_eq!(code, Some(1), "{said}");
        assert_eq!(said.lines().last(), Some("0 passed, 1 failed"), "{said}");
    }
}
