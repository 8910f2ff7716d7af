//! `cargo xtask check`: everything that is checked without running a test, cheapest first.

use std::process::Command;
use std::time::Instant;

use crate::paths::{cargo, target_dir, workspace_root};
use crate::process::{self, Failure};
use crate::{tidy, tools};

type Step = (&'static str, fn() -> Result<(), Failure>);

const STEPS: [Step; 7] = [
    ("format", format),
    ("tidy", tidy::check_workspace),
    ("spelling", spelling),
    ("licences and sources", deny),
    ("book", book),
    ("lints", clippy),
    ("documentation", rustdoc),
];

/// Runs the steps; stops at the first failure unless told to go on.
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let keep_going = match args {
        [] => false,
        [flag] if flag == "--keep-going" => true,
        _ => return Err(Failure::usage("check takes `--keep-going` and nothing else")),
    };
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        eprintln!("check: {name}");
        let started = Instant::now();
        let result = step();
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(()) => eprintln!("check: {name} passed in {seconds:.1} s"),
            Err(failure) => {
                if let Some(message) = failure.message() {
                    eprintln!("{message}");
                }
                eprintln!("check: {name} FAILED in {seconds:.1} s");
                failed.push(name);
                if !keep_going {
                    break;
                }
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("failed: {}", failed.join(", "))))
    }
}

fn cargo_in_root(args: &[&str]) -> Command {
    let mut command = Command::new(cargo());
    command.current_dir(workspace_root()).args(args);
    command
}

fn format() -> Result<(), Failure> {
    process::run(&mut cargo_in_root(&["fmt", "--all", "--check"]))
}

fn spelling() -> Result<(), Failure> {
    let typos = tools::TYPOS.find_or_install()?;
    process::run(Command::new(typos).current_dir(workspace_root()))
}

fn deny() -> Result<(), Failure> {
    let deny = tools::DENY.find_or_install()?;
    process::run(Command::new(deny).current_dir(workspace_root()).args([
        "--log-level",
        "error",
        "--locked",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

fn book() -> Result<(), Failure> {
    let mdbook = tools::MDBOOK.find_or_install()?;
    let mut command = Command::new(mdbook);
    command
        .arg("build")
        .arg(workspace_root().join("docs"))
        .arg("--dest-dir")
        .arg(target_dir().join("book"));
    process::run(command.env("MDBOOK_LOG", "warn").env("RUST_LOG", "warn"))
}

fn clippy() -> Result<(), Failure> {
    process::run(&mut cargo_in_root(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

fn rustdoc() -> Result<(), Failure> {
    process::run(
        cargo_in_root(&["doc", "--workspace", "--no-deps", "--locked"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}
