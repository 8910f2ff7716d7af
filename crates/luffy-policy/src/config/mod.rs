//! `config.json`.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::PolicyError;

mod check;
mod rope;
#[cfg(test)]
mod tests;

pub use rope::{FrequencyRounding, RopeConfig, RopeScaling};

/// The decoder families that are computed here. All are `RMSNorm`, rotate-half `RoPE`, grouped-query attention
/// and `SwiGLU`; they differ in biases, in the size of a head, and in a norm on queries and keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    Qwen2,
    /// Llama 2 and 3, and what calls itself `llama`.
    Llama,
    /// Qwen3: a norm on queries and keys, a head size of its own.
    Qwen3,
    /// Mistral without a sliding window.
    Mistral,
}

impl Family {
    /// By `model_type`.
    const ALL: [(&'static str, Self); 4] = [
        ("qwen2", Self::Qwen2),
        ("llama", Self::Llama),
        ("qwen3", Self::Qwen3),
        ("mistral", Self::Mistral),
    ];

    fn of(model_type: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == model_type).map(|(_, family)| *family)
    }

    /// The `architectures` entry of its language models.
    pub(crate) const fn architecture(self) -> &'static str {
        match self {
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Mistral => "MistralForCausalLM",
        }
    }
}

/// Which linear layers of a block have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases {
    /// q, k and v.
    pub qkv: bool,
    /// The output projection of attention.
    pub output: bool,
    /// The three layers of the MLP.
    pub mlp: bool,
}

/// The shape of a model, read from a Hugging Face `config.json`. Sizes must be there; options that a file
/// leaves out have the default of `transformers`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub family: Family,
    /// Size of a hidden state.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Size of a head.
    pub head_dim: usize,
    /// Size of the inner layer of the MLP.
    pub intermediate_size: usize,
    /// Rows of the embedding matrix; a tokenizer may know fewer tokens.
    pub vocab_size: usize,
    /// In the root of `RMSNorm`.
    pub rms_norm_eps: f64,
    /// Rotary positions.
    pub rope: RopeConfig,
    /// Most tokens of a sequence.
    pub max_position_embeddings: usize,
    /// Whether the head is the transposed embedding matrix.
    pub tie_word_embeddings: bool,
    /// Which linear layers have biases.
    pub biases: Biases,
    /// Whether queries and keys are normed by head before they are rotated.
    pub qk_norm: bool,
    /// The file as it was read, written back unchanged.
    pub raw: Map<String, Value>,
}

impl ModelConfig {
    /// Reads `dir/config.json`.
    ///
    /// # Errors
    /// If it cannot be read, lacks a field, or names an architecture or option that is not computed here.
    pub fn read(dir: &Path) -> Result<Self, PolicyError> {
        let path = dir.join("config.json");
        let text = fs::read_to_string(&path).map_err(PolicyError::io(&path))?;
        Self::parse(&text, &path)
    }

    /// Reads the text of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    /// As [`ModelConfig::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, PolicyError> {
        let bad = |error| PolicyError::Config { path: path.to_owned(), error };
        let raw: Map<String, Value> = serde_json::from_str(text).map_err(bad)?;
        // Before the fields, since another architecture may lack them.
        let family = check::family(&raw, path)?;
        check::options(family, &raw, path)?;
        let rope = RopeConfig::read(&raw, path)?;
        let config = Self::of(family, rope, raw, path)?;
        check::sizes(&config, path)?;
        Ok(config)
    }

    fn of(
        family: Family,
        rope: RopeConfig,
        raw: Map<String, Value>,
        path: &Path,
    ) -> Result<Self, PolicyError> {
        let keys = Keys { raw: &raw, path };
        let attention_bias = keys.flag("attention_bias")?;
        let hidden_size = keys.whole("hidden_size")?;
        let heads = keys.whole("num_attention_heads")?;
        let num_key_value_heads = match (raw.get("num_key_value_heads"), family) {
            (Some(Value::Null), _) | (None, Family::Llama) => heads,
            (None, Family::Mistral) => 8,
            (None, Family::Qwen2 | Family::Qwen3) => 32,
            (Some(_), _) => keys.whole("num_key_value_heads")?,
        };
        let head_dim = match (raw.get("head_dim"), family) {
            (None, Family::Qwen3) => 128,
            (None | Some(Value::Null), _) => hidden_size / heads.max(1),
            (Some(_), _) => keys.whole("head_dim")?,
        };
        Ok(Self {
            family,
            hidden_size,
            num_hidden_layers: keys.whole("num_hidden_layers")?,
            num_attention_heads: heads,
            num_key_value_heads,
            head_dim,
            intermediate_size: keys.whole("intermediate_size")?,
            vocab_size: keys.whole("vocab_size")?,
            rms_norm_eps: keys.epsilon("rms_norm_eps")?,
            rope,
            max_position_embeddings: keys.whole("max_position_embeddings")?,
            tie_word_embeddings: keys.flag("tie_word_embeddings")?,
            biases: Biases {
                qkv: match family {
                    Family::Qwen2 => true,
                    Family::Llama | Family::Qwen3 => attention_bias,
                    Family::Mistral => false,
                },
                output: matches!(family, Family::Llama | Family::Qwen3) && attention_bias,
                mlp: family == Family::Llama && keys.flag("mlp_bias")?,
            },
            qk_norm: family == Family::Qwen3,
            raw,
        })
    }
}

/// The keys of a file, refused by name.
struct Keys<'a> {
    raw: &'a Map<String, Value>,
    path: &'a Path,
}

impl Keys<'_> {
    fn refused(&self, key: &str, supported: &str) -> PolicyError {
        let found = self.raw.get(key).map_or_else(|| "absent".to_owned(), Value::to_string);
        check::unsupported(self.path, key, found, supported)
    }

    fn whole(&self, key: &str) -> Result<usize, PolicyError> {
        let value = self.raw.get(key).and_then(Value::as_u64);
        let value = value.and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| self.refused(key, "a whole number"))
    }

    /// False where it is absent.
    fn flag(&self, key: &str) -> Result<bool, PolicyError> {
        match self.raw.get(key) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.refused(key, "true or false")),
        }
    }

    /// 1e-6 where it is absent.
    fn epsilon(&self, key: &str) -> Result<f64, PolicyError> {
        match self.raw.get(key) {
            None | Some(Value::Null) => Ok(1e-6),
            Some(value) => value
                .as_f64()
                .filter(|epsilon| (0.0..1.0).contains(epsilon))
                .ok_or_else(|| self.refused(key, "a number from 0 to 1")),
        }
    }
}
