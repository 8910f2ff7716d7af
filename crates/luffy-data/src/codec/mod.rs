//! A Hugging Face tokenizer with its chat template.

use std::fs;
use std::path::{Path, PathBuf};

use luffy_core::{CodecError, Message, TextCodec};
use tokenizers::Tokenizer;

use crate::template::ChatTemplate;
use crate::unwind::caught;
use crate::{DataError, TemplateSource};

mod files;

pub(crate) use files::CodecFiles;
use files::{
    check_added_tokens, end_tokens, own_template, read_object, read_optional, special_tokens,
    tokenizer_error,
};

/// `tokenizer.json` and a chat template, used as transformers uses them.
///
/// Encoding adds no special tokens and recognises those in the text; decoding keeps special tokens and
/// cleans nothing up.
#[derive(Debug)]
pub struct HfCodec {
    tokenizer: Tokenizer,
    /// Base models may have none.
    template: Option<ChatTemplate>,
    /// Where the template comes from.
    origin: Option<String>,
    end_tokens: Vec<u32>,
    /// Named in messages.
    dir: PathBuf,
}

impl HfCodec {
    /// Reads the codec of a model folder: `tokenizer.json`, and where they exist `tokenizer_config.json`,
    /// `generation_config.json`, `config.json` and `chat_template.jinja`.
    ///
    /// `template` replaces the model's own; without it `chat_template.jinja` comes before the
    /// `chat_template` of `tokenizer_config.json` (a text, or named texts of which `default` is taken).
    ///
    /// End tokens are the tokenizer's `eos_token` (the reference writes it after a demonstration), then
    /// `eos_token_id` of the generation settings, else of the model settings.
    ///
    /// # Errors
    /// If a file is missing, broken or contradicts another, if the template does not compile, or if no
    /// end token is there. A model without a template renders no conversation, and reads texts all the same.
    pub fn open(dir: &Path, template: Option<&TemplateSource>) -> Result<Self, DataError> {
        let tokenizer_config = read_object(&dir.join("tokenizer_config.json"))?;
        let path = dir.join("chat_template.jinja");
        let template = match template {
            Some(template) => Some(template.clone()),
            None => match read_optional(&path)? {
                Some(bytes) => {
                    let text = String::from_utf8(bytes)
                        .map_err(|_| tokenizer_error(&path, "the template is not UTF-8".into()))?;
                    Some(TemplateSource { origin: path.display().to_string(), text })
                }
                None => own_template(dir, &tokenizer_config)?,
            },
        };
        let path = dir.join("tokenizer.json");
        Self::new(CodecFiles {
            dir,
            tokenizer: fs::read(&path).map_err(|e| DataError::read(&path, e))?,
            tokenizer_config,
            generation_config: read_object(&dir.join("generation_config.json"))?,
            config: read_object(&dir.join("config.json"))?,
            template,
        })
    }

    pub(crate) fn new(files: CodecFiles<'_>) -> Result<Self, DataError> {
        let path = files.dir.join("tokenizer.json");
        let broken = |e: tokenizers::Error| tokenizer_error(&path, e.to_string());
        // A cut file is the common accident, and for some of them the tokenizer library panics.
        serde_json::from_slice::<serde::de::IgnoredAny>(&files.tokenizer).map_err(|error| {
            DataError::Json { path: path.clone(), line: None, message: error.to_string() }
        })?;
        let mut tokenizer = caught(|| Tokenizer::from_bytes(&files.tokenizer))
            .map_err(|message| tokenizer_error(&path, message))?
            .map_err(broken)?;
        // A file may carry the limits it was last used with; transformers switches them off as well.
        tokenizer.with_truncation(None).map_err(broken)?;
        tokenizer.with_padding(None);
        let special_tokens = special_tokens(&files)?;
        check_added_tokens(&files, &tokenizer)?;
        let end_tokens = end_tokens(&files, &tokenizer, &special_tokens)?;
        let (template, origin) = match files.template {
            Some(TemplateSource { origin, text }) => {
                let template = ChatTemplate::new(&text, special_tokens).map_err(|e| {
                    DataError::Template { origin: origin.clone(), message: e.to_string() }
                })?;
                (Some(template), Some(origin))
            }
            None => (None, None),
        };
        Ok(Self { tokenizer, template, origin, end_tokens, dir: files.dir.to_owned() })
    }

    /// The conversation as text, with or without the opening of the answer.
    ///
    /// # Errors
    /// If there is no template, or it fails or refuses the conversation.
    pub fn render_with(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, CodecError> {
        let template = self.template.as_ref().ok_or_else(|| {
            CodecError::Render(format!(
                "{} has no chat template; name one: `qwen`, `simplerl`, `none` or a file",
                self.dir.display()
            ))
        })?;
        template
            .render(messages, add_generation_prompt)
            .map_err(|e| CodecError::Render(e.to_string()))
    }

    /// Where the chat template comes from: a built-in name or a file; `None` if there is none.
    pub fn template_origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Checks that a model with `vocab_size` rows has one for every token.
    ///
    /// More rows than tokens are common: Qwen pads its embedding to a round number.
    ///
    /// # Errors
    /// If the largest id is `vocab_size` or more; the message names both numbers.
    pub fn check_vocabulary(&self, vocab_size: usize) -> Result<(), DataError> {
        let max_id = self.tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if (max_id as usize) < vocab_size {
            return Ok(());
        }
        Err(DataError::Vocabulary { path: self.dir.clone(), max_id, vocab_size })
    }

    /// Number of tokens, added ones included. A model's embedding may have more rows.
    pub fn vocabulary_len(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The id of `token`, if it is one token.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }
}

impl TextCodec for HfCodec {
    fn encode(&self, text: &str) -> Result<Vec<u32>, CodecError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        Ok(encoding.map_err(|e| CodecError::Tokenize(e.to_string()))?.get_ids().to_vec())
    }

    fn decode(&self, tokens: &[u32]) -> String {
        self.tokenizer.decode(tokens, false).unwrap_or_default()
    }

    fn render(&self, messages: &[Message]) -> Result<String, CodecError> {
        self.render_with(messages, true)
    }

    fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::addition;
    use serde_json::Value;

    /// Writes the addition codec's files, changes one, and opens the folder.
    fn check(file: &str, content: Option<&str>, template: Option<&str>) -> Result<HfCodec, String> {
        let template =
            template.map(|text| TemplateSource { origin: "here".into(), text: text.into() });
        let dir = tempfile::tempdir().unwrap();
        addition::write_side_files(dir.path()).unwrap();
        match content {
            Some(content) => fs::write(dir.path().join(file), content).unwrap(),
            None => fs::remove_file(dir.path().join(file)).unwrap(),
        }
        HfCodec::open(dir.path(), template.as_ref())
            .map_err(|e| e.to_string().replace(&dir.path().display().to_string(), "DIR"))
    }

    #[test]
    fn end_tokens_begin_with_the_tokenizers_own() {
        let codec = check("generation_config.json", Some(r#"{"eos_token_id":[0,2,1]}"#), None);
        assert_eq!(codec.unwrap().end_tokens(), [2, 0, 1]);
        let config = r#"{"eos_token":{"content":"<|endoftext|>"}}"#;
        assert_eq!(
            check("tokenizer_config.json", Some(config), None).unwrap().end_tokens(),
            [0, 2]
        );
        // Without generation settings the model's own eos_token_id counts, which is <|im_end|> too.
        let codec = check("generation_config.json", None, None).unwrap();
        assert_eq!(codec.end_tokens(), [2]);
    }

    #[test]
    fn a_template_comes_from_settings_then_jinja_then_config() {
        let text = |codec: HfCodec| codec.render(&[Message::user("1")]).unwrap();
        let config = r#"{"eos_token":"<|im_end|>","chat_template":[{"name":"tool_use","template":"x"},
            {"name":"default","template":"{{ eos_token }}{{ pad_token }}"}]}"#;
        let own = "<|im_start|>user\n1<|im_end|>\n<|im_start|>assistant\n";
        assert_eq!(
            text(check("tokenizer_config.json", Some(config), Some("mine")).unwrap()),
            "mine"
        );
        assert_eq!(text(check("tokenizer_config.json", Some(config), None).unwrap()), own);
        let dir = tempfile::tempdir().unwrap();
        addition::write_side_files(dir.path()).unwrap();
        fs::remove_file(dir.path().join("chat_template.jinja")).unwrap();
        fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
        assert_eq!(text(HfCodec::open(dir.path(), None).unwrap()), "<|im_end|>");
    }

    #[test]
    fn limits_stored_in_the_tokenizer_are_ignored() {
        let mut json: Value = serde_json::from_str(&addition::tokenizer_json()).unwrap();
        json["truncation"] = serde_json::json!({
            "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0
        });
        let codec = check("tokenizer.json", Some(&json.to_string()), None).unwrap();
        assert_eq!(codec.encode("12345").unwrap().len(), 5);
    }

    #[test]
    fn every_token_needs_a_row_and_rows_may_be_more() {
        let codec = addition::codec();
        assert!(codec.check_vocabulary(24).is_ok() && codec.check_vocabulary(152_064).is_ok());
        let error = codec.check_vocabulary(23).unwrap_err().to_string();
        assert!(
            error.ends_with(
                ": the tokenizer has ids up to 23, the model's vocab_size is 23 and its last id 22; \
                 tokenizer and model do not belong together"
            ),
            "{error}"
        );
    }

    #[test]
    fn unknown_ids_decode_to_nothing() {
        assert_eq!(addition::codec().decode(&[11, 9999, 12]), "12");
    }

    #[test]
    fn a_base_model_without_a_template_reads_texts_and_renders_nothing() {
        let dir = tempfile::tempdir().unwrap();
        addition::write_side_files(dir.path()).unwrap();
        fs::remove_file(dir.path().join("chat_template.jinja")).unwrap();
        let codec = HfCodec::open(dir.path(), None).unwrap();
        assert_eq!(codec.template_origin(), None);
        assert_eq!(codec.encode("12").unwrap().len(), 2);
        let error = codec.render(&[Message::user("1+1")]).unwrap_err().to_string();
        assert!(error.ends_with("name one: `qwen`, `simplerl`, `none` or a file"), "{error}");
    }

    #[test]
    fn errors_name_the_file_and_the_remedy() {
        let cases = [
            ("tokenizer.json", None, "cannot read DIR/tokenizer.json: No such file or directory"),
            ("tokenizer.json", Some("{}"), "DIR/tokenizer.json: "),
            ("config.json", Some("{"), "DIR/config.json: not valid JSON: EOF"),
            (
                "chat_template.jinja",
                Some("{% if %}"),
                "chat template from DIR/chat_template.jinja: ",
            ),
            (
                "tokenizer_config.json",
                Some(r#"{"eos_token":"</s>"}"#),
                "DIR/tokenizer_config.json: eos_token \"</s>\" is not in tokenizer.json",
            ),
            (
                "tokenizer_config.json",
                Some(r#"{"added_tokens_decoder":{"7":{"content":"<think>"}}}"#),
                "DIR/tokenizer_config.json: added_tokens_decoder says that \"<think>\" is token 7, \
                 tokenizer.json has it as 3",
            ),
            (
                "generation_config.json",
                Some(r#"{"eos_token_id":99}"#),
                "DIR/generation_config.json: eos_token_id: expected the id of one of the 24 tokens, found \
                 the number 99",
            ),
        ];
        for (file, content, expected) in cases {
            let error = check(file, content, None).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tokenizer.json"), addition::tokenizer_json()).unwrap();
        let template = TemplateSource { origin: "here".into(), text: "x".into() };
        let error = HfCodec::open(dir.path(), Some(&template)).unwrap_err().to_string();
        assert!(
            error.ends_with("no end token: set eos_token_id in generation_config.json"),
            "{error}"
        );
    }
}
