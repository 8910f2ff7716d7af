//! Initial weights, drawn on the host so that they are the same on every backend.

use std::collections::BTreeMap;

use luffy_core::{HostTensor, Purpose, StreamKey};

use crate::ModelConfig;

/// The shapes of all parameters by name, in the layout of the model: what a model weighs before it is made.
pub fn parameter_shapes(config: &ModelConfig) -> BTreeMap<String, Vec<usize>> {
    plan(config).into_iter().map(|(name, shape, _)| (name, shape)).collect()
}

/// Weights of an untrained model: embeddings `N(0, 0.02)`, linear layers `N(0, 1 / sqrt(fan_in))`, the two
/// that write to the residual stream divided by `sqrt(2 * layers)` more, biases 0, norms 1.
pub fn init_weights(config: &ModelConfig, seed: u64) -> BTreeMap<String, HostTensor> {
    (0_u32..)
        .zip(plan(config))
        .map(|(member, (name, shape, init))| {
            let n = shape.iter().product();
            let key = StreamKey { seed, purpose: Purpose::Init, step: 0, prompt: 0, member };
            let mut stream = key.stream();
            let values = match init {
                Init::Normal(std) => (0..n).map(|_| (stream.normal() * std) as f32).collect(),
                Init::One => vec![1.0; n],
                Init::Zero => vec![0.0; n],
            };
            (name, HostTensor { shape, values })
        })
        .collect()
}

/// Every parameter with its shape and how it starts, by name.
fn plan(config: &ModelConfig) -> Vec<(String, Vec<usize>, Init)> {
    let d = config.hidden_size;
    let head_dim = config.head_dim;
    let (q, kv) = (config.num_attention_heads * head_dim, config.num_key_value_heads * head_dim);
    let inner = config.intermediate_size;
    let residual = (2.0 * config.num_hidden_layers as f64).sqrt().recip();
    let mut shapes: Vec<(String, Vec<usize>, Init)> = vec![
        ("model.embed_tokens.weight".into(), vec![config.vocab_size, d], Init::Normal(0.02)),
        ("model.norm.weight".into(), vec![d], Init::One),
    ];
    for layer in 0..config.num_hidden_layers {
        let mut linear = |name: &str, n_in: usize, n_out: usize, gain: f64, bias: bool| {
            let name = format!("model.layers.{layer}.{name}");
            let std = gain / (n_in as f64).sqrt();
            shapes.push((format!("{name}.weight"), vec![n_in, n_out], Init::Normal(std)));
            if bias {
                shapes.push((format!("{name}.bias"), vec![n_out], Init::Zero));
            }
        };
        linear("self_attn.q_proj", d, q, 1.0, config.biases.qkv);
        linear("self_attn.k_proj", d, kv, 1.0, config.biases.qkv);
        linear("self_attn.v_proj", d, kv, 1.0, config.biases.qkv);
        linear("self_attn.o_proj", q, d, residual, config.biases.output);
        linear("mlp.gate_proj", d, inner, 1.0, config.biases.mlp);
        linear("mlp.up_proj", d, inner, 1.0, config.biases.mlp);
        linear("mlp.down_proj", inner, d, residual, config.biases.mlp);
        for norm in ["q_norm", "k_norm"].iter().filter(|_| config.qk_norm) {
            let name = format!("model.layers.{layer}.self_attn.{norm}.weight");
            shapes.push((name, vec![head_dim], Init::One));
        }
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            shapes.push((format!("model.layers.{layer}.{norm}.weight"), vec![d], Init::One));
        }
    }
    if !config.tie_word_embeddings {
        let std = (d as f64).sqrt().recip();
        shapes.push(("lm_head.weight".into(), vec![d, config.vocab_size], Init::Normal(std)));
    }
    shapes.sort_by(|a, b| a.0.cmp(&b.0));
    shapes
}

enum Init {
    Normal(f64),
    One,
    Zero,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(tied: bool) -> ModelConfig {
        let text = serde_json::json!({
            "model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 192,
            "vocab_size": 25, "rms_norm_eps": 1e-6, "rope_theta": 100.0,
            "max_position_embeddings": 64, "tie_word_embeddings": tied,
        });
        ModelConfig::parse(&text.to_string(), Path::new("config.json")).unwrap()
    }

    /// Empirical deviation of a tensor against the one it was drawn with.
    fn check(name: &str, std: f64) {
        let weights = init_weights(&config(false), 3);
        let values = &weights[name].values;
        let n = values.len() as f64;
        let found = (values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / n).sqrt();
        // The standard error of a deviation is 1 / sqrt(2 n); five of them.
        assert!((found / std - 1.0).abs() < 5.0 / (2.0 * n).sqrt(), "{name}: {found} for {std}");
    }

    #[test]
    fn deviations_are_those_of_the_recipe() {
        check("model.embed_tokens.weight", 0.02);
        check("lm_head.weight", 0.125); // 64^-0.5
        check("model.layers.0.self_attn.q_proj.weight", 0.125);
        check("model.layers.1.self_attn.o_proj.weight", 0.062_5); // 64^-0.5 / sqrt(2 * 2)
        check("model.layers.1.mlp.down_proj.weight", 0.036_084_4); // 192^-0.5 / sqrt(2 * 2)
    }

    #[test]
    fn norms_start_at_one_and_biases_at_zero() {
        for (name, tensor) in init_weights(&config(true), 0) {
            let constant = |x: f32| tensor.values.iter().all(|v| v.to_bits() == x.to_bits());
            assert!(!name.contains("norm") || constant(1.0), "{name}");
            assert!(!name.ends_with("bias") || constant(0.0), "{name}");
        }
    }

    #[test]
    fn the_toy_of_the_recipe_has_its_number_of_parameters() {
        // recipe.md 2.
        let weights = init_weights(&config(true), 0);
        assert_eq!(weights.values().map(|tensor| tensor.values.len()).sum::<usize>(), 100_480);
        assert!(!weights.contains_key("lm_head.weight"));
    }

    #[test]
    fn a_seed_fixes_the_weights() {
        assert!(init_weights(&config(true), 1) == init_weights(&config(true), 1));
        assert!(init_weights(&config(true), 1) != init_weights(&config(true), 2));
    }
}
