//! `cargo xtask bench peers`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{build, with_page};
use crate::conformance::wants_help;
use crate::paths::{cargo, peers, target_dir, workspace_root};
use crate::process::{self, Failure};

/// What `cargo xtask bench peers --help` prints.
const HELP: &str = "\
Set rollout, scoring, update and the whole GRPO step beside TRL on PyTorch, on this machine's CPU

Usage: cargo xtask bench peers [FLAGS]

  --write              put the tables into docs/BENCHMARKS.md too
  --repetitions N      passes of each side, in turn; medians are shown (default 7)
  --threads N          of either side (default: all cores)
  --only NAME          jobs whose name begins with this; may repeat
  --list               name the jobs and stop
  --skip-memory        leave the peak memory out
  --quick              few tokens and 2 repetitions, to see that it runs

Needs python3 (3.11 to 3.13). The first run makes an environment with TRL 1.16.0 and torch 2.9.0 in the target
folder (2.5 GB, about 2 minutes), and models with random weights beside it (2 GB). A run takes about an hour; leave
the machine alone meanwhile.
";

/// The page that holds the last measurement.
pub(super) const PAGE: &str = "docs/BENCHMARKS.md";

/// Runs both sides in turn.
pub(super) fn run(args: Vec<String>) -> Result<(), Failure> {
    if wants_help(&args) {
        print!("{HELP}");
        return Ok(());
    }
    let args = with_page(args, &workspace_root().join(PAGE));
    process::run(Command::new(cargo()).current_dir(workspace_root()).args([
        "build",
        "--release",
        "--package",
        "luffy-cli",
    ]))?;
    let bench = target_dir().join("bench");
    let venv = venv(&bench)?;
    let mut command = Command::new("python3");
    command
        .arg(peers().join("speed_peers.py"))
        .args(args)
        .arg("--ours")
        .arg(target_dir().join("release/luffy"))
        .arg("--python")
        .arg(venv.join("bin/python"))
        .arg("--work")
        .arg(bench.join("peers"))
        .arg("--configs")
        .arg(workspace_root().join("testdata/models/configs"))
        .arg("--build")
        .arg(build());
    // What the program tells the allocator by itself, for the other side as well.
    command.envs([("MALLOC_MMAP_MAX_", "0"), ("MALLOC_TRIM_THRESHOLD_", "34359738368")]);
    Err(process::become_program(&mut command))
}

/// The environment of TRL, made if it is not there.
fn venv(bench: &Path) -> Result<PathBuf, Failure> {
    if !process::is_installed("python3") {
        return Err(Failure::new("the comparison needs python3 on the search path"));
    }
    let venv = bench.join("venv-peers");
    process::run(
        Command::new("python3")
            .arg(peers().join("make_venv.py"))
            .arg("--requirements")
            .arg(peers().join("speed-requirements.txt"))
            .arg(&venv),
    )?;
    Ok(venv)
}
