//! The nouns and traits every LUFFY crate shares.
//!
//! Data flows one way, one type per stage:
//!
//! ```text
//! Task -> Prompt -> Group (Trajectory ...) -> GradedGroup -> Row -> MicroBatch -> LossOutput -> Gradients -> Weights
//! ```
//!
//! Without the feature `tensor` (on by default) the crate holds plain data only and builds without
//! burn: that is all an answer checker or a data reader needs.
//! No algorithm lives here; the crates beside this one implement the traits and never meet.

mod codec;
pub mod durable;
mod graded;
mod method;
mod packing;
mod prompt;
mod row;
mod sampling;
mod stream;
mod task;
mod trajectory;
mod verdict;

pub use codec::{CodecError, TextCodec};
pub use graded::{AdvantageEstimator, GradedGroup, TokenRuns};
pub use method::{GroupPlan, KeptRow, MemberPlan, MethodMemory, PlanRequest, Progress};
pub use packing::{Packing, Segment};
pub use prompt::{Prompt, TokenizedDemonstration};
pub use row::Row;
pub use sampling::{SampleError, SampleRequest, Sampling};
pub use stream::{Purpose, Stream, StreamKey};
pub use task::{Demonstration, Message, Task};
pub use trajectory::{Behavior, FinishReason, Group, Origin, Span, Trajectory};
pub use verdict::{Extracted, Outcome, Reason, Response, Verdict, Verifier};

#[cfg(feature = "tensor")]
mod tensor;
#[cfg(feature = "tensor")]
pub use tensor::*;
