//! The operations of a decoder-only language model on burn tensors.
//!
//! Each operation has a composed form, made of burn's own operations, that runs on every backend and carries
//! a graph on an autodiff device. With the feature `flex`, plain `f32` tensors of burn's CPU backend take a
//! fused form instead: one pass over the values where the composition takes five to twelve, and vector
//! instructions where burn calls `exp` number by number. Each operation with a `_backward` has its way back
//! in closed form; elsewhere the way back is the graph of the composed form. Both forms agree to rounding;
//! tests hold them against one another and against finite differences.
//!
//! Sequences lie one after the other without padding ([`luffy_core::Packing`]), and sequences that begin alike may share
//! that beginning.
//!
//! This crate is the one place in the workspace with `unsafe` code: matrix products, behind checks
//! of every bound, into buffers that are not filled with zeros before (`gemm.rs`, `blocked.rs`, `packed.rs`); their
//! tiles in vector instructions (`tile.rs`); calls of functions compiled for instructions that the processor was
//! asked for (`simd.rs`); and the allocator and the calls that tune it (`allocator.rs`).

#![allow(
    clippy::inline_always,
    reason = "what a vector function calls is compiled along only if inlined"
)]
#![allow(clippy::needless_range_loop, reason = "loops over lanes become vector code in this form")]
#![allow(clippy::cast_sign_loss, reason = "token ids, places and strides are not negative")]

mod adamw;
mod allocator;
mod attention;
#[cfg(feature = "flex")]
mod blocked;
mod cache;
mod collect;
mod compose;
#[cfg(feature = "flex")]
mod gemm;
mod heads;
#[cfg(feature = "flex")]
mod host;
mod linear;
mod norm;
mod packed;
mod rotary;
mod same;
mod scores;
mod simd;
mod swiglu;
#[cfg(feature = "flex")]
mod tile;

pub use adamw::{AdamWRule, adamw_step, sum_of_squares};
pub use allocator::{LineAllocator, keep_large_blocks};
pub use attention::{Attended, attention, attention_backward};
pub use cache::KvCache;
pub use collect::collect_rows;
pub use heads::HeadShape;
pub use linear::{
    add_rows, add_rows_squares, linear, linear_add, linear_backward, matmul, matmul_add,
    matmul_squares,
};
pub use norm::{rms_norm, rms_norm_backward};
pub use packed::PackedMatrix;
pub use rotary::Rotation;
pub use same::is_same_buffer;
pub use scores::{TokenScores, token_scores, token_scores_backward};
pub use simd::softmax_weights;
pub use swiglu::{swiglu, swiglu_backward};

/// Matrices of tests lie in lines of the cache where their sizes allow it, as in the program.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: LineAllocator = LineAllocator;
