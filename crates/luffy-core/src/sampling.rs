//! What is asked of a sampler.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::StreamKey;

/// How the next token is chosen. The set is closed, so it is data and not a trait.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sampling {
    /// The most likely token; the lowest id among equals.
    Greedy,
    /// A draw from `softmax(logits / temperature)` after the filters, in the order they are listed.
    Random {
        /// Above zero.
        temperature: f32,
        /// Keep this many of the most likely tokens; `None` keeps all.
        #[serde(default)]
        top_k: Option<u32>,
        /// Keep the smallest set of most likely tokens whose probability reaches this; 1 keeps all.
        #[serde(default = "one")]
        top_p: f32,
        /// Drop tokens less likely than this share of the most likely one; 0 keeps all.
        #[serde(default)]
        min_p: f32,
    },
}

fn one() -> f32 {
    1.0
}

impl Sampling {
    /// A plain draw from `softmax(logits / temperature)`.
    pub const fn temperature(temperature: f32) -> Self {
        Self::Random { temperature, top_k: None, top_p: 1.0, min_p: 0.0 }
    }
}

/// One response to draw. Neighbours with the same `prompt` share its prefill.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRequest {
    /// Prompt tokens.
    pub prompt: Arc<[u32]>,
    /// Response tokens that are already written: the first tokens of the trajectory, as a span of
    /// [`Origin::Context`](crate::Origin::Context), and part of its text.
    pub prefix: Arc<[u32]>,
    /// Most tokens to draw, not counting the prefix.
    pub max_new_tokens: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Texts that end the response where one of them first occurs in it; empty ones end nothing. The
    /// response's text ends before it, its tokens end with the one that completes it.
    pub stop: Arc<[String]>,
    /// The random stream; draw `t` of it chooses token `t` of the response, the prefix counted.
    pub key: StreamKey,
}

/// Why a sampler gave nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// Prompt and response do not fit.
    #[error(
        "prompt of {prompt_len} tokens and {max_new_tokens} new ones exceed the context of {context_len}; \
         filter longer prompts or lower the response limit"
    )]
    PromptTooLong {
        /// Tokens in the prompt.
        prompt_len: usize,
        /// Tokens asked for.
        max_new_tokens: usize,
        /// What the model holds.
        context_len: usize,
    },
    /// A prompt without tokens has no next token.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// The model gave NaN or no finite logit.
    #[error(
        "the policy gave no finite logit for token {position} of the response: the weights have diverged"
    )]
    NotFinite {
        /// Position in the response.
        position: usize,
    },
    /// New weights do not fit the model.
    #[error("weights do not fit: {0}")]
    Weights(String),
    /// The engine behind the sampler failed.
    #[error("sampler failed: {0}")]
    Engine(String),
}
