//! A task after tokenisation and admission: what the rollout starts from.

use std::sync::Arc;

use crate::{Behavior, FinishReason, Task};

/// A demonstration as tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizedDemonstration {
    /// Response tokens; the end token is the last one unless the trace was cut.
    pub tokens: Vec<u32>,
    /// The text that is graded: as decoded, without the end token.
    pub text: String,
    /// Behaviour probability of its tokens.
    pub behavior: Behavior,
    /// [`FinishReason::Stop`] where the end token is there.
    pub finish: FinishReason,
}

/// A task ready for sampling.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// The task it was made from.
    pub task: Task,
    /// Position of the task in the training data; keys the random streams of its rollouts.
    pub index: u64,
    /// Rendered conversation up to and including the generation prompt, as tokens.
    pub tokens: Arc<[u32]>,
    /// The admitted demonstrations.
    pub demonstrations: Vec<TokenizedDemonstration>,
}
