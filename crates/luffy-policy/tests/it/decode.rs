//! Sampling and scoring are the same function.

use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{Decoder, MicroBatch, Policy};
use luffy_policy::LmDecoder;

use crate::fixture::{host, model, row};

fn tokens(values: &[u32]) -> Tensor<1, Int> {
    let values: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), &Device::flex())
}

/// Log-prob of `token` under one row of logits.
fn logprob(logits: &[f32], token: u32) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - max).exp()).sum();
    f64::from(logits[token as usize] - max) - sum.ln()
}

/// Decodes forced responses for ragged prompts, in `order` after the prefill, and compares with scoring.
fn check(order: &[u32]) {
    let (config, model) = model();
    let decoder = LmDecoder::new(model.clone());
    let prompts: [&[u32]; 3] = [&[5], &[7, 300, 21, 8, 90], &[44, 45, 46]];
    let responses: [[u32; 6]; 3] =
        [[1, 2, 3, 4, 5, 6], [99, 98, 97, 96, 95, 94], [200, 150, 100, 50, 25, 12]];
    let (first, mut cache) = decoder.prefill(&prompts);
    decoder.select(&mut cache, order);
    let v = config.vocab_size;
    let first = host(first);
    let mut logits: Vec<f32> =
        order.iter().flat_map(|row| first[*row as usize * v..][..v].to_vec()).collect();
    let mut found = vec![Vec::new(); order.len()];
    #[allow(clippy::needless_range_loop, reason = "a place in every response, not in their list")]
    for t in 0..6 {
        let next: Vec<u32> = order.iter().map(|row| responses[*row as usize][t]).collect();
        for (i, token) in next.iter().enumerate() {
            found[i].push(logprob(&logits[i * v..][..v], *token));
        }
        logits = host(decoder.step(tokens(&next), &mut cache));
    }
    for (i, prompt) in order.iter().enumerate() {
        let row = row(prompts[*prompt as usize], &responses[*prompt as usize]);
        let scored = host(model.score(&MicroBatch::collate(&[&row], &Device::flex())).logprobs);
        for (a, b) in found[i].iter().zip(&scored) {
            assert!((a - f64::from(*b)).abs() < 2e-5, "sampling {a}, scoring {b}");
        }
    }
}

#[test]
fn ragged_prompts_decode_as_they_score() {
    check(&[0, 1, 2]);
}

#[test]
fn a_decoder_takes_weights_without_a_graph_and_follows_them() {
    let (_, model) = model();
    let trained = luffy_policy::trainable(model.clone());
    let mut decoder = LmDecoder::new(trained);
    let before = decoder.prefill(&[&[5, 6, 7]]).0;
    assert!(!before.is_autodiff());
    let before = host(before);
    assert_eq!(before, host(LmDecoder::new(model.clone()).prefill(&[&[5, 6, 7]]).0));
    // The final norm scales the logits: twice the weight is twice the logits.
    let mut weights = luffy_policy::weights_of(&model);
    let norm = weights.0.get_mut("model.norm.weight").expect("the final norm");
    norm.values = norm.values.clone() * 2.0;
    decoder.publish(&weights).expect("they fit");
    for (a, b) in before.iter().zip(host(decoder.prefill(&[&[5, 6, 7]]).0)) {
        assert!((2.0 * a - b).abs() < 1e-4, "{a} doubled is not {b}");
    }
    // The tied head is a copy and follows too: embeddings of zero give logits of zero.
    let embeddings = weights.0.get_mut("model.embed_tokens.weight").expect("embeddings");
    embeddings.values = embeddings.values.zeros_like();
    decoder.publish(&weights).expect("they fit");
    assert!(host(decoder.prefill(&[&[5, 6, 7]]).0).iter().all(|logit| logit.abs() < 1e-9));
    weights.0.remove("model.norm.weight");
    assert!(decoder.publish(&weights).is_err());
}

#[test]
fn the_last_row_left_may_be_a_padded_one() {
    check(&[0]);
    check(&[0, 0]);
}

#[test]
#[should_panic(expected = "empty prompt")]
fn an_empty_prompt_is_refused() {
    LmDecoder::new(model().1).prefill(&[&[1], &[]]);
}

#[test]
fn forked_dropped_and_reordered_rows_decode_as_they_score() {
    check(&[2, 2, 0]);
    check(&[1, 0, 1, 2, 2]);
}
