//! What a line of input asks for. Fields that only the other side reads are left alone.

use std::path::PathBuf;

use luffy_core::Row;
use serde::Deserialize;

/// One job.
#[derive(Debug, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case")]
pub(super) enum Job {
    Rollout(RolloutJob),
    Score(RowsJob),
    Update(RowsJob),
    Step(StepJob),
    Gemm(GemmJob),
    Bandwidth(BandwidthJob),
    Facts,
}

/// Responses of given lengths to prompts of given tokens.
#[derive(Debug, Deserialize)]
pub(super) struct RolloutJob {
    pub(super) model: PathBuf,
    /// Workers of one thread.
    pub(super) threads: usize,
    pub(super) prompts: Vec<Vec<u32>>,
    /// Responses to each prompt.
    pub(super) group: usize,
    /// New tokens of each response, groups in order.
    pub(super) lengths: Vec<u32>,
    /// Prompts that one worker decodes together.
    pub(super) unit_prompts: usize,
    pub(super) seed: u64,
}

/// Rows to score or to learn from.
#[derive(Debug, Deserialize)]
pub(super) struct RowsJob {
    pub(super) model: PathBuf,
    /// Workers of one thread.
    pub(super) threads: usize,
    pub(super) rows: Vec<GivenRow>,
    /// Rows that one worker takes together.
    pub(super) unit_rows: usize,
    /// Run layers again on the way back.
    #[serde(default)]
    pub(super) recompute: bool,
}

/// A prompt and a response with one advantage.
#[derive(Debug, Deserialize)]
pub(super) struct GivenRow {
    prompt: Vec<u32>,
    response: Vec<u32>,
    /// Log-prob of each response token under the policy that wrote it.
    behavior: Vec<f32>,
    advantage: f32,
    demonstrated: bool,
}

impl GivenRow {
    pub(super) fn row(&self) -> Row {
        let n = self.response.len();
        Row {
            demonstrated: vec![self.demonstrated; n],
            behavior_logprobs: self.behavior.clone(),
            advantages: vec![self.advantage; n],
            ..Row::given(self.prompt.clone().into(), self.response.clone())
        }
    }
}

/// Whole steps of Dr. GRPO.
#[derive(Debug, Deserialize)]
pub(super) struct StepJob {
    pub(super) model: PathBuf,
    /// Workers of one thread.
    pub(super) threads: usize,
    pub(super) prompts: Vec<Vec<u32>>,
    pub(super) group: u32,
    pub(super) new_tokens: u32,
    pub(super) unit_prompts: usize,
    /// How many are timed, after one that is not.
    pub(super) steps: usize,
    pub(super) seed: u64,
}

/// Products of two square matrices.
#[derive(Debug, Deserialize)]
pub(super) struct GemmJob {
    pub(super) threads: usize,
    pub(super) size: usize,
    pub(super) times: usize,
}

/// Copies of an array.
#[derive(Debug, Deserialize)]
pub(super) struct BandwidthJob {
    pub(super) threads: usize,
    pub(super) mib: usize,
    pub(super) times: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_one_advantage_and_one_origin() {
        let line = r#"{"job": "update", "model": "m", "threads": 2, "unit_rows": 1, "backend": "torch", "rows": [
            {"prompt": [7], "response": [8, 9], "behavior": [-1.0, -2.0], "advantage": 0.5, "demonstrated": false}
        ]}"#;
        let Job::Update(job) = serde_json::from_str(line).expect("a job") else {
            panic!("not an update")
        };
        let row = job.rows[0].row();
        assert_eq!((&*row.prompt, &*row.response), (&[7][..], &[8, 9][..]));
        assert_eq!(row.behavior_logprobs, [-1.0, -2.0]);
        assert_eq!(row.advantages, [0.5, 0.5]);
        assert_eq!((row.mask, row.demonstrated), (vec![true; 2], vec![false; 2]));
    }

    #[test]
    fn an_unknown_job_is_refused() {
        assert!(serde_json::from_str::<Job>(r#"{"job": "sleep"}"#).is_err());
    }
}
