//! A response in the file of responses, and what the figures need of it.

use std::collections::BTreeMap;

use luffy_core::{FinishReason, Outcome, Reason};
use luffy_reward::Format;
use serde::{Deserialize, Serialize};

use crate::config::VerifierName;
use crate::rows::json;

/// Why a response ends, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Finish {
    /// Its writer ended it.
    Stop,
    /// The token limit, or the end of the model's context, cut it.
    Length,
    /// The prompt left no room in the model's context: nothing was generated, and it counts as wrong.
    TooLong,
}

impl From<FinishReason> for Finish {
    fn from(finish: FinishReason) -> Self {
        match finish {
            FinishReason::Stop => Self::Stop,
            FinishReason::Length => Self::Length,
        }
    }
}

/// A line of the file of responses, in the order of its fields there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    /// The row that the problem was first met in.
    pub(super) problem: String,
    pub(super) source: String,
    /// Number of the response to this problem, from 0.
    pub(super) sample: u32,
    pub(super) golds: Vec<String>,
    pub(super) verifier: VerifierName,
    pub(super) format: Format,
    pub(super) prompt_len: u64,
    /// What the tokens of the prompt come to; absent where a row comes from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prompt_digest: Option<String>,
    pub(super) response: String,
    pub(super) n_tokens: u64,
    pub(super) finish: Finish,
    pub(super) correct: bool,
    pub(super) verdict: Outcome,
    pub(super) reason: Reason,
    pub(super) extracted: Option<String>,
}

/// What the figures need of a response.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) correct: bool,
    pub(super) reason: Reason,
    pub(super) extracted: Option<String>,
    pub(super) finish: Finish,
    pub(super) n_tokens: u64,
}

/// The responses to one problem.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answered {
    pub(super) source: String,
    golds: Vec<String>,
    pub(super) verifier: VerifierName,
    pub(super) records: Vec<Record>,
}

/// How much data there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct DataCounts {
    /// Rows of the asked sources.
    pub(super) rows: u64,
    /// Problems that these rows are, before any limit.
    pub(super) problems: u64,
}

/// The responses of an evaluation by problem, in the order of the file.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) problems: Vec<Answered>,
    /// By source and name: files of different sources may have a name in common.
    by_name: BTreeMap<(String, String), usize>,
    /// What was read, where data was read.
    pub(super) data: Option<DataCounts>,
    pub(super) profile: luffy_reward::Profile,
}

impl Results {
    pub(super) fn new(profile: luffy_reward::Profile, data: Option<DataCounts>) -> Self {
        Self { problems: Vec::new(), by_name: BTreeMap::new(), data, profile }
    }

    /// Adds a response to the problem it belongs to.
    ///
    /// # Errors
    /// If it has other golds than the responses before it: then it is another problem's.
    pub(super) fn add(&mut self, line: Line) -> Result<(), String> {
        let Line { problem, source, golds, verifier, .. } = line;
        let Line { n_tokens, finish, correct, reason, extracted, .. } = line;
        let next = self.problems.len();
        let at = *self.by_name.entry((source.clone(), problem.clone())).or_insert(next);
        if at == next {
            self.problems.push(Answered { source, golds, verifier, records: Vec::new() });
        } else if self.problems[at].golds != golds {
            let (here, before) = (json(&golds), json(&self.problems[at].golds));
            return Err(format!(
                "problem `{problem}` of source `{source}` has the golds {here} here and {before} before; \
                 two problems need two names"
            ));
        }
        self.problems[at].records.push(Record { correct, reason, extracted, finish, n_tokens });
        Ok(())
    }
}
