//! What a case says: a Hugging Face folder with an `expected.json`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use luffy_core::{AdamWSettings, Message};
use luffy_policy::ModelConfig;
use serde::Deserialize;

/// A checkpoint and what was computed with it.
pub(super) struct Case {
    pub(super) dir: PathBuf,
    pub(super) expected: Expected,
}

/// `expected.json`.
#[derive(Deserialize)]
pub(super) struct Expected {
    pub(super) texts: Vec<Text>,
    pub(super) chat: Vec<Chat>,
    pub(super) forward: Vec<Forward>,
    pub(super) greedy: Vec<Greedy>,
    pub(super) train_steps: TrainSteps,
}

/// A text and its tokens.
#[derive(Deserialize)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) ids: Vec<u32>,
}

/// A conversation and how the template renders it.
#[derive(Deserialize)]
pub(super) struct Chat {
    pub(super) messages: Vec<Message>,
    pub(super) add_generation_prompt: bool,
    pub(super) text: String,
}

/// A sequence: `token_log_prob[i]` of `ids[i + 1]`, an entropy for every position.
#[derive(Deserialize)]
pub(super) struct Forward {
    pub(super) ids: Vec<u32>,
    pub(super) last_logits: Vec<f64>,
    pub(super) token_log_prob: Vec<f64>,
    pub(super) entropy: Vec<f64>,
}

/// The most likely continuation; it stops at the end token or after [`Greedy::MAX_NEW`].
#[derive(Deserialize)]
pub(super) struct Greedy {
    pub(super) prompt: Vec<u32>,
    pub(super) new_tokens: Vec<u32>,
}

impl Greedy {
    /// How many tokens were drawn at most.
    pub(super) const MAX_NEW: u32 = 24;
}

/// Steps on the mean cross-entropy of `ids[1..]`.
#[derive(Deserialize)]
pub(super) struct TrainSteps {
    pub(super) ids: Vec<u32>,
    pub(super) optimizer: Optimizer,
    pub(super) steps: Vec<Step>,
}

/// `AdamW` as PyTorch names it.
#[derive(Deserialize)]
pub(super) struct Optimizer {
    pub(super) lr: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    max_grad_norm: f64,
}

impl Optimizer {
    pub(super) const fn settings(&self) -> AdamWSettings {
        AdamWSettings {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.eps,
            weight_decay: self.weight_decay,
            max_grad_norm: self.max_grad_norm,
        }
    }
}

/// One of the steps.
#[derive(Deserialize)]
pub(super) struct Step {
    pub(super) loss: f64,
    pub(super) grad_norm: f64,
}

impl Case {
    /// Reads `dir/expected.json`.
    pub(super) fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("expected.json");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let expected = serde_json::from_str(&text)
            .with_context(|| format!("{} is not as expected", path.display()))?;
        Ok(Self { dir: dir.to_owned(), expected })
    }

    /// Whether the model can read every sequence.
    pub(super) fn check(&self, config: &ModelConfig) -> anyhow::Result<()> {
        let expected = &self.expected;
        let forward = expected.forward.iter().map(|case| (&case.ids, 1));
        let greedy = expected.greedy.iter().map(|case| (&case.prompt, 1));
        for (ids, least) in forward.chain(greedy).chain([(&expected.train_steps.ids, 2)]) {
            ensure!(ids.len() >= least, "a sequence has {} tokens, {least} are needed", ids.len());
            ensure!(
                ids.len() < config.max_position_embeddings,
                "a sequence has {} tokens, the context of the model {}",
                ids.len(),
                config.max_position_embeddings
            );
            let unknown = ids.iter().find(|id| **id as usize >= config.vocab_size);
            ensure!(unknown.is_none(), "token {unknown:?} is not in the vocabulary");
        }
        ensure!(!expected.greedy.is_empty(), "`greedy` is empty");
        Ok(())
    }
}
