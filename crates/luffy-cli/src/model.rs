//! The model that a command reads.

use std::path::PathBuf;

use anyhow::Context;
use burn::tensor::Device;
use clap::Args;
use luffy_data::{HfCodec, TemplateSource};
use luffy_policy::{CausalLm, ModelConfig, load_model};

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
    /// A chat template in place of the model's own: a built-in name such as `qwen`, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) chat_template: Option<String>,
}

impl ModelArgs {
    /// The tokenizer with its chat template.
    pub(crate) fn codec(&self) -> anyhow::Result<HfCodec> {
        let name = self.template.chat_template.as_deref().unwrap_or_default();
        let template = TemplateSource::find(name).code(Code::Input)?;
        HfCodec::open(&self.model, template.as_ref()).code(Code::Input)
    }

    /// The configuration and the weights; a tokenizer with tokens that the model lacks is refused.
    pub(crate) fn load(
        &self,
        codec: &HfCodec,
        device: &Device,
    ) -> anyhow::Result<(ModelConfig, CausalLm)> {
        let context = || format!("cannot load the model in {}", self.model.display());
        let config = ModelConfig::read(&self.model).with_context(context).code(Code::Input)?;
        codec.check_vocabulary(config.vocab_size).code(Code::Input)?;
        let model =
            load_model(&config, &self.model, device).with_context(context).code(Code::Input)?;
        Ok((config, model))
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
