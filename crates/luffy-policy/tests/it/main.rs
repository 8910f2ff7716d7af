//! The policy against transformers and PyTorch, and against itself.

mod activations;
mod adamw; // optimiser state, divergence, resume
mod bigram; // the smallest policy against its closed form
mod configs; // published configurations, and what is refused
mod conformance; // logits, log-probs, greedy tokens and training steps of transformers
mod decode; // sampling and scoring agree
mod errors; // damaged folders and their messages
mod files; // folders that do not fit are refused by name
mod fixture; // the checkpoint and what transformers computed with it
mod gradients; // the two-stage backward is the direct one; padding and micro-batches do not matter
mod memory; // recomputation, chunks and blocks change nothing
mod untied; // a head of its own, shards, bfloat16

/// Matrices lie in lines of the cache, as in the program.
#[global_allocator]
static ALLOCATOR: luffy_kernels::LineAllocator = luffy_kernels::LineAllocator;
