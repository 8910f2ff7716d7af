//! What the columns of a file are called.

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::nearest::list;

/// What the columns are called. The defaults are LUFFY's and TRL's names.
///
/// A name that differs from its default must occur in the file: a misspelt one is an error and not a
/// file without demonstrations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ColumnNames {
    /// The conversation: a list of `{role, content}`, or a string that becomes one user message. Where
    /// there is none, TRL's `messages` stands in; a last message of the assistant in a column of that name
    /// is the demonstration.
    pub prompt: String,
    /// Name of the data set, a string.
    pub source: String,
    /// The struct that holds the gold answer.
    pub reward_model: String,
    /// The gold answer within `reward_model`: a string, or a list of strings that all count as right.
    pub ground_truth: String,
    /// Gold answer of files without `reward_model`, the same types.
    pub answer: String,
    /// Gold answer of files without `reward_model` and `answer`, the same types.
    pub solution: String,
    /// The demonstration: null, a list of at most one `{role, content}`, or a string.
    pub target: String,
    /// Demonstration of files without `target`, the same types.
    pub completion: String,
    /// Further demonstrations: null or a list of strings.
    pub target_list: String,
    /// Probability of each token of `target` and of its end token: null or a list of numbers.
    pub target_probs: String,
    /// The struct with `index`, `split` and, in built-in tasks, `level`.
    pub extra_info: String,
}

impl Default for ColumnNames {
    fn default() -> Self {
        Self {
            prompt: "prompt".into(),
            source: "data_source".into(),
            reward_model: "reward_model".into(),
            ground_truth: "ground_truth".into(),
            answer: "answer".into(),
            solution: "solution".into(),
            target: "target".into(),
            completion: "completion".into(),
            target_list: "target_lst".into(),
            target_probs: "target_ds_qwen_7b_probs".into(),
            extra_info: "extra_info".into(),
        }
    }
}

impl ColumnNames {
    /// Calls the column that a run file knows as `key` (`prompt`, `target-list`) by another name.
    ///
    /// ```
    /// let mut columns = luffy_data::ColumnNames::default();
    /// columns.set("prompt", "question")?;
    /// assert_eq!(columns.prompt, "question");
    /// assert!(columns.set("promt", "question").is_err());
    /// # Ok::<(), luffy_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// If there is no such key; the message lists them.
    pub fn set(&mut self, key: &str, column: &str) -> Result<(), DataError> {
        let mut keys = self.keys();
        if let Some((_, name)) = keys.iter_mut().find(|(known, _)| *known == key) {
            column.clone_into(name);
            return Ok(());
        }
        let known: Vec<String> = keys.iter().map(|(key, _)| (*key).to_owned()).collect();
        Err(DataError::NoSuchKey { key: key.to_owned(), known: list(known.iter()) })
    }

    /// Whether the prompt goes by LUFFY's name, so that another known name may stand in.
    pub(crate) fn is_default_prompt(&self) -> bool {
        self.prompt == Self::default().prompt
    }

    /// Every name with its key in run files.
    fn keys(&mut self) -> [(&'static str, &mut String); 11] {
        [
            ("prompt", &mut self.prompt),
            ("source", &mut self.source),
            ("reward-model", &mut self.reward_model),
            ("ground-truth", &mut self.ground_truth),
            ("answer", &mut self.answer),
            ("solution", &mut self.solution),
            ("target", &mut self.target),
            ("completion", &mut self.completion),
            ("target-list", &mut self.target_list),
            ("target-probs", &mut self.target_probs),
            ("extra-info", &mut self.extra_info),
        ]
    }

    /// The top-level names that differ from their defaults.
    pub(crate) fn overridden(&self) -> Vec<String> {
        let (mut own, mut default) = (self.clone(), Self::default());
        let pairs = own.keys().into_iter().zip(default.keys());
        let names = pairs.filter(|((key, name), (_, default))| {
            *key != "ground-truth" && name.as_str() != default.as_str()
        });
        names.map(|((_, name), _)| name.clone()).collect()
    }
}
