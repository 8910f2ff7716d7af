//! Refuses what is not computed, by name and before any weight is read.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Family, ModelConfig};
use crate::PolicyError;

/// The error that names a key, what it holds and what it may hold.
pub(super) fn unsupported(
    path: &Path,
    key: &str,
    found: impl Into<String>,
    supported: impl Into<String>,
) -> PolicyError {
    PolicyError::Unsupported {
        path: path.to_owned(),
        key: key.to_owned(),
        found: found.into(),
        supported: supported.into(),
    }
}

/// The family by `model_type`; `architectures`, where it is there, must name its language model.
pub(super) fn family(raw: &Map<String, Value>, path: &Path) -> Result<Family, PolicyError> {
    let model_type = raw.get("model_type").unwrap_or(&Value::Null);
    let family = model_type.as_str().and_then(Family::of).ok_or_else(|| {
        let known: Vec<String> =
            Family::ALL.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        unsupported(path, "model_type", shown(model_type), known.join(", "))
    })?;
    let named = raw.get("architectures").unwrap_or(&Value::Null);
    let fits = match named {
        Value::Null => true,
        Value::Array(names) => {
            names.is_empty() || names.iter().any(|name| name == family.architecture())
        }
        _ => false,
    };
    if !fits {
        let found = named.to_string();
        let supported = format!("[\"{}\"]: a language model with a head", family.architecture());
        return Err(unsupported(path, "architectures", found, supported));
    }
    Ok(family)
}

/// What a missing key is called.
fn shown(value: &Value) -> String {
    if value.is_null() { "absent".to_owned() } else { value.to_string() }
}

type Fits = fn(&Value) -> bool;

fn absent_or_false(value: &Value) -> bool {
    value.is_null() || value == false
}

fn absent_or_zero(value: &Value) -> bool {
    value.is_null() || value.as_f64() == Some(0.0)
}

fn full_attention(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().all(|kind| kind == "full_attention"),
        _ => false,
    }
}

/// Options that change what a model computes, whatever its family.
const OPTIONS: [(&str, Fits, &str); 10] = [
    ("use_sliding_window", absent_or_false, "false"),
    ("layer_types", full_attention, "\"full_attention\" in every layer"),
    ("quantization_config", Value::is_null, "null: weights in F32, F16 or BF16"),
    ("hidden_act", |value| value.is_null() || value == "silu", "\"silu\""),
    ("attention_dropout", absent_or_zero, "0"),
    ("hidden_dropout", absent_or_zero, "0"),
    ("use_mrope", absent_or_false, "false"),
    ("dual_chunk_attention_config", Value::is_null, "null"),
    (
        "partial_rotary_factor",
        |value| value.is_null() || value.as_f64() == Some(1.0),
        "1: positions rotate whole heads",
    ),
    ("is_encoder_decoder", absent_or_false, "false"),
];

/// Options by name.
pub(super) fn options(
    family: Family,
    raw: &Map<String, Value>,
    path: &Path,
) -> Result<(), PolicyError> {
    for (key, fits, supported) in OPTIONS {
        let value = raw.get(key).unwrap_or(&Value::Null);
        if !fits(value) {
            return Err(unsupported(path, key, value.to_string(), supported));
        }
    }
    if family == Family::Mistral {
        // Absent means 4096 to transformers.
        match raw.get("sliding_window") {
            Some(Value::Null) => {}
            found => {
                let found = found.map_or_else(|| "absent, which means 4096".to_owned(), shown);
                return Err(unsupported(
                    path,
                    "sliding_window",
                    found,
                    "null: Mistral without a sliding window (v0.2 and later)",
                ));
            }
        }
    }
    Ok(())
}

/// Larger than any model, and small enough that no product of sizes overflows.
const MOST: usize = 1 << 24;

/// Sizes that fit each other.
pub(super) fn sizes(config: &ModelConfig, path: &Path) -> Result<(), PolicyError> {
    let (heads, kv) = (config.num_attention_heads, config.num_key_value_heads);
    for (key, size) in [
        ("hidden_size", config.hidden_size),
        ("num_hidden_layers", config.num_hidden_layers),
        ("num_attention_heads", heads),
        ("intermediate_size", config.intermediate_size),
        ("vocab_size", config.vocab_size),
        ("max_position_embeddings", config.max_position_embeddings),
        ("head_dim", config.head_dim),
    ] {
        if size == 0 || (size > MOST && key != "max_position_embeddings") {
            let supported = format!("sizes from 1 to {MOST}");
            return Err(unsupported(path, key, size.to_string(), supported));
        }
    }
    if kv == 0 || !heads.is_multiple_of(kv) {
        return Err(unsupported(
            path,
            "num_key_value_heads",
            format!("{kv} for {heads} attention heads"),
            "a divisor of num_attention_heads",
        ));
    }
    if !config.head_dim.is_multiple_of(2) {
        return Err(unsupported(
            path,
            "head_dim",
            config.head_dim.to_string(),
            "even sizes, since positions rotate pairs",
        ));
    }
    Ok(())
}
