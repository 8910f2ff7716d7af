//! What a folder must hold.

use std::collections::BTreeMap;

use burn::tensor::Device;
use luffy_core::HostTensor;
use luffy_policy::{
    CausalLm, SaveOptions, init_weights, load_pretrained, load_weights, read_weights,
    save_pretrained,
};

use crate::fixture::{dir, model};

/// The error of loading the checkpoint with changed weights.
fn refused(change: impl FnOnce(&mut BTreeMap<String, HostTensor>)) -> String {
    let (config, _) = model();
    let mut weights = read_weights(&dir()).expect("it is there");
    change(&mut weights);
    let out = tempfile::tempdir().expect("a directory");
    save_pretrained(out.path(), &config, &weights, &SaveOptions::default())
        .expect("it can be written");
    load_pretrained(out.path(), &Device::flex()).expect_err("it does not fit").to_string()
}

#[test]
fn all_missing_extra_and_misshapen_tensors_are_named_at_once() {
    let error = refused(|weights| {
        weights.remove("model.layers.1.self_attn.k_proj.bias");
        weights.remove("model.norm.weight");
        let tensor = HostTensor { shape: vec![1], values: vec![0.0] };
        weights.insert("model.layers.2.mlp.up_proj.bias".into(), tensor);
        let wide = weights.get_mut("model.layers.0.mlp.up_proj.weight").expect("it is there");
        wide.shape.reverse();
    });
    for part in [
        "`model.layers.1.self_attn.k_proj.bias` is missing",
        "`model.norm.weight` is missing",
        "`model.layers.2.mlp.up_proj.bias` is not in the model",
        "`model.layers.0.mlp.up_proj.weight` has shape [64, 160], config.json asks for [160, 64]",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_tied_head_that_is_stored_too_is_ignored() {
    let (config, _) = model();
    let mut weights = read_weights(&dir()).expect("it is there");
    let head = HostTensor { shape: vec![64, 384], values: vec![0.0; 64 * 384] };
    weights.insert("lm_head.weight".into(), head);
    let out = tempfile::tempdir().expect("a directory");
    save_pretrained(out.path(), &config, &weights, &SaveOptions::default())
        .expect("it can be written");
    load_pretrained(out.path(), &Device::flex()).expect("it fits");
}

#[test]
fn initial_weights_fit_the_model_they_were_drawn_for() {
    let (config, _) = model();
    let weights = init_weights(&config, 0);
    let model = load_weights(CausalLm::new(&config, &Device::flex()), &weights).expect("they fit");
    assert!(luffy_policy::to_host(&luffy_policy::weights_of(&model)) == weights);
}

#[test]
fn shards_are_cut_at_a_size_and_hold_the_same_weights() {
    let (config, _) = model();
    let weights = read_weights(&dir()).expect("it is there");
    let out = tempfile::tempdir().expect("a directory");
    let options = SaveOptions { max_shard_bytes: 100_000, ..SaveOptions::default() };
    save_pretrained(out.path(), &config, &weights, &options).expect("it can be written");
    let names = || -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(out.path())
            .expect("it is there")
            .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    // 4 bytes of each of 94,336 values (embeddings 24,576 of them) in files of at most 100,000.
    let shards: Vec<String> =
        names().into_iter().filter(|name| name.ends_with(".safetensors")).collect();
    assert!(shards.len() > 3, "{shards:?}");
    assert_eq!(shards[0], format!("model-00001-of-{:05}.safetensors", shards.len()));
    for shard in &shards {
        let size = std::fs::metadata(out.path().join(shard)).expect("it is there").len();
        assert!(size < 100_000 + 8_000, "{shard} has {size} bytes");
    }
    let index = std::fs::read_to_string(out.path().join("model.safetensors.index.json"));
    let index: serde_json::Value =
        serde_json::from_str(&index.expect("it is there")).expect("JSON");
    let n: usize = weights.values().map(|tensor| tensor.values.len()).sum();
    assert_eq!(index["metadata"]["total_size"], 4 * n);
    assert!(read_weights(out.path()).expect("shards are read") == weights);
    // Saved again in one file, nothing of the shards is left to be read by mistake.
    save_pretrained(out.path(), &config, &weights, &SaveOptions::default()).expect("written");
    assert_eq!(names(), ["config.json", "model.safetensors"]);
    load_pretrained(out.path(), &Device::flex()).expect("it fits");
}

#[test]
fn a_config_says_the_type_of_the_numbers_in_its_files() {
    let (mut config, _) = model();
    config.raw.insert("torch_dtype".into(), "float16".into());
    let weights = read_weights(&dir()).expect("it is there");
    let out = tempfile::tempdir().expect("a directory");
    let options = SaveOptions { dtype: luffy_policy::FileDtype::Bf16, ..SaveOptions::default() };
    save_pretrained(out.path(), &config, &weights, &options).expect("it can be written");
    let saved = luffy_policy::ModelConfig::read(out.path()).expect("it is a configuration");
    assert_eq!(saved.raw["dtype"], "bfloat16");
    assert_eq!(saved.raw["torch_dtype"], "bfloat16");
}

#[test]
fn everything_but_weights_is_carried_over() {
    let (from, to) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    let side = ["tokenizer.json", "chat_template.jinja", "merges.txt", "LICENSE"];
    let left =
        ["config.json", "model.safetensors", "model.safetensors.index.json", "a.bin", ".git"];
    for name in side.iter().chain(&left) {
        std::fs::write(from.path().join(name), name).expect("written");
    }
    luffy_policy::copy_side_files(from.path(), to.path()).expect("copied");
    for name in side {
        assert_eq!(std::fs::read_to_string(to.path().join(name)).expect("it is there"), name);
    }
    assert_eq!(std::fs::read_dir(to.path()).expect("it is there").count(), side.len());
}
