//! Every shaping against its formula: value, gradient, and central differences of the formula in `f64`.

use std::sync::Arc;

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use proptest::prelude::*;

use super::*;

/// A token as the formulas see it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    logprob: f64,
    behavior: f64,
    entropy: f64,
    advantage: f64,
}

impl Seen {
    fn p(self) -> f64 {
        self.logprob.exp()
    }

    fn w(self) -> f64 {
        (self.logprob - self.behavior).exp()
    }
}

/// Shaped weights and their gradients in the log-prob and in the entropy.
fn shape(shaping: &dyn Shaping, tokens: &[Seen]) -> [Vec<f64>; 3] {
    let device = Device::flex().autodiff();
    let n = tokens.len();
    let stream = |stream: fn(&Seen) -> f64| {
        let values: Vec<f64> = tokens.iter().map(stream).collect();
        Tensor::<2>::from_data(TensorData::new(values, [1, n]), (&device, DType::F64))
    };
    let logprobs = stream(|token| token.logprob).require_grad();
    let entropy = stream(|token| token.entropy).require_grad();
    let view = TokenView {
        logprobs: logprobs.clone(),
        behavior_logprobs: stream(|token| token.behavior),
        entropy: entropy.clone(),
        demonstrated: Tensor::<2, Bool>::full([1, n], true, &device),
        advantages: stream(|token| token.advantage),
    };
    let shaped = shaping.shape(&view);
    let gradients = shaped.clone().sum().backward();
    let read = |tensor: Tensor<2>| -> Vec<f64> { tensor.into_data().iter::<f64>().collect() };
    let gradient = |leaf: &Tensor<2>| leaf.grad(&gradients).map_or(vec![0.0; n], read);
    [read(shaped.clone()), gradient(&logprobs), gradient(&entropy)]
}

/// Tokens of all kinds; those with a behaviour log-prob of 0 are demonstrations of unknown probability.
fn tokens() -> Vec<Seen> {
    let mut tokens = vec![];
    for p in [1e-6_f64, 0.001, 0.03, 0.11, 0.3, 0.5, 0.9, 0.999] {
        for behavior in [0.0, -0.4, -3.0] {
            for advantage in [0.5, -0.5, 0.0] {
                tokens.push(Seen { logprob: p.ln(), behavior, entropy: 2.0 * p, advantage });
            }
        }
    }
    tokens
}

/// `value` is the formula, its second argument the token as the stop-gradients see it; `slope` is its
/// derivative in the log-prob.
#[track_caller]
fn check(shaping: &dyn Shaping, value: impl Fn(Seen, Seen) -> f64, slope: impl Fn(Seen) -> f64) {
    const STEP: f64 = 1e-5;
    let tokens = tokens();
    let [values, gradients, in_entropy] = shape(shaping, &tokens);
    let is_close = |got: f64, expected: f64, error: f64| {
        (got - expected).abs() <= error * (1.0 + expected.abs())
    };
    for (i, token) in tokens.iter().enumerate() {
        let at = |step: f64| value(Seen { logprob: token.logprob + step, ..*token }, *token);
        let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        let what = format!("{shaping:?} at {token:?}");
        assert!(is_close(values[i], at(0.0), 1e-12), "{what}: {} is not {}", values[i], at(0.0));
        let expected = slope(*token);
        assert!(
            is_close(gradients[i], expected, 1e-12),
            "{what}: {} is not {expected}",
            gradients[i]
        );
        assert!(
            is_close(gradients[i], difference, 1e-8),
            "{what}: {} is not {difference}",
            gradients[i]
        );
        assert!(in_entropy[i].abs() <= 0.0, "{what}: entropies are numbers here");
    }
}

#[test]
fn functions_of_the_weight_are_their_formulas() {
    // luffy.md 5.2.
    check(&Identity, |t, _| t.w(), Seen::w);
    for gamma in [0.1, 0.5] {
        let slope = |x: f64| gamma * x / (x + gamma).powi(2);
        check(&Regularized { gamma }, |t, _| t.w() / (t.w() + gamma), |t| slope(t.w()));
        let f = |x: f64| x / (x + gamma);
        check(
            &RegularizedRatio { gamma },
            |t, _| f(t.p()) / f(t.behavior.exp()),
            |t| slope(t.p()) / f(t.behavior.exp()),
        );
    }
    check(&Log { weight: 0.1 }, |t, _| 0.1 * t.w().ln(), |_| 0.1);
    check(&IdentityPlusLog { weight: 0.1 }, |t, _| t.w() + 0.1 * t.w().ln(), |t| t.w() + 0.1);
    check(&Power { exponent: 0.5 }, |t, _| t.w().sqrt(), |t| 0.5 * t.w().sqrt());
    check(&Power { exponent: 0.3 }, |t, _| t.w().powf(0.3), |t| 0.3 * t.w().powf(0.3));
}

#[test]
fn functions_of_the_probability_are_their_formulas() {
    // The weights of the table in methods.md 1; a recorded behaviour probability changes none of them.
    check(&Likelihood, |t, _| t.logprob, |_| 1.0);
    check(&Dft, |t, sg| sg.p() * t.logprob, Seen::p);
    check(&ChordPhi, |t, sg| sg.p() * (1.0 - sg.p()) * t.logprob, |t| t.p() * (1.0 - t.p()));
    check(&Trapo { alpha: 0.1 }, |t, sg| t.p() / sg.p().max(0.1), |t| t.p() / t.p().max(0.1));
    let omega = |p: f64| f64::midpoint(p, 1.0);
    let weight = |p: f64| (1.0 - p).sqrt() * 2.0 / (p + omega(p));
    check(&RlPlus, |t, sg| weight(sg.p()) * t.p(), |t| weight(t.p()) * t.p());
}

#[test]
fn srft_weighs_by_entropy_and_by_the_sign_of_the_advantage() {
    check(
        &SrftDemonstration,
        |t, sg| 0.5 * (-sg.entropy).exp() * t.logprob,
        |t| 0.5 * (-t.entropy).exp(),
    );
    let weight = |t: Seen| if t.advantage > 0.0 { 0.1 * t.entropy.exp() } else { 1.0 };
    check(&SrftSample, |t, sg| weight(sg) * t.logprob, weight);
}

#[test]
fn bounds_hold_values_and_take_gradients() {
    let (min, max) = (0.05, 0.6);
    let bounded = Bounded { inner: Arc::new(Identity), min, max };
    let slope = |w: f64| if w > min && w < max { w } else { 0.0 };
    check(&bounded, |t, _| t.w().clamp(min, max), |t| slope(t.w()));
    let off = Bounded { inner: Arc::new(Dft), min: f64::NEG_INFINITY, max: f64::INFINITY };
    check(&off, |t, sg| sg.p() * t.logprob, Seen::p);
}

/// Shaped weights and gradients of demonstrations with these probabilities.
fn at(shaping: &dyn Shaping, probs: &[f64]) -> [Vec<f64>; 2] {
    let token = |p: &f64| Seen { logprob: p.ln(), behavior: 0.0, entropy: 0.0, advantage: 1.0 };
    let [values, gradients, _] = shape(shaping, &probs.iter().map(token).collect::<Vec<_>>());
    [values, gradients]
}

#[test]
fn regularized_lifts_rare_tokens() {
    // luffy.md 5.2, with gamma .1, against .01 unshaped.
    let [_, gradients] = at(&Regularized { gamma: 0.1 }, &[0.01, 0.1, 0.5, 0.9, 1.0]);
    for (got, expected) in gradients.iter().zip([0.0826, 0.25, 0.1389, 0.09, 0.0826]) {
        assert!((got - expected).abs() < 1e-4, "{got} is not {expected}");
    }
    assert!((at(&Identity, &[0.01])[1][0] - 0.01).abs() < 1e-12);
}

#[test]
fn largest_weights_are_where_the_docs_say() {
    let steps: Vec<f64> = (1..1000).map(|i| f64::from(i) / 1000.0).collect();
    for (shaping, p, most) in [
        (&Regularized { gamma: 0.3 } as &dyn Shaping, 0.3, 0.25),
        (&ChordPhi, 0.5, 0.25),
        // The root of 3 p^2 + 3 p = 2.
        (&RlPlus, 0.457, 0.568),
    ] {
        let [_, gradients] = at(shaping, &steps);
        let (i, largest) = gradients
            .iter()
            .enumerate()
            .max_by(|one, other| one.1.total_cmp(other.1))
            .expect("there are steps");
        assert!((steps[i] - p).abs() < 2e-3, "{shaping:?}: {}", steps[i]);
        assert!((largest - most).abs() < 1e-3, "{shaping:?}: {largest}");
    }
    let [values, _] = at(&ChordPhi, &steps);
    assert!(values.iter().all(|value| (-0.27..=0.0).contains(value)));
    let [values, _] = at(&Dft, &steps);
    assert!(values.iter().all(|value| (-1.0 / std::f64::consts::E - 1e-12..=0.0).contains(value)));
}

#[test]
fn trapo_is_supervised_above_its_bound_and_has_the_slope_of_luffy_at_zero() {
    let [_, gradients] = at(&Trapo { alpha: 0.1 }, &[0.2, 0.9, 1e-9]);
    assert!((gradients[0] - 1.0).abs() < 1e-12 && (gradients[1] - 1.0).abs() < 1e-12);
    let [_, luffy] = at(&Regularized { gamma: 0.1 }, &[1e-9]);
    assert!((gradients[2] / luffy[0] - 1.0).abs() < 1e-6);
}

#[test]
fn weights_that_overflow_are_shaped_without_nan() {
    let far = |log_weight: f64| Seen {
        logprob: -1.0,
        behavior: -1.0 - log_weight,
        entropy: 0.0,
        advantage: 1.0,
    };
    let [values, gradients, _] = shape(&Regularized { gamma: 0.1 }, &[far(-900.0), far(900.0)]);
    assert_eq!(values, [0.0, 1.0]);
    assert_eq!(gradients, [0.0, 0.0]);
    // Two probabilities that both underflow still have a ratio.
    let tiny = Seen { logprob: -800.0, behavior: -801.0, entropy: 0.0, advantage: 1.0 };
    let [values, gradients, _] = shape(&RegularizedRatio { gamma: 0.1 }, &[tiny]);
    assert!((values[0] - 1.0_f64.exp()).abs() < 1e-9, "{values:?}");
    assert!((gradients[0] - 1.0_f64.exp()).abs() < 1e-9, "{gradients:?}");
}

#[test]
fn a_log_prob_rounded_above_zero_is_a_probability_of_one() {
    let above = Seen { logprob: 1e-7, behavior: 0.0, entropy: 0.0, advantage: 1.0 };
    let [values, gradients, _] = shape(&RlPlus, &[above]);
    assert!(values[0].abs() < 1e-3 && gradients[0].abs() < 1e-3, "{values:?} {gradients:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn regularized_is_monotone_and_within_zero_and_one(
        gamma in 0.01_f64..1.0,
        mut logs in prop::collection::vec(-12.0_f64..0.0, 2..20),
    ) {
        logs.sort_by(f64::total_cmp);
        let probs: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
        let [values, gradients] = at(&Regularized { gamma }, &probs);
        prop_assert!(values.iter().all(|value| (0.0..1.0).contains(value)), "{values:?}");
        prop_assert!(values.is_sorted(), "{values:?}");
        // df/dw = (df / d ln w) / w: at most 1 / gamma, and falling.
        let slopes: Vec<f64> = gradients.iter().zip(&probs).map(|(slope, p)| slope / p).collect();
        prop_assert!(slopes.iter().all(|slope| *slope <= (1.0 + 1e-9) / gamma), "{slopes:?}");
        let falls = slopes.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-9));
        prop_assert!(falls, "{slopes:?}");
    }

    #[test]
    fn every_shaping_pushes_up(p in 1e-6_f64..0.999, behavior in -6.0_f64..0.0, entropy in 0.0_f64..3.0) {
        let token = Seen { logprob: p.ln(), behavior, entropy, advantage: 1.0 };
        let all: [&dyn Shaping; 13] = [
            &Identity,
            &Regularized { gamma: 0.1 },
            &RegularizedRatio { gamma: 0.1 },
            &Log { weight: 0.1 },
            &IdentityPlusLog { weight: 0.1 },
            &Power { exponent: 0.5 },
            &Likelihood,
            &Dft,
            &ChordPhi,
            &Trapo { alpha: 0.1 },
            &RlPlus,
            &SrftDemonstration,
            &SrftSample,
        ];
        for shaping in all {
            let [_, gradients, _] = shape(shaping, &[token]);
            prop_assert!(gradients[0] > 0.0, "{shaping:?}: {gradients:?}");
        }
    }
}
