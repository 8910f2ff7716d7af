//! Several data files in one run, and starts that are refused.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use luffy_data::tasks::addition;
use luffy_data::write_tasks;

const SMALL: [&str; 5] = [
    "steps=3",
    "rollout.prompts-per-step=8",
    "addition.train-problems=40",
    "addition.test-problems-per-level=2",
    "evaluation.every=0",
];

fn train(dir: &Path, out: &str, sets: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_luffy"));
    command.args(["train", "--recipe", "addition", "--out", out]).current_dir(dir);
    for set in SMALL.iter().chain(sets) {
        command.args(["--set", set]);
    }
    command.output().expect("the program runs")
}

#[test]
fn weighted_files_are_drawn_alike_by_any_number_of_replicas() {
    let dir = tempfile::tempdir().expect("a folder");
    let tasks: Vec<_> = (0..20).map(|i| addition::task(9, i, 0.0, Some(1))).collect();
    write_tasks(&dir.path().join("easy.jsonl"), &tasks).expect("a file");
    let files = r#"data.train=["builtin:addition", {path = "easy.jsonl", weight = 0.3}]"#;
    let run = |out: &str, sets: &[&str]| {
        let output = train(dir.path(), out, sets);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metrics = fs::read_to_string(dir.path().join(out).join("metrics.jsonl"));
        (metrics.expect("metrics"), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (one, notes) = run("one", &[files, "parallel.replicas=1"]);
    let (two, _) = run("two", &[files, "parallel.replicas=2"]);
    assert_eq!(one, two);
    // 40 problems once and 6 of the other 20, and counts for each file.
    assert!(notes.contains("an epoch is 46 draws"), "{notes}");
    assert!(
        notes.contains("\n  easy.jsonl addition: prompts 20 of 20; demonstrations 20 of 20"),
        "{notes}"
    );
    let (alone, _) = run("alone", &["parallel.replicas=1"]);
    assert_ne!(one, alone, "the second file makes a difference");
}

#[test]
fn a_start_that_cannot_end_well_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let template = "{{ '<|im_start|>user\\n' + messages[0].content + '<|im_end|>\\n<think>\\n' }}";
    fs::write(dir.path().join("opens.jinja"), template).expect("a file");
    let opens = "model.chat-template=opens.jinja";
    let refused = |out: &str, sets: &[&str]| {
        let output = train(dir.path(), out, sets);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // The recipe's format wants the whole thought in the response.
    let (code, message) = refused("a", &[opens]);
    assert_eq!(code, Some(2), "{message}");
    assert!(
        message.contains("`reward.format` and the chat template do not fit together"),
        "{message}"
    );
    assert!(message.contains("the prompt:\n<|im_start|>user\n"), "the example is shown: {message}");
    assert!(message.trim_end().ends_with("<think>"), "{message}");

    let (code, message) = refused("b", &["model.chat-template=prime"]);
    assert_eq!(code, Some(3), "{message}");
    assert!(message.contains("the chat template `prime` is not built in"), "{message}");

    let (code, message) =
        refused("c", &[r#"data.train=[{path = "builtin:addition", weight = 0}]"#]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("weight 0 of a data file: expected above 0"), "{message}");

    let (code, message) = refused("d", &[r#"data.test=[{path = "builtin:addition", weight = 2}]"#]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("`data.test` has a weight"), "{message}");
}

#[test]
fn a_policy_that_nobody_shows_how_to_think_is_noted() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut tasks: Vec<_> = (0..20).map(|i| addition::task(9, i, 0.0, Some(1))).collect();
    for task in &mut tasks {
        task.demonstrations.clear();
    }
    write_tasks(&dir.path().join("bare.parquet"), &tasks).expect("a file");
    let bare = [
        r#"data.train=["bare.parquet"]"#,
        "data.require-demonstration=false",
        "method.name=grpo",
        "steps=1",
    ];
    let noted = |out: &str, sets: &[&str]| {
        let output = train(dir.path(), out, sets);
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{notes}");
        notes.contains("neither template nor data shows the model `<think>`")
    };
    assert!(noted("a", &bare));
    assert!(!noted("b", &[&bare[..], &["reward.format=plain"]].concat()));
    assert!(!noted("c", &["steps=1"]), "demonstrations show it");
}

#[test]
fn a_thought_that_the_template_opens_goes_with_the_format_think() {
    let dir = tempfile::tempdir().expect("a folder");
    let template = "{{ '<|im_start|>user\\n' + messages[0].content + '<|im_end|>\\n<think>\\n' }}";
    fs::write(dir.path().join("opens.jinja"), template).expect("a file");
    let sets = ["model.chat-template=opens.jinja", "reward.format=think", "steps=1"];
    let output = train(dir.path(), "a", &sets);
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{notes}");
    assert!(notes.contains("chat template: opens.jinja"), "{notes}");
    assert!(!notes.contains("its demonstration:\n<think>"), "the prompt has it already: {notes}");
}
