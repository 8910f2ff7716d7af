//! The model of a folder with its workers, and the jobs that they do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::ensure;
use luffy_core::{
    AdamWSettings, CodecError, Gradients, Learner as _, Message, Objective as _, OptimizerSlot,
    Purpose, Row, SampleRequest, Sampler as _, Sampling, StepShape, StreamKey, TextCodec,
};
use luffy_objective::{Clip, MixedPolicyLoss, Regularized, metric};
use luffy_policy::{CausalLm, LmDecoder, ModelConfig, ReplicaLearner, load_pretrained};
use luffy_rollout::Engine;
use luffy_trainer::{Replicas, Trainer};
use serde_json::json;

use super::Measured;
use super::job::{GivenRow, RolloutJob, RowsJob};
use crate::clock::Stopwatch;
use crate::device::device;

/// Rows that one engine decodes at once, as in a run that sets nothing.
pub(super) const MAX_ROWS: usize = 256;
/// Learning rate of the updates.
pub(super) const LR: f64 = 1e-6;
/// `gamma` of the loss, as in `torch_worker.py`.
const GAMMA: f64 = 0.1;
/// The clip of the loss, as in `torch_worker.py`.
const CLIP: Clip = Clip::Epsilon { low: 0.2, high: 0.2 };

/// A model that is kept until a job names another.
pub(super) struct Held {
    pub(super) dir: PathBuf,
    pub(super) config: ModelConfig,
    pub(super) model: CausalLm,
    samplers: Option<Replicas<Engine<LmDecoder>>>,
    learners: Option<(bool, Replicas<ReplicaLearner<CausalLm>>)>,
    /// With what it was made for.
    pub(super) trainer: Option<(String, Trainer, u64)>,
}

impl Held {
    /// The model in `dir`, loaded if another one is held.
    pub(super) fn of<'a>(held: &'a mut Option<Self>, dir: &Path) -> anyhow::Result<&'a mut Self> {
        if held.as_ref().is_none_or(|held| held.dir != dir) {
            // Two large models do not fit at once.
            *held = None;
            let (config, model) = load_pretrained(dir, &device())?;
            let dir = dir.to_owned();
            *held =
                Some(Self { dir, config, model, samplers: None, learners: None, trainer: None });
        }
        Ok(held.as_mut().expect("it was just loaded"))
    }

    /// Draws responses of the lengths that the job gives.
    pub(super) fn rollout(&mut self, job: &RolloutJob) -> anyhow::Result<Measured> {
        ensure!(
            job.group > 0 && job.lengths.len() == job.prompts.len() * job.group,
            "{} lengths for {} prompts in groups of {}",
            job.lengths.len(),
            job.prompts.len(),
            job.group
        );
        let requests = requests(job);
        let units: Vec<&[SampleRequest]> =
            requests.chunks(job.unit_prompts.max(1) * job.group).collect();
        let samplers = self.samplers(job.threads);
        let clock = Stopwatch::start();
        let sampled = samplers.map(&units, |sampler, unit| sampler.sample(unit));
        let seconds = clock.seconds();
        let mut n_tokens = 0;
        for (result, length) in sampled.into_iter().flatten().zip(&job.lengths) {
            let tokens = result?.tokens.len();
            ensure!(tokens == *length as usize, "{tokens} tokens where {length} were asked for");
            n_tokens += tokens;
        }
        Ok(Measured { seconds, said: json!({ "tokens": n_tokens }) })
    }

    /// Log-probs of the responses, without gradient.
    pub(super) fn score(&mut self, job: &RowsJob) -> Measured {
        let rows: Vec<Row> = job.rows.iter().map(GivenRow::row).collect();
        let units: Vec<&[Row]> = rows.chunks(job.unit_rows.max(1)).collect();
        let learners = self.learners(job.threads, job.recompute);
        let clock = Stopwatch::start();
        let scored = learners.map(&units, |learner, unit| learner.score(unit));
        let seconds = clock.seconds();
        let logprobs: Vec<f32> = scored.into_iter().flatten().flatten().collect();
        let sum: f64 = logprobs.iter().copied().map(f64::from).sum();
        let mean = sum / logprobs.len() as f64;
        let said = json!({ "tokens": logprobs.len(), "mean_logprob": mean });
        Measured { seconds, said }
    }

    /// Gradients of LUFFY's loss in units, their sum, one step of AdamW, the new weights to everybody: what
    /// `Trainer::step` does with an update.
    pub(super) fn update(&mut self, job: &RowsJob) -> anyhow::Result<Measured> {
        let rows: Vec<Row> = job.rows.iter().map(GivenRow::row).collect();
        let units: Vec<&[Row]> = rows.chunks(job.unit_rows.max(1)).collect();
        let shape = shape_of(&rows);
        let shaping = Arc::new(Regularized { gamma: GAMMA });
        let objective = MixedPolicyLoss { clip: CLIP, ..MixedPolicyLoss::new(shaping) };
        let scale = objective.scale(&shape);
        let learners = self.learners(job.threads, job.recompute);
        let clock = Stopwatch::start();
        let (mut gradients, mut metrics) = (Gradients::default(), luffy_core::Metrics::default());
        let mut failed = None;
        learners.fold(
            &units,
            |learner, rows| learner.gradients(rows, &objective, &scale),
            |part| match part {
                Ok((part, measured)) => {
                    gradients.accumulate(part);
                    metrics.merge(&measured);
                }
                Err(error) => failed = Some(error),
            },
        );
        if let Some(error) = failed {
            return Err(error.into());
        }
        let report = learners.first(|learner| learner.apply(OptimizerSlot(0), gradients, LR))?;
        if learners.count() > 1 {
            let weights = learners.first(|learner| learner.weights());
            learners
                .each(|i, learner| if i == 0 { Ok(()) } else { learner.set_weights(&weights) })?;
        }
        let seconds = clock.seconds();
        let said = json!({
            "tokens": shape.n_tokens,
            "loss": metrics.mean(metric::PG_LOSS),
            "grad_norm": report.grad_norm,
        });
        Ok(Measured { seconds, said })
    }

    fn samplers(&mut self, n: usize) -> &mut Replicas<Engine<LmDecoder>> {
        if self.samplers.as_ref().is_none_or(|samplers| samplers.count() != n) {
            let codec: Arc<dyn TextCodec> = Arc::new(NoText);
            // As in a run: clones share what is laid out for decoding.
            let decoder = LmDecoder::new(self.model.clone());
            let engine = || Engine::new(decoder.clone(), Arc::clone(&codec), device(), MAX_ROWS);
            self.samplers = Some(Replicas::new((0..n).map(|_| engine()).collect()));
        }
        self.samplers.as_mut().expect("they were just made")
    }

    fn learners(&mut self, n: usize, recompute: bool) -> &mut Replicas<ReplicaLearner<CausalLm>> {
        let fits =
            |(made, learners): &(bool, Replicas<_>)| *made == recompute && learners.count() == n;
        if !self.learners.as_ref().is_some_and(fits) {
            // The state of the old optimiser goes before the new one comes.
            self.learners = None;
            let model = self.model.clone().with_recompute(recompute);
            let first = ReplicaLearner::new(model, &device(), AdamWSettings::default());
            let workers = (0..n).map(|_| first.replica()).collect();
            self.learners = Some((recompute, Replicas::new(workers)));
        }
        &mut self.learners.as_mut().expect("they were just made").1
    }
}

fn requests(job: &RolloutJob) -> Vec<SampleRequest> {
    let mut requests = Vec::with_capacity(job.lengths.len());
    for (prompt, (tokens, lengths)) in
        job.prompts.iter().zip(job.lengths.chunks(job.group)).enumerate()
    {
        let tokens: Arc<[u32]> = tokens.clone().into();
        for (member, length) in lengths.iter().enumerate() {
            requests.push(SampleRequest {
                prompt: Arc::clone(&tokens),
                prefix: [].into(),
                max_new_tokens: *length,
                sampling: Sampling::temperature(1.0),
                stop: [].into(),
                key: StreamKey {
                    seed: job.seed,
                    purpose: Purpose::Rollout,
                    step: 0,
                    prompt: prompt as u64,
                    member: member as u32,
                },
            });
        }
    }
    requests
}

fn shape_of(rows: &[Row]) -> StepShape {
    let count = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>() as u64;
    let n_tokens = count(Row::n_learned);
    StepShape {
        n_rows: rows.len() as u64,
        n_tokens,
        n_policy_tokens: n_tokens,
        n_demonstrated: count(Row::n_demonstrated),
        max_response_len: rows.iter().map(|row| row.response.len()).max().unwrap_or(0) as u32,
    }
}

/// No tokenizer: jobs are token ids, and nothing ends before its length.
#[derive(Debug)]
struct NoText;

impl TextCodec for NoText {
    fn encode(&self, _: &str) -> Result<Vec<u32>, CodecError> {
        Ok(vec![])
    }

    fn decode(&self, _: &[u32]) -> String {
        String::new()
    }

    fn render(&self, _: &[Message]) -> Result<String, CodecError> {
        Ok(String::new())
    }

    fn end_tokens(&self) -> &[u32] {
        &[]
    }
}
