//! What a data file says about one problem.

use serde::{Deserialize, Serialize};

/// One chat message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant` or whatever the chat template knows.
    pub role: String,
    /// The text of the message.
    pub content: String,
}

impl Message {
    /// A message with role `user`.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user".into(), content: content.into() }
    }
}

/// A trace of a stronger model (or a person) that solves a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Demonstration {
    /// The whole response as text, without the end token.
    pub text: String,
    /// Probability of each token under the model that wrote it, end token included, where recorded.
    /// `None` means the paper's choice: behaviour probability 1.
    pub behavior_probs: Option<Vec<f64>>,
}

/// One problem: a conversation to answer, the answers that count as right, and traces to learn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Stable name of the row, for messages and traces (`train.parquet:17`, say).
    pub id: String,
    /// The data set it comes from (`data_source` in LUFFY's files); evaluation reports by it.
    pub source: String,
    /// The conversation that ends where the policy must answer.
    pub messages: Vec<Message>,
    /// Every answer that counts as right.
    pub golds: Vec<String>,
    /// Traces, possibly none.
    pub demonstrations: Vec<Demonstration>,
    /// Every other column, kept as it was read (`level` groups the evaluation of built-in tasks).
    pub extra: serde_json::Map<String, serde_json::Value>,
}
