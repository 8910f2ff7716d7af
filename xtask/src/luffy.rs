//! Builds the `luffy` program with a backend and becomes it.

use std::process::Command;

use crate::backend::Backend;
use crate::paths::{cargo, target_dir, workspace_root};
use crate::process::{self, Failure};

/// Becomes `luffy ARGS`; returns only if it cannot be started.
pub(crate) fn run(mut args: Vec<String>) -> Result<(), Failure> {
    let backend = Backend::take_from(&mut args)?.unwrap_or(Backend::Flex);
    if args.is_empty() {
        args.push("--help".to_owned());
    }
    let mut command = command(backend, &args);
    eprintln!("building backend {} (the first time takes several minutes)", backend.feature());
    backend.prepare(&mut command)?;
    Err(process::become_program(&mut command))
}

/// Becomes `luffy SUBCOMMAND ARGS`.
pub(crate) fn run_subcommand(subcommand: &str, mut args: Vec<String>) -> Result<(), Failure> {
    args.insert(0, subcommand.to_owned());
    run(args)
}

/// `--write` alone means the page of the book.
pub(crate) fn with_page(args: Vec<String>) -> Vec<String> {
    let mut with_page = Vec::new();
    for (i, arg) in args.iter().enumerate() {
        with_page.push(arg.clone());
        if arg == "--write" && args.get(i + 1).is_none_or(|next| next.starts_with('-')) {
            let page = workspace_root().join("docs/src/reproduction.md");
            with_page.push(page.display().to_string());
        }
    }
    with_page
}

/// `luffy ARGS`, built with `backend` first.
pub(crate) fn command(backend: Backend, args: &[String]) -> Command {
    let mut command = Command::new(cargo());
    command.args(["run", "--release"]);
    // Once there is a program, cargo's own two lines before each start are noise; the first build shows
    // its progress.
    if target_dir().join("release/luffy").exists() {
        command.arg("--quiet");
    }
    command
        .arg("--manifest-path")
        .arg(workspace_root().join("Cargo.toml"))
        .args(["-p", "luffy-cli", "--no-default-features", "--features", backend.feature(), "--"])
        .args(args);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_built_with_one_backend_and_gets_every_argument() {
        let args = ["train", "--backend-like", "x y"].map(str::to_owned);
        let command = command(Backend::Tch, &args);
        let given: Vec<_> =
            command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
        let at = given.iter().position(|arg| arg == "-p").expect("a package is named");
        assert_eq!(
            given[at..],
            [
                "-p",
                "luffy-cli",
                "--no-default-features",
                "--features",
                "tch",
                "--",
                "train",
                "--backend-like",
                "x y"
            ]
        );
    }

    #[test]
    fn write_alone_means_the_page_of_the_book() {
        let check = |args: &[&str], expected: &[&str]| {
            let found = with_page(args.iter().map(|arg| (*arg).to_owned()).collect());
            let root = format!("{}/", workspace_root().display());
            let found: Vec<String> = found.iter().map(|arg| arg.replace(&root, "")).collect();
            assert_eq!(found, expected);
        };
        check(&["--write"], &["--write", "docs/src/reproduction.md"]);
        check(
            &["--write", "--minutes", "5"],
            &["--write", "docs/src/reproduction.md", "--minutes", "5"],
        );
        check(&["--write", "page.md"], &["--write", "page.md"]);
        check(&["--minutes", "5"], &["--minutes", "5"]);
    }
}
