//! Figures of samples and how sure they are: pass@k, majority votes, intervals for shares and means.
//!
//! They live in the program because they are how it reports: no step of a training depends on one.

use std::collections::BTreeMap;

use luffy_core::{Purpose, StreamKey};

/// 97.5 % point of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Resamples of a bootstrap; the 2.5 % point is then the 250th smallest.
const N_RESAMPLES: u64 = 10_000;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Wilson's score interval for a share, 95 %.
///
/// With `p = correct / total` and `z = 1.96`:
/// `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`.
/// It stays in `[0, 1]` and is not empty at 0 and 1, where the normal interval is. Of nothing, all
/// of `[0, 1]` is possible.
///
/// # Panics
/// If `correct` exceeds `total`.
///
/// # Reference
/// E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.
pub fn wilson(correct: u64, total: u64) -> Interval {
    assert!(correct <= total, "{correct} correct of {total}");
    if total == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let n = total as f64;
    let p = correct as f64 / n;
    let center = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    // At the ends the formula gives exactly 0 and 1, rounding aside.
    let low = if correct == 0 { 0.0 } else { (center - half) / scale };
    let high = if correct == total { 1.0 } else { (center + half) / scale };
    Interval { low, high }
}

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Percentile bootstrap of the mean over seeds, 95 %: 10,000 resamples with replacement, drawn from the
/// stream of `seed`, so the same figures give the same interval. `None` of nothing.
///
/// With five seeds it cannot reach beyond the smallest and largest of them and is somewhat too
/// narrow; it says how much the seeds differ, not more.
///
/// # Reference
/// B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979.
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Option<Interval> {
    bootstrap_macro_mean(&[values], seed)
}

/// 95 % interval of the mean over sources of the means over problems: each resample draws the problems of
/// every source anew from that source, as many as it has. Sources without problems are left out.
///
/// With one source it is [`bootstrap_mean`].
#[expect(clippy::cast_sign_loss, reason = "the shares are positive")]
pub fn bootstrap_macro_mean(sources: &[&[f64]], seed: u64) -> Option<Interval> {
    let sources: Vec<&[f64]> =
        sources.iter().copied().filter(|values| !values.is_empty()).collect();
    if sources.is_empty() {
        return None;
    }
    let key = StreamKey { seed, purpose: Purpose::Bootstrap, step: 0, prompt: 0, member: 0 };
    let mut stream = key.stream();
    let mut means: Vec<f64> = (0..N_RESAMPLES)
        .map(|_| {
            let mut total = 0.0;
            for values in &sources {
                let n = values.len() as u64;
                let sum: f64 = (0..n).map(|_| values[stream.below(n) as usize]).sum();
                total += sum / n as f64;
            }
            total / sources.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((share * N_RESAMPLES as f64) as usize).min(means.len() - 1)];
    Some(Interval { low: at(0.025), high: at(0.975) })
}

/// Probability that at least one of `k` responses drawn without replacement from `n`, of which `c` are
/// right, is right: `1 - C(n-c, k) / C(n, k)`, the unbiased estimate of pass@k. `None` if `k` is zero or
/// more than `n`.
///
/// Computed as `1 - prod(1 - k / i)` over `i` in `n-c+1..=n`, which overflows nowhere.
///
/// # Panics
/// If `c` exceeds `n`.
///
/// # Reference
/// "Evaluating large language models trained on code", <https://arxiv.org/abs/2107.03374>, equation 1.
///
/// ```
/// use luffy_cli::stats::pass_at_k;
///
/// assert_eq!(pass_at_k(4, 1, 1), Some(0.25));
/// assert_eq!(pass_at_k(4, 1, 4), Some(1.0));
/// ```
pub fn pass_at_k(n: u64, c: u64, k: u64) -> Option<f64> {
    assert!(c <= n, "{c} right of {n}");
    if k == 0 || k > n {
        return None;
    }
    if n - c < k {
        return Some(1.0);
    }
    Some(1.0 - (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>())
}

/// A response as a vote: which answer it gives, by number, and whether that answer is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    /// Equal answers have equal numbers.
    pub answer: usize,
    /// The verdict on it.
    pub correct: bool,
}

/// Whether the most frequent answer is right; of several equally frequent ones, the share that is right,
/// which is what choosing among them at random gives on average. Responses without an answer do not vote;
/// without any vote it is 0.
///
/// An answer counts as right if the first response that gives it does.
pub fn majority(votes: &[Vote]) -> f64 {
    let mut counts: BTreeMap<usize, (u64, bool)> = BTreeMap::new();
    for vote in votes {
        counts.entry(vote.answer).or_insert((0, vote.correct)).0 += 1;
    }
    let most = counts.values().map(|(count, _)| *count).max().unwrap_or(0);
    let tied: Vec<f64> = counts
        .values()
        .filter(|(count, _)| *count == most)
        .map(|(_, correct)| f64::from(u8::from(*correct)))
        .collect();
    mean(&tied).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(correct: u64, total: u64, low: f64, high: f64) {
        let interval = wilson(correct, total);
        assert!((interval.low - low).abs() < 5e-5, "{interval:?}");
        assert!((interval.high - high).abs() < 5e-5, "{interval:?}");
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        // R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in
        // Medicine 1998, table I, method 3 (score, no continuity correction).
        check(81, 263, 0.2553, 0.3662);
        check(15, 148, 0.0624, 0.1605);
        check(0, 20, 0.0, 0.1611);
        check(1, 29, 0.0061, 0.1718);
    }

    #[test]
    fn wilson_is_symmetric_and_open_at_the_ends() {
        let (none, all) = (wilson(0, 200), wilson(200, 200));
        // Closed form at p = 0: z² / (n + z²) = 3.8415 / 203.8415.
        assert!((none.high - 0.018_845).abs() < 1e-6, "{none:?}");
        assert!((all.low - (1.0 - none.high)).abs() < 1e-12);
        assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn bootstrap_of_a_coin_has_the_binomial_ends() {
        // Resampling {0, 1} twice: means 0, 1/2, 1 with probability 1/4, 1/2, 1/4.
        assert_eq!(bootstrap_mean(&[0.0, 1.0], 1), Some(Interval { low: 0.0, high: 1.0 }));
        // Resampling 40 values, half 0 and half 1: Binomial(40, 1/2), whose exact 2.5 % and 97.5 %
        // points are 14 and 26 of 40; one more of either side covers the Monte Carlo error.
        let values: Vec<f64> = (0..40).map(|i| f64::from(i % 2)).collect();
        let interval = bootstrap_mean(&values, 7).unwrap();
        assert!((interval.low - 0.35).abs() < 0.026, "{interval:?}");
        assert!((interval.high - 0.65).abs() < 0.026, "{interval:?}");
    }

    #[test]
    fn bootstrap_depends_on_nothing_but_values_and_seed() {
        let values = [0.985, 0.99, 1.0, 0.97, 0.96];
        assert_eq!(bootstrap_mean(&values, 3), bootstrap_mean(&values, 3));
        assert_eq!(bootstrap_mean(&[0.5; 5], 3), Some(Interval { low: 0.5, high: 0.5 }));
        assert_eq!(bootstrap_mean(&[], 3), None);
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn a_macro_mean_resamples_within_each_source() {
        // A source without spread and one of two problems, 0 and 1: the means are 1/2 x (0, 1/2, 1) + 1/4.
        let interval = bootstrap_macro_mean(&[&[0.5; 7], &[0.0, 1.0]], 1);
        assert_eq!(interval, Some(Interval { low: 0.25, high: 0.75 }));
        let values = [0.1, 0.7, 0.4, 0.9];
        assert_eq!(bootstrap_macro_mean(&[&values, &[]], 5), bootstrap_mean(&values, 5));
        assert_eq!(bootstrap_macro_mean(&[&[]], 5), None);
    }

    #[test]
    fn pass_at_k_is_the_share_of_subsets_with_a_right_one() {
        // By enumeration of all subsets of size k, of which the first c members are the right ones.
        for n in 1..=8_u32 {
            for (c, k) in (0..=n).flat_map(|c| (1..=n).map(move |k| (c, k))) {
                let subsets: Vec<u32> =
                    (0..1_u32 << n).filter(|set| set.count_ones() == k).collect();
                let hits = subsets.iter().filter(|set| **set & ((1 << c) - 1) != 0).count();
                let expected = hits as f64 / subsets.len() as f64;
                let found = pass_at_k(u64::from(n), u64::from(c), u64::from(k)).unwrap();
                assert!((found - expected).abs() < 1e-12, "{n} {c} {k}: {found} {expected}");
            }
        }
        assert_eq!(pass_at_k(4, 2, 5), None);
        assert_eq!(pass_at_k(4, 2, 0), None);
    }

    #[test]
    fn pass_at_k_of_many_samples_stays_exact() {
        // C(900, 100) / C(1000, 100) = 100 right of 1000; ln by sums of ln((900-i)/(1000-i)).
        let log: f64 = (0..100).map(|i| f64::from(900 - i).ln() - f64::from(1000 - i).ln()).sum();
        let found = pass_at_k(1000, 100, 100).unwrap();
        assert!((found - (1.0 - log.exp())).abs() < 1e-12, "{found}");
    }

    #[test]
    fn the_majority_decides_and_a_tie_is_shared() {
        let votes = |votes: &[(usize, bool)]| {
            let votes: Vec<Vote> = votes
                .iter()
                .map(|(answer, correct)| Vote { answer: *answer, correct: *correct })
                .collect();
            majority(&votes)
        };
        let is = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}");
        is(votes(&[(0, true), (1, false), (0, true)]), 1.0);
        is(votes(&[(0, true), (1, false), (1, false)]), 0.0);
        is(votes(&[(0, true), (1, false)]), 0.5);
        is(votes(&[(2, false), (0, true), (1, false)]), 1.0 / 3.0);
        is(votes(&[]), 0.0);
        // The first response with an answer says whether it is right.
        is(votes(&[(0, true), (0, false)]), 1.0);
    }
}
