//! Text to tokens and back, as the rest of the system sees it.

use std::fmt::Debug;

use crate::Message;

/// Why text could not be turned into tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The tokenizer refused the text.
    #[error("cannot tokenise: {0}")]
    Tokenize(String),
    /// The chat template failed; a template may refuse a conversation on purpose.
    #[error("cannot render the conversation: {0}")]
    Render(String),
}

/// A tokenizer with its chat template.
pub trait TextCodec: Debug + Send + Sync {
    /// Token ids of `text`, special tokens recognised and none added.
    ///
    /// # Errors
    /// If the tokenizer refuses the text.
    fn encode(&self, text: &str) -> Result<Vec<u32>, CodecError>;

    /// The text of `tokens`, special tokens kept. Total: unknown ids decode to nothing.
    fn decode(&self, tokens: &[u32]) -> String;

    /// The conversation as the model reads it, up to and including the generation prompt.
    ///
    /// # Errors
    /// If the template fails.
    fn render(&self, messages: &[Message]) -> Result<String, CodecError>;

    /// Tokens that end a response; the first is the one written after a demonstration.
    fn end_tokens(&self) -> &[u32];
}
