//! What holds for any answer: generated formulas in generated spellings.
//!
//! The judge is independent of the grader: a formula is a tree, two trees are equal because one is made
//! of the other by a rule, and differ because plain f64 evaluation of the trees says so.

mod expression; // trees, how they are written, what they are worth
mod lists; // order, further and missing elements
mod near; // what is almost right is wrong
mod rewritings; // one value in many spellings
mod verdicts; // threads, repetition, budgets

use luffy_reward::equal;
use proptest::prelude::*;

/// As many cases as keep each test below a second or so.
fn config() -> ProptestConfig {
    ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }
}

/// Both ways round.
fn same(one: &str, other: &str) -> Result<(), TestCaseError> {
    prop_assert!(equal(one, other), "{} | {}", one, other);
    prop_assert!(equal(other, one), "{} | {}", other, one);
    Ok(())
}

/// Both ways round.
fn apart(one: &str, other: &str) -> Result<(), TestCaseError> {
    prop_assert!(!equal(one, other), "{} | {}", one, other);
    prop_assert!(!equal(other, one), "{} | {}", other, one);
    Ok(())
}
