//! The parts of the `luffy` program: configuration, assembly, run directory, statistics and report.
//!
//! This crate alone sees all the others, reads files named by a user, the environment and the clock.

pub mod atomic;
pub mod base;
mod clock;
pub mod commands;
pub mod compare;
pub mod config;
mod crash;
pub mod device;
mod eval;
pub mod exit;
mod generate;
mod grade;
pub mod jsonl;
pub mod layers;
pub mod machine;
mod meter;
mod model;
pub mod progress;
pub mod report;
mod rows;
pub mod run;
mod score;
pub mod stats;
pub mod table;
mod tokenize;
