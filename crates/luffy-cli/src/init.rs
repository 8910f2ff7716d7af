//! `luffy init`: a model with random weights, to train from nothing or to try real sizes.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use luffy_policy::{ModelConfig, SaveOptions, copy_side_files, init_weights, save_pretrained};

use crate::atomic::new_dir;
use crate::exit::{Code, WithCode};
use crate::export::Precision;
use crate::generate::whole;
use crate::stdout;

/// What to write.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The `config.json` of the model.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The folder to write; must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A folder whose tokenizer and templates are copied.
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// Keys the weights.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = whole::<u64>)]
    seed: u64,
    /// Type of the numbers.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    dtype: Precision,
}

/// Draws weights and writes them as a Hugging Face folder.
pub(crate) fn init(args: &InitArgs) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.config)
        .with_context(|| format!("cannot read {}", args.config.display()))
        .code(Code::Input)?;
    let config = ModelConfig::parse(&text, &args.config).code(Code::Input)?;
    let options = SaveOptions { dtype: args.dtype.into(), ..SaveOptions::default() };
    let mut n: usize = 0;
    new_dir(&args.out, |tmp| {
        // First what may be missing: drawing takes long.
        if let Some(tokenizer) = &args.tokenizer {
            copy_side_files(tokenizer, tmp).code(Code::Input)?;
        }
        let weights = init_weights(&config, args.seed);
        n = weights.values().map(|tensor| tensor.values.len()).sum();
        Ok(save_pretrained(tmp, &config, &weights, &options)?)
    })?;
    stdout::say(&format!("{n} parameters in {}", args.out.display()))
}
