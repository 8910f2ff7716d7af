//! `cargo xtask bench grader`.

use std::path::PathBuf;
use std::process::Command;

use super::{build, with_page};
use crate::conformance::{default_cases, example, value_of, wants_help};
use crate::paths::{cache_dir, peers, target_dir, workspace_root};
use crate::process::{self, Failure};

/// What `cargo xtask bench grader --help` prints.
const HELP: &str = "\
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

/// The page that holds the last measurement.
pub(super) const PAGE: &str = "docs/src/grading-benchmark.md";

/// Runs the graders over the same rows.
pub(super) fn run(args: Vec<String>) -> Result<(), Failure> {
    if wants_help(&args) {
        print!("{HELP}");
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

/// The environment of the other graders, made if it is not there.
fn venv() -> Result<PathBuf, Failure> {
    if !process::is_installed("python3") {
        return Err(Failure::new("the comparison needs python3 on the search path"));
    }
    let venv = cache_dir()?.join("venv-grader");
    process::run(Command::new("python3").arg(peers().join("grader_venv.py")).arg(&venv))?;
    Ok(venv)
}
