//! How much work a check may do.

/// Steps left to a check. Every loop whose length an answer decides charges it, so a check ends after
/// the same number of steps on every machine, whatever was answered.
///
/// One step is about ten nanoseconds of work: one token, one node, one limb of a long multiplication.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    total: u64,
    left: u64,
}

/// Why a computation gave no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The steps are used up.
    OverBudget,
    /// The value does not exist, such as 1/0.
    Undefined,
    /// There may be a value, but it is not known how, or not known well enough, to say which.
    Unknown,
}

/// What a computation gave, if anything; only a spent budget stops what asked for it.
pub(crate) fn known<T>(result: Result<T, Stop>) -> Result<Option<T>, Stop> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Stop::OverBudget) => Err(Stop::OverBudget),
        Err(Stop::Undefined | Stop::Unknown) => Ok(None),
    }
}

impl Budget {
    pub(crate) fn new(total: u64) -> Self {
        Self { total, left: total }
    }

    /// Takes `steps` off what is left.
    pub(crate) fn charge(&mut self, steps: u64) -> Result<(), Stop> {
        if let Some(left) = self.left.checked_sub(steps) {
            self.left = left;
            return Ok(());
        }
        self.left = 0;
        Err(Stop::OverBudget)
    }

    /// Steps taken so far; never more than the total.
    pub(crate) fn used(&self) -> u64 {
        self.total - self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_never_exceeded() {
        let mut budget = Budget::new(10);
        assert_eq!(budget.charge(4), Ok(()));
        assert_eq!(budget.used(), 4);
        assert_eq!(budget.charge(6), Ok(()));
        assert_eq!(budget.charge(1), Err(Stop::OverBudget));
        assert_eq!(budget.used(), 10);
        assert_eq!(budget.charge(u64::MAX), Err(Stop::OverBudget));
        assert_eq!(budget.used(), 10);
    }
}
