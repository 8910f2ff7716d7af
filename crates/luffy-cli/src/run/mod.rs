//! A training run and its directory.
//!
//! ```text
//! config.toml          the resolved configuration
//! run.json             versions, commit, machine, command
//! metrics.jsonl        one row per step and evaluation; the same bytes for the same seed
//! timing.jsonl         seconds and tokens per second by step, kept apart because they differ
//! rollouts/            every trajectory of a step with verdict, reward and advantage
//! answers.jsonl.zst    every answer of the last evaluation
//! checkpoints/         step-000050/{hf/, optimizer.safetensors, state.json} and `latest`
//! data/ base/          what a built-in task generated
//! summary.json         accuracy before and after, seconds, peak memory
//! report.html          the same for people
//! log.txt              what was printed about data and model
//! ```

mod checkpoint;
mod digest;
mod directory;
mod prompts;
mod rows;
mod setup;
mod summary;
mod train;

pub(crate) use directory::stored_config;
pub use directory::{RunDir, free_run_dir};
pub use summary::{EvalCounts, Summary};
pub use train::{Outcome, RunOptions, resume, train};

pub(crate) use prompts::TEST_SEED;
pub(crate) use setup::{n_samplers, validate};
pub(crate) use train::ANSWERS;
