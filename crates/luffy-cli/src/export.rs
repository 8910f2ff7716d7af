//! `luffy export`: a model in another precision, as a folder for transformers and vLLM.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use luffy_policy::{FileDtype, SaveOptions, convert_pretrained, copy_side_files};

use crate::atomic::new_dir;
use crate::exit::{Code, WithCode};
use crate::stdout;

/// What to write.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A Hugging Face folder; of a run, `checkpoints/step-NNNNNN/hf`.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The folder to write; must not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Type of the numbers.
    #[arg(long, value_enum, default_value_t = Precision::Bf16)]
    dtype: Precision,
    /// Most bytes of weights in one file: `5GB`, `500MB`, `100KB` or plain bytes.
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = parse_size)]
    max_shard_size: u64,
}

/// The type of the numbers in a file.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Precision {
    /// Single precision, as a run computes.
    F32,
    /// Half precision; values beyond 65,504 are refused.
    F16,
    /// bfloat16.
    Bf16,
}

impl From<Precision> for FileDtype {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

/// Reads a model and writes it: weights in the asked precision, a tensor at a time, tokenizer and templates as
/// they were.
pub(crate) fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let options = SaveOptions { dtype: args.dtype.into(), max_shard_bytes: args.max_shard_size };
    new_dir(&args.out, |tmp| {
        convert_pretrained(&args.model, tmp, &options).code(Code::Input)?;
        copy_side_files(&args.model, tmp).code(Code::Input)
    })?;
    let (files, bytes) = weight_files(&args.out)?;
    let out = args.out.display();
    stdout::say(&format!("{bytes} bytes of weights in {files} files in {out}"))
}

/// Number and size of the files of weights.
fn weight_files(dir: &Path) -> anyhow::Result<(usize, u64)> {
    let list = || -> std::io::Result<(usize, u64)> {
        let (mut files, mut bytes) = (0, 0);
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "safetensors") {
                files += 1;
                bytes += entry.metadata()?.len();
            }
        }
        Ok((files, bytes))
    };
    list().with_context(|| format!("cannot list {}", dir.display()))
}

/// A number of bytes with a decimal unit.
fn parse_size(text: &str) -> anyhow::Result<u64> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let factor: u64 = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => bail!("`{unit}` is no unit; use B, KB, MB or GB"),
    };
    let number: u64 = number.parse().with_context(|| format!("`{text}` is no size such as 5GB"))?;
    let size = number.checked_mul(factor).with_context(|| format!("`{text}` is too large"))?;
    ensure!(size > 0, "a file needs room for something");
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_units() {
        let size = |text: &str| parse_size(text).ok();
        assert_eq!(size("5GB"), Some(5_000_000_000));
        assert_eq!(size("100 kb"), Some(100_000));
        assert_eq!(size("7"), Some(7));
        for bad in ["", "GB", "0", "1.5GB", "5GiB", "99999999999GB", "-1"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
