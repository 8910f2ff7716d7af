//! Decoder-only language models on burn: Hugging Face folders in and out, scoring, decoding, learning.
//!
//! - [`load_pretrained`] and [`save_pretrained`] read and write folders as `transformers` does;
//! - [`CausalLm`] implements [`luffy_core::Policy`] and [`luffy_core::Differentiable`]: log-probs and entropies
//!   of given tokens, and gradients from their cotangents, without a tensor over tokens and vocabulary;
//! - [`LmDecoder`] implements [`luffy_core::Decoder`] on the same weights, without a graph;
//! - [`Activations`] are handed from decoding to the update on the same weights;
//! - [`ReplicaLearner`] implements [`luffy_core::Learner`] with an `AdamW` whose state is keyed by name;
//! - [`Bigram`] is the smallest policy, for tests.
//!
//! The families are Qwen2 (and 2.5), Llama (2 and 3), Qwen3, and Mistral without a sliding window: `RMSNorm`,
//! rotate-half `RoPE` (plain, linear or llama3), grouped-query attention of any ratio, `SwiGLU`, head tied or not.
//! No backend is named here; the device decides.

#![allow(clippy::cast_possible_wrap, reason = "token ids and positions are far below 2^63")]
#![allow(clippy::cast_sign_loss, reason = "token ids and places are not negative")]

mod activations;
mod adamw;
mod bigram;
mod config;
mod decode;
mod error;
mod files;
mod head;
mod init;
mod layer;
mod learner;
mod model;
mod named;
mod recall;
mod score;
mod trace;

pub use activations::Activations;
pub use bigram::Bigram;
pub use config::{Biases, Family, FrequencyRounding, ModelConfig, RopeConfig, RopeScaling};
pub use decode::{DecodeCache, LmDecoder};
pub use error::PolicyError;
pub use files::{
    FileDtype, SaveOptions, convert_pretrained, copy_side_files, load_model, load_pretrained,
    load_weights, read_tensors, read_weights, save_pretrained, write_tensors,
};
pub use init::{init_weights, parameter_shapes};
pub use learner::ReplicaLearner;
pub use model::CausalLm;
pub use named::{gradients_of, load_named, to_device, to_host, trainable, weights_of};
pub use score::token_statistics;
pub use trace::Tape;
