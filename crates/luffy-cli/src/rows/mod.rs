//! Rows of JSONL on their way through a command: read by chunks, passed on to the letter, written in order.

mod fields;
mod given;
mod stream;

pub(crate) use fields::{Fields, RowWriter, json, write_field};
pub(crate) use given::{Given, Words};
pub(crate) use stream::{IoArgs, Line, Rows, Worked};
