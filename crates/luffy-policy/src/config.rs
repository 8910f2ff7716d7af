//! `config.json`.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::PolicyError;

/// The shape of a model, read from a Hugging Face `config.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ModelConfig {
    /// The architecture.
    pub model_type: String,
    /// Size of a hidden state.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Size of a head; `hidden_size / num_attention_heads` where absent.
    #[serde(default, rename = "head_dim")]
    explicit_head_dim: Option<usize>,
    /// Size of the inner layer of the MLP.
    pub intermediate_size: usize,
    /// Tokens.
    pub vocab_size: usize,
    /// In the root of `RMSNorm`.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Most tokens of a sequence.
    pub max_position_embeddings: usize,
    /// Whether the head is the transposed embedding matrix.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// The file as it was read, written back unchanged.
    #[serde(skip)]
    pub raw: Map<String, Value>,
}

impl ModelConfig {
    /// Reads `dir/config.json`.
    ///
    /// # Errors
    /// If it cannot be read, lacks a field, or names an architecture or option that is not computed here.
    pub fn read(dir: &Path) -> Result<Self, PolicyError> {
        let path = dir.join("config.json");
        let text = fs::read_to_string(&path)
            .map_err(|source| PolicyError::Io { path: path.clone(), source })?;
        Self::parse(&text, &path)
    }

    /// Reads the text of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    /// As [`ModelConfig::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, PolicyError> {
        let bad = |source| PolicyError::Config { path: path.to_owned(), source };
        let raw: Map<String, Value> = serde_json::from_str(text).map_err(bad)?;
        // Before the fields, since another architecture may lack them.
        check(&raw, path)?;
        let mut config: Self = serde_json::from_value(Value::Object(raw.clone())).map_err(bad)?;
        config.raw = raw;
        config.check_heads(path)?;
        Ok(config)
    }

    /// Size of a head.
    pub fn head_dim(&self) -> usize {
        self.explicit_head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    fn check_heads(&self, path: &Path) -> Result<(), PolicyError> {
        let (heads, kv) = (self.num_attention_heads, self.num_key_value_heads);
        if kv == 0 || !heads.is_multiple_of(kv) {
            return Err(PolicyError::Unsupported {
                path: path.to_owned(),
                key: "num_key_value_heads",
                found: format!("{kv} for {heads} attention heads"),
                supported: "a divisor of num_attention_heads",
            });
        }
        if !self.head_dim().is_multiple_of(2) {
            return Err(PolicyError::Unsupported {
                path: path.to_owned(),
                key: "head_dim",
                found: self.head_dim().to_string(),
                supported: "even sizes, since positions rotate pairs",
            });
        }
        Ok(())
    }
}

/// Refuses what is not computed, by name.
fn check(raw: &Map<String, Value>, path: &Path) -> Result<(), PolicyError> {
    type Fits = fn(&Value) -> bool;
    let rules: [(&'static str, Fits, &'static str); 4] = [
        ("model_type", |value| value == "qwen2", "\"qwen2\" (Qwen2 and Qwen2.5)"),
        ("rope_scaling", Value::is_null, "null"),
        ("use_sliding_window", |value| value.is_null() || value == false, "false"),
        ("hidden_act", |value| value.is_null() || value == "silu", "\"silu\""),
    ];
    for (key, fits, supported) in rules {
        let value = raw.get(key).unwrap_or(&Value::Null);
        if !fits(value) {
            return Err(PolicyError::Unsupported {
                path: path.to_owned(),
                key,
                found: value.to_string(),
                supported,
            });
        }
    }
    Ok(())
}
