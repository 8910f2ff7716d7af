use std::path::Path;

use luffy_core::{Message, TextCodec};
use luffy_data::HfCodec;
use luffy_data::tasks::addition;
use serde_json::Value;

use crate::{shared, testdata};

/// Ids, decoded texts and rendered chats of a folder with `expected.json` (transformers 4.57).
fn check(dir: &Path) {
    let codec = HfCodec::open(dir, None).unwrap();
    assert_eq!(codec.end_tokens(), [383]);
    let expected = std::fs::read(dir.join("expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let mut n = 0;
    for case in expected["texts"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let ids: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(codec.encode(text).unwrap(), ids, "{text}");
        assert_eq!(codec.decode(&ids), text);
        n += 1;
    }
    for case in expected["chat"].as_array().unwrap() {
        let messages: Vec<Message> = serde_json::from_value(case["messages"].clone()).unwrap();
        let add_generation_prompt = case["add_generation_prompt"].as_bool().unwrap();
        let text = codec.render_with(&messages, add_generation_prompt).unwrap();
        assert_eq!(text, case["text"].as_str().unwrap());
        n += 1;
    }
    assert_eq!(n, 12, "six texts and six chats");
}

#[test]
fn ids_and_chats_equal_transformers() {
    for name in ["qwen2-tied", "qwen2-untied-sharded-bf16", "llama3-rope-scaled"] {
        check(&testdata("codec").join(name));
    }
}

#[test]
fn ids_and_chats_of_the_shared_models_equal_transformers() {
    let names = ["qwen2-tied", "qwen2-untied-sharded-bf16", "llama3-rope-scaled", "qwen3-qk-norm"];
    for name in names {
        if let Some(dir) = shared(&format!("conformance/models/{name}")) {
            check(&dir);
        }
    }
}

/// Any byte of any file may be damaged, and any file cut: an error or other content, but no panic.
#[test]
fn damaged_model_files_do_not_panic() {
    let dir = tempfile::tempdir().unwrap();
    let fresh = || addition::write_side_files(dir.path()).unwrap();
    let open = || {
        if let Ok(codec) = HfCodec::open(dir.path(), None) {
            let _ = codec.render_with(&[Message::user("1+1=")], true);
            let _ = codec.encode("1+1=<think>").map(|ids| codec.decode(&ids));
        }
    };
    let mut n_opened = 0;
    for name in
        ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"]
    {
        fresh();
        let path = dir.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(17) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x11;
            std::fs::write(&path, bytes).unwrap();
            open();
            std::fs::write(&path, &whole[..at]).unwrap();
            open();
            n_opened += 2;
        }
    }
    assert!(n_opened > 250, "{n_opened} damaged folders");
}
