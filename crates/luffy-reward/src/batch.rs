//! Many responses at once.

use luffy_core::{Response, Task, Verdict, Verifier};
use rayon::prelude::*;

/// The verdicts on a batch, in its order, computed on all threads of the current rayon pool.
///
/// A verdict depends on its own row alone, so the result is that of a loop.
///
/// ```
/// use luffy_core::{Outcome, Response, Task};
/// use luffy_reward::{Format, MathVerifier, Profile, verify_batch};
///
/// let task = Task {
///     id: "example:0".into(),
///     source: "example".into(),
///     messages: vec![],
///     golds: vec![r"\frac{1}{2}".into()],
///     demonstrations: vec![],
///     extra: serde_json::Map::new(),
/// };
/// let batch = [(&task, Response::complete(r"\boxed{0.5}")), (&task, Response::complete(r"\boxed{2}"))];
/// let verdicts = verify_batch(&MathVerifier::new(Profile::Training, Format::Plain), &batch);
/// assert_eq!(verdicts[0].outcome(), Outcome::Correct);
/// assert_eq!(verdicts[1].outcome(), Outcome::Incorrect);
/// ```
pub fn verify_batch(verifier: &dyn Verifier, batch: &[(&Task, Response<'_>)]) -> Vec<Verdict> {
    // A check takes microseconds: a thread takes several at a time.
    batch
        .par_iter()
        .with_min_len(16)
        .map(|(task, response)| verifier.verify(task, response))
        .collect()
}
