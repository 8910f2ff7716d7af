//! Decoder-only language models on burn: Hugging Face folders in and out, scoring, decoding, learning.
//!
//! - [`load_pretrained`] and [`save_pretrained`] read and write folders as `transformers` does;
//! - [`CausalLm`] implements [`luffy_core::Policy`]: log-probs and entropies of given tokens;
//! - [`LmDecoder`] implements [`luffy_core::Decoder`] on the same weights, without a graph;
//! - [`ReplicaLearner`] implements [`luffy_core::Learner`] with an `AdamW` whose state is keyed by name;
//! - [`Bigram`] is the smallest policy, for tests.
//!
//! The family is Qwen2 (and Qwen2.5): `RMSNorm`, rotate-half `RoPE`, grouped-query attention, `SwiGLU`, biases
//! on q, k and v, head tied or not. No backend is named here; the device decides.

#![allow(clippy::cast_possible_wrap, reason = "token ids and positions are far below 2^63")]

mod adamw;
mod attention;
mod bigram;
mod checkpoint;
mod config;
mod decode;
mod error;
mod init;
mod learner;
mod model;
mod named;
mod rope;
mod score;

pub use bigram::Bigram;
pub use checkpoint::{
    load_pretrained, load_weights, read_tensors, read_weights, save_pretrained, write_tensors,
};
pub use config::ModelConfig;
pub use decode::{KvCache, LmDecoder};
pub use error::PolicyError;
pub use init::init_weights;
pub use learner::ReplicaLearner;
pub use model::CausalLm;
pub use named::{gradients_of, load_named, to_device, to_host, trainable, weights_of};
