//! Rows of JSONL on their way through a command: read by chunks, passed on to the letter, written in order.

mod fields;
mod given;
mod lines;
mod stream;

pub(crate) use fields::{Fields, RowWriter, json};
pub(crate) use given::{Given, Words};
pub(crate) use lines::{Line, Lines};
pub(crate) use stream::{IoArgs, Rows, Worked};
