//! `cargo xtask bench memory`.

use std::path::PathBuf;

use crate::backend::Backend;
use crate::conformance::{value_of, wants_help};
use crate::luffy;
use crate::paths::{target_dir, workspace_root};
use crate::process::{self, Failure};

/// What `cargo xtask bench memory --help` prints.
const HELP: &str = "\
Peak memory and seconds of loading a model, scoring 2,048 tokens and one training step of 1,024

Usage: cargo xtask bench memory [--config FILE] [--backend B]

  --config FILE   the `config.json` of the model (default: the one of Qwen2.5-0.5B in testdata)
  --backend B     flex (default), tch or cuda

Weights are random, drawn once into the target folder (2 GB). One replica and two, with layers that run again
on the way back and with activations kept; a process of its own for each, a JSON line for each phase. The
peak is that of the whole process so far.
";

/// Loads, scores and trains a model with random weights, each time in a process of its own.
pub(super) fn run(mut args: Vec<String>) -> Result<(), Failure> {
    if wants_help(&args) {
        print!("{HELP}");
        return Ok(());
    }
    let backend = Backend::take_from(&mut args)?.unwrap_or(Backend::Flex);
    let config = value_of(&args, "--config").map_or_else(
        || workspace_root().join("testdata/models/configs/qwen2.5-0.5b.json"),
        PathBuf::from,
    );
    let name = config.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let model = target_dir().join("bench").join(format!("memory-{name}"));
    let start = |args: &[&str]| -> Result<(), Failure> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut command = luffy::command(backend, &args);
        backend.prepare(&mut command)?;
        process::run(&mut command)
    };
    let folder = model.display().to_string();
    if !model.exists() {
        let parent = target_dir().join("bench");
        std::fs::create_dir_all(&parent).map_err(|error| {
            Failure::new(format!("cannot create {}: {error}", parent.display()))
        })?;
        start(&["init", "--config", &config.display().to_string(), "--out", &folder])?;
    }
    let measure = ["measure-memory", "--model", &folder];
    for (replicas, rows, tokens) in [("1", "1", "1024"), ("1", "2", "512"), ("2", "2", "512")] {
        for recompute in [true, false] {
            let how = if recompute { "layers run again" } else { "activations kept" };
            println!("\n{rows} x {tokens} tokens, {replicas} replica(s), {how}");
            let mut all = measure.to_vec();
            all.extend(["--replicas", replicas, "--rows", rows, "--row-tokens", tokens]);
            all.extend(recompute.then_some("--recompute"));
            start(&all)?;
        }
    }
    Ok(())
}
