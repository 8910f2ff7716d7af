//! What three seeds sample stays what it is.
//!
//! `testdata/golden/rollout.jsonl` holds the tokens and log-probs that this program drew on an x86-64 processor
//! with AVX2 when the fused operations came in. A change of them needs its reason in the commit, and log-probs
//! within 2e-5 of the old ones where the tokens are the same. Written by
//! `LUFFY_WRITE_GOLDEN=1 cargo test --workspace --test it golden`.

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use luffy_core::{Purpose, SampleRequest, Sampler, Sampling, StreamKey, TextCodec, Trajectory};
use luffy_data::HfCodec;
use luffy_policy::{LmDecoder, load_pretrained};
use luffy_rollout::Engine;
use serde_json::{Value, json};

const PROMPTS: [&[u32]; 3] = [&[5], &[7, 300, 21, 8, 90], &[44, 45, 46, 44, 45, 46, 44]];
const GROUP: u32 = 4;

fn testdata(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(path)
}

fn requests(seed: u64) -> Vec<SampleRequest> {
    let request = |i: u32| SampleRequest {
        prompt: PROMPTS[(i / GROUP) as usize].into(),
        prefix: [].into(),
        max_new_tokens: 48,
        sampling: Sampling::temperature(1.0),
        stop: [].into(),
        key: StreamKey {
            seed,
            purpose: Purpose::Rollout,
            step: 0,
            prompt: u64::from(i / GROUP),
            member: i % GROUP,
        },
    };
    (0..PROMPTS.len() as u32 * GROUP).map(request).collect()
}

fn sampled(max_rows: usize) -> Vec<(u64, Trajectory)> {
    let dir = testdata("models/qwen2-tied");
    let (_, model) = load_pretrained(&dir, &Device::flex()).expect("the checkpoint loads");
    let codec: Arc<dyn TextCodec> =
        Arc::new(HfCodec::open(&dir, None).expect("the tokenizer loads"));
    let mut engine = Engine::new(LmDecoder::new(model), codec, Device::flex(), max_rows);
    let mut all = Vec::new();
    for seed in 0..3 {
        let drawn = engine.sample(&requests(seed)).into_iter();
        all.extend(drawn.map(|result| (seed, result.expect("it samples"))));
    }
    all
}

fn logprobs(trajectory: &Trajectory) -> Vec<f32> {
    let row = luffy_core::Row::new(
        [0].into(),
        trajectory,
        &luffy_core::TokenRuns::constant(trajectory.tokens.len() as u32, 0.0),
    );
    row.behavior_logprobs
}

#[test]
fn three_seeds_sample_what_they_did() {
    let path = testdata("golden/rollout.jsonl");
    let drawn = sampled(64);
    if std::env::var_os("LUFFY_WRITE_GOLDEN").is_some() {
        let line = |(seed, drawn): &(u64, Trajectory)| {
            json!({ "seed": seed, "tokens": drawn.tokens, "logprobs": logprobs(drawn) }).to_string()
        };
        let lines: Vec<String> = drawn.iter().map(line).collect();
        std::fs::write(&path, lines.join("\n") + "\n").expect("it is written");
    }
    let text = std::fs::read_to_string(&path).expect("the golden file");
    let golden: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(golden.len(), drawn.len());
    for (golden, (seed, drawn)) in golden.iter().zip(&drawn) {
        assert_eq!(golden["seed"], *seed);
        assert_eq!(golden["tokens"], json!(drawn.tokens));
        let known = golden["logprobs"].as_array().expect("log-probs");
        for (known, now) in known.iter().zip(logprobs(drawn)) {
            let known = known.as_f64().expect("a number");
            assert!((known - f64::from(now)).abs() < 2e-5, "{known} was, {now} is");
        }
    }
}

/// Room for six rows makes the same requests wait for one another and join others half way: on the CPU not a bit
/// of what they draw depends on it.
#[test]
fn neighbours_leave_no_trace() {
    let (together, apart) = (sampled(64), sampled(6));
    for ((_, a), (_, b)) in together.iter().zip(&apart) {
        assert_eq!(a.tokens, b.tokens);
        assert_eq!(a.spans, b.spans, "log-probs to the bit");
    }
}
