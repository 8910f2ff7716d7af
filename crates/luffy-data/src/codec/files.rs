//! The files of a model folder that speak of text.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use crate::{DataError, TemplateSource, columns};

/// What a model folder says about text, as read.
pub(crate) struct CodecFiles<'a> {
    /// Named in messages.
    pub(crate) dir: &'a Path,
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) tokenizer_config: Map<String, Value>,
    pub(crate) generation_config: Map<String, Value>,
    pub(crate) config: Map<String, Value>,
    pub(crate) template: Option<TemplateSource>,
}

pub(super) fn tokenizer_error(path: &Path, message: String) -> DataError {
    DataError::Tokenizer { path: path.to_owned(), message }
}

pub(super) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, DataError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DataError::read(path, error)),
    }
}

/// A JSON object, empty if the file is not there.
pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>, DataError> {
    let Some(bytes) = read_optional(path)? else { return Ok(Map::new()) };
    serde_json::from_slice(&bytes).map_err(|error| DataError::Json {
        path: path.to_owned(),
        line: None,
        message: error.to_string(),
    })
}

/// The template of `tokenizer_config.json`: a text, or named texts of which `default` is taken.
pub(super) fn own_template(
    dir: &Path,
    config: &Map<String, Value>,
) -> Result<Option<TemplateSource>, DataError> {
    let path = dir.join("tokenizer_config.json");
    let named = |item: &Value| (item["name"] == "default").then(|| item["template"].clone());
    let template = match config.get("chat_template") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => {
            let Some(template) = items.iter().find_map(named) else {
                let names: Vec<&str> = items.iter().filter_map(|i| i["name"].as_str()).collect();
                let message = format!(
                    "chat_template: expected a text or texts with one named default, found the names {}",
                    names.join(", ")
                );
                return Err(tokenizer_error(&path, message));
            };
            template
        }
        Some(other) => other.clone(),
    };
    match template {
        Value::String(text) => {
            Ok(Some(TemplateSource { origin: path.display().to_string(), text }))
        }
        other => {
            let found = columns::describe(&other);
            let message = format!(
                "chat_template: expected a text or texts with one named default, found {found}"
            );
            Err(tokenizer_error(&path, message))
        }
    }
}

/// The special tokens a template may name: `bos_token` and so on that are set.
pub(super) fn special_tokens(files: &CodecFiles<'_>) -> Result<Map<String, Value>, DataError> {
    let mut tokens = Map::new();
    for (name, value) in &files.tokenizer_config {
        if !name.ends_with("_token") || name.starts_with("add_") {
            continue;
        }
        // A token is its text or, in older files, a struct around it.
        let content = value.get("content").unwrap_or(value);
        match content {
            Value::String(_) => {
                tokens.insert(name.clone(), content.clone());
            }
            Value::Null | Value::Bool(_) => {}
            other => {
                let found = columns::describe(other);
                let message = format!("{name}: expected the text of a token, found {found}");
                return Err(tokenizer_error(&files.dir.join("tokenizer_config.json"), message));
            }
        }
    }
    if let Some(more) = files.tokenizer_config.get("additional_special_tokens") {
        tokens.insert("additional_special_tokens".into(), more.clone());
    }
    Ok(tokens)
}

/// transformers adds the tokens that only `tokenizer_config.json` knows; here they must be in
/// `tokenizer.json`, as every file it has saved since 2023 does it.
pub(super) fn check_added_tokens(
    files: &CodecFiles<'_>,
    tokenizer: &Tokenizer,
) -> Result<(), DataError> {
    let added = files.tokenizer_config.get("added_tokens_decoder").and_then(Value::as_object);
    for (id, token) in added.into_iter().flatten() {
        let content = token["content"].as_str().unwrap_or_default();
        let known = tokenizer.token_to_id(content);
        if known.map(|known| known.to_string()).as_ref() != Some(id) {
            let known =
                known.map_or("does not have it".into(), |known| format!("has it as {known}"));
            let message = format!(
                "added_tokens_decoder says that {content:?} is token {id}, tokenizer.json {known}; save \
                 the tokenizer again with a recent transformers"
            );
            return Err(tokenizer_error(&files.dir.join("tokenizer_config.json"), message));
        }
    }
    Ok(())
}

pub(super) fn end_tokens(
    files: &CodecFiles<'_>,
    tokenizer: &Tokenizer,
    special_tokens: &Map<String, Value>,
) -> Result<Vec<u32>, DataError> {
    let mut ids = Vec::new();
    if let Some(token) = special_tokens.get("eos_token").and_then(Value::as_str) {
        ids.push(tokenizer.token_to_id(token).ok_or_else(|| {
            let message = format!("eos_token {token:?} is not in tokenizer.json");
            tokenizer_error(&files.dir.join("tokenizer_config.json"), message)
        })?);
    }
    let configs =
        [("generation_config.json", &files.generation_config), ("config.json", &files.config)];
    for (name, config) in configs {
        let value = match config.get("eos_token_id") {
            None | Some(Value::Null) => continue,
            Some(value) => value,
        };
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for item in items {
            let id = item.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.filter(|id| tokenizer.id_to_token(*id).is_some()).ok_or_else(|| {
                let found = columns::describe(item);
                let message = format!(
                    "eos_token_id: expected the id of one of the {} tokens, found {found}",
                    tokenizer.get_vocab_size(true)
                );
                tokenizer_error(&files.dir.join(name), message)
            })?;
            ids.push(id);
        }
        // Generation follows its own settings; the model's count only where there are none.
        break;
    }
    let mut unique = Vec::new();
    for id in ids {
        if !unique.contains(&id) {
            unique.push(id);
        }
    }
    if unique.is_empty() {
        let message = "no end token: set eos_token_id in generation_config.json".to_owned();
        return Err(tokenizer_error(files.dir, message));
    }
    Ok(unique)
}
