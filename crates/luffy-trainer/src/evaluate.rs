//! Accuracy of the current policy, without an update.

use std::collections::BTreeMap;
use std::sync::Arc;

use luffy_core::{
    Outcome, Prompt, Purpose, Response, SampleRequest, Sampling, StreamKey, Trajectory, Verifier,
};
use serde::{Deserialize, Serialize};

use crate::{TrainError, Trainer, rouge_l};

/// How an evaluation samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvalSettings {
    /// Keys the random streams together with `step`.
    pub seed: u64,
    /// The step it belongs to.
    pub step: u64,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens of a response.
    pub max_response_len: u32,
    /// Prompts per unit of parallel work.
    pub unit_prompts: usize,
}

/// Right answers among all answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    /// Answers with [`Outcome::Correct`].
    pub correct: u64,
    /// All answers.
    pub total: u64,
}

impl Count {
    /// Share of right answers; zero of none.
    pub fn accuracy(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.correct as f64 / self.total as f64 }
    }
}

/// Counts by group of prompts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EvalReport {
    /// By difficulty where the data names one (`extra.level`), else by source.
    pub groups: BTreeMap<String, Count>,
    /// Mean number of response tokens.
    pub mean_response_len: f64,
    /// Mean [`rouge_l`] of responses and the first demonstration of their prompts, 0 to 1, by the same
    /// groups; a group without demonstrations is absent.
    pub similarity: BTreeMap<String, f64>,
}

/// One answer of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct EvalAnswer {
    /// What was answered.
    pub trajectory: Trajectory,
    /// Whether the verifier found [`Outcome::Correct`].
    pub correct: bool,
    /// [`rouge_l`] of the answer and the first demonstration of the prompt, if it has one.
    pub similarity: Option<f64>,
}

impl EvalReport {
    /// All groups together.
    pub fn overall(&self) -> Count {
        self.groups.values().fold(Count::default(), |sum, count| Count {
            correct: sum.correct + count.correct,
            total: sum.total + count.total,
        })
    }
}

/// The name a prompt is counted under.
fn group_name(prompt: &Prompt) -> String {
    prompt
        .task
        .extra
        .get("level")
        .and_then(|level| level.as_str())
        .map_or_else(|| prompt.task.source.clone(), str::to_owned)
}

impl Trainer {
    /// One answer per prompt, graded. Answers are given back, in the order of the prompts, for whoever
    /// wants to keep them.
    ///
    /// # Errors
    /// If a sampler fails.
    pub fn evaluate(
        &mut self,
        prompts: &[Arc<Prompt>],
        settings: &EvalSettings,
    ) -> Result<(EvalReport, Vec<EvalAnswer>), TrainError> {
        let units: Vec<&[Arc<Prompt>]> = prompts.chunks(settings.unit_prompts.max(1)).collect();
        let answers = self.samplers.map(&units, |sampler, unit| {
            let requests: Vec<SampleRequest> = unit
                .iter()
                .map(|prompt| SampleRequest {
                    prompt: Arc::clone(&prompt.tokens),
                    prefix: [].into(),
                    max_new_tokens: settings.max_response_len,
                    sampling: settings.sampling,
                    stop: [].into(),
                    key: StreamKey {
                        seed: settings.seed,
                        purpose: Purpose::Evaluation,
                        step: settings.step,
                        prompt: prompt.index,
                        member: 0,
                    },
                })
                .collect();
            sampler.sample(&requests)
        });
        let mut report = EvalReport::default();
        let mut kept = Vec::with_capacity(prompts.len());
        let mut similarities: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for (prompt, answer) in prompts.iter().zip(answers.into_iter().flatten()) {
            let trajectory = answer
                .map_err(|source| TrainError::Sample { prompt: prompt.task.id.clone(), source })?;
            let correct = is_correct(&*self.verifier, prompt, &trajectory);
            let count = report.groups.entry(group_name(prompt)).or_default();
            count.correct += u64::from(correct);
            count.total += 1;
            report.mean_response_len += trajectory.tokens.len() as f64;
            let similarity = prompt
                .demonstrations
                .first()
                .map(|demonstration| rouge_l(&trajectory.tokens, &demonstration.tokens));
            if let Some(similarity) = similarity {
                let (sum, n) = similarities.entry(group_name(prompt)).or_default();
                *sum += similarity;
                *n += 1.0;
            }
            kept.push(EvalAnswer { trajectory, correct, similarity });
        }
        report.mean_response_len /= (prompts.len() as f64).max(1.0);
        report.similarity =
            similarities.into_iter().map(|(name, (sum, n))| (name, sum / n)).collect();
        Ok((report, kept))
    }
}

fn is_correct(verifier: &dyn Verifier, prompt: &Prompt, trajectory: &Trajectory) -> bool {
    let response = Response { text: &trajectory.text, finish: trajectory.finish };
    verifier.verify(&prompt.task, &response).outcome() == Outcome::Correct
}
