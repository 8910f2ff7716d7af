//! Whether two expressions mean the same.

mod canon;
mod exact;
#[cfg(test)]
mod fixtures;
mod matrix;
mod modular;
mod numeric;
mod point;
mod relation;
mod scalar;
mod sets;
mod shape;
mod unit;

use crate::Equality;
use crate::budget::{Budget, Stop, known};
use crate::read::{Ast, NodeId};

/// How two answers were found equal, the surest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Means {
    /// Written alike.
    Identical,
    Exact,
    Symbolic,
    Numeric,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Equal(Means),
    Different,
    Undecided,
}

impl Decision {
    /// Both must hold.
    fn and(self, other: impl FnOnce() -> Result<Self, Stop>) -> Result<Self, Stop> {
        match self {
            Self::Different => Ok(Self::Different),
            Self::Undecided => Ok(match other()? {
                Self::Different => Self::Different,
                _ => Self::Undecided,
            }),
            Self::Equal(means) => Ok(match other()? {
                Self::Equal(other) => Self::Equal(Means::max(means, other)),
                unequal => unequal,
            }),
        }
    }

    /// One is enough.
    fn or(self, other: impl FnOnce() -> Result<Self, Stop>) -> Result<Self, Stop> {
        match self {
            Self::Equal(_) => Ok(self),
            _ => Ok(match (self, other()?) {
                (_, Self::Equal(means)) => Self::Equal(means),
                (Self::Different, Self::Different) => Self::Different,
                _ => Self::Undecided,
            }),
        }
    }

    pub(crate) fn is_equal(self) -> bool {
        matches!(self, Self::Equal(_))
    }
}

/// Compares expressions of one [`Ast`].
pub(crate) struct Comparer<'a> {
    pub(crate) ast: &'a mut Ast,
    pub(crate) budget: &'a mut Budget,
    pub(crate) rules: Equality,
}

impl Comparer<'_> {
    /// Whether `answer` is as good as `gold`.
    ///
    /// # Errors
    ///
    /// [`Stop::OverBudget`] only.
    pub(crate) fn equal(&mut self, gold: NodeId, answer: NodeId) -> Result<Decision, Stop> {
        Ok(known(self.shapes(gold, answer))?.unwrap_or(Decision::Undecided))
    }
}
