//! The order of training data.

use luffy_core::{Purpose, StreamKey};

/// The endless sequence of positions that training walks along: one permutation of all prompts after
/// another, each drawn from the seed and the epoch's number.
///
/// There is no state: which prompts a step takes follows from its number, so a resumed run needs nothing
/// but the step. (The reference keeps a sampler in its checkpoints for this.)
///
/// ```
/// use luffy_data::EpochOrder;
///
/// let order = EpochOrder { n: 10, seed: 7 };
/// assert_eq!(order.batch(3, 4), order.batch(3, 4));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochOrder {
    /// Number of prompts.
    pub n: usize,
    /// The run's seed.
    pub seed: u64,
}

impl EpochOrder {
    /// The positions of step `step` (counted from 0) with `size` prompts a step: elements
    /// `step * size ..` of the sequence. A batch may reach over the end of an epoch, and then hold a
    /// position twice.
    ///
    /// # Panics
    /// If there are no prompts, or the sequence is left (`step * size` above 2^64).
    pub fn batch(&self, step: u64, size: usize) -> Vec<usize> {
        assert!(self.n > 0, "an order needs at least one prompt");
        let n = self.n as u64;
        let start = step.checked_mul(size as u64).expect("a run stays below 2^64 prompts");
        let end = start.checked_add(size as u64).expect("a run stays below 2^64 prompts");
        let mut batch = Vec::with_capacity(size);
        let mut at = start;
        while at < end {
            let (epoch, offset) = (at / n, (at % n) as usize);
            let len = (end - at).min(n - at % n) as usize;
            batch.extend_from_slice(&self.permutation(epoch)[offset..offset + len]);
            at += len as u64;
        }
        batch
    }

    /// The epoch in which step `step` begins, counted from 0.
    ///
    /// # Panics
    /// If there are no prompts.
    pub fn epoch(&self, step: u64, size: usize) -> u64 {
        assert!(self.n > 0, "an order needs at least one prompt");
        step.saturating_mul(size as u64) / self.n as u64
    }

    fn permutation(&self, epoch: u64) -> Vec<usize> {
        let key = StreamKey {
            seed: self.seed,
            purpose: Purpose::Order,
            step: epoch,
            prompt: 0,
            member: 0,
        };
        key.stream().permutation(self.n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_epoch_holds_every_position_once(
            n in 1_usize..40, size in 1_usize..60, seed in 0_u64..99,
        ) {
            let order = EpochOrder { n, seed };
            let n_steps = (3 * n).div_ceil(size) as u64;
            let sequence: Vec<usize> =
                (0..n_steps).flat_map(|step| order.batch(step, size)).collect();
            for epoch in sequence.chunks_exact(n) {
                let mut sorted = epoch.to_vec();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>());
            }
        }

        #[test]
        fn a_batch_is_a_window_of_one_sequence(
            n in 1_usize..40, size in 1_usize..60, seed in 0_u64..99, step in 0_u64..20,
        ) {
            let order = EpochOrder { n, seed };
            let whole = order.batch(0, size * 21);
            let start = step as usize * size;
            prop_assert_eq!(order.batch(step, size), &whole[start..start + size]);
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let order = EpochOrder { n: 30, seed: 1 };
        assert_ne!(order.batch(0, 30), order.batch(1, 30));
        assert_ne!(order.batch(0, 30), EpochOrder { n: 30, seed: 2 }.batch(0, 30));
        assert_eq!((order.epoch(2, 20), order.epoch(1, 29)), (1, 0));
    }
}
