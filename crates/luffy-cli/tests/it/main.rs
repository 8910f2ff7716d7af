//! The program from outside, in reading order.

mod data; // files in: columns, counts, conversion, preparation
mod golds; // every gold against every gold: only the known pairs are equal
mod grade; // responses in, the same rows with verdicts out
mod learns; // every crate together: a demonstration is learned
mod resume; // killed at any moment, a run continues to the same bytes
mod sources; // several data files with weights; template and format that disagree
