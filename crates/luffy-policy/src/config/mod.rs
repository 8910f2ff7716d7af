//! `config.json`.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Deserializer};
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
    const fn architecture(self) -> &'static str {
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

/// The shape of a model, read from a Hugging Face `config.json`. What a file leaves out has the default of
/// `transformers`.
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
    /// Tokens that end a response; files hold one, a list, or none.
    pub eos_token_ids: Vec<u32>,
    /// The file as it was read, written back unchanged.
    pub raw: Map<String, Value>,
}

/// The keys that are read as numbers; what they mean depends on the family.
#[derive(Deserialize)]
struct Fields {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    vocab_size: usize,
    rms_norm_eps: Option<f64>,
    max_position_embeddings: usize,
    tie_word_embeddings: Option<bool>,
    attention_bias: Option<bool>,
    mlp_bias: Option<bool>,
    #[serde(default, deserialize_with = "one_or_many")]
    eos_token_id: Vec<u32>,
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
        let family = check::family(&raw, path)?;
        check::options(family, &raw, path)?;
        let rope = RopeConfig::read(&raw, path)?;
        let fields: Fields = serde_json::from_value(Value::Object(raw.clone())).map_err(bad)?;
        let config = Self::new(family, fields, rope, raw);
        check::sizes(&config, path)?;
        Ok(config)
    }

    fn new(family: Family, fields: Fields, rope: RopeConfig, raw: Map<String, Value>) -> Self {
        let heads = fields.num_attention_heads;
        let attention_bias = fields.attention_bias.unwrap_or(false);
        let (kv_heads, head_dim) = match family {
            Family::Llama => (heads, None),
            Family::Mistral => (8, None),
            Family::Qwen2 => (32, None),
            Family::Qwen3 => (32, Some(128)),
        };
        Self {
            family,
            hidden_size: fields.hidden_size,
            num_hidden_layers: fields.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: fields.num_key_value_heads.unwrap_or(kv_heads),
            head_dim: fields
                .head_dim
                .or(head_dim)
                .unwrap_or_else(|| fields.hidden_size / heads.max(1)),
            intermediate_size: fields.intermediate_size,
            vocab_size: fields.vocab_size,
            rms_norm_eps: fields.rms_norm_eps.unwrap_or(1e-6),
            rope,
            max_position_embeddings: fields.max_position_embeddings,
            tie_word_embeddings: fields.tie_word_embeddings.unwrap_or(false),
            biases: Biases {
                qkv: match family {
                    Family::Qwen2 => true,
                    Family::Llama | Family::Qwen3 => attention_bias,
                    Family::Mistral => false,
                },
                output: matches!(family, Family::Llama | Family::Qwen3) && attention_bias,
                mlp: family == Family::Llama && fields.mlp_bias.unwrap_or(false),
            },
            qk_norm: family == Family::Qwen3,
            eos_token_ids: fields.eos_token_id,
            raw,
        }
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
