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

#[test]
fn lengths_that_leave_no_room_are_refused_with_the_cure() {
    let dir = tempfile::tempdir().expect("a folder");
    let refused = |out: &str, sets: &[&str], code: i32, expected: &str| {
        let output = train(dir.path(), out, sets);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{message}");
        assert!(message.contains(expected), "{message}");
    };
    refused("a", &["rollout.max-response-tokens=0"], 2, "must be at least 1");
    let one = "group-size is 1, but `luffy` compares the members of a group";
    refused("b", &["method.group-size=1"], 2, one);
    let room = "`rollout.max-response-tokens` is 8192, which leaves no room for a prompt: the context of \
                the model is ";
    // Before data is read: the file is not even there.
    let missing = r#"data.train=["missing.jsonl"]"#;
    refused("c", &[missing, "rollout.max-response-tokens=8192"], 2, room);
    let base: serde_json::Value = serde_json::from_slice(
        &fs::read(dir.path().join("c/base/config.json")).expect("the model of the run"),
    )
    .expect("JSON");
    let context = base["max_position_embeddings"].as_u64().expect("a number");
    let nearly = format!("rollout.max-response-tokens={}", context - 1);
    let cure = format!(
        "ContextExceeded: lower `rollout.max-response-tokens`, now {}: with the prompt it must fit in the \
         model's context of {context} tokens",
        context - 1
    );
    refused("d", &[&nearly], 3, &cure);
    let raise = "TooLong: raise `data.max-prompt-tokens`, now 2";
    refused("e", &["data.max-prompt-tokens=2"], 3, raise);
}

#[test]
fn a_run_goes_on_with_the_data_it_began_with() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |seed: u64| {
        let tasks: Vec<_> = (0..20).map(|i| addition::task(seed, i, 0.0, Some(1))).collect();
        write_tasks(&dir.path().join("mine.jsonl"), &tasks).expect("a file");
    };
    write(1);
    let output = train(dir.path(), "run", &[r#"data.train=["mine.jsonl"]"#, "checkpoint.every=1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let resume = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_luffy"));
        let output = command.args(["train", "--resume", "run"]).current_dir(dir.path()).output();
        let output = output.expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    write(2);
    let (code, message) = resume();
    assert_eq!(code, Some(3), "{message}");
    assert!(message.contains("the training data is not what it was"), "{message}");
    assert!(message.contains("--set model.path=run/checkpoints/step-000003/hf"), "{message}");
    write(1);
    let (code, message) = resume();
    assert_eq!(code, Some(0), "{message}");
}
