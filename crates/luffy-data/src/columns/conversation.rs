//! The conversation of a record and its messages.

use luffy_core::{Demonstration, Message};
use serde_json::Value;

use super::Record;
use crate::{ColumnNames, DataError};

const MESSAGES: &str = "a string or a non-empty list of messages";
const QUESTION_LAST: &str = "a conversation that ends where the model answers, with the answer in \
    `target`; in a column named `messages` a last message of the assistant is the demonstration";
const NO_TARGET: &str = "null, as the demonstration is the last of `messages`";
/// TRL's name for a conversation with its answer.
const MESSAGES_NAME: &str = "messages";

impl Record<'_> {
    /// The conversation to answer. In TRL's `messages` the answer may stand last: it is taken off and
    /// is the demonstration. A prompt that ends with an answer is refused.
    pub(super) fn conversation(
        &mut self,
        names: &ColumnNames,
    ) -> Result<(Vec<Message>, Option<Demonstration>), DataError> {
        let is_absent = names.is_default_prompt() && !self.fields.contains_key(&names.prompt);
        let is_trl = is_absent && self.fields.contains_key(MESSAGES_NAME);
        let name = if is_trl { MESSAGES_NAME } else { &names.prompt };
        let mut messages = self.prompt(name)?;
        if messages.last().is_none_or(|message| message.role != "assistant") {
            return Ok((messages, None));
        }
        let last = messages.len() - 1;
        if name != MESSAGES_NAME {
            let found = "the role \"assistant\"".to_owned();
            return Err(self.error(&format!("{name}[{last}].role"), QUESTION_LAST, found));
        }
        if last == 0 {
            return Err(self.error(name, "a message before the assistant's", "none".into()));
        }
        for target in [&names.target, &names.completion] {
            if let Some(value) = self.fields.get(target).filter(|value| !value.is_null()) {
                return Err(self.wrong(target, NO_TARGET, value));
            }
        }
        let text = messages.pop().expect("it has a last message").content;
        let demonstration =
            (!text.is_empty()).then_some(Demonstration { text, behavior_probs: None });
        Ok((messages, demonstration))
    }

    fn prompt(&mut self, name: &str) -> Result<Vec<Message>, DataError> {
        let Some(value) = self.fields.shift_remove(name) else {
            return Err(self.absent(name, &[name], MESSAGES));
        };
        match value {
            Value::String(text) if !text.is_empty() => Ok(vec![Message::user(text)]),
            Value::Array(items) if !items.is_empty() => {
                let messages = items.into_iter().enumerate();
                messages.map(|(i, item)| self.message(&format!("{name}[{i}]"), item)).collect()
            }
            other => Err(self.wrong(name, MESSAGES, &other)),
        }
    }

    /// A message by field name. Further fields that hold something are refused: a conversation that
    /// is rendered without them is another conversation.
    pub(super) fn message(&self, name: &str, value: Value) -> Result<Message, DataError> {
        let Value::Object(mut fields) = value else {
            return Err(self.wrong(name, "a message {role, content}", &value));
        };
        let mut text = |field: &str| match fields.shift_remove(field) {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong(&format!("{name}.{field}"), "a string", &other)),
            None => Err(self.error(&format!("{name}.{field}"), "a string", "nothing".into())),
        };
        let message = Message { role: text("role")?, content: text("content")? };
        match fields.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(message),
            Some((field, value)) => Err(self.wrong(
                &format!("{name}.{field}"),
                "only the fields role and content",
                value,
            )),
        }
    }
}
