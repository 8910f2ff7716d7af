//! One token from logits.

use luffy_core::Sampling;
use luffy_kernels::softmax_weights;

/// A token and what the policy thought of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen {
    /// Token id.
    pub token: u32,
    /// Log-prob in nats under `softmax(logits / temperature)`, before top-k, top-p and min-p; greedy
    /// choices count as temperature 1. The same quantity that scoring computes.
    pub logprob: f32,
}

/// Chooses a token: `uniform` in `[0, 1)` is the only randomness.
///
/// The filters mean what they mean in transformers, in its order: top-k, then top-p of what is left (a token
/// stays while the more likely ones have not reached the bound), then min-p. vLLM applies min-p first. Of
/// equal logits at the edge of top-k both keep all; here the lower ids stay, so that `k` tokens are `k`.
///
/// A draw inverts the cumulative distribution over token ids in ascending order: weights in `f32`, their sums
/// in `f64`. Without a filter that is one pass of exponentials and one of sums, and nothing is sorted.
/// `None` if no logit is finite or one is NaN or plus infinity.
///
/// # Panics
/// If a temperature is not above zero.
pub fn choose(logits: &[f32], sampling: &Sampling, uniform: f64) -> Option<Chosen> {
    Chooser::default().choose(logits, sampling, uniform)
}

/// Chooses again and again with one buffer.
#[derive(Debug, Default)]
pub(crate) struct Chooser {
    weights: Vec<f32>,
}

impl Chooser {
    /// What [`choose`] says.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        sampling: &Sampling,
        uniform: f64,
    ) -> Option<Chosen> {
        let temperature = match *sampling {
            Sampling::Greedy => 1.0,
            Sampling::Random { temperature, .. } => temperature,
        };
        assert!(temperature > 0.0, "temperature {temperature} must be above zero; use greedy");
        let weights = &mut self.weights;
        let max = softmax_weights(logits, temperature, weights)?;
        let sum: f64 = weights.iter().copied().map(f64::from).sum();
        let token = match *sampling {
            Sampling::Greedy => logits.iter().position(|logit| *logit >= max)?,
            Sampling::Random { top_k, top_p, min_p, .. } => {
                draw(weights, sum, top_k, f64::from(top_p), f64::from(min_p), uniform)
            }
        };
        let shifted = f64::from(logits[token] - max) / f64::from(temperature);
        Some(Chosen { token: token as u32, logprob: (shifted - sum.ln()) as f32 })
    }
}

/// Inverts the cumulative distribution of the weights that pass the filters.
fn draw(
    weights: &[f32],
    sum: f64,
    top_k: Option<u32>,
    top_p: f64,
    min_p: f64,
    uniform: f64,
) -> usize {
    let Some(keep) = kept(weights, top_k, top_p, min_p) else {
        return invert(weights.iter().copied(), uniform * sum);
    };
    let weight = |(weight, keep): (&f32, &bool)| if *keep { *weight } else { 0.0 };
    let sum: f64 = weights.iter().zip(&keep).map(weight).map(f64::from).sum();
    invert(weights.iter().zip(&keep).map(weight), uniform * sum)
}

/// The first place where the running sum passes `target`; the last with any weight if none does.
fn invert(weights: impl Iterator<Item = f32>, target: f64) -> usize {
    let (mut cumulative, mut last) = (0.0, 0);
    for (i, weight) in weights.enumerate() {
        if weight > 0.0 {
            cumulative += f64::from(weight);
            last = i;
            if target < cumulative {
                break;
            }
        }
    }
    last
}

/// Which tokens pass top-k, then top-p, then min-p. `None` keeps all and costs nothing.
fn kept(weights: &[f32], top_k: Option<u32>, top_p: f64, min_p: f64) -> Option<Vec<bool>> {
    let n = weights.len();
    let k = top_k.map_or(n, |k| (k as usize).clamp(1, n));
    if k == n && top_p >= 1.0 && min_p <= 0.0 {
        return None;
    }
    let mut order: Vec<usize> = (0..n).collect();
    // Equal weights keep the lower id first, so a cut never depends on the sort.
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
    order.truncate(k);
    let total: f64 = order.iter().map(|i| f64::from(weights[*i])).sum();
    let mut keep = vec![false; n];
    let mut cumulative = 0.0;
    for i in order {
        // The most likely token always stays: its weight is 1, since logits are shifted by their maximum.
        if f64::from(weights[i]) < min_p {
            break;
        }
        keep[i] = true;
        cumulative += f64::from(weights[i]);
        if cumulative >= top_p * total {
            break;
        }
    }
    Some(keep)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOGITS: [f32; 4] = [0.0, 1.0, 2.0, -1.0];

    fn random(top_k: Option<u32>, top_p: f32, min_p: f32) -> Sampling {
        Sampling::Random { temperature: 1.0, top_k, top_p, min_p }
    }

    /// Shares of a grid of 10,000 uniforms that land on each token.
    fn shares(sampling: &Sampling) -> [f64; 4] {
        let mut counts = [0.0; 4];
        for i in 0..10_000 {
            let chosen = choose(&LOGITS, sampling, f64::from(i) / 1e4).unwrap();
            counts[chosen.token as usize] += 1e-4;
        }
        counts
    }

    fn check(sampling: &Sampling, expected: [f64; 4]) {
        for (share, expected) in shares(sampling).iter().zip(expected) {
            assert!((share - expected).abs() < 2e-4, "{share} against {expected}");
        }
    }

    // e^0, e^1, e^2, e^-1 = 1, 2.71828, 7.38906, 0.36788; sum 11.47522.
    #[test]
    fn a_plain_draw_has_the_softmax_shares() {
        check(&Sampling::temperature(1.0), [0.087_144, 0.236_883, 0.643_914, 0.032_059]);
    }

    #[test]
    fn top_k_renormalises_the_most_likely() {
        check(&random(Some(2), 1.0, 0.0), [0.0, 0.268_941, 0.731_059, 0.0]);
    }

    #[test]
    fn top_p_keeps_the_token_that_crosses_the_bound() {
        check(&random(None, 0.7, 0.0), [0.0, 0.268_941, 0.731_059, 0.0]);
        check(&random(None, 0.6, 0.0), [0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn top_p_is_taken_of_what_top_k_leaves() {
        // Of the two most likely, 0.731 and 0.269, the first alone reaches 0.7; of all four it has 0.644.
        check(&random(Some(2), 0.7, 0.0), [0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn min_p_comes_after_top_p() {
        // The two most likely have 0.881 of all: 0.89 lets the third in, and it passes min-p, 0.135 of the
        // most likely one. Min-p first would leave these three, of which two have 0.910 and are enough.
        check(&random(None, 0.89, 0.13), [0.090_031, 0.244_728, 0.665_241, 0.0]);
    }

    #[test]
    fn the_filters_see_the_tempered_distribution() {
        // At temperature 2 the shares are e^0, e^0.5, e^1, e^-0.5 = 1, 1.64872, 2.71828, 0.60653 of 5.97353:
        // min-p 0.3 keeps three, where at temperature 1 it keeps two.
        let sampling = Sampling::Random { temperature: 2.0, top_k: None, top_p: 1.0, min_p: 0.3 };
        check(&sampling, [0.186_324, 0.307_196, 0.506_480, 0.0]);
    }

    #[test]
    fn at_the_edge_of_top_k_the_lower_id_stays() {
        let logits = [1.0, 2.0, 1.0, 1.0];
        for i in 0..100 {
            let chosen = choose(&logits, &random(Some(2), 1.0, 0.0), f64::from(i) / 100.0);
            assert!(chosen.unwrap().token < 2);
        }
    }

    #[test]
    fn the_most_likely_token_passes_every_filter() {
        check(&random(Some(1), 1.0, 0.0), [0.0, 0.0, 1.0, 0.0]);
        check(&random(None, 0.0, 0.0), [0.0, 0.0, 1.0, 0.0]);
        check(&random(None, 1.0, 1.0), [0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn min_p_is_a_share_of_the_most_likely() {
        // 1 / 7.38906 = 0.135, 2.71828 / 7.38906 = 0.368.
        check(&random(None, 1.0, 0.3), [0.0, 0.268_941, 0.731_059, 0.0]);
    }

    #[test]
    fn the_logprob_ignores_the_filters() {
        let chosen = choose(&LOGITS, &random(Some(1), 1.0, 0.0), 0.9).unwrap();
        assert_eq!(chosen.token, 2);
        assert!((chosen.logprob - 0.643_914_f32.ln()).abs() < 1e-5);
    }

    #[test]
    fn greedy_takes_the_lowest_id_among_equals() {
        assert_eq!(choose(&[1.0, 3.0, 3.0], &Sampling::Greedy, 0.0).unwrap().token, 1);
    }

    #[test]
    fn nan_and_all_masked_give_nothing() {
        assert_eq!(choose(&[0.0, f32::NAN], &Sampling::Greedy, 0.0), None);
        assert_eq!(choose(&[f32::NEG_INFINITY; 3], &Sampling::temperature(1.0), 0.0), None);
    }

    // e^0, e^2, e^4, e^-2 = 1, 7.38906, 54.59815, 0.13534; sum 63.12254.
    #[test]
    fn a_low_temperature_sharpens() {
        check(&Sampling::temperature(0.5), [0.015_842, 0.117_059, 0.864_955, 0.002_144]);
    }

    proptest! {
        #[test]
        fn a_masked_token_is_never_chosen(uniform in 0.0_f64..1.0, masked in 0_usize..4) {
            let mut logits = LOGITS;
            logits[masked] = f32::NEG_INFINITY;
            let chosen = choose(&logits, &Sampling::temperature(1.0), uniform).unwrap();
            prop_assert_ne!(chosen.token as usize, masked);
        }

        #[test]
        fn shifting_all_logits_changes_nothing(uniform in 0.0_f64..1.0, shift in -50_i8..50) {
            let shifted = LOGITS.map(|logit| logit + f32::from(shift));
            let sampling = Sampling::temperature(0.7);
            prop_assert_eq!(choose(&LOGITS, &sampling, uniform), choose(&shifted, &sampling, uniform));
        }
    }
}
