//! The part of the vocabulary that lives on burn tensors.

mod batch;
mod learner;
mod objective;
mod policy;
mod sampler;
mod update;
mod weights;

pub use batch::{MicroBatch, PackedRows, micro_batches};
pub use learner::{AdamWSettings, LearnError, Learner, LearnerState, OptimizerSlot, UpdateReport};
pub use objective::{
    LossOutput, MetricId, Metrics, Objective, Scale, Shaping, StepShape, TokenView,
};
pub use policy::{Cotangents, Decoder, Differentiable, Policy, TokenStats};
pub use sampler::Sampler;
pub use update::{Method, StepView, Update, UpdateRow};
pub use weights::{Gradient, Gradients, HostTensor, NamedTensor, Weights};
