//! Intervals for shares and means.

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
#[expect(clippy::cast_sign_loss, reason = "the shares are positive")]
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Option<Interval> {
    if values.is_empty() {
        return None;
    }
    let key = StreamKey { seed, purpose: Purpose::Bootstrap, step: 0, prompt: 0, member: 0 };
    let mut stream = key.stream();
    let n = values.len() as u64;
    let mut means: Vec<f64> = (0..N_RESAMPLES)
        .map(|_| (0..n).map(|_| values[stream.below(n) as usize]).sum::<f64>() / n as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means[((share * N_RESAMPLES as f64) as usize).min(means.len() - 1)];
    Some(Interval { low: at(0.025), high: at(0.975) })
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
}
