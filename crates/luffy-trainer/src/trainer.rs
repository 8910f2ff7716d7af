//! One step.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use luffy_core::{
    GradedGroup, Gradients, LearnError, Learner, LearnerState, Method, MethodMemory, Metrics,
    Objective, OptimizerSlot, Progress, Prompt, Row, SampleError, Sampler, Sampling, Scale,
    StepView, TokenRuns, Update, UpdateRow, Verdict, Verifier, Weights,
};

use crate::rollout::{Judge, RolloutSettings, roll_out};
use crate::{Replicas, Schedule, StepReport};

/// What is the same in every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainerSettings {
    /// Keys every random stream of the run.
    pub seed: u64,
    /// Steps of the whole run; the learning rate decays towards it.
    pub n_steps: u64,
    /// Learning rate by step.
    pub schedule: Schedule,
    /// How training rollouts are sampled.
    pub sampling: Sampling,
    /// Most tokens of a response; also the constant length of losses that divide by one.
    pub max_response_len: u32,
    /// Prompts per unit of sampling. Part of what a run is: another value gives other roundings.
    pub sample_unit_prompts: usize,
    /// Prompts per unit of learning. Part of what a run is: another value gives other roundings.
    pub learn_unit_prompts: usize,
}

/// What a response is worth: a verdict to a reward, `None` for a gold that cannot be used.
pub type Grader = Arc<dyn Fn(&Verdict) -> Option<f32> + Send + Sync>;

/// Who samples and who learns; any number of each gives the same bytes.
pub struct Workers {
    /// At least one.
    pub samplers: Vec<Box<dyn Sampler>>,
    /// At least one, with equal weights; the first holds the optimiser state.
    pub learners: Vec<Box<dyn Learner>>,
    /// What samplers share, and what learners share; one for each worker at least.
    pub threads: usize,
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("samplers", &self.samplers.len())
            .field("learners", &self.learners.len())
            .field("threads", &self.threads)
            .finish()
    }
}

/// A graded step with the advantages that were learned from.
#[derive(Debug, Clone, PartialEq)]
pub struct GradedStep {
    /// The groups whose gold is usable, in prompt order.
    pub groups: Vec<GradedGroup>,
    /// One per trajectory, groups in order.
    pub advantages: Vec<TokenRuns>,
}

/// What a step leaves behind.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutcome {
    /// Figures.
    pub report: StepReport,
    /// What was sampled and what it was worth.
    pub graded: GradedStep,
}

/// Why training cannot go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// A rollout failed.
    #[error("sampling for prompt {prompt} failed: {source}")]
    Sample {
        /// Id of the task.
        prompt: String,
        /// What happened.
        source: SampleError,
    },
    /// New weights could not be handed to a sampler.
    #[error("publishing weights failed: {0}")]
    Publish(SampleError),
    /// A method planned a demonstration that is not there.
    #[error(
        "prompt {prompt} has {n_demonstrations} demonstrations, number {position} was planned; \
         drop prompts without demonstrations or use a method that does without"
    )]
    NoDemonstration {
        /// Id of the task.
        prompt: String,
        /// What was planned.
        position: u32,
        /// What there is.
        n_demonstrations: usize,
    },
    /// The update failed.
    #[error(transparent)]
    Learn(#[from] LearnError),
}

/// What a trainer carries over a restart. Everything else is a function of the step number.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerState {
    /// Weights and optimiser.
    pub learner: LearnerState,
    /// What the method remembers.
    pub memory: MethodMemory,
    /// Number of updates applied.
    pub version: u64,
}

/// The step as plain code around samplers and learners.
pub struct Trainer {
    settings: TrainerSettings,
    method: Arc<dyn Method>,
    pub(crate) verifier: Arc<dyn Verifier>,
    grader: Grader,
    pub(crate) samplers: Replicas<Box<dyn Sampler>>,
    learners: Replicas<Box<dyn Learner>>,
    /// The weights that training began from, where the method compares with them.
    reference: Option<Weights>,
    memory: MethodMemory,
    version: u64,
}

impl fmt::Debug for Trainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("settings", &self.settings)
            .field("method", &self.method)
            .field("verifier", &self.verifier)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Trainer {
    /// Puts the parts together and hands the weights of the first learner to everybody.
    ///
    /// # Errors
    /// If the weights do not fit a sampler or learner.
    ///
    /// # Panics
    /// If there is no sampler or no learner.
    pub fn new(
        settings: TrainerSettings,
        method: Arc<dyn Method>,
        verifier: Arc<dyn Verifier>,
        grader: Grader,
        workers: Workers,
    ) -> Result<Self, TrainError> {
        let samplers = Replicas::with_threads(workers.samplers, workers.threads);
        let mut learners = Replicas::with_threads(workers.learners, workers.threads);
        let reference =
            method.needs_reference().then(|| learners.first(|learner| learner.weights()));
        let mut trainer = Self {
            settings,
            method,
            verifier,
            grader,
            samplers,
            learners,
            reference,
            memory: MethodMemory::default(),
            version: 0,
        };
        trainer.publish()?;
        Ok(trainer)
    }

    /// Takes one step on `prompts`. `step` is 0-based and keys the random streams together with
    /// [`Prompt::index`]: the step depends on it, the prompts, the settings and the state, on nothing else.
    ///
    /// # Errors
    /// If sampling or learning fails; the weights are those from before the failed update.
    pub fn step(&mut self, step: u64, prompts: &[Arc<Prompt>]) -> Result<StepOutcome, TrainError> {
        let mut report = StepReport::default();
        let rollout = self.rollout_settings(step);
        let judge = Judge { verifier: &*self.verifier, grader: &*self.grader };
        let groups = roll_out(&mut self.samplers, &*self.method, &judge, prompts, &rollout)?;
        report.set("batch/bad_gold", (prompts.len() - groups.len()) as f64);
        let advantages = self.method.advantages(rollout.progress, &groups);
        report.describe(&groups, &advantages);
        let view = StepView {
            progress: rollout.progress,
            groups: &groups,
            advantages: &advantages,
            max_response_len: self.settings.max_response_len,
        };
        let updates = self.method.updates(&view, &mut self.memory);
        report.set("batch/skipped", f64::from(u8::from(updates.is_empty())));
        let lr = self.settings.schedule.rate(step, self.settings.n_steps);
        report.set("actor/lr", lr);
        let mut n_trained = 0;
        // Updates of one optimiser are told together, those of the first one first.
        let mut measured: BTreeMap<OptimizerSlot, Metrics> = BTreeMap::new();
        for update in updates {
            let metrics = measured.entry(update.slot).or_default();
            n_trained += self.update(update, rollout.progress, lr, metrics)?;
        }
        for metrics in measured.values() {
            report.add_means(metrics);
        }
        if !self.memory.kept.is_empty() {
            report.set("batch/kept", self.memory.kept.len() as f64);
        }
        report.set("perf/tokens_trained", n_trained as f64);
        // Without an update too: what samplers and learners keep for the present step goes.
        self.publish()?;
        Ok(StepOutcome { report, graded: GradedStep { groups, advantages } })
    }

    /// Lets every learner compute the gradients of `rows` and throws them away: where memory does not reach for
    /// rows of this size, it shows now. Nothing of the state changes. Gives how many learners had no
    /// error.
    pub fn rehearse(&mut self, rows: &[Row], objective: &dyn Objective, scale: &Scale) -> usize {
        let units = vec![rows; self.learners.count()];
        let mut n_done = 0;
        self.learners.fold(
            &units,
            |learner, rows| learner.gradients(rows, objective, scale).is_ok(),
            |done| n_done += usize::from(done),
        );
        n_done
    }

    /// A copy of what must survive a restart.
    pub fn state(&mut self) -> TrainerState {
        TrainerState {
            learner: self.learners.first(|learner| learner.state()),
            memory: self.memory.clone(),
            version: self.version,
        }
    }

    /// Goes back to a state.
    ///
    /// # Errors
    /// If it does not fit the model.
    pub fn restore(&mut self, state: &TrainerState) -> Result<(), TrainError> {
        self.learners.first(|learner| learner.restore(&state.learner))?;
        self.memory = state.memory.clone();
        self.version = state.version;
        self.publish()
    }

    fn rollout_settings(&self, step: u64) -> RolloutSettings {
        RolloutSettings {
            seed: self.settings.seed,
            progress: Progress { step, n_steps: self.settings.n_steps },
            version: self.version,
            sampling: self.settings.sampling,
            max_response_len: self.settings.max_response_len,
            unit_prompts: self.settings.sample_unit_prompts,
        }
    }

    /// One optimiser step: gradients by unit, summed in unit order. Gives the number of tokens trained on.
    fn update(
        &mut self,
        update: Update,
        progress: Progress,
        lr: f64,
        measured: &mut Metrics,
    ) -> Result<u64, TrainError> {
        let Update { rows, objective, slot, lr_factor, shape } = update;
        let n_tokens = rows.iter().map(|row| row.row.n_learned() as u64).sum();
        let mut units = units(rows, self.settings.learn_unit_prompts.max(1));
        self.refer(&mut units)?;
        let scale = objective.scale(&shape);
        let mut sum = Ok((Gradients::default(), Metrics::default()));
        self.learners.fold(
            &units,
            |learner, rows| learner.gradients(rows, &*objective, &scale),
            |unit| match (&mut sum, unit) {
                (Ok((gradients, metrics)), Ok((unit_gradients, unit_metrics))) => {
                    gradients.accumulate(unit_gradients);
                    metrics.merge(&unit_metrics);
                }
                (Ok(_), Err(error)) => sum = Err(error),
                (Err(_), _) => {}
            },
        );
        let (gradients, mut metrics) = sum?;
        let lr = lr * lr_factor;
        let applied = self.learners.first(|learner| learner.apply(slot, gradients, lr))?;
        self.version += 1;
        self.share_weights()?;
        self.method.observe(progress, slot, &metrics, &mut self.memory);
        metrics.add("actor/grad_norm", applied.grad_norm, 1.0);
        measured.merge(&metrics);
        Ok(n_tokens)
    }

    /// Adds the log-probs of the reference weights to rows, where there are any: the learners hold those
    /// weights meanwhile.
    fn refer(&mut self, units: &mut [Vec<Row>]) -> Result<(), LearnError> {
        let Some(reference) = &self.reference else { return Ok(()) };
        let weights = self.learners.first(|learner| learner.weights());
        self.learners.each(|_, learner| learner.set_weights(reference))?;
        let scored = self.learners.map(units, |learner, rows| learner.score(rows));
        self.learners.each(|_, learner| learner.set_weights(&weights))?;
        for (row, logprobs) in units.iter_mut().flatten().zip(scored.into_iter().flatten()) {
            row.reference_logprobs = logprobs;
        }
        Ok(())
    }

    /// Gives every other learner the weights of the first.
    fn share_weights(&mut self) -> Result<(), LearnError> {
        if self.learners.count() == 1 {
            return Ok(());
        }
        let weights = self.learners.first(|learner| learner.weights());
        self.learners.each(|i, learner| if i == 0 { Ok(()) } else { learner.set_weights(&weights) })
    }

    /// Hands the weights to every learner and sampler.
    fn publish(&mut self) -> Result<(), TrainError> {
        self.share_weights()?;
        let weights = self.learners.first(|learner| learner.weights());
        let version = self.version;
        self.samplers
            .each(|_, sampler| sampler.publish(&weights, version))
            .map_err(TrainError::Publish)
    }
}

/// The rows of an update, `per_unit` neighbouring prompts a unit.
fn units(rows: Vec<UpdateRow>, per_unit: usize) -> Vec<Vec<Row>> {
    let mut units: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    for UpdateRow { group, row } in rows {
        units.entry(group as usize / per_unit).or_default().push(row);
    }
    units.into_values().collect()
}
