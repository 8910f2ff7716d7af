//! Places where a test may kill the process, to prove that a resume continues to the same bytes.
//!
//! `LUFFY_CRASH_AT=NAME:N` sends SIGKILL to the process when it passes the place NAME for the N-th time.
//! Only builds with debug assertions look at it.

#[cfg(debug_assertions)]
#[allow(clippy::disallowed_methods, reason = "luffy-cli alone reads the environment")]
pub(crate) fn point(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Ok(wanted) = std::env::var("LUFFY_CRASH_AT") else { return };
    let Some((place, n)) = wanted.rsplit_once(':') else { return };
    if place != name {
        return;
    }
    let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if n.parse() == Ok(passed) {
        let pid = std::process::id().to_string();
        let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
        // The signal may take a moment to arrive; nothing may run until then.
        loop {
            std::thread::park();
        }
    }
}

#[cfg(not(debug_assertions))]
pub(crate) const fn point(_name: &str) {}
