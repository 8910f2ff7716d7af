//! The parts of the `luffy` program: configuration, assembly, run directory, statistics and report.
//!
//! This crate alone sees all the others, reads files named by a user, the environment and the clock.

pub mod atomic;
pub mod base;
mod clock;
pub mod commands;
pub mod compare;
pub mod config;
mod conformance;
mod crash;
mod data;
pub mod device;
mod eval;
pub mod exit;
mod export;
mod fnv;
mod generate;
mod grade;
mod init;
pub mod jsonl;
pub mod layers;
pub mod machine;
mod measure;
mod meter;
mod model;
pub mod paired;
mod plan;
pub mod progress;
pub mod report;
mod reproduce;
mod rows;
pub mod run;
mod score;
pub mod stats;
pub mod stdout;
pub mod table;
mod tokenize;
