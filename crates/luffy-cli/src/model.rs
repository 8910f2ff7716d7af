//! The model that a command reads.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use burn::tensor::Device;
use clap::Args;
use luffy_data::HfCodec;
use luffy_policy::{CausalLm, ModelConfig, load_pretrained};

use crate::exit::{Code, WithCode};

/// Which model, and what it reads.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// A Hugging Face folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub(crate) template: TemplateArgs,
}

/// How conversations become text.
#[derive(Debug, Clone, Args)]
pub(crate) struct TemplateArgs {
    /// A chat template in place of the model's own.
    #[arg(long, value_name = "FILE")]
    pub(crate) chat_template: Option<PathBuf>,
}

impl ModelArgs {
    /// The tokenizer with its chat template.
    pub(crate) fn codec(&self) -> anyhow::Result<HfCodec> {
        let template = self.template.text()?;
        HfCodec::open(&self.model, template.as_deref()).code(Code::Input)
    }

    /// The configuration and the weights.
    pub(crate) fn load(&self, device: &Device) -> anyhow::Result<(ModelConfig, CausalLm)> {
        load_pretrained(&self.model, device)
            .with_context(|| format!("cannot load the model in {}", self.model.display()))
            .code(Code::Input)
    }
}

impl TemplateArgs {
    /// The text of the template, if one was named. The one place for whatever else may name a template.
    fn text(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.chat_template else { return Ok(None) };
        fs::read_to_string(path)
            .with_context(|| format!("cannot read the chat template {}", path.display()))
            .code(Code::Input)
            .map(Some)
    }
}

/// Refuses tokens that a model has no embedding for.
pub(crate) fn check_ids(ids: &[u32], config: &ModelConfig) -> Result<(), String> {
    match ids.iter().find(|id| **id as usize >= config.vocab_size) {
        Some(id) => Err(format!(
            "token {id} is unknown to the model, which has the tokens 0 to {}",
            config.vocab_size - 1
        )),
        None => Ok(()),
    }
}
