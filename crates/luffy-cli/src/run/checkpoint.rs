//! Checkpoints that survive a kill at any moment.
//!
//! A checkpoint is written under a temporary name, synced and renamed; `latest` names the newest whole
//! one. A resume reads `latest`, cuts the logs back to the offsets stored in the checkpoint and goes on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use luffy_core::LearnerState;
use luffy_policy::{
    ModelConfig, SaveOptions, copy_side_files, read_tensors, save_pretrained, write_tensors,
};
use luffy_trainer::TrainerState;
use serde::{Deserialize, Serialize};

use crate::atomic::{commit_dir, write_atomic};
use crate::crash;

/// What `state.json` holds beside the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Layout of the checkpoint.
    pub(crate) schema: u32,
    /// Steps done: the next step to take.
    pub(crate) step: u64,
    /// Updates applied.
    pub(crate) version: u64,
    /// What the method remembers.
    pub(crate) memory: luffy_core::MethodMemory,
    /// Optimiser steps by slot.
    pub(crate) optimizer_steps: std::collections::BTreeMap<u32, u64>,
    /// Length of `metrics.jsonl` in bytes.
    pub(crate) metrics_offset: u64,
    /// Length of `timing.jsonl` in bytes.
    pub(crate) timing_offset: u64,
    /// Seconds spent so far, over all sessions.
    pub(crate) seconds: f64,
    /// Of the training prompts.
    pub(crate) data_digest: String,
}

/// What a run was when it was saved.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) progress: Progress,
    pub(crate) state: TrainerState,
}

fn step_name(step: u64) -> String {
    format!("step-{step:06}")
}

/// Writes a checkpoint, moves `latest` and removes the oldest beyond `keep_last` (0 keeps all).
pub(crate) fn save(
    run_dir: &Path,
    checkpoint: &Checkpoint,
    model: (&ModelConfig, &Path),
    keep_last: usize,
) -> anyhow::Result<PathBuf> {
    let (model_config, model_dir) = model;
    let root = run_dir.join("checkpoints");
    let name = step_name(checkpoint.progress.step);
    let (target, tmp) = (root.join(&name), root.join(format!(".{name}.tmp")));
    if tmp.exists() {
        fs::remove_dir_all(&tmp).with_context(|| format!("cannot remove {}", tmp.display()))?;
    }
    let hf = tmp.join("hf");
    fs::create_dir_all(&hf).with_context(|| format!("cannot make {}", hf.display()))?;
    save_pretrained(&hf, model_config, &checkpoint.state.learner.weights, &SaveOptions::default())?;
    copy_side_files(model_dir, &hf)?;
    crash::point("checkpoint/half-written");
    write_tensors(&tmp.join("optimizer.safetensors"), &checkpoint.state.learner.optimizer)?;
    let json = serde_json::to_vec_pretty(&checkpoint.progress)?;
    write_atomic(&tmp.join("state.json"), &json)?;
    if target.exists() {
        // A run that was resumed from an older checkpoint comes here again, with the same bytes.
        fs::remove_dir_all(&target)
            .with_context(|| format!("cannot remove {}", target.display()))?;
    }
    commit_dir(&tmp, &target)?;
    crash::point("checkpoint/before-latest");
    write_atomic(&root.join("latest"), name.as_bytes())?;
    prune(&root, keep_last)?;
    Ok(target)
}

fn prune(root: &Path, keep_last: usize) -> anyhow::Result<()> {
    if keep_last == 0 {
        return Ok(());
    }
    let mut names: Vec<String> = fs::read_dir(root)
        .with_context(|| format!("cannot list {}", root.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("step-"))
        .collect();
    names.sort();
    let n_extra = names.len().saturating_sub(keep_last);
    for name in &names[..n_extra] {
        let path = root.join(name);
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// The newest whole checkpoint of a run; `None` if it was stopped before the first.
pub(crate) fn load_latest(run_dir: &Path) -> anyhow::Result<Option<Checkpoint>> {
    let root = run_dir.join("checkpoints");
    let latest = root.join("latest");
    if !latest.exists() {
        return Ok(None);
    }
    let name =
        fs::read_to_string(&latest).with_context(|| format!("cannot read {}", latest.display()))?;
    let dir = root.join(name.trim());
    let path = dir.join("state.json");
    let json = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let progress: Progress = serde_json::from_slice(&json)
        .with_context(|| format!("{} is not a checkpoint of this version", path.display()))?;
    let weights = luffy_policy::read_weights(&dir.join("hf"))?;
    let optimizer = read_tensors(&dir.join("optimizer.safetensors"))?;
    let learner = LearnerState { weights, optimizer, steps: progress.optimizer_steps.clone() };
    let (version, memory) = (progress.version, progress.memory.clone());
    Ok(Some(Checkpoint { progress, state: TrainerState { learner, memory, version } }))
}
