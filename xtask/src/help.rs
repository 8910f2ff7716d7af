//! What `cargo xtask help` prints.

use crate::process::Failure;

/// The list of commands.
pub(crate) const TEXT: &str = "\
Usage: cargo xtask COMMAND [ARGUMENTS]

Running
  train [--backend B] [FLAGS]        train; no flags runs the recipe `addition`
  luffy [--backend B] SUBCOMMAND ..  any other command of the program: data, base, recipes ..
  recipes [FLAGS]                    list the built-in recipes
  reproduce [--write] [FLAGS]        the paper's arms at small scale, 90 minutes (--minutes N), resumable

Checking
  test [ARGUMENTS OF cargo test]     every test of the workspace, doc tests included
  test --backend tch                 the smallest end-to-end test on libtorch
  check [--keep-going]               format, tidy, spelling, licences, book, lints, documentation
  tidy                               the rules of ARCHITECTURE.md alone
  conformance objective [FLAGS]      losses, gradients and advantages against the reference (--cases FILE)
  conformance grader [FLAGS]         grade rows whose verdict is known (--cases FILE)
  conformance models [FLAGS]         checkpoints with their expected figures (--cases DIR, --backend B)
  conformance transformers [FLAGS]   compare a checkpoint (--model DIR) with Python transformers
  conformance round-trip [FLAGS]     what the program writes (--model DIR), read by Python transformers

Measuring
  bench grader [--write] [FLAGS]     the grader beside math-verify: speed, agreement, hostile answers
  bench memory [FLAGS]               peak memory of loading, scoring and training (--config FILE)
  bench peers [--write] [FLAGS]      rollout, update and the whole step beside TRL on PyTorch

B is `flex` (CPU, the default), `cuda` or `tch`; docs/src/backends.md says what each needs.
FLAGS go to the program: `cargo xtask train --help` lists them, `.. conformance grader --help` others.

Environment
  LUFFY_CACHE   where tools, libtorch and virtual environments are kept (default ~/.cache/luffy)
  LIBTORCH      a libtorch 2.9.0 to use instead of the one that `--backend tch` downloads
  LUFFY_SHARED  where the shared test inputs are (default ../shared beside the checkout)
";

const COMMANDS: [&str; 10] = [
    "train",
    "luffy",
    "recipes",
    "reproduce",
    "test",
    "check",
    "tidy",
    "conformance",
    "bench",
    "help",
];

/// The complaint about a command that does not exist.
pub(crate) fn unknown_command(name: &str) -> Failure {
    Failure::usage(format!(
        "no command `{name}`; one of {}; commands of the program go through `cargo xtask luffy {name}`",
        COMMANDS.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_listed() {
        for command in COMMANDS {
            assert!(TEXT.contains(&format!("  {command}")) || command == "help", "{command}");
        }
    }

    #[test]
    fn an_unknown_command_is_a_usage_error() {
        let failure = unknown_command("eval");
        assert_eq!(failure.code(), 2);
        assert!(failure.message().is_some_and(|text| text.contains("cargo xtask luffy eval")));
    }
}
