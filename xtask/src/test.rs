//! `cargo xtask test`.

use std::process::Command;

use crate::backend::Backend;
use crate::paths::{cargo, workspace_root};
use crate::process::{self, Failure};

/// Every test of the workspace, or on libtorch the smallest one that goes through every crate.
pub(crate) fn run(mut args: Vec<String>) -> Result<(), Failure> {
    let backend = Backend::take_from(&mut args)?.unwrap_or(Backend::Flex);
    let mut command = Command::new(cargo());
    command
        .arg("test")
        .arg("--manifest-path")
        .arg(workspace_root().join("Cargo.toml"))
        .arg("--locked");
    match backend {
        Backend::Flex => {
            command.arg("--workspace");
        }
        Backend::Tch => {
            command.args([
                "-p",
                "luffy-cli",
                "--no-default-features",
                "--features",
                "tch",
                "--test",
                "it",
            ]);
            args.insert(0, "learns".to_owned());
        }
        Backend::Cuda => {
            return Err(Failure::usage(
                "no test runs on cuda: `DOCS_RS=1 cargo check -p luffy-cli --no-default-features --features cuda` \
                 is what can be checked without a GPU",
            ));
        }
    }
    backend.prepare(&mut command)?;
    process::run(command.args(args))
}
