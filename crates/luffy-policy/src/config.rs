//! `config.json`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Deserializer};
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
    /// Base of the rotary frequencies; newer files hold it inside `rope_parameters`.
    pub rope_theta: f64,
    /// Most tokens of a sequence.
    pub max_position_embeddings: usize,
    /// Whether the head is the transposed embedding matrix.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Tokens that end a response; files hold one, a list, or none.
    #[serde(default, rename = "eos_token_id", deserialize_with = "one_or_many")]
    pub eos_token_ids: Vec<u32>,
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
        let mut fields = raw.clone();
        if let Some(theta) = raw.get("rope_parameters").and_then(|value| value.get("rope_theta")) {
            fields.insert("rope_theta".to_owned(), theta.clone());
        }
        let mut config: Self = serde_json::from_value(Value::Object(fields)).map_err(bad)?;
        config.raw = raw;
        config.check_sizes(path)?;
        Ok(config)
    }

    /// Size of a head.
    pub fn head_dim(&self) -> usize {
        self.explicit_head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    fn check_sizes(&self, path: &Path) -> Result<(), PolicyError> {
        let (heads, kv) = (self.num_attention_heads, self.num_key_value_heads);
        for (key, size) in [
            ("hidden_size", self.hidden_size),
            ("num_attention_heads", heads),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("head_dim", self.head_dim()),
        ] {
            if size == 0 {
                return Err(PolicyError::Unsupported {
                    path: path.to_owned(),
                    key,
                    found: "0".to_owned(),
                    supported: "sizes above zero",
                });
            }
        }
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

/// A token id, a list of them, or nothing.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ids {
        One(u32),
        Many(Vec<u32>),
    }
    Ok(match Option::<Ids>::deserialize(from)? {
        Some(Ids::One(id)) => vec![id],
        Some(Ids::Many(ids)) => ids,
        None => Vec::new(),
    })
}

/// Refuses what is not computed, by name.
fn check(raw: &Map<String, Value>, path: &Path) -> Result<(), PolicyError> {
    type Fits = fn(&Value) -> bool;
    let rules: [(&'static str, Fits, &'static str); 7] = [
        ("model_type", |value| value == "qwen2", "\"qwen2\" (Qwen2 and Qwen2.5)"),
        ("rope_scaling", Value::is_null, "null"),
        ("use_sliding_window", |value| value.is_null() || value == false, "false"),
        (
            "layer_types",
            |value| {
                value.as_array().is_none_or(|kinds| kinds.iter().all(|k| k == "full_attention"))
            },
            "\"full_attention\" in every layer",
        ),
        (
            "rope_parameters",
            |value| value.get("rope_type").is_none_or(|kind| kind == "default"),
            "rope_type \"default\"",
        ),
        ("quantization_config", Value::is_null, "null"),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A valid file with `extra` fields over it; `null` clears one.
    fn parse(extra: &Value) -> Result<ModelConfig, String> {
        let mut raw = serde_json::json!({
            "model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 192,
            "vocab_size": 25, "rms_norm_eps": 1e-6, "rope_theta": 100.0,
            "max_position_embeddings": 64, "hidden_act": "silu", "use_sliding_window": false,
        });
        for (key, value) in extra.as_object().unwrap() {
            raw[key] = value.clone();
        }
        ModelConfig::parse(&raw.to_string(), Path::new("config.json")).map_err(|e| e.to_string())
    }

    fn refused(extra: &Value, part: &str) {
        let error = parse(extra).unwrap_err();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (extra, part) in [
            (r#"{"model_type": "qwen3"}"#, r#"`model_type` is "qwen3""#),
            (r#"{"rope_scaling": {"type": "yarn"}}"#, "`rope_scaling`"),
            (r#"{"rope_parameters": {"rope_type": "llama3"}}"#, "`rope_parameters`"),
            (r#"{"use_sliding_window": true}"#, "`use_sliding_window` is true"),
            (r#"{"layer_types": ["full_attention", "sliding_attention"]}"#, "`layer_types`"),
            (r#"{"hidden_act": "gelu"}"#, "`hidden_act`"),
            (r#"{"quantization_config": {"bits": 4}}"#, "`quantization_config`"),
            (r#"{"num_key_value_heads": 3}"#, "3 for 4 attention heads"),
            (r#"{"num_attention_heads": 0}"#, "`num_attention_heads` is 0"),
            (r#"{"hidden_size": 0}"#, "`hidden_size` is 0"),
            (r#"{"head_dim": 15}"#, "`head_dim` is 15"),
            (r#"{"vocab_size": "many"}"#, "config.json is no model configuration"),
        ] {
            refused(&json(extra), part);
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        let text = r#"{"model_type": "qwen2", "hidden_size": 8}"#;
        let error = ModelConfig::parse(text, Path::new("c.json")).unwrap_err().to_string();
        assert!(error.contains("num_hidden_layers"), "{error}");
    }

    #[test]
    fn end_tokens_are_one_or_many_or_none() {
        let ids = |value: Value| {
            parse(&serde_json::json!({ "eos_token_id": value })).unwrap().eos_token_ids
        };
        assert_eq!(ids(serde_json::json!(2)), [2]);
        assert_eq!(ids(serde_json::json!([2, 7])), [2, 7]);
        assert!(ids(Value::Null).is_empty());
        assert!(parse(&serde_json::json!({})).unwrap().eos_token_ids.is_empty());
    }

    #[test]
    fn the_rotary_base_is_found_in_both_places() {
        let nested = serde_json::json!({
            "rope_parameters": { "rope_type": "default", "rope_theta": 7.0 }
        });
        assert!((parse(&nested).unwrap().rope_theta - 7.0).abs() < 1e-12);
        assert!((parse(&serde_json::json!({})).unwrap().rope_theta - 100.0).abs() < 1e-12);
    }

    #[test]
    fn a_head_is_its_share_of_the_hidden_size_unless_the_file_says_otherwise() {
        assert_eq!(parse(&serde_json::json!({})).unwrap().head_dim(), 16);
        assert_eq!(parse(&serde_json::json!({ "head_dim": 32 })).unwrap().head_dim(), 32);
        assert_eq!(parse(&serde_json::json!({ "head_dim": null })).unwrap().head_dim(), 16);
    }
}
