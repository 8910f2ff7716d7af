//! The only clock of the workspace.
#![allow(clippy::disallowed_methods, reason = "luffy-cli alone reads the clock")]

use std::time::Instant;

/// Seconds since it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts at zero.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds so far.
    pub(crate) fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
