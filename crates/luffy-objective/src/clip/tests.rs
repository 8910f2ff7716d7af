//! Every clip against its formula: value, gradient, and central differences of the formula in `f64`.

use burn::tensor::{DType, Device, TensorData};
use proptest::prelude::*;

use super::*;
use crate::{Identity, IdentityPlusLog, Log, Power};

/// The rows of a batch: log-prob, behaviour log-prob and advantage of each token, selected or not.
type Rows = Vec<Vec<(f64, f64, f64, bool)>>;

/// Weights, gradients in the log-probs and what was clipped, row by row.
#[derive(Debug, PartialEq)]
struct Got {
    weights: Vec<f64>,
    gradients: Vec<f64>,
    clipped: Vec<bool>,
}

/// Weights are summed over selected tokens before they are differentiated.
fn surrogate(clip: Clip, reshape: &dyn Shaping, rows: &Rows) -> Got {
    let device = Device::flex().autodiff();
    let dims = [rows.len(), rows[0].len()];
    let stream = |stream: fn(&(f64, f64, f64, bool)) -> f64| {
        // The loss hands over zeros outside of the selection.
        let values = rows.iter().flatten().map(|token| if token.3 { stream(token) } else { 0.0 });
        let data = TensorData::new(values.collect::<Vec<f64>>(), dims);
        Tensor::<2>::from_data(data, (&device, DType::F64))
    };
    let selected: Vec<bool> = rows.iter().flatten().map(|token| token.3).collect();
    let selected = Tensor::<2, Bool>::from_data(TensorData::new(selected, dims), &device);
    let logprobs = stream(|token| token.0).require_grad();
    let view = TokenView {
        logprobs: logprobs.clone(),
        behavior_logprobs: stream(|token| token.1),
        entropy: stream(|_| 0.5),
        demonstrated: selected.clone().bool_not(),
        advantages: stream(|token| token.2),
    };
    let tokens = SampledTokens { view: &view, selected: &selected, reshape };
    let Surrogate { weights, clipped } = clip.surrogate(&tokens);
    let sum = weights.clone().mask_fill(selected.bool_not(), 0.0).sum();
    let gradient = logprobs.grad(&sum.backward()).expect("a leaf has a gradient");
    Got {
        weights: weights.into_data().iter::<f64>().collect(),
        gradients: gradient.into_data().iter::<f64>().collect(),
        clipped: clipped.into_data().iter::<bool>().collect(),
    }
}

/// Weight, gradient and clip of one token whose log-prob is -0.7.
fn one(clip: Clip, log_weight: f64, advantage: f64) -> (f64, f64, bool) {
    let got = surrogate(clip, &Identity, &vec![vec![(-0.7, -0.7 - log_weight, advantage, true)]]);
    (got.weights[0], got.gradients[0], got.clipped[0])
}

/// `value` is the formula in the log-prob, the ratio, the ratio as the stop-gradients see it, and the
/// advantage; `is_clipped` in ratio and advantage.
#[track_caller]
fn check(
    clip: Clip,
    value: impl Fn(f64, f64, f64, f64) -> f64,
    is_clipped: impl Fn(f64, f64) -> bool,
) {
    const STEP: f64 = 1e-5;
    for weight in [0.02_f64, 0.5, 0.79, 0.81, 0.99, 1.0, 1.01, 1.19, 1.31, 2.5, 3.5, 20.0] {
        for advantage in [0.7, -0.7, 0.0] {
            let behavior = -0.7 - weight.ln();
            let at = |step: f64| {
                let logprob = -0.7 + step;
                value(logprob, (logprob - behavior).exp(), weight, advantage)
            };
            let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            let (got, gradient, clipped) = one(clip, weight.ln(), advantage);
            let what = format!("{clip:?}, w {weight}, A {advantage}");
            assert!((got - at(0.0)).abs() < 1e-12 * (1.0 + weight), "{what}: {got}, {}", at(0.0));
            assert!(
                (gradient - difference).abs() < 1e-8 * (1.0 + weight),
                "{what}: {gradient}, {difference}"
            );
            assert_eq!(clipped, is_clipped(weight, advantage), "{what}");
        }
    }
}

const PPO: Clip = Clip::Epsilon { low: 0.2, high: 0.3 };
const DUAL: Clip = Clip::Dual { low: 0.2, high: 0.3, max: 3.0 };
const CISPO: Clip = Clip::Cispo { high: 0.3 };
const GSPO: Clip = Clip::Gspo { low: 0.2, high: 0.3 };
const SAPO: Clip = Clip::Sapo { positive: 1.0, negative: 1.05 };
const ALL: [Clip; 6] = [Clip::None, PPO, DUAL, CISPO, GSPO, SAPO];

/// PPO's clip where the bound is on the side that the advantage pushes to.
fn ppo(w: f64, a: f64) -> f64 {
    match a {
        a if a > 0.0 => w.min(1.3),
        a if a < 0.0 => w.max(0.8),
        _ => w,
    }
}

fn is_ppo_clipped(w: f64, a: f64) -> bool {
    (a > 0.0 && w > 1.3) || (a < 0.0 && w < 0.8)
}

#[test]
fn clips_are_their_formulas() {
    check(Clip::None, |_, w, _, _| w, |_, _| false);
    check(PPO, |_, w, _, a| ppo(w, a), is_ppo_clipped);
    // A row of one token is a sequence.
    check(GSPO, |_, w, _, a| ppo(w, a), is_ppo_clipped);
    check(
        DUAL,
        |_, w, _, a| if a < 0.0 { ppo(w, a).min(3.0) } else { ppo(w, a) },
        |w, a| is_ppo_clipped(w, a) || (a < 0.0 && w > 3.0),
    );
    check(CISPO, |logprob, _, sg, _| sg.min(1.3) * logprob, |w, _| w > 1.3);
    let gate = |w: f64, tau: f64| 4.0 / tau / (1.0 + (-tau * (w - 1.0)).exp());
    check(SAPO, |_, w, _, a| gate(w, if a > 0.0 { 1.0 } else { 1.05 }), |_, _| false);
}

#[test]
fn a_ratio_of_one_is_policy_gradient_under_every_clip() {
    for clip in ALL {
        for advantage in [1.0, -1.0] {
            let (_, gradient, clipped) = one(clip, 0.0, advantage);
            assert!((gradient - 1.0).abs() < 1e-12 && !clipped, "{clip:?}: {gradient}");
        }
    }
}

#[test]
fn a_range_acts_on_the_reshaped_value() {
    let rows = vec![vec![(-0.7_f64, -0.7 - 0.6_f64, 1.0, true), (-0.7, -0.9, 1.0, true)]];
    // The root of e^0.6 is above 1.3, that of e^0.2 below.
    let got = surrogate(PPO, &Power { exponent: 0.5 }, &rows);
    assert_eq!(got.clipped, [true, false]);
    assert!((got.weights[0] - 1.3).abs() < 1e-12);
    assert!((got.weights[1] - 0.1_f64.exp()).abs() < 1e-12);
    assert!(
        (got.gradients[1] - 0.5 * 0.1_f64.exp()).abs() < 1e-12 && got.gradients[0].abs() <= 0.0
    );
    // A log-ratio of 0.6 lies below 0.8 and is held there where A < 0, as the reference has it.
    let rows = vec![vec![(-0.7, -1.3, -1.0, true)]];
    let got = surrogate(PPO, &Log { weight: 1.0 }, &rows);
    assert_eq!((got.weights[0], got.gradients[0], got.clipped[0]), (0.8, 0.0, true));
}

#[test]
fn a_sequence_has_the_geometric_mean_of_its_selected_tokens() {
    let ratios = [0.3, -0.1, 0.25];
    let mut row: Vec<_> = ratios.iter().map(|ratio| (-1.0, -1.0 - ratio, -0.5, true)).collect();
    row.insert(1, (-5.0, -1.0, -0.5, false));
    let other = vec![(-1.0, -1.02, 0.5, true); 4];
    let got = surrogate(GSPO, &Identity, &vec![row, other]);
    let s = (0.45_f64 / 3.0).exp();
    for place in [0, 2, 3] {
        assert!((got.weights[place] - s).abs() < 1e-12, "{got:?}");
        // Three tokens share a ratio that each moves by a third.
        assert!((got.gradients[place] - s).abs() < 1e-12, "{got:?}");
    }
    assert!(got.gradients[1].abs() <= 0.0);
    assert!((got.weights[4] - 0.02_f64.exp()).abs() < 1e-12, "{got:?}");
}

#[test]
fn what_is_not_selected_is_never_clipped() {
    // A log-ratio of 0 is below 0.8: it would count as clipped where nothing is.
    let rows = vec![vec![(-0.7, -0.7, -1.0, false), (-0.7, -9.7, 1.0, true)]];
    for clip in [PPO, DUAL, CISPO, GSPO] {
        let got = surrogate(clip, &Log { weight: 1.0 }, &rows);
        assert_eq!(got.clipped, [false, true], "{clip:?}");
    }
}

#[test]
fn an_infinite_ratio_is_clipped_without_nan() {
    for (clip, expected) in [(PPO, 1.3), (DUAL, 1.3), (GSPO, 1.3), (CISPO, -0.7 * 1.3), (SAPO, 4.0)]
    {
        let (value, gradient, clipped) = one(clip, 1e3, 1.0);
        assert!((value - expected).abs() < 1e-12, "{clip:?}: {value}");
        let expected = if clip == CISPO { 1.3 } else { 0.0 };
        assert!((gradient - expected).abs() < 1e-12, "{clip:?}: {gradient}");
        assert_eq!(clipped, clip != SAPO, "{clip:?}");
    }
    let (value, gradient, clipped) = one(DUAL, 1e3, -1.0);
    assert!((value - 3.0).abs() < 1e-12 && gradient.abs() <= 0.0 && clipped);
    let (value, gradient, _) = one(SAPO, 1e3, -1.0);
    assert!((value - 4.0 / 1.05).abs() < 1e-12 && gradient.abs() <= 0.0);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Table {
    clip: Clip,
}

#[test]
fn every_clip_has_a_name_and_the_papers_numbers() {
    for (toml, expected) in [
        ("'none'", Clip::None),
        ("{ epsilon = { low = 0.2, high = 0.3 } }", PPO),
        ("{ dual = { low = 0.2, high = 0.3 } }", DUAL),
        ("{ cispo = { high = 0.3 } }", CISPO),
        ("{ gspo = {} }", Clip::Gspo { low: 3e-4, high: 4e-4 }),
        ("{ sapo = {} }", SAPO),
    ] {
        let table: Table = toml::from_str(&format!("clip = {toml}")).unwrap();
        assert_eq!(table.clip, expected);
        assert_eq!(toml::from_str::<Table>(&toml::to_string(&table).unwrap()).unwrap(), table);
    }
    assert!(toml::from_str::<Table>("clip = { gspo = { higher = 1 } }").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_range_does_nothing_within_itself(weight in 0.801_f64..1.299, advantage in -1.0_f64..1.0) {
        let expected = one(Clip::None, weight.ln(), advantage);
        for clip in [PPO, DUAL, GSPO] {
            let got = one(clip, weight.ln(), advantage);
            prop_assert!((got.0 - expected.0).abs() < 1e-12 && (got.1 - expected.1).abs() < 1e-12);
            prop_assert!(!got.2);
        }
    }

    #[test]
    fn the_surrogate_is_the_smaller_of_the_two_objectives(
        log_weight in -2.0_f64..2.0,
        advantage in -1.0_f64..1.0,
        weight in 0.0_f64..1.0,
    ) {
        let rows = vec![vec![(-0.7, -0.7 - log_weight, advantage, true)]];
        let g = log_weight.exp() + weight * log_weight;
        let expected = (advantage * g).min(advantage * g.clamp(0.8, 1.3));
        let got = advantage * surrogate(PPO, &IdentityPlusLog { weight }, &rows).weights[0];
        prop_assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");
        // Dual-clip PPO, eq. 5: for A < 0 the larger of that and max * A.
        let dual = advantage * surrogate(DUAL, &IdentityPlusLog { weight }, &rows).weights[0];
        let expected = if advantage < 0.0 { expected.max(3.0 * advantage) } else { expected };
        prop_assert!((dual - expected).abs() < 1e-12, "{dual} is not {expected}");
    }
}
