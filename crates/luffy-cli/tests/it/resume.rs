//! Killed at any moment, a run continues to the same bytes; one replica or two give the same bytes.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus};

/// A small recipe `addition`: 5 steps, a checkpoint every 2.
fn luffy(args: &[&str], crash_at: &str) -> ExitStatus {
    Command::new(env!("CARGO_BIN_EXE_luffy"))
        .args(args)
        .env("LUFFY_CRASH_AT", crash_at)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .expect("the program starts")
}

fn train(out: &Path, replicas: &str, crash_at: &str) -> ExitStatus {
    train_with(out, replicas, crash_at, "memory.try-largest=false")
}

fn train_with(out: &Path, replicas: &str, crash_at: &str, set: &str) -> ExitStatus {
    let out = out.to_str().expect("a temporary path is UTF-8");
    let sets = [
        "steps=5",
        "rollout.prompts-per-step=8",
        "addition.train-problems=64",
        "addition.test-problems-per-level=4",
        "checkpoint.every=2",
        "checkpoint.keep-last=0",
        "evaluation.every=2",
        "optimizer.warmup-steps=1",
        // Unasked it is not for a model of this size.
        "memory.activations-gib=1",
    ];
    let mut args = vec!["train", "--recipe", "addition", "--out", out, "--replicas", replicas];
    for set in sets.iter().chain([&set]) {
        args.extend(["--set", set]);
    }
    luffy(&args, crash_at)
}

/// Every file whose bytes a seed decides.
fn bytes(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = vec!["metrics.jsonl".to_owned()];
    for step in [2, 4, 5] {
        files.push(format!("checkpoints/step-{step:06}/hf/model.safetensors"));
        files.push(format!("checkpoints/step-{step:06}/optimizer.safetensors"));
    }
    files.extend((1..=5).map(|step| format!("rollouts/step-{step:06}.jsonl.zst")));
    files
        .into_iter()
        .map(|name| {
            let b = fs::read(dir.join(&name)).expect(&name);
            (name, b)
        })
        .collect()
}

fn assert_same(expected: &[(String, Vec<u8>)], dir: &Path, what: &str) {
    for ((name, expected), (_, found)) in expected.iter().zip(bytes(dir)) {
        assert!(*expected == found, "{what}: {name} differs");
    }
}

#[test]
fn killed_anywhere_it_continues_to_the_same_bytes() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let whole = root.path().join("whole");
    assert!(train(&whole, "2", "").success());
    let expected = bytes(&whole);

    let one = root.path().join("one-replica");
    assert!(train(&one, "1", "").success());
    assert_same(&expected, &one, "one replica against two");

    let tried = root.path().join("tried");
    assert!(train_with(&tried, "2", "", "memory.try-largest=true").success());
    assert_same(&expected, &tried, "a trial of the largest micro-batch before the first step");
    let log = fs::read_to_string(tried.join("log.txt")).expect("a log");
    let line = log.lines().find(|line| line.starts_with("largest micro-batch tried: "));
    // Units of four prompts, groups of eight.
    let line = line.expect("the log tells");
    assert!(line.contains(": 32 rows, replicas: 2"), "{line}");

    // Computed again instead of handed over the first gradient is the same but for rounding, and that shows.
    let computed = root.path().join("computed");
    assert!(train_with(&computed, "2", "", "memory.activations-gib=0").success());
    let grad_norm = |dir: &Path| {
        let metrics = fs::read_to_string(dir.join("metrics.jsonl")).expect("metrics");
        let mut lines = metrics.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines
            .find_map(|line: serde_json::Value| line["actor/grad_norm"].as_f64())
            .expect("an update")
    };
    let (handed_over, computed) = (grad_norm(&whole), grad_norm(&computed));
    let far = (handed_over / computed - 1.0).abs();
    assert!(far > 0.0 && far < 1e-5, "{handed_over} and {computed}");

    let places = [
        "step/logged:1",              // before the first checkpoint
        "step/logged:3",              // between two
        "checkpoint/half-written:1",  // inside the first checkpoint
        "checkpoint/half-written:2",  // inside a later one
        "checkpoint/before-latest:2", // whole, not yet the latest
        "checkpoint/before-latest:3", // after the last step
    ];
    for (i, place) in places.iter().enumerate() {
        let dir = root.path().join(format!("killed-{i}"));
        assert!(!train(&dir, "2", place).success(), "{place} was never passed");
        assert!(!dir.join("summary.json").exists(), "{place} came too late");
        let resume = ["train", "--resume", dir.to_str().expect("UTF-8")];
        assert!(luffy(&resume, "").success(), "resume after {place}");
        assert_same(&expected, &dir, place);
    }
}

#[test]
fn a_run_directory_is_never_overwritten() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path().join("run");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("precious.txt"), "mine").expect("a file");
    assert_eq!(train(&dir, "1", "").code(), Some(2));
    assert_eq!(fs::read_to_string(dir.join("precious.txt")).expect("still there"), "mine");
}
