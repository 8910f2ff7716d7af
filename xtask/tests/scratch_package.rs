//! Single crates serve a project of someone else's: a package outside the workspace that takes three of
//! them compiles and runs, and the grader alone builds without burn.
//!
//! The slow test of the workspace: the package resolves its own features, so burn is compiled once for it,
//! unoptimised, under `target/scratch`.

#![allow(clippy::disallowed_methods, reason = "cargo says where it is through the environment")]

use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = r#"
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use luffy_core::{
    Behavior, FinishReason, GradedGroup, AdvantageEstimator, Group, MicroBatch, Objective, Origin, Prompt, Purpose,
    Response, Row, Sampling, Span, StepShape, StreamKey, Task, TokenStats, Trajectory, Verifier,
};
use luffy_objective::{Advantages, MixedPolicyLoss, Regularized};
use luffy_reward::{Format, GradingValues, MathVerifier, Profile};
use luffy_rollout::choose;

fn trajectory(text: &str, origin: Origin) -> Trajectory {
    let key = StreamKey { seed: 1, purpose: Purpose::Rollout, step: 0, prompt: 0, member: 0 };
    let spans = vec![Span { len: 2, origin }];
    Trajectory { tokens: vec![1, 2], spans, text: text.into(), finish: FinishReason::Stop, key, version: 0 }
}

fn main() {
    let task = Task {
        id: "scratch:0".into(),
        source: "scratch".into(),
        messages: vec![],
        golds: vec!["4".into()],
        demonstrations: vec![],
        extra: Default::default(),
    };
    let trajectories = vec![
        trajectory("so</think>\\boxed{5}", Origin::Sampled { logprobs: vec![0.5_f32.ln(); 2] }),
        trajectory("so</think>\\boxed{4}", Origin::Demonstrated(Behavior::One)),
    ];

    // luffy-reward: 0 for the wrong answer, 1 for the right one.
    let verifier = MathVerifier::new(Profile::Training, Format::Think);
    let verdicts: Vec<_> =
        trajectories.iter().map(|t| verifier.verify(&task, &Response::complete(&t.text))).collect();
    let rewards: Vec<f32> =
        verdicts.iter().map(|verdict| GradingValues::default().reward(verdict).expect("the gold is usable")).collect();
    assert_eq!(rewards, [0.0, 1.0]);

    // luffy-objective: A = R - mean = -0.5, 0.5; f(0.5) = 0.5 / 0.6.
    // loss = -(2 * -0.5 * 1 + 2 * 0.5 * 0.5 / 0.6) / (2 rows * 2 tokens) = (1 - 5/6) / 4.
    let prompt = Prompt { task, index: 0, tokens: vec![3].into(), demonstrations: vec![] };
    let group = Group { prompt: Arc::new(prompt), trajectories };
    let groups = [GradedGroup { group, verdicts, rewards }];
    let advantages = Advantages::default().advantages(&groups);
    let rows: Vec<Row> = groups[0]
        .group
        .trajectories
        .iter()
        .zip(&advantages)
        .map(|(trajectory, a)| Row::new(groups[0].group.prompt.tokens.clone(), trajectory, a))
        .collect();
    let device = Device::flex().autodiff();
    let batch = MicroBatch::collate(&rows.iter().collect::<Vec<_>>(), &device);
    let objective = MixedPolicyLoss::new(Arc::new(Regularized { gamma: 0.1 }));
    let scale = objective.scale(&StepShape { n_rows: 2, n_tokens: 4, n_policy_tokens: 4, n_demonstrated: 2, max_response_len: 2 });
    let logprobs = Tensor::<2>::full([2, 2], 0.5, &device).log();
    let entropy = Tensor::<2>::zeros([2, 2], &device);
    let loss = objective.loss(TokenStats { logprobs, entropy }, &batch, &scale).loss.into_scalar::<f32>();
    assert!((loss - 1.0 / 24.0).abs() < 1e-6, "{loss}");

    // luffy-rollout: the likelier of two tokens.
    let chosen = choose(&[0.0, 1.0], &Sampling::Greedy, 0.0).expect("finite logits");
    assert_eq!(chosen.token, 1);
    println!("the three crates work together");
}
"#;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Standard output; what went wrong is shown in full.
fn run(mut command: Command) -> String {
    let output = command.output().expect("cargo can be started");
    let (out, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{out}\n{complaints}");
    out.into_owned()
}

#[test]
fn a_package_outside_the_workspace_uses_three_crates() {
    let workspace = workspace();
    // Always the same place for one checkout, so that a second run finds its build.
    let name = workspace.display().to_string().replace('/', "-");
    let package = std::env::temp_dir().join(format!("luffy-scratch{name}"));
    std::fs::create_dir_all(package.join("src")).unwrap();
    let path = |name: &str| workspace.join("crates").join(name).display().to_string();
    let manifest = format!(
        "[package]\nname = \"scratch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         luffy-core = {{ path = {:?} }}\nluffy-reward = {{ path = {:?} }}\nluffy-objective = {{ path = {:?} }}\n\
         luffy-rollout = {{ path = {:?} }}\n\
         burn = {{ version = \"=0.22.1\", default-features = false, features = [\"std\", \"autodiff\", \"flex\"] }}\n\n\
         [profile.dev]\ndebug = false\n",
        path("luffy-core"),
        path("luffy-reward"),
        path("luffy-objective"),
        path("luffy-rollout"),
    );
    std::fs::write(package.join("Cargo.toml"), manifest).unwrap();
    std::fs::write(package.join("src/main.rs"), PROGRAM).unwrap();
    // The versions that the workspace was tested with, which are on this machine already.
    for file in ["Cargo.lock", "rust-toolchain.toml"] {
        std::fs::copy(workspace.join(file), package.join(file)).unwrap();
    }

    let mut command = cargo(&["run", "--quiet", "--offline"]);
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), PathBuf::from);
    command.current_dir(&package).env("CARGO_TARGET_DIR", target.join("scratch"));
    let printed = run(command);
    std::fs::remove_dir_all(&package).unwrap();
    assert_eq!(printed.trim(), "the three crates work together");
}

#[test]
fn the_grader_builds_without_burn() {
    let mut command = cargo(&[
        "tree",
        "-p",
        "luffy-reward",
        "-e",
        "normal",
        "--prefix",
        "none",
        "--offline",
        "--locked",
    ]);
    command.current_dir(workspace());
    let tree = run(command);
    assert!(tree.starts_with("luffy-reward "), "{tree}");
    let burn: Vec<_> =
        tree.lines().filter(|line| line.contains("burn") || line.contains("tensor")).collect();
    assert_eq!(burn, Vec::<&str>::new());
}
