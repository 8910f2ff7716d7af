//! Checkpoints of every family beside what transformers and PyTorch compute, and models written anew.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::program;

/// A command without input.
fn luffy(args: &[&str]) -> Output {
    program::luffy(args, "")
}

/// A folder of the repository's test data.
fn testdata(name: &str) -> String {
    format!("{}/../../testdata/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Qwen2, Llama 3, Qwen3 and Mistral; tied and untied, in shards, in all three precisions, with and without
/// biases. Their `expected.json` come from transformers 4.57 and PyTorch 2.9 (`benches/peers`).
#[test]
fn every_family_agrees_with_transformers() {
    let cases = testdata("models");
    let output = luffy(&["conformance-models", "--cases", &cases]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.lines().last(), Some("368 passed, 0 failed"), "{said}");
    // Seven of the cases are met exactly; one was computed with rounded rotary frequencies.
    let rounded: Vec<&str> = said.lines().filter(|line| line.contains("rounded")).collect();
    assert_eq!(rounded.len(), 1, "{said}");
    assert!(rounded[0].starts_with("qwen2-untied-sharded-bf16"), "{said}");
}

#[test]
fn a_wrong_figure_is_a_failure() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let from = testdata("models/qwen2-tied");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("readable").path();
        fs::copy(&path, dir.path().join(path.file_name().expect("a name"))).expect("copied");
    }
    let path = dir.path().join("expected.json");
    let text = fs::read_to_string(&path).expect("it is there");
    let mut expected: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    expected["greedy"][0]["new_tokens"][3] = 0.into();
    expected["train_steps"]["steps"][2]["loss"] = 5.0.into();
    fs::write(&path, expected.to_string()).expect("written");
    let output = luffy(&["conformance-models", "--cases", &dir.path().display().to_string()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    // The loss is compared with recomputation and without.
    assert_eq!(said.lines().last(), Some("43 passed, 3 failed"), "{said}");
}

#[test]
fn an_exported_model_is_the_model() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let from = testdata("models/qwen3-f16-tied");
    let out = |name: &str| dir.path().join(name).display().to_string();
    let export = |out: &str, dtype: &str, shard: &str| {
        luffy(&[
            "export",
            "--model",
            &from,
            "--out",
            out,
            "--dtype",
            dtype,
            "--max-shard-size",
            shard,
        ])
    };
    assert!(export(&out("f32"), "f32", "20KB").status.success());
    assert!(Path::new(&out("f32")).join("model.safetensors.index.json").exists());
    // Wider numbers hold the same weights, so everything that was expected of the original still is.
    let output = luffy(&["conformance-models", "--cases", &out("f32")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // What exists is not overwritten.
    assert_eq!(export(&out("f32"), "f32", "20KB").status.code(), Some(2));
    assert!(export(&out("f16"), "f16", "5GB").status.success());
    let weights = |dir: &str| fs::read(Path::new(dir).join("model.safetensors")).expect("one file");
    assert_eq!(
        weights(&out("f16")).len(),
        weights(&from).len(),
        "the same numbers in as many bytes"
    );
}

#[test]
fn a_drawn_model_has_its_shape_and_answers() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let base = testdata("models/llama3-rope-scaled");
    let out = dir.path().join("drawn").display().to_string();
    let config = format!("{base}/config.json");
    let init =
        ["init", "--config", &config, "--out", &out, "--tokenizer", &base, "--dtype", "bf16"];
    let output = luffy(&init);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let input = dir.path().join("in.jsonl");
    fs::write(&input, "{\"text\": \"two and two\"}\n").expect("written");
    let input = input.display().to_string();
    let output = luffy(&[
        "generate",
        "--model",
        &out,
        "--input",
        &input,
        "--max-new-tokens",
        "4",
        "--greedy",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
