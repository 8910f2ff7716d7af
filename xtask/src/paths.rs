//! Where things are.

use std::path::PathBuf;

use crate::process::Failure;

/// The root of the checkout.
pub(crate) fn workspace_root() -> PathBuf {
    // Cargo sets the variable when it runs a program; the compiled-in value serves a binary started by hand.
    let manifest_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    manifest_dir.parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// Where tools, libtorch and virtual environments are kept, outside `target` so that they outlive it.
pub(crate) fn cache_dir() -> Result<PathBuf, Failure> {
    if let Some(dir) = std::env::var_os("LUFFY_CACHE").filter(|dir| !dir.is_empty()) {
        return Ok(dir.into());
    }
    match std::env::var_os("HOME").filter(|dir| !dir.is_empty()) {
        Some(home) => Ok(PathBuf::from(home).join(".cache").join("luffy")),
        None => {
            Err(Failure::new("neither LUFFY_CACHE nor HOME is set: no place for downloaded tools"))
        }
    }
}

/// The cargo that runs us, so that a toolchain choice carries over.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// Where a build of this workspace puts its files.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| workspace_root().join("target"), PathBuf::from)
}

/// The scripts that compare with Python.
pub(crate) fn peers() -> PathBuf {
    workspace_root().join("benches/peers")
}

/// A file or folder among the shared test inputs that lie beside the checkout, if it is there; the path
/// that was tried otherwise.
pub(crate) fn shared(path: &str) -> Result<PathBuf, PathBuf> {
    let shared = std::env::var_os("LUFFY_SHARED")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| workspace_root().join("../shared"), PathBuf::from);
    let found = shared.join(path);
    if found.exists() { Ok(found) } else { Err(found) }
}
