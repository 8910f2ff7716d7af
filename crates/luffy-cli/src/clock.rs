//! The only clock of the workspace.
#![allow(clippy::disallowed_methods, reason = "luffy-cli alone reads the clock")]

use std::time::Instant;

/// Seconds since it was made.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts at zero.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds so far.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
