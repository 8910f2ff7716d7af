//! What the tests of comparisons share.

use super::{Comparer, Decision, Means};
use crate::Equality;
use crate::budget::Budget;
use crate::read::{Ast, NodeId, lex, parse};

/// An expression that was read from a test's text.
pub(super) fn read(text: &str, ast: &mut Ast) -> NodeId {
    let (tokens, _) = lex(text, true);
    parse(&tokens, ast, &mut budget()).unwrap_or_else(|stop| panic!("{stop:?}: {text}"))
}

pub(super) fn budget() -> Budget {
    Budget::new(crate::DEFAULT_MAX_STEPS)
}

pub(super) fn decide(gold: &str, answer: &str, rules: Equality) -> Decision {
    let mut ast = Ast::default();
    let (gold, answer) = (read(gold, &mut ast), read(answer, &mut ast));
    Comparer { ast: &mut ast, budget: &mut budget(), rules }
        .equal(gold, answer)
        .expect("a test is within the budget")
}

/// By the default rules.
pub(super) fn check(gold: &str, answer: &str, expected: Decision) {
    assert_eq!(decide(gold, answer, Equality::default()), expected, "{gold} | {answer}");
}

/// Both ways round.
pub(super) fn same(one: &str, other: &str) {
    for (gold, answer) in [(one, other), (other, one)] {
        let decision = decide(gold, answer, Equality::default());
        assert!(decision.is_equal(), "{decision:?}: {gold} | {answer}");
    }
}

/// Both ways round, and for certain.
pub(super) fn differ(one: &str, other: &str) {
    check(one, other, Decision::Different);
    check(other, one, Decision::Different);
}

pub(super) const IDENTICAL: Decision = Decision::Equal(Means::Identical);
pub(super) const EXACT: Decision = Decision::Equal(Means::Exact);
pub(super) const SYMBOLIC: Decision = Decision::Equal(Means::Symbolic);
pub(super) const NUMERIC: Decision = Decision::Equal(Means::Numeric);
