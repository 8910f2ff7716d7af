//! Initial weights, drawn on the host so that they are the same on every backend.

use std::collections::BTreeMap;

use luffy_core::{HostTensor, Purpose, StreamKey};

use crate::ModelConfig;

/// Weights of an untrained model: embeddings `N(0, 0.02)`, linear layers `N(0, 1 / sqrt(fan_in))`, the two
/// that write to the residual stream divided by `sqrt(2 * layers)` more, biases 0, norms 1.
pub fn init_weights(config: &ModelConfig, seed: u64) -> BTreeMap<String, HostTensor> {
    let d = config.hidden_size;
    let head_dim = config.head_dim();
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
        linear("self_attn.q_proj", d, q, 1.0, true);
        linear("self_attn.k_proj", d, kv, 1.0, true);
        linear("self_attn.v_proj", d, kv, 1.0, true);
        linear("self_attn.o_proj", q, d, residual, false);
        linear("mlp.gate_proj", d, inner, 1.0, false);
        linear("mlp.up_proj", d, inner, 1.0, false);
        linear("mlp.down_proj", inner, d, residual, false);
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            shapes.push((format!("model.layers.{layer}.{norm}.weight"), vec![d], Init::One));
        }
    }
    if !config.tie_word_embeddings {
        let std = (d as f64).sqrt().recip();
        shapes.push(("lm_head.weight".into(), vec![d, config.vocab_size], Init::Normal(std)));
    }
    shapes.sort_by(|a, b| a.0.cmp(&b.0));
    (0_u32..)
        .zip(shapes)
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

enum Init {
    Normal(f64),
    One,
    Zero,
}
