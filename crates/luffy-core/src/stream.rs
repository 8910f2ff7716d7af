//! Randomness as a pure function of what it is for.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// What a draw is for. Two purposes never share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Purpose {
    /// Initial weights.
    Init = 1,
    /// Order of the training data.
    Order = 2,
    /// Tokens of a training rollout.
    Rollout = 3,
    /// Tokens of an evaluation, or of a generation outside of any run.
    Evaluation = 4,
    /// Built-in task generators.
    Generate = 5,
    /// Which demonstration a group gets.
    Demonstration = 6,
    /// Resampling in statistics.
    Bootstrap = 7,
}

/// Names one stream of random numbers: equal keys give equal numbers, on any machine, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamKey {
    /// The run's seed.
    pub seed: u64,
    /// What it is for.
    pub purpose: Purpose,
    /// Step of the run.
    pub step: u64,
    /// Position of the prompt in the data.
    pub prompt: u64,
    /// Member of the group.
    pub member: u32,
}

impl StreamKey {
    /// The stream from its first number.
    ///
    /// ```
    /// use luffy_core::{Purpose, StreamKey};
    ///
    /// let key = StreamKey { seed: 1, purpose: Purpose::Rollout, step: 2, prompt: 3, member: 4 };
    /// assert_eq!(key.stream().next_u64(), key.stream().next_u64());
    /// ```
    pub fn stream(&self) -> Stream {
        let mut bytes = [0_u8; 32];
        bytes[0..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&(self.purpose as u32).to_le_bytes());
        bytes[12..20].copy_from_slice(&self.step.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.prompt.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.member.to_le_bytes());
        Stream(ChaCha8Rng::from_seed(bytes))
    }

    /// Draw number `draw` of the stream: uniform in `[0, 1)`, 53 bits.
    pub fn uniform_at(&self, draw: u64) -> f64 {
        let mut stream = self.stream();
        stream.0.set_word_pos(u128::from(draw) * 2);
        stream.uniform()
    }
}

/// A `ChaCha8` stream: the same numbers in every version and on every platform.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `0..n`, without bias (rejection of the incomplete last block).
    ///
    /// # Panics
    /// If `n` is zero.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a draw needs at least one outcome");
        let limit = u64::MAX - u64::MAX % n;
        loop {
            let draw = self.next_u64();
            if draw < limit {
                return draw % n;
            }
        }
    }

    /// Standard normal (Box-Muller, one value per two draws).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A permutation of `0..n` (Fisher-Yates).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, self.below(i as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(member: u32) -> StreamKey {
        StreamKey { seed: 7, purpose: Purpose::Rollout, step: 1, prompt: 2, member }
    }

    #[test]
    fn streams_of_two_members_differ() {
        assert_ne!(key(0).stream().next_u64(), key(1).stream().next_u64());
    }

    #[test]
    fn purposes_do_not_share_numbers() {
        let other = StreamKey { purpose: Purpose::Evaluation, ..key(0) };
        assert_ne!(key(0).stream().next_u64(), other.stream().next_u64());
    }

    #[test]
    fn normal_has_mean_zero_and_variance_one() {
        let mut stream = key(0).stream();
        let draws: Vec<f64> = (0..20_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        // Standard errors are 0.007 and 0.01; four of them.
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
    }

    proptest! {
        #[test]
        fn a_draw_by_number_equals_the_draw_in_order(draw in 0_u64..50, member in 0_u32..4) {
            let mut stream = key(member).stream();
            for _ in 0..draw {
                stream.uniform();
            }
            prop_assert_eq!(stream.uniform().to_bits(), key(member).uniform_at(draw).to_bits());
        }

        #[test]
        fn a_permutation_holds_every_position_once(n in 0_usize..60, member in 0_u32..9) {
            let mut order = key(member).stream().permutation(n);
            order.sort_unstable();
            prop_assert_eq!(order, (0..n).collect::<Vec<_>>());
        }
    }
}
