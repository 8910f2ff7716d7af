//! What both `cargo fuzz` and the harness on stable do with an input: make a case of it, grade the case,
//! and check what must hold for every case.

mod case;
mod checks;
mod mutate;
mod seeds;

pub(crate) use case::{Case, Target};
pub(crate) use checks::check;
#[allow(unused_imports, reason = "the targets of cargo-fuzz have libFuzzer choose")]
pub(crate) use mutate::token;
