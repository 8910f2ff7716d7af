//! What saves memory changes nothing: recomputation, chunks of the head, blocks of attention.

use burn::tensor::Device;
use luffy_core::{
    AdamWSettings, Cotangents, Decoder, Differentiable, Gradients, Learner, MicroBatch, Policy,
    Row, TokenStats,
};
use luffy_policy::{
    CausalLm, LmDecoder, ModelConfig, ReplicaLearner, init_weights, load_weights, trainable,
};

use crate::fixture::{Likelihood, assert_exact, exact, host, row, scale};

/// A model of a family with drawn weights; a wide vocabulary goes with narrow layers.
fn drawn(model_type: &str, vocab_size: usize, tied: bool) -> CausalLm {
    let hidden_size = if vocab_size > 1000 { 4 } else { 24 };
    let text = serde_json::json!({
        "model_type": model_type, "hidden_size": hidden_size, "num_hidden_layers": 3, "head_dim": 8,
        "num_attention_heads": 6, "num_key_value_heads": 2, "intermediate_size": 40,
        "vocab_size": vocab_size, "rope_theta": 1000.0, "max_position_embeddings": 4096,
        "tie_word_embeddings": tied, "sliding_window": null, "attention_bias": true,
    });
    let path = std::path::Path::new("config.json");
    let config = ModelConfig::parse(&text.to_string(), path).expect("it is supported");
    let model = CausalLm::new(&config, &Device::flex());
    load_weights(model, &init_weights(&config, 7)).expect("they fit")
}

fn gradients(model: CausalLm, rows: &[Row]) -> Gradients {
    let mut learner = ReplicaLearner::new(model, &Device::flex(), AdamWSettings::default());
    learner.gradients(rows, &Likelihood { entropy: 0.2 }, &scale(10)).expect("finite").0
}

/// The largest difference relative to the norm of a gradient.
fn far(a: &Gradients, b: &Gradients) -> f64 {
    assert!(a.0.keys().eq(b.0.keys()), "the same parameters");
    let mut far: f64 = 0.0;
    for (name, gradient) in &a.0 {
        let values = |g: &burn::tensor::Tensor<1>| g.to_data().iter::<f64>().collect::<Vec<_>>();
        let (a, b) = (values(gradient.values()), values(b.0[name].values()));
        assert!(a.iter().chain(&b).all(|x| x.is_finite()), "{name}");
        let norm = a.iter().map(|x| x * x).sum::<f64>().sqrt();
        let apart = a.iter().zip(&b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
        far = far.max(apart / norm.max(1e-12));
    }
    far
}

fn long_row(n: u32) -> Row {
    let response: Vec<u32> = (0..n).map(|i| (i * 7 + i * i) % 50).collect();
    row(&[3, 1, 4], &response)
}

#[test]
fn recomputed_layers_give_the_same_gradients() {
    let rows = [row(&[5, 6], &[10, 11, 12]), row(&[7], &[20, 21, 22, 23, 24])];
    for (model_type, tied) in
        [("qwen2", true), ("llama", false), ("qwen3", true), ("mistral", false)]
    {
        let kept = gradients(drawn(model_type, 50, tied), &rows);
        let again = gradients(drawn(model_type, 50, tied).with_recompute(true), &rows);
        let far = far(&kept, &again);
        assert!(far < 5e-6, "{model_type}: {far}");
    }
}

/// A chunk holds 2^24 logits, so 50 tokens of a vocabulary of 600,000 need three.
#[test]
fn a_head_in_chunks_scores_and_learns_as_one_with_its_graph() {
    let model = drawn("qwen2", 600_000, false).with_temperature(0.7);
    let rows = [long_row(50)];
    let refs: Vec<&Row> = rows.iter().collect();
    let batch = MicroBatch::collate(&refs, &Device::flex());
    // On an autodiff device scores carry the whole graph, logits included.
    let whole = exact(model.clone());
    let stats = whole.score(&batch);
    let chunked = model.score(&batch);
    for (a, b) in [(&stats.logprobs, &chunked.logprobs), (&stats.entropy, &chunked.entropy)] {
        for (a, b) in host(a.clone().inner()).iter().zip(host(b.clone())) {
            // Entropies are near ln 600,000 = 13.3, where f32 has steps of 1e-6.
            assert!((a - b).abs() < 2e-5, "{a} against {b}");
        }
    }
    let ones = chunked.logprobs.ones_like();
    let cotangents = Cotangents { logprobs: Some(ones.clone()), entropy: Some(ones.clone() * 0.5) };
    let (_, tape) = model.trace(&batch);
    let pulled = model.pull_back(tape, &cotangents);
    let direct = |model: &CausalLm| {
        let stats = model.score(&batch);
        let sum = stats.logprobs.sum() + stats.entropy.sum() * 0.5;
        luffy_policy::gradients_of(model, sum.backward())
    };
    assert_exact(&pulled, &direct(&whole), &direct(&trainable(model.clone())), 5e-6);
}

/// Blocks are of 512 queries: 1,100 tokens make three, the last one shorter.
#[test]
fn attention_in_blocks_is_attention() {
    let model = drawn("llama", 50, true);
    let long = long_row(1100);
    let score =
        |rows: &[&Row]| -> TokenStats { model.score(&MicroBatch::collate(rows, &Device::flex())) };
    let all = host(score(&[&long]).logprobs);
    // A prefix short enough for a single block has the same scores.
    let mut short = long_row(400);
    short.response.truncate(400);
    for (a, b) in host(score(&[&short]).logprobs).iter().zip(&all) {
        assert!((a - b).abs() < 5e-6, "{a} against {b}");
    }
    // Token by token there are no blocks at all.
    let decoder = LmDecoder::new(model.clone());
    let tokens: Vec<u32> = long.prompt.iter().chain(&long.response).copied().collect();
    let at = 1050;
    let (_, mut cache) = decoder.prefill(&[&tokens[..at]]);
    for (i, pair) in tokens[at..].windows(2).enumerate().take(20) {
        let next = burn::tensor::Tensor::<1, burn::tensor::Int>::from_ints(
            [pair[0] as i32],
            &Device::flex(),
        );
        let logits = host(decoder.step(next, &mut cache));
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let lse = logits.iter().map(|x| f64::from(x - max).exp()).sum::<f64>().ln();
        let stepped = f64::from(logits[pair[1] as usize] - max) - lse;
        // Column `t` of the scores is token `t + 3`.
        let scored = f64::from(all[at + 1 + i - 3]);
        assert!((stepped - scored).abs() < 2e-5, "token {i}: {stepped} against {scored}");
    }
}

#[test]
fn gradients_flow_through_blocks_as_through_one() {
    // The same sequence twice, once cut so that no block boundary lies inside: losses on its head only.
    let mut long = long_row(700);
    long.mask[100..].fill(false);
    let mut short = long_row(100);
    short.response.truncate(100);
    let through_blocks = gradients(drawn("qwen3", 50, true), &[long]);
    let alone = gradients(drawn("qwen3", 50, true), &[short]);
    let far = far(&alone, &through_blocks);
    assert!(far < 5e-6, "{far}");
}
