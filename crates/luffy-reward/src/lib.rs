//! Format and answer checking: text in, verdict out, no tensor anywhere.
//!
//! A check has three parts, each of them total and linear in what it reads: [`Format`] says which part
//! of a response is graded, [`last_boxed`] takes the answer out of it, and [`equal`] compares it with a
//! gold answer. [`MathVerifier`] puts them together; [`GradingValues`] turns its verdicts into rewards.
//!
//! ```
//! use luffy_core::{Outcome, Response, Task, Verifier};
//! use luffy_reward::{Format, GradingValues, MathVerifier, Profile};
//!
//! let task = Task {
//!     id: "example:0".into(),
//!     source: "example".into(),
//!     messages: vec![],
//!     golds: vec!["1000".into()],
//!     demonstrations: vec![],
//!     extra: serde_json::Map::new(),
//! };
//! let verifier = MathVerifier::new(Profile::Training, Format::Think);
//! let response = Response::complete(r"add them up</think> It is \boxed{1,000.0}.");
//! let verdict = verifier.verify(&task, &response);
//! assert_eq!(verdict.outcome(), Outcome::Correct);
//! assert_eq!(GradingValues::default().reward(&verdict), Some(1.0));
//! ```

mod ball;
mod batch;
mod budget;
mod choice;
mod compare;
mod equal;
mod exact_match;
mod extract;
mod format;
mod graded;
mod grading;
mod math;
mod profile;
mod read;
mod reference;
pub mod rules;
mod seed;

pub use batch::verify_batch;
pub use choice::ChoiceVerifier;
pub use equal::{Equality, equal};
pub use exact_match::{ExactMatchVerifier, Place};
pub use extract::{Extraction, last_boxed};
pub use format::Format;
pub use grading::GradingValues;
pub use math::{DEFAULT_MAX_STEPS, MathVerifier};
pub use profile::Profile;
pub use reference::{ReferenceVerifier, ReferenceVersion};
