//! Starting other programs and passing on how they end.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// Why a command of ours failed, with the exit code to end with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    message: Option<String>,
    code: u8,
}

impl Failure {
    /// Something went wrong that the program we started did not say.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: 1 }
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: 2 }
    }

    /// A program we started failed and has said why.
    pub(crate) fn status(status: ExitStatus) -> Self {
        Self { message: None, code: exit_code(status) }
    }

    /// What to print, if the failing program has not done so.
    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// What to exit with.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }
}

/// The shell's convention: the program's own code, or 128 + n after signal n.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Runs to the end; its output is ours.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(Failure::status(status)) }
}

/// Becomes the other program. Nothing of us is left between the terminal and it, so that Ctrl-C reaches
/// it alone, it may save before it ends, and its exit code is ours.
pub(crate) fn become_program(command: &mut Command) -> Failure {
    let error = command.exec();
    cannot_start(command, &error)
}

/// Whether `program` can be started from the search path.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Moves a finished download into place; another process may have won the race, which is as good.
pub(crate) fn move_into_place(from: &Path, to: &Path) -> Result<(), Failure> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(()),
        Err(_) if to.exists() => std::fs::remove_dir_all(from)
            .map_err(|error| Failure::new(format!("{}: {error}", from.display()))),
        Err(error) => Err(Failure::new(format!(
            "cannot move {} to {}: {error}",
            from.display(),
            to.display()
        ))),
    }
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot start `{}`: {error}", command.get_program().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<(), Failure> {
        run(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn exit_codes_pass_through() {
        assert_eq!(shell("exit 0"), Ok(()));
        assert_eq!(shell("exit 3").map_err(|failure| failure.code()), Err(3));
    }

    #[test]
    fn death_by_signal_is_128_plus_its_number() {
        assert_eq!(shell("kill -TERM $$").map_err(|failure| failure.code()), Err(143));
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = run(&mut Command::new("/no/such/program")).unwrap_err();
        assert!(failure.message().is_some_and(|text| text.contains("/no/such/program")));
    }

    #[test]
    fn programs_on_the_search_path_are_found() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no-such-program-anywhere"));
    }
}
