//! What a damaged folder is told: input and message, side by side.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use luffy_policy::load_pretrained;
use serde_json::{Value, json};

use crate::fixture::dir;

const SAFE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

type Change = fn(&Path);

/// Changes one file as bytes.
fn edit(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = dir.join(name);
    let mut bytes = fs::read(&path).expect("it is there");
    change(&mut bytes);
    fs::write(path, bytes).expect("it can be written");
}

/// Changes the header of the weights and keeps everything else.
fn header(dir: &Path, change: impl FnOnce(&mut Value)) {
    edit(dir, SAFE, |bytes| {
        let size = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        let mut value: Value = serde_json::from_slice(&bytes[8..8 + size]).expect("JSON");
        change(&mut value);
        let text = serde_json::to_vec(&value).expect("JSON");
        let mut file = (text.len() as u64).to_le_bytes().to_vec();
        file.extend(text);
        file.extend(&bytes[8 + size..]);
        *bytes = file;
    });
}

/// An index, which counts where there is no `model.safetensors`.
fn index(dir: &Path, text: &str) {
    fs::rename(dir.join(SAFE), dir.join("model-00001-of-00001.safetensors")).expect("renamed");
    fs::write(dir.join(INDEX), text).expect("it can be written");
}

const TABLE: [(&str, Change, &str); 16] = [
    (
        "no config.json",
        |dir| fs::remove_file(dir.join("config.json")).expect("removed"),
        "cannot access DIR/config.json: No such file or directory (os error 2)",
    ),
    (
        "a config.json that breaks off",
        |dir| edit(dir, "config.json", |bytes| bytes.truncate(20)),
        "DIR/config.json is no model configuration: EOF while parsing a value at line 2 column 18",
    ),
    (
        "a config.json without a field",
        |dir| {
            edit(dir, "config.json", |bytes| {
                let mut value: Value = serde_json::from_slice(bytes).expect("JSON");
                value.as_object_mut().expect("an object").remove("intermediate_size");
                *bytes = value.to_string().into_bytes();
            });
        },
        "DIR/config.json: `intermediate_size` is absent; supported: a whole number",
    ),
    (
        "an unknown architecture beside broken weights",
        |dir| {
            fs::write(dir.join("config.json"), json!({ "model_type": "rwkv" }).to_string())
                .expect("written");
            edit(dir, SAFE, Vec::clear);
        },
        "DIR/config.json: `model_type` is \"rwkv\"; supported: \"qwen2\", \"llama\", \"qwen3\", \"mistral\"",
    ),
    (
        "no weights",
        |dir| fs::remove_file(dir.join(SAFE)).expect("removed"),
        "DIR has neither model.safetensors nor model.safetensors.index.json; is this the folder of a model?",
    ),
    (
        "weights of PyTorch",
        |dir| fs::rename(dir.join(SAFE), dir.join("pytorch_model.bin")).expect("renamed"),
        "DIR has neither model.safetensors nor model.safetensors.index.json; its weights are in PyTorch's format: \
         load it in transformers and `save_pretrained(..., safe_serialization=True)`",
    ),
    (
        "an empty file",
        |dir| edit(dir, SAFE, Vec::clear),
        "DIR/model.safetensors is no safetensors file: it has 0 bytes, which is too few for a header",
    ),
    (
        "a header size beyond the file",
        |dir| edit(dir, SAFE, |bytes| bytes[..8].copy_from_slice(&50_000_000_u64.to_le_bytes())),
        "DIR/model.safetensors is no safetensors file: its header is said to have 50000000 bytes, the file has SIZE",
    ),
    (
        "a cut download",
        |dir| edit(dir, SAFE, |bytes| bytes.truncate(bytes.len() / 2)),
        "DIR/model.safetensors is no safetensors file: it has HALF bytes, its header describes SIZE; \
         was it cut in a download?",
    ),
    (
        "a header that lies about a shape",
        |dir| header(dir, |value| value["model.norm.weight"]["shape"] = json!([65])),
        "DIR/model.safetensors is no safetensors file: its header does not hold together: \
         invalid shape, data type, or offset for tensor",
    ),
    (
        "offsets that overlap",
        |dir| header(dir, |value| value["model.norm.weight"]["data_offsets"] = json!([0, 256])),
        "DIR/model.safetensors is no safetensors file: its header does not hold together: invalid offset for tensor `model.embed_tokens.weight`",
    ),
    (
        "integers for weights",
        |dir| header(dir, |value| value["model.norm.weight"]["dtype"] = json!("I32")),
        "DIR/model.safetensors: tensor `model.norm.weight` has type I32; F32, F16 and BF16 are read",
    ),
    (
        "an index that is none",
        |dir| index(dir, "[]"),
        "DIR/model.safetensors.index.json is no index of weights: invalid length 0, expected struct Index with 1 element at line 1 column 2",
    ),
    (
        "an index naming a missing shard",
        |dir| {
            index(
                dir,
                r#"{"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}"#,
            );
        },
        "DIR/model.safetensors.index.json names the shard model-00001-of-00002.safetensors, which is not in its folder",
    ),
    (
        "an index that reaches elsewhere",
        |dir| index(dir, r#"{"weight_map": {"model.norm.weight": "../model.safetensors"}}"#),
        "DIR/model.safetensors.index.json is no safetensors file: its shard \"../model.safetensors\" is no plain file name",
    ),
    (
        "an index that promises more than there is",
        |dir| index(dir, r#"{"weight_map": {"lm_head.bias": "model-00001-of-00001.safetensors"}}"#),
        "weights do not fit the model: `lm_head.bias` is not in model-00001-of-00001.safetensors, where the index puts it",
    ),
];

#[test]
fn each_damage_has_its_message() {
    let mut wrong = Vec::new();
    for (what, change, wanted) in TABLE {
        let copy = tempfile::tempdir().expect("a directory");
        for name in ["config.json", SAFE] {
            fs::copy(dir().join(name), copy.path().join(name)).expect("it can be copied");
        }
        let size = fs::metadata(copy.path().join(SAFE)).expect("it is there").len();
        change(copy.path());
        let Err(error) = load_pretrained(copy.path(), &Device::flex()) else {
            wrong.push(format!("{what}: no error"));
            continue;
        };
        let found = error.to_string().replace(&copy.path().display().to_string(), "DIR");
        let found =
            found.replace(&size.to_string(), "SIZE").replace(&(size / 2).to_string(), "HALF");
        if found != wanted {
            wrong.push(format!("{what}:\n  found  {found}\n  wanted {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
