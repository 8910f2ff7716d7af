//! `cargo xtask bench NAME`: measurements beside other systems.

mod grader;
mod memory;
mod peers;

use std::path::Path;
use std::process::Command;

use crate::paths::workspace_root;
use crate::process::Failure;

/// The measurement that is named first.
pub(crate) fn run(mut args: Vec<String>) -> Result<(), Failure> {
    let name = if args.is_empty() { String::new() } else { args.remove(0) };
    match name.as_str() {
        "grader" => grader::run(args),
        "memory" => memory::run(args),
        "peers" => peers::run(args),
        _ => Err(Failure::usage(
            "say what to measure: `cargo xtask bench grader`, `cargo xtask bench memory` or \
             `cargo xtask bench peers`",
        )),
    }
}

/// `--write` alone means our own page.
fn with_page(mut args: Vec<String>, page: &Path) -> Vec<String> {
    if let Some(at) = args.iter().position(|arg| arg == "--write") {
        args.insert(at + 1, page.display().to_string());
    }
    args
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
    fn our_pages_have_the_lines_between_which_figures_are_put() {
        let pages =
            [(grader::PAGE, "grader_peers.py", "grader"), (peers::PAGE, "speed_peers.py", "speed")];
        for (page, script, name) in pages {
            let text = |path: &Path| std::fs::read_to_string(path).expect("it is there");
            let page = text(&workspace_root().join(page));
            let script = text(&crate::paths::peers().join(script));
            for marker in ["begin", "end"].map(|end| format!("<!-- {name}-bench: {end} -->")) {
                assert_eq!(page.matches(&marker).count(), 1, "{marker}");
                assert!(script.contains(&marker), "{marker}");
            }
        }
    }

    #[test]
    fn what_a_program_says_is_taken_and_its_failure_is_silence() {
        assert_eq!(said(Command::new("sh").args(["-c", "echo ' a '"])), "a");
        assert_eq!(said(Command::new("sh").args(["-c", "echo a; exit 1"])), "");
        assert_eq!(said(&mut Command::new("/no/such/program")), "");
    }
}
