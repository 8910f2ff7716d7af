//! The LUFFY step: prompts in, a better policy out.
//!
//! [`Trainer::step`] is the whole loop body, straight: plan, sample, grade, estimate advantages, make
//! updates, back-propagate, apply, publish. It holds [`luffy_core::Sampler`]s and
//! [`luffy_core::Learner`]s behind their traits, so it sees no model and no tensor operation, and it
//! never asks which [`luffy_core::Method`] it runs.
//!
//! Work is cut into units by the position of a prompt in the step and summed in that order, so any
//! number of [`Replicas`] gives the same bytes.

mod evaluate;
mod replicas;
mod report;
mod rollout;
mod schedule;
mod similarity;
mod trainer;

pub use evaluate::{Count, EvalAnswer, EvalReport, EvalSettings};
pub use replicas::Replicas;
pub use report::StepReport;
pub use schedule::{Decay, Schedule};
pub use similarity::rouge_l;
pub use trainer::{
    GradedStep, Grader, StepOutcome, TrainError, Trainer, TrainerSettings, TrainerState, Workers,
};
