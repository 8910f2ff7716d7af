//! Tasks that come with the project: generators from `(seed, index)` and preparations of known files.

pub mod addition;
pub mod gsm8k;
pub mod openr1;
