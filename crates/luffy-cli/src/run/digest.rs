//! Whether training data is what it was.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use luffy_core::{Behavior, Prompt};

use super::checkpoint::Progress;
use crate::exit::{Code, WithCode};
use crate::fnv::Fnv;

/// A digest of prompts, golds and demonstrations in their order.
pub(super) fn digest(prompts: &[Arc<Prompt>]) -> String {
    let mut hash = Fnv::new();
    for prompt in prompts {
        hash.number(prompt.index);
        hash.number(prompt.tokens.len() as u64);
        hash.tokens(&prompt.tokens);
        hash.number(prompt.task.golds.len() as u64);
        for gold in &prompt.task.golds {
            hash.number(gold.len() as u64);
            hash.bytes(gold.as_bytes());
        }
        hash.number(prompt.demonstrations.len() as u64);
        for demonstration in &prompt.demonstrations {
            hash.number(demonstration.tokens.len() as u64);
            hash.tokens(&demonstration.tokens);
            if let Behavior::Logprobs(logprobs) = &demonstration.behavior {
                for logprob in logprobs {
                    hash.number(logprob.to_bits().into());
                }
            }
        }
    }
    hash.text()
}

/// Refuses to go on with other training data than the checkpoint was made with.
pub(super) fn check_data(progress: &Progress, digest: &str, dir: &Path) -> anyhow::Result<()> {
    if progress.data_digest == digest {
        return Ok(());
    }
    let hf = dir.join(format!("checkpoints/step-{:06}/hf", progress.step));
    Err(anyhow!(
        "the training data is not what it was: a file of `data.train`, the tokenizer or the settings it is \
         read with changed since the last checkpoint; put it back, or start a new run with \
         `--set model.path={}`",
        hf.display()
    ))
    .code(Code::Input)
}
