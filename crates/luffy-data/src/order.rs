//! The order of training data.

use luffy_core::{Purpose, StreamKey};

use crate::DataError;

/// The endless sequence of positions that training walks along, epoch after epoch.
///
/// Prompts come in sources, one after the other: source 0 has the first positions, source 1 the next.
/// A source of `n` prompts with weight `w` gives `k = max(1, round(w n))` draws to every epoch, so an
/// epoch is `sum k` draws long and holds the sources in exactly these shares. Weight 1 is every prompt
/// once, 2 every prompt twice, 0.3 three prompts in ten. Within a source nothing is drawn again before
/// all others were drawn as often: what an epoch leaves out comes next in the following ones, in a
/// shuffled round of its own. The draws of an epoch are shuffled as a whole.
///
/// There is no state: which prompts a step takes follows from seed, step and the sources, so a resumed
/// run needs nothing but the step, and replicas do not matter. (The reference keeps a sampler in its
/// checkpoints for this.)
///
/// ```
/// use luffy_data::EpochOrder;
///
/// let order = EpochOrder::new(10, 7);
/// assert_eq!(order.batch(3, 4), order.batch(3, 4));
///
/// // Ten prompts once and three of the twenty that follow.
/// let order = EpochOrder::weighted(&[(10, 1.0), (20, 0.15)], 7)?;
/// let epoch = order.batch(0, 13);
/// assert_eq!(epoch.iter().filter(|position| **position >= 10).count(), 3);
/// # Ok::<(), luffy_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochOrder {
    sources: Vec<Share>,
    seed: u64,
}

/// One source: its prompts, and its draws in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    n: u64,
    draws: u64,
}

/// Largest weight: beyond, an epoch says nothing any more.
const MAX_WEIGHT: f64 = 1000.0;

impl EpochOrder {
    /// `n` prompts, each once in an epoch.
    pub fn new(n: usize, seed: u64) -> Self {
        Self { sources: vec![Share { n: n as u64, draws: n as u64 }], seed }
    }

    /// Sources as `(number of prompts, weight)`. One without prompts gives no draws.
    ///
    /// # Errors
    /// If a weight is not above 0 and at most 1000.
    pub fn weighted(sources: &[(usize, f64)], seed: u64) -> Result<Self, DataError> {
        let share = |&(n, weight): &(usize, f64)| {
            if !(weight > 0.0 && weight <= MAX_WEIGHT) {
                return Err(DataError::Weight { weight });
            }
            #[expect(clippy::cast_sign_loss, reason = "a weight is positive")]
            let draws = if n == 0 { 0 } else { ((n as f64 * weight).round() as u64).max(1) };
            Ok(Share { n: n as u64, draws })
        };
        Ok(Self { sources: sources.iter().map(share).collect::<Result<_, _>>()?, seed })
    }

    /// Draws in an epoch.
    pub fn epoch_len(&self) -> u64 {
        self.sources.iter().map(|source| source.draws).sum()
    }

    /// The positions of step `step` (counted from 0) with `size` prompts a step: elements
    /// `step * size ..` of the sequence. A batch may reach over the end of an epoch, and then hold a
    /// position twice.
    ///
    /// # Panics
    /// If there are no prompts, or the sequence is left (`step * size` above 2^64).
    pub fn batch(&self, step: u64, size: usize) -> Vec<usize> {
        let n = self.epoch_len();
        assert!(n > 0, "an order needs at least one prompt");
        let start = step.checked_mul(size as u64).expect("a run stays below 2^64 prompts");
        let end = start.checked_add(size as u64).expect("a run stays below 2^64 prompts");
        let mut batch = Vec::with_capacity(size);
        let mut at = start;
        while at < end {
            let (epoch, offset) = (at / n, (at % n) as usize);
            let len = (end - at).min(n - at % n) as usize;
            let draws = self.draws(epoch);
            let order = self.permutation(epoch, 0, n as usize);
            batch.extend(order[offset..offset + len].iter().map(|&slot| draws[slot]));
            at += len as u64;
        }
        batch
    }

    /// The epoch in which step `step` begins, counted from 0.
    ///
    /// # Panics
    /// If there are no prompts.
    pub fn epoch(&self, step: u64, size: usize) -> u64 {
        assert!(self.epoch_len() > 0, "an order needs at least one prompt");
        step.saturating_mul(size as u64) / self.epoch_len()
    }

    /// The positions of an epoch, source by source, not yet shuffled.
    fn draws(&self, epoch: u64) -> Vec<usize> {
        let mut draws = Vec::new();
        let mut first = 0;
        for (source, &Share { n, draws: k }) in (1..).zip(&self.sources) {
            if k > 0 {
                // Whole rounds need no choice. What is left over walks through rounds of its own.
                draws.extend((0..k / n * n).map(|i| (first + i % n) as usize));
                let mut at = epoch * (k % n);
                let end = at + k % n;
                while at < end {
                    let round = self.permutation(at / n, source, n as usize);
                    let len = (end - at).min(n - at % n);
                    let window = &round[(at % n) as usize..(at % n + len) as usize];
                    draws.extend(window.iter().map(|i| first as usize + i));
                    at += len;
                }
            }
            first += n;
        }
        draws
    }

    /// Permutation `round` of `n`; `source` 0 is the epoch as a whole, the sources count from 1.
    fn permutation(&self, round: u64, source: u64, n: usize) -> Vec<usize> {
        let key = StreamKey {
            seed: self.seed,
            purpose: Purpose::Order,
            step: round,
            prompt: source,
            member: 0,
        };
        key.stream().permutation(n)
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
            let order = EpochOrder::new(n, seed);
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
            n in 1_usize..40, m in 0_usize..20, size in 1_usize..60, seed in 0_u64..99,
            step in 0_u64..20,
        ) {
            let order = EpochOrder::weighted(&[(n, 1.0), (m, 0.4)], seed).unwrap();
            let whole = order.batch(0, size * 21);
            let start = step as usize * size;
            prop_assert_eq!(order.batch(step, size), &whole[start..start + size]);
        }

        #[test]
        fn shares_are_exact_and_no_prompt_falls_behind(
            a in 1_usize..20, b in 1_usize..20, percent in 1_u32..350, seed in 0_u64..99,
        ) {
            let weight = f64::from(percent) / 100.0;
            let order = EpochOrder::weighted(&[(a, 1.0), (b, weight)], seed).unwrap();
            let len = order.epoch_len() as usize;
            let draws = usize::try_from((b as f64 * weight).round() as i64).unwrap().max(1);
            prop_assert_eq!(len, a + draws);
            let mut counts = vec![0_u32; a + b];
            for epoch in order.batch(0, 7 * len).chunks_exact(len) {
                let of_b = epoch.iter().filter(|i| **i >= a).count();
                prop_assert_eq!(of_b, draws);
                for &i in epoch {
                    counts[i] += 1;
                }
                // At every end of an epoch the prompts of a source differ by one draw at most.
                for part in [&counts[..a], &counts[a..]] {
                    let (low, high) = (part.iter().min().unwrap(), part.iter().max().unwrap());
                    prop_assert!(high - low <= 1, "{:?}", part);
                }
            }
            prop_assert!(counts[..a].iter().all(|count| *count == 7));
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let order = EpochOrder::new(30, 1);
        assert_ne!(order.batch(0, 30), order.batch(1, 30));
        assert_ne!(order.batch(0, 30), EpochOrder::new(30, 2).batch(0, 30));
        assert_eq!((order.epoch(2, 20), order.epoch(1, 29)), (1, 0));
    }

    #[test]
    fn sources_of_weight_one_are_one_source() {
        let parts = EpochOrder::weighted(&[(7, 1.0), (0, 1.0), (13, 1.0)], 3).unwrap();
        assert_eq!(parts.batch(5, 9), EpochOrder::new(20, 3).batch(5, 9));
    }

    #[test]
    fn a_left_over_prompt_comes_in_a_later_epoch() {
        let order = EpochOrder::weighted(&[(10, 0.5)], 3).unwrap();
        let mut two_epochs = order.batch(0, 10);
        assert_ne!(two_epochs, EpochOrder::new(10, 3).batch(0, 10));
        two_epochs.sort_unstable();
        assert_eq!(two_epochs, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_weight_that_means_nothing_is_an_error() {
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 1000.5] {
            let error = EpochOrder::weighted(&[(5, 1.0), (5, weight)], 0).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("weight {weight} of a data file: expected above 0 and at most 1000")
            );
        }
    }
}
