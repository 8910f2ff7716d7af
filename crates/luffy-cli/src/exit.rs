//! How the program ends.

use std::fmt;

/// Exit codes, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The run failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Config = 2,
    /// Data or model cannot be read.
    Input = 3,
    /// A loss or gradient stopped being finite.
    Diverged = 4,
    /// Interrupted, after saving.
    Interrupted = 130,
}

/// An error with the exit code it asks for; sits anywhere in an `anyhow` chain.
#[derive(Debug)]
pub struct Exit(pub Code, pub anyhow::Error);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.1)
    }
}

impl std::error::Error for Exit {}

/// Attaches an exit code to an error.
pub trait WithCode<T> {
    /// The same result, whose error ends the program with `code`.
    ///
    /// # Errors
    /// The error it already was.
    fn code(self, code: Code) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithCode<T> for Result<T, E> {
    fn code(self, code: Code) -> anyhow::Result<T> {
        self.map_err(|error| Exit(code, error.into()).into())
    }
}

/// The exit code an error asks for.
pub fn code_of(error: &anyhow::Error) -> Code {
    error.downcast_ref::<Exit>().map_or(Code::Failed, |exit| exit.0)
}
