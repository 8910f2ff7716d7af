//! Comparing two arms that were run with the same seeds on the same problems.

use luffy_core::{Purpose, Stream, StreamKey};

use crate::stats::Interval;

/// Resamples of a paired bootstrap, as in the paper.
pub const N_RESAMPLES: u64 = 1000;

/// Whether a problem was solved: `outcomes[stratum][problem]`, for one seed.
pub type Outcomes = Vec<Vec<bool>>;

/// A difference between two arms and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// Of the means, the first arm less the second.
    pub mean: f64,
    /// 95 %.
    pub interval: Interval,
    /// Seeds that both arms have.
    pub n_pairs: usize,
}

impl Difference {
    /// Whether 0 lies outside of the interval.
    pub fn excludes_zero(&self) -> bool {
        self.interval.low > 0.0 || self.interval.high < 0.0
    }
}

/// Difference of mean accuracy, `mean over seeds s and strata l of mean over problems p of
/// (a[s][l][p] - b[s][l][p])`, with a percentile bootstrap of 95 % that draws seeds and, within each
/// stratum, problems anew, both with replacement and independently of each other: so it covers other
/// seeds and other problems. The draws depend on `seed` alone. `None` without a pair or a problem.
///
/// # Panics
/// If the two do not have the same seeds, strata and problems.
///
/// # Reference
/// A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007; LUFFY's own intervals
/// (<https://arxiv.org/abs/2504.14945>, appendix C.3) draw the problems of one run.
pub fn accuracy_difference(a: &[Outcomes], b: &[Outcomes], seed: u64) -> Option<Difference> {
    assert_eq!(a.len(), b.len(), "both arms have the same seeds");
    // differences[seed][stratum][problem]
    let mut differences: Vec<Vec<Vec<f64>>> = Vec::with_capacity(a.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.len(), b.len(), "both arms have the same strata");
        let strata = a.iter().zip(b).map(|(a, b)| {
            assert_eq!(a.len(), b.len(), "both arms have the same problems");
            let number = |right: &bool| f64::from(u8::from(*right));
            a.iter().zip(b).map(|(a, b)| number(a) - number(b)).collect()
        });
        differences.push(strata.collect());
    }
    let sizes: Vec<usize> = differences.first()?.iter().map(Vec::len).collect();
    assert!(
        differences.iter().all(|strata| strata.iter().map(Vec::len).eq(sizes.iter().copied())),
        "every seed has the same problems"
    );
    if sizes.is_empty() || sizes.contains(&0) {
        return None;
    }
    let all_seeds: Vec<usize> = (0..differences.len()).collect();
    let all_problems: Vec<Vec<usize>> = sizes.iter().map(|n| (0..*n).collect()).collect();
    let statistic = |seeds: &[usize], problems: &[Vec<usize>]| {
        let mut total = 0.0;
        for seed in seeds {
            for (of_stratum, chosen) in differences[*seed].iter().zip(problems) {
                let sum: f64 = chosen.iter().map(|problem| of_stratum[*problem]).sum();
                total += sum / chosen.len() as f64;
            }
        }
        total / (seeds.len() * problems.len()) as f64
    };
    let mut stream = stream(seed);
    let resampled = (0..N_RESAMPLES).map(|_| {
        let seeds = draw(&mut stream, differences.len());
        let problems: Vec<Vec<usize>> = sizes.iter().map(|n| draw(&mut stream, *n)).collect();
        statistic(&seeds, &problems)
    });
    Some(Difference {
        interval: percentiles(resampled.collect()),
        mean: statistic(&all_seeds, &all_problems),
        n_pairs: differences.len(),
    })
}

/// Difference of a figure that a run has one of, `mean over seeds of (a - b)`, with a percentile
/// bootstrap of 95 % over the pairs. `None` without a pair.
///
/// With few pairs it is too narrow: three differences of one sign never give an interval with 0 in it.
/// [`sign_test`] says what so few can show at all.
pub fn figure_difference(pairs: &[(f64, f64)], seed: u64) -> Option<Difference> {
    if pairs.is_empty() {
        return None;
    }
    let n = pairs.len();
    let of =
        |chosen: &[usize]| chosen.iter().map(|i| pairs[*i].0 - pairs[*i].1).sum::<f64>() / n as f64;
    let mut stream = stream(seed);
    let resampled = (0..N_RESAMPLES).map(|_| of(&draw(&mut stream, n)));
    let interval = percentiles(resampled.collect());
    Some(Difference { mean: of(&(0..n).collect::<Vec<_>>()), interval, n_pairs: n })
}

/// Two-sided p-value of the sign test: the probability of a split of `n_above + n_below` fair coins at
/// least as uneven as this one. Ties are left out beforehand; 1 without any pair.
pub fn sign_test(n_above: u64, n_below: u64) -> f64 {
    let n = n_above + n_below;
    let fewer = n_above.min(n_below);
    let mut term = 0.5_f64.powi(n as i32);
    let mut tail = 0.0;
    for i in 0..=fewer {
        tail += term;
        term *= (n - i) as f64 / (i + 1) as f64;
    }
    (2.0 * tail).min(1.0)
}

fn stream(seed: u64) -> Stream {
    StreamKey { seed, purpose: Purpose::Bootstrap, step: 0, prompt: 0, member: 0 }.stream()
}

/// `n` numbers below `n`.
fn draw(stream: &mut Stream, n: usize) -> Vec<usize> {
    (0..n).map(|_| stream.below(n as u64) as usize).collect()
}

/// The 2.5 % and 97.5 % points.
fn percentiles(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    let tail = values.len() / 40;
    Interval { low: values[tail.min(last)], high: values[last - tail.min(last)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() < tolerance, "{found}, not {expected}");
    }

    #[test]
    fn of_one_seed_it_is_the_binomial_of_its_problems() {
        // 40 problems, in half of them the first arm is better: the resampled mean is Binomial(40, 1/2)
        // / 40, whose 2.5 % and 97.5 % points are 14 and 26 of 40; one more covers the Monte Carlo error.
        let a = vec![vec![(0..40).map(|i| i % 2 == 0).collect::<Vec<bool>>()]];
        let b = vec![vec![vec![false; 40]]];
        let found = accuracy_difference(&a, &b, 3).unwrap();
        near(found.mean, 0.5, 1e-12);
        near(found.interval.low, 0.35, 0.026);
        near(found.interval.high, 0.65, 0.026);
        assert!(found.excludes_zero());
        let back = accuracy_difference(&b, &a, 3).unwrap();
        near(back.mean, -0.5, 1e-12);
        assert!(back.excludes_zero());
    }

    #[test]
    fn seeds_are_drawn_too() {
        // Every problem of one seed is won and none of the other: drawing two seeds gives 0, 1/2 or 1
        // with probability 1/4, 1/2, 1/4, whatever the problems.
        let a = vec![vec![vec![true; 50]], vec![vec![false; 50]]];
        let b = vec![vec![vec![false; 50]]; 2];
        let found = accuracy_difference(&a, &b, 1).unwrap();
        assert_eq!(found.interval, Interval { low: 0.0, high: 1.0 });
        near(found.mean, 0.5, 1e-12);
        assert_eq!(found.n_pairs, 2);
    }

    #[test]
    fn strata_weigh_the_same_however_large() {
        let a = vec![vec![vec![true; 3], vec![false; 300]]];
        let b = vec![vec![vec![false; 3], vec![false; 300]]];
        // No spread within a stratum: the interval is a point.
        let found = accuracy_difference(&a, &b, 1).unwrap();
        assert_eq!(found.interval, Interval { low: 0.5, high: 0.5 });
    }

    #[test]
    fn pairing_removes_what_both_share() {
        // Both arms solve the same problems: no difference in any resample, though each alone varies.
        let a = vec![vec![(0..40).map(|i| i % 3 == 0).collect::<Vec<bool>>()]; 3];
        let found = accuracy_difference(&a, &a, 9).unwrap();
        assert_eq!(found.interval, Interval { low: 0.0, high: 0.0 });
        assert!(!found.excludes_zero());
        assert_eq!(accuracy_difference(&[], &[], 9), None);
    }

    #[test]
    fn figures_have_the_interval_of_their_pairs() {
        // Differences 0 and 1, drawn twice: 0, 1/2 or 1.
        let found = figure_difference(&[(2.0, 2.0), (3.0, 2.0)], 1).unwrap();
        assert_eq!(found.interval, Interval { low: 0.0, high: 1.0 });
        near(found.mean, 0.5, 1e-12);
        assert_eq!(figure_difference(&[], 1), None);
    }

    #[test]
    fn the_sign_test_counts_coins() {
        // 2 * (1/2)^6; 2 * (1 + 6) / 64; 2 * (1 + 5 + 10) / 32; no coin.
        near(sign_test(6, 0), 0.031_25, 1e-12);
        near(sign_test(1, 5), 0.218_75, 1e-12);
        near(sign_test(3, 2), 1.0, 1e-12);
        near(sign_test(0, 0), 1.0, 1e-12);
        near(sign_test(10, 0), 2.0 / 1024.0, 1e-12);
    }
}
