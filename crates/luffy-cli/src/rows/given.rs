//! What a row gives a model to read.

use luffy_core::{Message, TextCodec};
use luffy_data::HfCodec;
use serde_json::{Map, Value};

use super::Fields;

/// What stands in a row: tokens, a conversation, or a text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Given {
    /// `ids`.
    Ids(Vec<u32>),
    /// `messages`, or `prompt` as a list of messages.
    Messages(Vec<Message>),
    /// `text`, or `prompt` as a text: taken as it is, without a template.
    Text(String),
}

/// What the fields of a row may be called.
pub(crate) struct Words {
    /// What stands for tokens, if tokens may be given.
    pub(crate) ids: Option<&'static str>,
    /// What stands for a text.
    pub(crate) text: &'static str,
}

impl Given {
    /// Reads a row: the first of the ids, `messages`, `prompt` and the text that it has.
    pub(crate) fn read(fields: &Fields<'_>, words: &Words) -> Result<Self, String> {
        if let Some(name) = words.ids
            && let Some(ids) = fields.read(name, "a list of token ids")?
        {
            return Ok(Self::Ids(ids));
        }
        if let Some(messages) = messages(fields, "messages")? {
            return Ok(Self::Messages(messages));
        }
        if let Some(prompt) = fields.get("prompt").filter(|_| fields.has("prompt")) {
            if prompt.get().starts_with('[') {
                let messages = messages(fields, "prompt")?.unwrap_or_default();
                return Ok(Self::Messages(messages));
            }
            let text = fields.read("prompt", "a text or a list of messages {role, content}")?;
            return Ok(Self::Text(text.unwrap_or_default()));
        }
        if let Some(text) = fields.read(words.text, "a text")? {
            return Ok(Self::Text(text));
        }
        let ids = words.ids.map_or_else(String::new, |ids| format!("`{ids}`, "));
        Err(format!("expected {ids}`messages`, `prompt` or `{}`, found none of them", words.text))
    }

    /// The text as the model reads it; a conversation goes through the template.
    pub(crate) fn render(&self, codec: &HfCodec, generation: bool) -> Result<String, String> {
        match self {
            Self::Ids(ids) => Ok(codec.decode(ids)),
            Self::Messages(messages) => {
                codec.render_with(messages, generation).map_err(|error| error.to_string())
            }
            Self::Text(text) => Ok(text.clone()),
        }
    }

    /// The tokens that the model reads.
    pub(crate) fn tokens(&self, codec: &HfCodec) -> Result<Vec<u32>, String> {
        match self {
            Self::Ids(ids) => Ok(ids.clone()),
            Self::Messages(_) | Self::Text(_) => {
                codec.encode(&self.render(codec, true)?).map_err(|error| error.to_string())
            }
        }
    }
}

/// A field with a conversation. Fields beside `role` and `content` that hold something are refused: a
/// conversation that is rendered without them is another conversation.
fn messages(fields: &Fields<'_>, name: &str) -> Result<Option<Vec<Message>>, String> {
    let expected = "a list of messages {role, content}";
    let Some(items) = fields.read::<Vec<Map<String, Value>>>(name, expected)? else {
        return Ok(None);
    };
    if items.is_empty() {
        return Err(format!("`{name}`: expected {expected}, found an empty list"));
    }
    let message = |(i, mut item): (usize, Map<String, Value>)| {
        let mut text = |field: &str| match item.shift_remove(field) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(format!("`{name}[{i}].{field}`: expected a text")),
        };
        let message = Message { role: text("role")?, content: text("content")? };
        match item.iter().find(|(_, value)| !value.is_null()) {
            Some((field, _)) => {
                Err(format!("`{name}[{i}]`: expected only role and content, found `{field}`"))
            }
            None => Ok(message),
        }
    };
    items.into_iter().enumerate().map(message).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words { ids: Some("ids"), text: "text" };

    fn read(row: &str) -> Result<Given, String> {
        Given::read(&Fields::parse(row.as_bytes()).unwrap(), &WORDS)
    }

    #[test]
    fn the_first_of_ids_messages_prompt_and_text_counts() {
        let user = || Given::Messages(vec![Message::user("q")]);
        assert_eq!(read(r#"{"ids":[1],"text":"t"}"#), Ok(Given::Ids(vec![1])));
        let row = r#"{"text":"t","messages":[{"role":"user","content":"q"}]}"#;
        assert_eq!(read(row), Ok(user()));
        assert_eq!(read(r#"{"prompt":[{"content":"q","role":"user","name":null}]}"#), Ok(user()));
        assert_eq!(read(r#"{"prompt":"p","text":"t"}"#), Ok(Given::Text("p".into())));
        assert_eq!(read(r#"{"ids":null,"text":"t"}"#), Ok(Given::Text("t".into())));
    }

    #[test]
    fn what_is_no_conversation_is_told() {
        for (row, expected) in [
            ("{}", "expected `ids`, `messages`, `prompt` or `text`, found none of them"),
            (
                r#"{"messages":[]}"#,
                "`messages`: expected a list of messages {role, content}, found an empty list",
            ),
            (r#"{"messages":[{"role":"user"}]}"#, "`messages[0].content`: expected a text"),
            (
                r#"{"messages":[{"role":"user","content":"q","tool_calls":[1]}]}"#,
                "`messages[0]`: expected only role and content, found `tool_calls`",
            ),
            (
                r#"{"prompt":3}"#,
                "`prompt`: expected a text or a list of messages {role, content}, found 3",
            ),
            (r#"{"ids":[-1]}"#, "`ids`: expected a list of token ids, found [-1]"),
        ] {
            assert_eq!(read(row).unwrap_err(), expected);
        }
    }
}
