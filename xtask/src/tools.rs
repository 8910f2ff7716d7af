//! The checkers that are not part of the Rust toolchain, at fixed versions, outside `target`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::paths::{cache_dir, cargo};
use crate::process::{self, Failure};

/// A program to install.
#[derive(Debug)]
pub(crate) struct Tool {
    /// The crate that holds it.
    package: &'static str,
    version: &'static str,
    /// What it is called.
    program: &'static str,
    /// Its authors' package for pip with a ready-made program, where there is one: seconds, not minutes.
    wheel: Option<&'static str>,
}

/// Spelling.
pub(crate) const TYPOS: Tool =
    Tool { package: "typos-cli", version: "1.52.0", program: "typos", wheel: Some("typos") };

/// Licences, sources and versions of dependencies.
pub(crate) const DENY: Tool =
    Tool { package: "cargo-deny", version: "0.20.2", program: "cargo-deny", wheel: None };

/// The book.
pub(crate) const MDBOOK: Tool =
    Tool { package: "mdbook", version: "0.5.4", program: "mdbook", wheel: None };

impl Tool {
    /// Where the program is, installed if it is not there.
    pub(crate) fn find_or_install(&self) -> Result<PathBuf, Failure> {
        let root = cache_dir()?.join("tools").join(format!("{}-{}", self.package, self.version));
        let program = root.join("bin").join(self.program);
        if program.exists() {
            return Ok(program);
        }
        eprintln!("installing {} {} (once)", self.package, self.version);
        if self.wheel.is_some_and(|wheel| self.install_wheel(wheel, &root).is_ok())
            && program.exists()
        {
            return Ok(program);
        }
        process::run(
            Command::new(cargo())
                .args(["install", "--quiet", "--locked", "--version", self.version, "--root"])
                .arg(&root)
                .arg(self.package)
                // The compiled dependencies of a tool are of no use to anyone else.
                .env_remove("CARGO_TARGET_DIR"),
        )?;
        if program.exists() {
            Ok(program)
        } else {
            Err(Failure::new(format!(
                "{} {} has no program `{}`",
                self.package, self.version, self.program
            )))
        }
    }

    fn install_wheel(&self, wheel: &str, root: &Path) -> Result<(), Failure> {
        process::run(
            Command::new("python3")
                .env("PIP_ROOT_USER_ACTION", "ignore")
                .args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"])
                .arg("--target")
                .arg(root)
                .arg(format!("{wheel}=={}", self.version)),
        )
    }
}
