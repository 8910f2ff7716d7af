//! The addition model's folder but for its weights: tokenizer, chat template and settings.

use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::codec::CodecFiles;
use crate::{DataError, HfCodec, TemplateSource, atomic};

/// All tokens; the position of a token is its id.
pub const VOCABULARY: [&str; 24] = [
    PAD,
    "<|im_start|>",
    END,
    "<think>",
    "</think>",
    "\\boxed{",
    "}",
    "user",
    "assistant",
    "\n",
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "+",
    "=",
    "c",
    ",",
];

const PAD: &str = "<|endoftext|>";
const END: &str = "<|im_end|>";

/// The first tokens of the vocabulary are recognised before text is split.
const N_ADDED: usize = 6;

/// The first of these are control tokens, which tools may hide; thoughts and boxes are text.
const N_SPECIAL: usize = 3;

/// `tokenizer.json`: every token is one word. Decoding inserts nothing, and text that has no token is an
/// error, as the model has no token for the unknown.
pub fn tokenizer_json() -> String {
    let added = VOCABULARY.iter().take(N_ADDED).enumerate().map(|(id, content)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": id < N_SPECIAL
        })
    });
    let ids = VOCABULARY.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id)));
    pretty(&json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Value>(),
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": { "Regex": "user|assistant|[\\s\\S]" },
            "behavior": "Isolated",
            "invert": false
        },
        "post_processor": null,
        "decoder": { "type": "Fuse" },
        "model": {
            "type": "WordLevel",
            "vocab": ids.collect::<Map<String, Value>>(),
            // Not in the vocabulary on purpose: the tokenizer then refuses unknown text.
            "unk_token": "<|unknown|>"
        }
    }))
}

/// `tokenizer_config.json`.
pub fn tokenizer_config_json() -> String {
    pretty(&json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": false,
        "model_max_length": CONTEXT_LEN
    }))
}

/// `generation_config.json`.
pub fn generation_config_json() -> String {
    pretty(&json!({ "eos_token_id": id(END), "pad_token_id": id(PAD) }))
}

/// `chat_template.jinja`: ChatML.
pub fn chat_template() -> String {
    "{%- for message in messages -%}\n\
     {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}\n\
     {%- endfor -%}\n\
     {%- if add_generation_prompt -%}\n\
     {{- '<|im_start|>assistant\\n' -}}\n\
     {%- endif -%}\n"
        .into()
}

/// Longest sequence is 18 prompt tokens and 24 of the response; the rest is room to play.
const CONTEXT_LEN: u32 = 64;

/// `config.json`: a Qwen2 of 100,480 parameters. The small `rope_theta` is what lets it learn addition in
/// 600 steps.
pub fn model_config_json() -> String {
    pretty(&json!({
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": VOCABULARY.len(),
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 192,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 100.0,
        "max_position_embeddings": CONTEXT_LEN,
        "tie_word_embeddings": true,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "use_sliding_window": false,
        "use_cache": true,
        "torch_dtype": "float32",
        "eos_token_id": id(END),
        "pad_token_id": id(PAD)
    }))
}

/// Writes `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`, `generation_config.json` and
/// `config.json` into `dir`, which is made if need be: a Hugging Face folder that lacks only weights.
///
/// # Errors
/// If the folder or a file cannot be written.
pub fn write_side_files(dir: &Path) -> Result<(), DataError> {
    std::fs::create_dir_all(dir).map_err(|e| DataError::write(dir, e))?;
    let files = [
        ("tokenizer.json", tokenizer_json()),
        ("tokenizer_config.json", tokenizer_config_json()),
        ("chat_template.jinja", chat_template()),
        ("generation_config.json", generation_config_json()),
        ("config.json", model_config_json()),
    ];
    for (name, content) in files {
        let path = dir.join(name);
        atomic::write(&path, |file| {
            file.write_all(content.as_bytes()).map_err(|e| DataError::write(&path, e))
        })?;
    }
    Ok(())
}

/// The codec these files make, without a folder.
///
/// # Panics
/// Never: the files are constants.
pub fn codec() -> HfCodec {
    let object =
        |text: String| serde_json::from_str(&text).expect("the files here are JSON objects");
    HfCodec::new(CodecFiles {
        dir: Path::new("addition"),
        tokenizer: tokenizer_json().into_bytes(),
        tokenizer_config: object(tokenizer_config_json()),
        generation_config: object(generation_config_json()),
        config: object(model_config_json()),
        template: Some(TemplateSource { origin: "addition".into(), text: chat_template() }),
    })
    .expect("the files here make a codec")
}

fn id(token: &str) -> usize {
    VOCABULARY.iter().position(|other| *other == token).expect("the token is in the vocabulary")
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::addition::{self, habit_example, skill_example};
    use luffy_core::{CodecError, Message, TextCodec};

    #[test]
    fn the_prompt_has_eighteen_tokens() {
        // `recipe.md` 1: the real ChatML prompt.
        let codec = codec();
        let text = codec.render(&[Message::user("0437+0285=")]).unwrap();
        assert_eq!(text, "<|im_start|>user\n0437+0285=<|im_end|>\n<|im_start|>assistant\n");
        let ids = codec.encode(&text).unwrap();
        assert_eq!(ids, [1, 7, 9, 10, 14, 13, 17, 20, 10, 12, 18, 15, 21, 2, 9, 1, 8, 9]);
        assert_eq!(codec.end_tokens(), [2]);
        assert_eq!(codec.vocabulary_len(), 24);
    }

    #[test]
    fn traces_have_the_lengths_of_the_recipe_and_decode_to_themselves() {
        let codec = codec();
        let mut totals = [(0_usize, 0_usize); 4];
        for index in 0..4000 {
            let example = skill_example(2, index);
            let ids = codec.encode(&example.response).unwrap();
            assert_eq!(codec.decode(&ids), example.response);
            assert_eq!(&ids[..2], [3, 9], "the trace opens with <think> and a line break");
            let level = example.messages[0]
                .content
                .split_once('+')
                .unwrap()
                .0
                .trim_start_matches('0')
                .len();
            totals[level - 1].0 += 1;
            totals[level - 1].1 += ids.len() + 1;
        }
        // 3k + 6 tokens, and one more where the sum has k + 1 digits. Counted over all pairs that share
        // is 45/81, 4860/8100, 489600/810000 and 0.6049; standard error of the mean 0.016, four of them.
        for ((n, sum), expected) in totals.into_iter().zip([9.556, 12.6, 15.604, 18.605]) {
            let mean = sum as f64 / n as f64;
            assert!((mean - expected).abs() < 0.064, "{mean} {expected}");
        }
        for index in 0..200 {
            let response = habit_example(2, index, &addition::HabitMix::default()).response;
            assert_eq!(codec.decode(&codec.encode(&response).unwrap()), response);
        }
    }

    #[test]
    fn every_token_is_itself() {
        let codec = codec();
        for (id, token) in VOCABULARY.iter().enumerate() {
            assert_eq!(codec.encode(token).unwrap(), [id as u32]);
            assert_eq!(codec.decode(&[id as u32]), *token);
        }
        let all: Vec<u32> = (0..24).collect();
        assert_eq!(codec.decode(&all), VOCABULARY.concat());
    }

    #[test]
    fn text_without_a_token_is_refused() {
        let error = codec().encode("1 + 2").unwrap_err();
        assert!(matches!(error, CodecError::Tokenize(_)), "{error}");
    }

    #[test]
    fn the_written_folder_opens() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("deep").join("base");
        write_side_files(&dir).unwrap();
        let codec = HfCodec::open(&dir, None).unwrap();
        assert_eq!(codec.encode("<think>12").unwrap(), [3, 11, 12]);
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 5, "no temporary file is left");
    }
}
