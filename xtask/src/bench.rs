//! `cargo xtask bench NAME`: measurements beside other systems.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::backend::Backend;
use crate::conformance::{default_cases, example, value_of, wants_help};
use crate::luffy;
use crate::paths::{cache_dir, peers, target_dir, workspace_root};
use crate::process::{self, Failure};

/// What `cargo xtask bench grader --help` prints.
const GRADER_HELP: &str = "\
Set the grader beside math-verify and LUFFY's OR rule: speed and agreement on the same rows

Usage: cargo xtask bench grader [FLAGS]

  --write              put the tables into docs/src/grading-benchmark.md too
  --cases FILE         the rows (default: ../shared/conformance/grader/cases.jsonl)
  --repetitions N      passes of each grader, in turn; medians are shown (default 3)
  --every N            every N-th row of category `equality` is timed (default 3)
  --kill-seconds S     when a hostile row is stopped (default 10)
  --skip-hostile       leave the hostile rows out

Needs python3 (3.10 to 3.13). The first run makes an environment with math-verify 0.9.0 in
LUFFY_CACHE/venv-grader, 120 MB. Everything runs on one core, one thing at a time; a run takes about 3
minutes a repetition and up to 10 for the hostile rows. Leave the machine alone meanwhile.
`cargo bench -p luffy-reward` measures our side alone.
";

/// What `cargo xtask bench memory --help` prints.
const MEMORY_HELP: &str = "\
Peak memory and seconds of loading a model, scoring 2,048 tokens and one training step of 1,024

Usage: cargo xtask bench memory [--config FILE] [--backend B]

  --config FILE   the `config.json` of the model (default: the one of Qwen2.5-0.5B in testdata)
  --backend B     flex (default), tch or cuda

Weights are random, drawn once into the target folder (2 GB). One replica and two, with layers that run again
on the way back and with activations kept; a process of its own for each, a JSON line for each phase. The
peak is that of the whole process so far.
";

/// The page that holds the last measurement.
const PAGE: &str = "docs/src/grading-benchmark.md";

/// The measurement that is named first.
pub(crate) fn run(mut args: Vec<String>) -> Result<(), Failure> {
    let name = if args.is_empty() { String::new() } else { args.remove(0) };
    match name.as_str() {
        "grader" => grader(args),
        "memory" => memory(args),
        _ => Err(Failure::usage(
            "say what to measure: `cargo xtask bench grader` or `cargo xtask bench memory`",
        )),
    }
}

/// Loads, scores and trains a model with random weights, each time in a process of its own.
fn memory(mut args: Vec<String>) -> Result<(), Failure> {
    if wants_help(&args) {
        print!("{MEMORY_HELP}");
        return Ok(());
    }
    let backend = Backend::take_from(&mut args)?.unwrap_or(Backend::Flex);
    let config = value_of(&args, "--config").map_or_else(
        || workspace_root().join("testdata/models/configs/qwen2.5-0.5b.json"),
        PathBuf::from,
    );
    let name = config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let model = target_dir().join("bench").join(format!("memory-{name}"));
    let start = |args: &[&str]| -> Result<(), Failure> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut command = luffy::command(backend, &args);
        backend.prepare(&mut command)?;
        process::run(&mut command)
    };
    let folder = model.display().to_string();
    if !model.exists() {
        let parent = target_dir().join("bench");
        std::fs::create_dir_all(&parent).map_err(|error| {
            Failure::new(format!("cannot create {}: {error}", parent.display()))
        })?;
        start(&["init", "--config", &config.display().to_string(), "--out", &folder])?;
    }
    let measure = ["measure-memory", "--model", &folder];
    for (replicas, rows, tokens) in [("1", "1", "1024"), ("1", "2", "512"), ("2", "2", "512")] {
        for recompute in [true, false] {
            let how = if recompute { "layers run again" } else { "activations kept" };
            println!("\n{rows} x {tokens} tokens, {replicas} replica(s), {how}");
            let mut all = measure.to_vec();
            all.extend(["--replicas", replicas, "--rows", rows, "--row-tokens", tokens]);
            all.extend(recompute.then_some("--recompute"));
            start(&all)?;
        }
    }
    Ok(())
}

fn grader(args: Vec<String>) -> Result<(), Failure> {
    if wants_help(&args) {
        print!("{GRADER_HELP}");
        return Ok(());
    }
    let mut args = with_page(args, &workspace_root().join(PAGE));
    if value_of(&args, "--cases").is_none() {
        args.extend(["--cases".to_owned(), default_cases()?.display().to_string()]);
    }
    process::run(&mut example("grader_timing", "build"))?;
    let venv = venv()?;
    let mut command = Command::new("python3");
    command
        .arg(peers().join("grader_peers.py"))
        .args(args)
        .arg("--ours")
        .arg(target_dir().join("release/examples/grader_timing"))
        .arg("--python")
        .arg(venv.join("bin/python"))
        .arg("--oat")
        .arg(venv.join("oat_math_grader.py"))
        .arg("--build")
        .arg(build());
    Err(process::become_program(&mut command))
}

/// `--write` alone means our own page.
fn with_page(mut args: Vec<String>, page: &Path) -> Vec<String> {
    if let Some(at) = args.iter().position(|arg| arg == "--write") {
        args.insert(at + 1, page.display().to_string());
    }
    args
}

/// The environment of the other graders, made if it is not there.
fn venv() -> Result<PathBuf, Failure> {
    if !process::is_installed("python3") {
        return Err(Failure::new("the comparison needs python3 on the search path"));
    }
    let venv = cache_dir()?.join("venv-grader");
    process::run(Command::new("python3").arg(peers().join("grader_venv.py")).arg(&venv))?;
    Ok(venv)
}

/// The commit that is measured, `+changes` if the checkout differs from it, and the compiler.
fn build() -> String {
    let commit = said(Command::new("git").args(["rev-parse", "--short", "HEAD"]));
    let changes = said(Command::new("git").args(["status", "--porcelain", "--", "crates"]));
    let compiler = said(Command::new("rustc").arg("--version"));
    let compiler = compiler.split(' ').take(2).collect::<Vec<_>>().join(" ");
    match (commit.as_str(), changes.is_empty()) {
        ("", _) => compiler,
        (commit, true) => format!("{commit}, {compiler}"),
        (commit, false) => format!("{commit}+changes, {compiler}"),
    }
}

/// What a program prints; nothing if it cannot.
fn said(command: &mut Command) -> String {
    let output = command.current_dir(workspace_root()).output();
    output
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_that_does_not_exist_is_a_usage_error() {
        for args in [vec![], vec!["loss".to_owned()]] {
            assert_eq!(run(args).map_err(|failure| failure.code()), Err(2));
        }
    }

    #[test]
    fn writing_means_our_page() {
        let args = ["--write", "--every", "5"].map(str::to_owned).to_vec();
        let given = with_page(args, Path::new("/page.md"));
        assert_eq!(given, ["--write", "/page.md", "--every", "5"]);
        assert_eq!(with_page(vec![], Path::new("/page.md")), [""; 0]);
    }

    #[test]
    fn our_page_has_the_lines_between_which_figures_are_put() {
        let page = std::fs::read_to_string(workspace_root().join(PAGE)).expect("the page is there");
        let script = std::fs::read_to_string(peers().join("grader_peers.py")).expect("so is it");
        for marker in ["<!-- grader-bench: begin -->", "<!-- grader-bench: end -->"] {
            assert_eq!(page.matches(marker).count(), 1, "{marker}");
            assert!(script.contains(marker), "{marker}");
        }
    }

    #[test]
    fn what_a_program_says_is_taken_and_its_failure_is_silence() {
        assert_eq!(said(Command::new("sh").args(["-c", "echo ' a '"])), "a");
        assert_eq!(said(Command::new("sh").args(["-c", "echo a; exit 1"])), "");
        assert_eq!(said(&mut Command::new("/no/such/program")), "");
    }
}
