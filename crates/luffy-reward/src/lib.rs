//! Format and answer checking: text in, verdict out, no tensor anywhere.
//!
//! A check has three parts, each of them total and linear in what it reads: [`Format`] says which part
//! of a response is graded, [`last_boxed`] takes the answer out of it, and [`equal`] compares it with a
//! gold answer. [`MathVerifier`] puts them together; [`GradingValues`] turns its verdicts into rewards.
//!
//! ```
//! use luffy_core::{Outcome, Response, Task, Verifier};
//! use luffy_reward::{Format, GradingValues, MathVerifier};
//!
//! let task = Task {
//!     id: "example:0".into(),
//!     source: "example".into(),
//!     messages: vec![],
//!     golds: vec!["1000".into()],
//!     demonstrations: vec![],
//!     extra: serde_json::Map::new(),
//! };
//! let verifier = MathVerifier { format: Format::Think, require_stop: true };
//! let response = Response::complete(r"add them up</think> It is \boxed{1,000.0}.");
//! let verdict = verifier.verify(&task, &response);
//! assert_eq!(verdict.outcome, Outcome::Correct);
//! assert_eq!(GradingValues::default().reward(&verdict), Some(1.0));
//! ```

mod equal;
mod extract;
mod format;
mod grading;
mod math;

pub use equal::equal;
pub use extract::last_boxed;
pub use format::Format;
pub use grading::GradingValues;
pub use math::MathVerifier;
