//! Files in, files out, and the way from a file to prompts.

#![expect(clippy::unwrap_used, reason = "clippy's exception for tests covers no helpers")]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

mod admission; // limits, demonstrations, verification, counts
mod bad_input; // every bad input and its message
mod codec; // token ids and rendered chats against transformers
mod parquet; // reading, writing, round trip, damaged files
mod real; // LUFFY's evaluation files and GSM8K, where they are
mod round_trip; // columns of any type through both formats

use std::path::{Path, PathBuf};

/// A folder of this project's test data.
fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/data").join(name)
}

/// A path in the shared data, or `None` with a notice where it is not there; in CI it must be.
fn shared(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("LUFFY_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!in_ci, "{} is missing; set LUFFY_SHARED", path.display());
    println!("skipped: {} is missing", path.display());
    None
}
