//! Values and gradients against formulas written out in `f64`.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use luffy_core::{MicroBatch, Objective, Row, Scale, Shaping, TokenStats};
use luffy_objective::{
    Aggregate, Clip, Identity, IdentityPlusLog, Log, MixedPolicyLoss, Power, Regularized,
    SupervisedLoss, metric,
};

use crate::scored::{ScoredRow, Token, assert_close, evaluate, shape_of};

fn luffy(clip: Clip) -> MixedPolicyLoss {
    MixedPolicyLoss { clip, ..MixedPolicyLoss::new(Arc::new(Regularized { gamma: 0.1 })) }
}

const REFERENCE: Aggregate = Aggregate::Reference { devices: 1, micro_batches: 1 };

const PPO: Clip = Clip::Epsilon { low: 0.2, high: 0.2 };

fn demonstrated(logprob: f32) -> Token {
    Token { is_learned: true, is_demonstrated: true, logprob, behavior: 0.0, entropy: 0.7 }
}

fn sampled(logprob: f32, behavior: f32) -> Token {
    Token { is_learned: true, is_demonstrated: false, logprob, behavior, entropy: 0.3 }
}

/// A token that conditions later ones: its values must not matter.
fn context() -> Token {
    Token { is_learned: false, is_demonstrated: false, logprob: -40.0, behavior: 0.0, entropy: 9.0 }
}

/// Ragged rows with distinct advantages: a demonstration, a response, and one that is both.
fn ragged() -> Vec<ScoredRow> {
    vec![
        ScoredRow::new(0.875, &[demonstrated(-0.1), demonstrated(-2.5), demonstrated(-5.0)]),
        ScoredRow::new(-0.25, &[sampled(-1.0, -1.0), sampled(-0.5, -1.2), sampled(-2.0, -1.1)]),
        ScoredRow::new(
            0.5,
            &[context(), demonstrated(-1.5), sampled(-0.2, -0.9), context(), sampled(-3.0, -2.9)],
        ),
        ScoredRow::new(-1.0, &[sampled(-0.7, -0.7)]),
    ]
}

/// Loss and gradient of one token before the divisor.
fn token(clip: Clip, token: &Token, advantage: f64) -> (f64, f64) {
    let log_weight = f64::from(token.logprob) - f64::from(token.behavior);
    let weight = log_weight.exp();
    let (value, slope) = if !token.is_learned {
        (0.0, 0.0)
    } else if token.is_demonstrated {
        (weight / (weight + 0.1), 0.1 * weight / (weight + 0.1).powi(2))
    } else {
        match clip {
            Clip::Epsilon { high, .. } if advantage > 0.0 && weight > 1.0 + high => {
                (1.0 + high, 0.0)
            }
            Clip::Epsilon { low, .. } if advantage < 0.0 && weight < 1.0 - low => (1.0 - low, 0.0),
            _ => (weight, weight),
        }
    };
    (-advantage * value, -advantage * slope)
}

fn tokens(row: &ScoredRow) -> Vec<Token> {
    (0..row.logprobs.len())
        .map(|j| Token {
            is_learned: row.row.mask[j],
            is_demonstrated: row.row.demonstrated[j],
            logprob: row.logprobs[j],
            behavior: row.row.behavior_logprobs[j],
            entropy: row.entropy[j],
        })
        .collect()
}

fn check(clip: Clip, rows: &[ScoredRow]) {
    let objective = luffy(clip);
    let scale = objective.scale(&shape_of(rows));
    let got = evaluate(&objective, rows, &scale, f32::NAN);
    let mut loss = 0.0;
    for (i, row) in rows.iter().enumerate() {
        for (j, each) in tokens(row).iter().enumerate() {
            let (value, slope) = token(clip, each, f64::from(row.row.advantages[j]));
            loss += value / scale.divisor;
            let what = format!("gradient of token {j} of row {i}");
            assert_close(f64::from(got.gradient[i][j]), slope / scale.divisor, &what);
        }
    }
    assert_close(got.loss, loss, "loss");
    if let Some(logged) = got.metrics.mean(metric::PG_LOSS) {
        assert_close(logged, loss, "logged loss");
    }
}

#[test]
fn the_loss_of_ragged_rows_is_the_sum_over_their_tokens() {
    check(Clip::None, &ragged());
    check(PPO, &ragged());
}

#[test]
fn one_row_alone_is_the_closed_form_too() {
    for row in ragged() {
        check(PPO, &[row]);
    }
}

#[test]
fn demonstrated_tokens_are_never_clipped() {
    // Weights of 20 with A > 0 and 0.1 with A < 0: both far outside the range of a sampled token.
    for (weight, advantage) in [(20.0_f32, 1.0_f32), (0.1, -1.0)] {
        let mut row = ScoredRow::new(advantage, &[demonstrated(-0.1), sampled(-1.0, -1.0)]);
        row.row.behavior_logprobs[0] = -0.1 - weight.ln();
        let scale = Scale { divisor: 1.0, n_tokens: 2.0, n_demonstrated: 1.0 };
        let got = evaluate(&luffy(PPO), &[row], &scale, 0.0);
        let (w, a) = (f64::from(weight), f64::from(advantage));
        assert_close(got.loss, -a * (w / (w + 0.1) + 1.0), "loss");
        assert_close(f64::from(got.gradient[0][0]), -a * 0.1 * w / (w + 0.1).powi(2), "gradient");
        assert_close(
            got.metrics.mean(metric::PG_CLIPFRAC).expect("a sample"),
            0.0,
            "clip fraction",
        );
    }
}

#[test]
fn a_weight_that_overflows_is_shaped_without_nan() {
    let mut row = ScoredRow::new(1.0, &[demonstrated(-0.1)]);
    row.row.behavior_logprobs[0] = -200.0;
    let scale = Scale { divisor: 1.0, n_tokens: 1.0, n_demonstrated: 1.0 };
    for clip in [Clip::None, PPO] {
        let got = evaluate(&luffy(clip), std::slice::from_ref(&row), &scale, 0.0);
        assert_close(got.loss, -1.0, "loss");
        assert_close(f64::from(got.gradient[0][0]), 0.0, "gradient");
    }
}

/// A learner may keep its batches off the graph, and an evaluation has no graph at all.
#[test]
fn batch_and_scores_may_live_on_the_plain_device() {
    let rows = ragged();
    let objective = MixedPolicyLoss { entropy_coefficient: 0.01, ..luffy(PPO) };
    let scale = objective.scale(&shape_of(&rows));
    let expected = evaluate(&objective, &rows, &scale, 0.0);
    let batch =
        MicroBatch::collate(&rows.iter().map(|row| &row.row).collect::<Vec<_>>(), &Device::flex());
    let t = batch.response_mask.dims()[1];
    for device in [Device::flex(), Device::flex().autodiff()] {
        let upload = |stream: fn(&ScoredRow) -> Vec<f32>| {
            let padded = rows.iter().map(|row| {
                let mut values = stream(row);
                values.resize(t, 0.0);
                Tensor::<1>::from_data(TensorData::from(&values[..]), &device).unsqueeze::<2>()
            });
            Tensor::cat(padded.collect(), 0)
        };
        let stats = TokenStats {
            logprobs: upload(|row| row.logprobs.clone()),
            entropy: upload(|row| row.entropy.clone()),
        };
        let got = objective.loss(stats, &batch, &scale);
        assert_close(f64::from(got.loss.into_scalar::<f32>()), expected.loss, "loss");
        assert_eq!(got.metrics, expected.metrics);
    }
}

#[test]
fn nothing_learned_gives_zero_and_no_metric() {
    let rows = [ScoredRow::new(1.0, &[context(), context()]), ScoredRow::new(1.0, &[])];
    let bonus = MixedPolicyLoss { entropy_coefficient: 0.1, ..luffy(PPO) };
    for objective in [&bonus as &dyn Objective, &SupervisedLoss::default()] {
        let scale = objective.scale(&shape_of(&rows));
        let got = evaluate(objective, &rows, &scale, f32::NAN);
        assert!(got.loss.abs() <= 0.0, "{}", got.loss);
        assert!(got.gradient.concat().iter().all(|gradient| gradient.abs() <= 0.0));
        assert_eq!(got.metrics.means().count(), 0);
    }
}

#[test]
fn a_diverged_token_is_reported_and_not_hidden() {
    let rows = [ScoredRow::new(1.0, &[demonstrated(f32::NAN)])];
    let scale = Scale { divisor: 1.0, n_tokens: 1.0, n_demonstrated: 1.0 };
    assert!(evaluate(&luffy(Clip::None), &rows, &scale, 0.0).loss.is_nan());
}

#[test]
fn the_entropy_bonus_pulls_on_learned_tokens_only() {
    let objective = MixedPolicyLoss { entropy_coefficient: 0.01, ..luffy(Clip::None) };
    let rows = ragged();
    let shape = shape_of(&rows);
    let scale = objective.scale(&shape);
    let got = evaluate(&objective, &rows, &scale, f32::NAN);
    let without = evaluate(&luffy(Clip::None), &rows, &scale, f32::NAN);
    let n_tokens = shape.n_tokens as f64;
    let entropy: f64 =
        rows.iter().flat_map(tokens).filter(|t| t.is_learned).map(|t| f64::from(t.entropy)).sum();
    assert_close(got.loss, without.loss - 0.01 * entropy / n_tokens, "loss");
    for (row, gradients) in rows.iter().zip(&got.entropy_gradient) {
        for (each, gradient) in tokens(row).iter().zip(gradients) {
            let expected = if each.is_learned { -0.01 / n_tokens } else { 0.0 };
            assert_close(f64::from(*gradient), expected, "gradient");
        }
    }
    assert!(without.entropy_gradient.concat().iter().all(|gradient| gradient.abs() <= 0.0));
}

#[test]
fn metrics_are_means_over_their_own_tokens() {
    let rows = ragged();
    let scale = Aggregate::ConstantLength.scale(&shape_of(&rows));
    let metrics = evaluate(&luffy(PPO), &rows, &scale, f32::NAN).metrics;
    let mut all: Vec<(Token, f64)> = Vec::new();
    for row in &rows {
        all.extend(tokens(row).into_iter().map(|t| (t, f64::from(row.row.advantages[0]))));
    }
    let mean = |keep: fn(&Token) -> bool, value: fn(&Token, f64) -> f64| {
        let values: Vec<f64> = all
            .iter()
            .filter(|(t, _)| keep(t))
            .map(|(t, advantage)| value(t, *advantage))
            .collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let off = |t: &Token| t.is_learned && t.is_demonstrated;
    let on = |t: &Token| t.is_learned && !t.is_demonstrated;
    for (id, expected) in [
        (metric::OFF_PG_LOSS, mean(off, |t, a| token(PPO, t, a).0)),
        (metric::ON_PG_LOSS, mean(on, |t, a| token(PPO, t, a).0)),
        (metric::OFF_POLICY_PROB, mean(off, |t, _| f64::from(t.logprob).exp())),
        (metric::ON_POLICY_PROB, mean(on, |t, _| f64::from(t.behavior).exp())),
        (metric::OFF_RATIO_MEAN, mean(off, |t, _| -token(PPO, t, 1.0).0)),
        (metric::ENTROPY, mean(|t| t.is_learned, |t, _| f64::from(t.entropy))),
        (metric::ENTROPY_ON, mean(on, |t, _| f64::from(t.entropy))),
        (metric::PPO_KL, mean(on, |t, _| f64::from(t.behavior) - f64::from(t.logprob))),
        // Of six sampled tokens two are beyond their bound: weight e^0.7 with A > 0, e^-0.9 with A < 0.
        (metric::PG_CLIPFRAC, 2.0 / 6.0),
    ] {
        assert_close(metrics.mean(id).expect("measured"), expected, id);
    }
    let on_only = evaluate(&luffy(PPO), &rows[1..2], &scale, 0.0).metrics;
    assert_eq!(on_only.mean(metric::OFF_PG_LOSS), None);
    assert_eq!(on_only.mean(metric::OFF_RATIO_MEAN), None);
}

#[test]
fn supervised_loss_is_the_mean_over_learned_tokens() {
    let rows = ragged();
    let scale = SupervisedLoss::default().scale(&shape_of(&rows));
    let got = evaluate(&SupervisedLoss::default(), &rows, &scale, f32::NAN);
    let logprobs: Vec<f64> = rows
        .iter()
        .flat_map(tokens)
        .filter(|t| t.is_learned)
        .map(|t| f64::from(t.logprob))
        .collect();
    let n = logprobs.len() as f64;
    let expected = -logprobs.iter().sum::<f64>() / n;
    assert_close(got.loss, expected, "loss");
    assert_close(got.metrics.mean(metric::SFT_LOSS).unwrap(), expected, "logged loss");
    for (row, gradients) in rows.iter().zip(&got.gradient) {
        for (each, gradient) in tokens(row).iter().zip(gradients) {
            let expected = if each.is_learned { -1.0 / n } else { 0.0 };
            assert_close(f64::from(*gradient), expected, "gradient");
        }
    }
}

/// Paper, eq. 8: through a softmax the logit of a demonstrated token gets
/// `A * gamma * p * (1 - p) / (p + gamma)^2`, that of another token `k` the same with `-p_k` for `1 - p`.
#[test]
fn logits_get_the_gradient_of_the_paper() {
    let (gamma, advantage) = (0.1, 0.875);
    let device = Device::flex().autodiff();
    for target in 0..4 {
        let logits = Tensor::<2>::from_data([[2.0, -1.5, 0.3, -4.0]], &device).require_grad();
        let row = Row {
            prompt: vec![0].into(),
            response: vec![target],
            mask: vec![true],
            demonstrated: vec![true],
            behavior_logprobs: vec![0.0],
            advantages: vec![advantage],
            reference_logprobs: vec![],
        };
        let batch = MicroBatch::collate(&[&row], &device);
        let place = Tensor::<2, Int>::from_data([[target]], &device);
        let logprobs = activation::log_softmax(logits.clone(), 1);
        let probs: Vec<f64> = logprobs.clone().exp().into_data().iter::<f64>().collect();
        let stats = TokenStats {
            logprobs: logprobs.gather(1, place),
            entropy: Tensor::zeros([1, 1], &device),
        };
        let scale = Scale { divisor: 1.0, n_tokens: 1.0, n_demonstrated: 1.0 };
        let gradients = luffy(PPO).loss(stats, &batch, &scale).loss.backward();
        let gradient = logits.grad(&gradients).expect("the loss depends on the logits");
        let p = probs[target as usize];
        for (k, got) in gradient.into_data().iter::<f64>().enumerate() {
            let direction = if k == target as usize { 1.0 - p } else { -probs[k] };
            let ascent = f64::from(advantage) * gamma * p * direction / (p + gamma).powi(2);
            assert_close(got, -ascent, &format!("logit {k}, target {target}"));
        }
    }
}

/// luffy.md 5.6, executed with the reference; demonstrated tokens have behaviour probability 1.
#[test]
fn the_reference_fixture_holds_for_every_shape() {
    let cases: [(Arc<dyn Shaping>, [f64; 3]); 8] = [
        (Arc::new(Identity), [-0.841_875, -0.773_125, -0.441_786]),
        (Arc::new(Log { weight: 0.1 }), [-0.428_207, -0.359_457, -0.205_404]),
        (Arc::new(IdentityPlusLog { weight: 0.1 }), [-0.738_832, -0.670_082, -0.382_904]),
        (Arc::new(Power { exponent: 0.5 }), [-0.924_390, -0.855_640, -0.488_937]),
        (Arc::new(Regularized { gamma: 0.1 }), [-0.946_875, -0.878_125, -0.501_786]),
        (Arc::new(Regularized { gamma: 0.3 }), [-0.845_703, -0.776_953, -0.443_973]),
        (Arc::new(Regularized { gamma: 0.5 }), [-0.789_663, -0.720_913, -0.411_951]),
        (Arc::new(Power { exponent: 1.0 }), [-0.841_875, -0.773_125, -0.441_786]),
    ];
    let demonstration: Vec<Token> =
        [0.9_f32, 0.5, 0.02].iter().map(|p| demonstrated(p.ln())).collect();
    let response: Vec<Token> = [(0.6_f32, 0.5_f32), (0.2, 0.25), (0.7, 0.4), (0.1, 0.2)]
        .iter()
        .map(|(current, behavior)| sampled(current.ln(), behavior.ln()))
        .collect();
    let rows = [ScoredRow::new(0.875, &demonstration), ScoredRow::new(0.5, &response)];
    let shape = luffy_core::StepShape { max_response_len: 4, ..shape_of(&rows) };
    for (shaping, expected) in cases {
        let settings = [(Clip::None, REFERENCE), (PPO, REFERENCE), (PPO, Aggregate::TokenMean)];
        for ((clip, aggregate), expected) in settings.into_iter().zip(expected) {
            let shaping = shaping.clone();
            let objective = MixedPolicyLoss { clip, aggregate, ..MixedPolicyLoss::new(shaping) };
            let got = evaluate(&objective, &rows, &objective.scale(&shape), 0.0);
            assert!((got.loss - expected).abs() < 1e-6, "{objective:?}: {}", got.loss);
        }
    }
    let objective = MixedPolicyLoss { aggregate: REFERENCE, ..luffy(Clip::None) };
    let metrics = evaluate(&objective, &rows, &objective.scale(&shape), 0.0).metrics;
    for (id, expected) in [
        (metric::OFF_RATIO_MEAN, 0.633_333),
        (metric::OFF_PG_LOSS, -0.554_167),
        (metric::ON_PG_LOSS, -0.531_25),
        (metric::OFF_POLICY_PROB, 0.473_333),
        (metric::ON_POLICY_PROB, 0.3375),
    ] {
        let got = metrics.mean(id).expect("measured");
        assert!((got - expected).abs() < 1e-6, "{id}: {got}");
    }
}
