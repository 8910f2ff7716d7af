//! Whether training data is what it was.

use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use luffy_core::{Behavior, Prompt};

use super::checkpoint::Progress;
use crate::exit::{Code, WithCode};

/// A number for prompts, golds and demonstrations in their order: FNV-1a with 64 bits. It finds an edited
/// file; it keeps nobody from making two files with the same number.
pub(super) fn digest(prompts: &[Arc<Prompt>]) -> String {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    for prompt in prompts {
        hash.number(prompt.index);
        hash.tokens(&prompt.tokens);
        hash.number(prompt.task.golds.len() as u64);
        for gold in &prompt.task.golds {
            hash.number(gold.len() as u64);
            hash.bytes(gold.as_bytes());
        }
        hash.number(prompt.demonstrations.len() as u64);
        for demonstration in &prompt.demonstrations {
            hash.tokens(&demonstration.tokens);
            if let Behavior::Logprobs(logprobs) = &demonstration.behavior {
                for logprob in logprobs {
                    hash.number(logprob.to_bits().into());
                }
            }
        }
    }
    format!("{:016x}", hash.0)
}

/// Refuses to go on with other training data than the checkpoint was made with.
pub(super) fn check_data(progress: &Progress, digest: &str, dir: &Path) -> anyhow::Result<()> {
    if progress.data_digest.as_ref().is_none_or(|stored| stored == digest) {
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

struct Fnv(u64);

impl Fnv {
    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn tokens(&mut self, tokens: &[u32]) {
        self.number(tokens.len() as u64);
        for token in tokens {
            self.bytes(&token.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // From the test vectors of the authors of FNV.
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        hash.bytes(b"foobar");
        assert_eq!(hash.0, 0x8594_4171_f739_67e8);
    }
}
