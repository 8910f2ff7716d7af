//! A tiny reproduction from outside: whole, stopped and continued, refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Two arms, one set, two seeds, three steps.
const PLAN: &str = r#"
rates = [1e-3, 2e-3]
tuning-seed = 9
tuning-sets = ["hard"]
seeds = [1, 2]
main-arm = "luffy"
drawn = ["luffy", "on-policy"]
shown-steps = [3]

[run]
steps = 3
rollout = { prompts-per-step = 4 }
addition = { train-problems = 32, test-problems-per-level = 3, levels = [3, 4] }
evaluation = { every = 2 }
optimizer = { warmup-steps = 0, decay = "constant" }
checkpoint = { every = 0, rollouts-every = 0 }

[[bases]]
name = "shipped"
path = "builtin:addition"

[[sets]]
name = "hard"
about = "levels 3 and 4"
bases = "shipped"

[[arms]]
name = "on-policy"
label = "on-policy RL"
paper = 45.5
rate-of = "luffy"
method = { name = "dr-grpo", mini-batches = 2 }

[[arms]]
name = "luffy"
label = "LUFFY"
paper = 50.1
method = { name = "luffy", mini-batches = 2 }

[[stages]]
arms = ["on-policy", "luffy"]
sets = ["hard"]
seeds = 2

[[claims]]
text = "LUFFY ends above on-policy RL"
paper = "50.1 against 45.5"
measure = "accuracy"
more = "luffy"
less = "on-policy"

[[claims]]
text = "Demonstrations are taken in"
paper = "nothing"
measure = "demonstration-probability"
more = "luffy"
less = "luffy"
"#;

fn luffy(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_luffy"))
        .arg("reproduce")
        .args(["--plan", "plan.toml", "--workers", "2"])
        .args(args)
        .current_dir(dir)
        .output()
        .expect("the program starts")
}

fn setup() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("plan.toml"), PLAN).expect("a file");
    dir
}

/// Folders of runs below `dir`, relative to it.
fn runs(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.join("config.toml").exists() {
                found.push(path.strip_prefix(dir).expect("it is below").to_owned());
            } else if path.is_dir() {
                left.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn stopped_when_the_time_is_up_it_continues_to_the_same_bytes() {
    let dir = setup();
    let whole = luffy(dir.path(), &["--out", "whole"]);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let expected = runs(&dir.path().join("whole/runs"));
    // Two rates of the one arm that is tuned; two arms and two seeds.
    assert_eq!(expected.len(), 2 + 2 * 2, "{expected:?}");

    let none = luffy(dir.path(), &["--out", "parts", "--minutes", "0"]);
    assert!(none.status.success(), "{}", String::from_utf8_lossy(&none.stderr));
    assert_eq!(runs(&dir.path().join("parts/runs")), Vec::<PathBuf>::new());
    assert!(String::from_utf8_lossy(&none.stdout).contains("no run that counts is finished"));

    // Hundredths of a second more each time: on a fast machine too runs are stopped between their steps, and on a slow
    // one they get on.
    let (mut n_starts, mut was_stopped) = (0, false);
    while runs(&dir.path().join("parts/runs")).len() < expected.len()
        || expected
            .iter()
            .any(|run| !dir.path().join("parts/runs").join(run).join("summary.json").exists())
    {
        let minutes = format!("{}", 0.0002 * f64::from(n_starts + 1));
        let part = luffy(dir.path(), &["--out", "parts", "--minutes", &minutes]);
        assert!(part.status.success(), "{}", String::from_utf8_lossy(&part.stderr));
        n_starts += 1;
        let begun = runs(&dir.path().join("parts/runs"));
        was_stopped |= begun
            .iter()
            .any(|run| !dir.path().join("parts/runs").join(run).join("summary.json").exists());
        assert!(n_starts < 100, "it does not get on");
    }
    assert!(was_stopped, "no run was stopped in its middle");
    for run in &expected {
        for file in
            ["metrics.jsonl", "answers.jsonl.zst", "checkpoints/step-000003/hf/model.safetensors"]
        {
            let read = |root: &str| fs::read(dir.path().join(root).join(run).join(file));
            let (expected, found) =
                (read("whole/runs").expect(file), read("parts/runs").expect(file));
            assert!(expected == found, "{file} of {} differs", run.display());
        }
    }

    let report = fs::read_to_string(dir.path().join("whole/report.md")).expect("a report");
    for part in [
        "## Set `hard`",
        "| `luffy`: LUFFY | 2 |",
        "| `on-policy`: on-policy RL | 2 |",
        "50.1",
        "![curves on set hard](curves-hard.svg)",
        "LUFFY ends above on-policy RL: accuracy `luffy`",
        "less `luffy` (95 %)",
        "### Similarity to demonstrations, set `hard`",
        "| `luffy` | ",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(!report.contains("NaN") && !report.contains("inf "), "{report}");
    let picture = fs::read_to_string(dir.path().join("whole/curves-hard.svg")).expect("a picture");
    assert!(picture.starts_with("<svg xmlns") && picture.contains("on-policy"));
}

#[test]
fn the_page_is_checked_before_anything_runs_and_only_its_part_is_replaced() {
    let dir = setup();
    fs::write(dir.path().join("page.md"), "# Page\n").expect("a file");
    let refused = luffy(dir.path(), &["--out", "out", "--minutes", "0", "--write", "page.md"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(!dir.path().join("out").exists());

    let (begin, end) = (
        "<!-- reproduction: begin, written by `cargo xtask reproduce --write` -->",
        "<!-- reproduction: end -->",
    );
    let page = |part: &str| format!("# Page\n{begin}{part}{end}\nafter\n");
    fs::write(dir.path().join("page.md"), page("what was there")).expect("a file");
    let written = luffy(dir.path(), &["--out", "out", "--minutes", "0", "--write", "page.md"]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let text = fs::read_to_string(dir.path().join("page.md")).expect("the page");
    assert!(text.starts_with("# Page\n<!--") && text.ends_with("-->\nafter\n"), "{text}");
    assert!(text.contains("## Learning rates") && !text.contains("what was there"), "{text}");

    fs::write(dir.path().join("plan.toml"), PLAN.replace("steps = 3", "steps = 4"))
        .expect("a file");
    let other = luffy(dir.path(), &["--out", "out", "--minutes", "0"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another plan"));
}
