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
        (r#"{"model_type": "gemma2"}"#, r#"`model_type` is "gemma2"; supported: "qwen2", "llama""#),
        (r#"{"model_type": "qwen2_moe"}"#, r#"`model_type` is "qwen2_moe""#),
        (r#"{"model_type": null}"#, "`model_type` is absent"),
        (r#"{"architectures": ["Qwen2ForRewardModel"]}"#, "`architectures`"),
        (r#"{"rope_scaling": {"type": "yarn"}}"#, r#"`rope_scaling.rope_type` is "yarn""#),
        (
            r#"{"rope_scaling": {"rope_type": "dynamic"}}"#,
            r#"`rope_scaling.rope_type` is "dynamic""#,
        ),
        (r#"{"rope_scaling": {"factor": 2.0}}"#, "`rope_scaling.rope_type` is absent"),
        (r#"{"rope_scaling": {"type": "linear"}}"#, "`rope_scaling.factor` is absent"),
        (r#"{"rope_parameters": {"rope_type": "longrope"}}"#, "`rope_parameters.rope_type`"),
        (r#"{"rope_parameters": {"rope_type": "llama3"}}"#, "`rope_parameters.factor` is absent"),
        (r#"{"rope_theta": "many"}"#, "`rope_theta`"),
        (r#"{"model_type": "mistral"}"#, "`sliding_window` is absent, which means 4096"),
        (r#"{"model_type": "mistral", "sliding_window": 4096}"#, "`sliding_window` is 4096"),
        (r#"{"attention_dropout": 0.1}"#, "`attention_dropout` is 0.1"),
        (r#"{"partial_rotary_factor": 0.5}"#, "`partial_rotary_factor`"),
        (r#"{"num_hidden_layers": 0}"#, "`num_hidden_layers` is 0"),
        (r#"{"use_sliding_window": true}"#, "`use_sliding_window` is true"),
        (r#"{"layer_types": ["full_attention", "sliding_attention"]}"#, "`layer_types`"),
        (r#"{"hidden_act": "gelu"}"#, "`hidden_act`"),
        (r#"{"quantization_config": {"bits": 4}}"#, "`quantization_config`"),
        (r#"{"num_key_value_heads": 3}"#, "3 for 4 attention heads"),
        (r#"{"num_attention_heads": 0}"#, "`num_attention_heads` is 0"),
        (r#"{"hidden_size": 0}"#, "`hidden_size` is 0"),
        (r#"{"head_dim": 15}"#, "`head_dim` is 15"),
        (r#"{"vocab_size": "many"}"#, r#"`vocab_size` is "many"; supported: a whole number"#),
        (r#"{"hidden_size": -1}"#, "`hidden_size` is -1; supported: a whole number"),
        (r#"{"hidden_size": 64.5}"#, "`hidden_size` is 64.5"),
        (r#"{"hidden_size": 4294967296}"#, "`hidden_size` is 4294967296; supported: sizes from 1"),
        (r#"{"num_hidden_layers": 10000000000}"#, "`num_hidden_layers`"),
        (r#"{"head_dim": 4611686018427387904}"#, "`head_dim`"),
        (r#"{"rms_norm_eps": -1.0}"#, "`rms_norm_eps` is -1.0"),
        (r#"{"tie_word_embeddings": "yes"}"#, r#"`tie_word_embeddings` is "yes""#),
        (r#"{"architectures": "Qwen2ForRewardModel"}"#, "`architectures`"),
        (r#"{"layer_types": "sliding_attention"}"#, "`layer_types`"),
        (r#"{"rope_theta": 1e-300}"#, "`rope_theta`"),
        (
            r#"{"rope_scaling": {"type": "linear", "rope_type": "default", "factor": 8.0}}"#,
            r#"`rope_scaling.rope_type` is "default" and `type` is "linear""#,
        ),
    ] {
        refused(&json(extra), part);
    }
}

#[test]
fn a_missing_field_is_named() {
    let text = r#"{"model_type": "qwen2", "hidden_size": 8, "num_attention_heads": 2,
        "num_key_value_heads": 2}"#;
    let error = ModelConfig::parse(text, Path::new("c.json")).unwrap_err().to_string();
    assert!(error.contains("num_hidden_layers"), "{error}");
}

#[test]
fn the_rotary_base_is_found_in_both_places() {
    let nested = serde_json::json!({
        "rope_parameters": { "rope_type": "default", "rope_theta": 7.0 }
    });
    assert!((parse(&nested).unwrap().rope.theta - 7.0).abs() < 1e-12);
    assert!((parse(&serde_json::json!({})).unwrap().rope.theta - 100.0).abs() < 1e-12);
}

#[test]
fn a_head_is_its_share_of_the_hidden_size_unless_the_file_says_otherwise() {
    assert_eq!(parse(&serde_json::json!({})).unwrap().head_dim, 16);
    assert_eq!(parse(&serde_json::json!({ "head_dim": 32 })).unwrap().head_dim, 32);
    assert_eq!(parse(&serde_json::json!({ "head_dim": null })).unwrap().head_dim, 16);
}

#[test]
fn families_differ_in_biases_norms_and_defaults() {
    let of = |extra: &str| parse(&serde_json::from_str(extra).unwrap()).unwrap();
    let qwen2 = of("{}");
    assert!(qwen2.biases.qkv && !qwen2.biases.output && !qwen2.biases.mlp && !qwen2.qk_norm);
    // Null is all heads in every family, as in transformers.
    assert_eq!(of(r#"{"num_key_value_heads": null}"#).num_key_value_heads, 4);
    let llama = of(r#"{"model_type": "llama", "num_key_value_heads": null}"#);
    assert!(!llama.biases.qkv && !llama.biases.output && llama.num_key_value_heads == 4);
    let llama = of(r#"{"model_type": "llama", "attention_bias": true, "mlp_bias": true}"#);
    assert!(llama.biases.qkv && llama.biases.output && llama.biases.mlp);
    let qwen3 = of(r#"{"model_type": "qwen3"}"#);
    assert!(qwen3.qk_norm && !qwen3.biases.qkv && qwen3.head_dim == 128);
    let mistral =
        of(r#"{"model_type": "mistral", "sliding_window": null, "attention_bias": true}"#);
    assert!(!mistral.biases.qkv && mistral.head_dim == 16);
}

/// What transformers 4.57 computes in `_compute_llama3_parameters` and its linear sibling for the same numbers,
/// by its formulas in f64.
#[test]
fn scaled_frequencies_are_those_of_their_formulas() {
    let of = |scaling: &str| {
        let raw = format!(r#"{{"rope_theta": 10000.0, "head_dim": 8, "rope_scaling": {scaling}}}"#);
        let config = parse(&serde_json::from_str(&raw).unwrap()).unwrap();
        config.rope.frequencies(config.head_dim)
    };
    let close = |found: &[f32], wanted: &[f64]| {
        assert_eq!(found.len(), wanted.len());
        for (a, b) in found.iter().zip(wanted) {
            assert!((f64::from(*a) / b - 1.0).abs() < 3e-7, "{found:?} against {wanted:?}");
        }
    };
    close(&of("null"), &[1.0, 0.1, 0.01, 0.001]);
    close(&of(r#"{"type": "linear", "factor": 4.0}"#), &[0.25, 0.025, 0.0025, 0.00025]);
    // Wavelengths 6.283, 62.83, 628.3, 6283 with an original context of 1,000: below 1,000 / 4 kept, above
    // 1,000 / 1 divided by 8, and 628.3 blended with s = (1000 / 628.3 - 1) / 3 = 0.197183:
    // 0.01 * ((1 - s) / 8 + s).
    let llama3 = r#"{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 1000}"#;
    let s = (1000.0 / (200.0 * std::f64::consts::PI) - 1.0) / 3.0;
    close(&of(llama3), &[1.0, 0.1, 0.01 * ((1.0 - s) / 8.0 + s), 0.000_125]);
}
