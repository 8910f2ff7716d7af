//! Each term of the mixed loss by hand, and every loss without stop-gradients against central differences
//! of itself.

use std::sync::Arc;

use luffy_core::{Objective, Scale, Shaping};
use luffy_objective::{
    Aggregate, Clip, Correction, Dft, Identity, IdentityPlusLog, KlEstimator, KlPenalty, Level,
    Likelihood, Log, MixedPolicyLoss, Power, Regularized, RegularizedRatio, SrftSample,
    SupervisedLoss, SupervisedTerm, metric,
};

use crate::precise::{
    Evaluated, Rows, Token, assert_same, check_differences, context, demonstrated, evaluate,
    sampled, shape_of,
};

/// Ragged rows: a demonstration, a response, one that is both with context in it, and one of context alone.
/// No value stands at a kink of a clip below.
fn ragged() -> Rows {
    let mut rows = vec![
        vec![demonstrated(-0.1, 0.875), demonstrated(-2.5, 0.875), demonstrated(-5.0, 0.875)],
        vec![sampled(-1.0, -1.05, -0.25), sampled(-0.5, -1.2, -0.25), sampled(-2.0, -1.1, -0.25)],
        vec![
            context(f64::NAN),
            demonstrated(-1.5, 0.5),
            sampled(-0.2, -0.9, 0.5),
            context(f64::INFINITY),
            sampled(-3.0, -2.9, 0.5),
        ],
        vec![sampled(-0.7, -0.75, -1.0)],
        vec![context(f64::NEG_INFINITY); 2],
    ];
    for (i, token) in rows.iter_mut().flatten().filter(|token| token.is_learned).enumerate() {
        token.entropy = 0.3 + 0.1 * i as f64;
        token.reference = -1.0 - 0.2 * i as f64;
    }
    rows
}

fn luffy() -> MixedPolicyLoss {
    MixedPolicyLoss::new(Arc::new(Regularized { gamma: 0.1 }))
}

const PPO: Clip = Clip::Epsilon { low: 0.2, high: 0.2 };

fn run(objective: &dyn Objective, rows: &Rows) -> (Evaluated, Scale) {
    let scale = objective.scale(&shape_of(rows));
    (evaluate(objective, rows, &scale, f64::NAN), scale)
}

/// Checks the loss and its gradient in the log-probs against a sum over learned tokens of `(value, slope)`.
#[track_caller]
fn check(
    objective: &dyn Objective,
    rows: &Rows,
    token: impl Fn(usize, &Token) -> (f64, f64),
) -> Evaluated {
    let (got, _) = run(objective, rows);
    let mut loss = 0.0;
    for (i, row) in rows.iter().enumerate() {
        for (j, each) in row.iter().enumerate() {
            let (value, slope) = if each.is_learned { token(i, each) } else { (0.0, 0.0) };
            loss += value;
            assert_same(got.gradient[i][j], slope, &format!("token {j} of row {i}"));
        }
    }
    assert_same(got.loss, loss, "loss");
    got
}

fn count(rows: &Rows, is: impl Fn(&Token) -> bool) -> f64 {
    rows.iter().flatten().filter(|token| token.is_learned && is(token)).count() as f64
}

/// `-A * g` and its derivative for LUFFY without clip.
fn policy(token: &Token) -> (f64, f64) {
    let w = (token.logprob - token.behavior).exp();
    let (g, slope) =
        if token.is_demonstrated { (w / (w + 0.1), 0.1 * w / (w + 0.1).powi(2)) } else { (w, w) };
    (-token.advantage * g, -token.advantage * slope)
}

#[test]
fn every_aggregate_divides_as_it_says() {
    let rows = ragged();
    let n_learned: Vec<f64> = rows
        .iter()
        .map(|row| row.iter().filter(|token| token.is_learned).count().max(1) as f64)
        .collect();
    let n_tokens = count(&rows, |_| true);
    let reference = Aggregate::Reference { devices: 8, micro_batches: 3 };
    for (aggregate, divisor) in [
        // `shape_of` says at most 16 tokens and 5 rows.
        (Aggregate::ConstantLength, [80.0; 5]),
        (Aggregate::TokenMean, [n_tokens; 5]),
        (Aggregate::SequenceMean, std::array::from_fn(|i| 5.0 * n_learned[i])),
        (reference, [8.0 * 16.0; 5]),
    ] {
        let objective = MixedPolicyLoss { aggregate, ..luffy() };
        let got = check(&objective, &rows, |i, token| {
            let (value, slope) = policy(token);
            (value / divisor[i], slope / divisor[i])
        });
        assert_same(got.metrics.mean(metric::PG_LOSS).expect("measured"), got.loss, "logged");
    }
}

#[test]
fn regularisers_are_means_over_learned_tokens_or_as_the_reference_has_them() {
    let rows = ragged();
    let n_tokens = count(&rows, |_| true);
    let micro_batches = 3;
    for (aggregate, n) in [
        (Aggregate::ConstantLength, n_tokens),
        (Aggregate::SequenceMean, n_tokens),
        (Aggregate::Reference { devices: 8, micro_batches }, n_tokens / 3.0),
    ] {
        let plain = MixedPolicyLoss { aggregate, ..luffy() };
        let kl = Some(KlPenalty { estimator: KlEstimator::K3, coefficient: 0.02 });
        let regularized = MixedPolicyLoss { entropy_coefficient: 0.01, kl, ..plain.clone() };
        let (plain, _) = run(&plain, &rows);
        let (got, _) = run(&regularized, &rows);
        let (mut bonus, mut penalty) = (0.0, 0.0);
        for (i, row) in rows.iter().enumerate() {
            for (j, token) in row.iter().enumerate().filter(|(_, token)| token.is_learned) {
                let d = token.logprob - token.reference;
                bonus += token.entropy;
                penalty += (-d).exp() - 1.0 + d;
                let moved = got.gradient[i][j] - plain.gradient[i][j];
                assert_same(moved, 0.02 * (1.0 - (-d).exp()) / n, "gradient of the penalty");
                assert_same(got.entropy_gradient[i][j], -0.01 / n, "gradient of the bonus");
            }
        }
        assert_same(got.loss - plain.loss, (0.02 * penalty - 0.01 * bonus) / n, "loss");
        // What is logged is a mean whatever the aggregate, and the policy loss is without both.
        let mean = |id| got.metrics.mean(id).expect("measured");
        assert_same(mean(metric::KL_LOSS), penalty / n_tokens, "logged KL");
        assert_same(mean(metric::ENTROPY), bonus / n_tokens, "logged entropy");
        assert_same(mean(metric::PG_LOSS), plain.loss, "logged policy loss");
        assert!(plain.entropy_gradient.concat().iter().all(|gradient| gradient.abs() <= 0.0));
        assert_eq!(plain.metrics.mean(metric::KL_LOSS), None);
    }
}

#[test]
fn a_supervised_term_is_a_mean_over_demonstrated_tokens() {
    let rows = ragged();
    let n = count(&rows, |token| token.is_demonstrated);
    let term = |shaping: Arc<dyn Shaping>| Some(SupervisedTerm { shaping, coefficient: 0.3 });
    let on_demonstrations = |token: &Token, value: f64, slope: f64| {
        let (policy, policy_slope) = policy(token);
        let term = if token.is_demonstrated { -0.3 / n } else { 0.0 };
        (policy / 80.0 + term * value, policy_slope / 80.0 + term * slope)
    };
    let objective = MixedPolicyLoss { supervised: term(Arc::new(Likelihood)), ..luffy() };
    let got = check(&objective, &rows, |_, token| on_demonstrations(token, token.logprob, 1.0));
    let nll: f64 = rows
        .iter()
        .flatten()
        .filter(|token| token.is_learned && token.is_demonstrated)
        .map(|token| -token.logprob)
        .sum();
    assert_same(got.metrics.mean(metric::SFT_LOSS).expect("measured"), nll / n, "logged");
    let objective = MixedPolicyLoss { supervised: term(Arc::new(Dft)), ..luffy() };
    let got = check(&objective, &rows, |_, token| {
        let p = token.logprob.exp();
        on_demonstrations(token, p * token.logprob, p)
    });
    // The same figure whatever the weights.
    assert_same(got.metrics.mean(metric::SFT_LOSS).expect("measured"), nll / n, "logged");
    let off = SupervisedTerm { shaping: Arc::new(Likelihood), coefficient: 0.0 };
    let objective = MixedPolicyLoss { supervised: Some(off), ..luffy() };
    let got = check(&objective, &rows, |_, token| on_demonstrations(token, 0.0, 0.0));
    assert_eq!(got.metrics.mean(metric::SFT_LOSS), None);
}

#[test]
fn only_the_most_undecided_demonstrated_tokens_stay_in_the_policy_term() {
    // Entropies rise by token: of three demonstrated tokens two stay, the last two; of one, one.
    let rows = ragged();
    let objective = MixedPolicyLoss { prefix_entropy: Some(0.4), ..luffy() };
    let dropped = rows[0][0].logprob;
    let stays = |token: &Token| (token.logprob - dropped).abs() > 0.0;
    let got = check(&objective, &rows, |_, token| match policy(token) {
        (value, slope) if stays(token) => (value / 80.0, slope / 80.0),
        _ => (0.0, 0.0),
    });
    let kept: Vec<f64> = rows
        .iter()
        .flatten()
        .filter(|token| token.is_learned && token.is_demonstrated && stays(token))
        .map(|token| policy(token).0)
        .collect();
    let mean = kept.iter().sum::<f64>() / kept.len() as f64;
    assert_same(got.metrics.mean(metric::OFF_PG_LOSS).expect("measured"), mean, "logged");
    // A supervised term next to it takes all of them.
    let term = SupervisedTerm { shaping: Arc::new(Likelihood), coefficient: 0.3 };
    let n = count(&rows, |token| token.is_demonstrated);
    let with_term = MixedPolicyLoss { supervised: Some(term), ..objective };
    check(&with_term, &rows, |_, token| {
        let (value, slope) = if stays(token) { policy(token) } else { (0.0, 0.0) };
        let term = if token.is_demonstrated { -0.3 / n } else { 0.0 };
        (value / 80.0 + term * token.logprob, slope / 80.0 + term)
    });
}

#[test]
fn a_correction_weighs_samples_by_how_far_the_engine_is_off() {
    let rows = ragged();
    let truncate: fn(f64) -> f64 = |r| r.min(1.5);
    let mask: fn(f64) -> f64 = |r| if (0.5..=1.5).contains(&r) { r } else { 0.0 };
    let level = Level::Token;
    for (correction, weight) in [
        (Correction::Truncate { max: 1.5, level }, truncate),
        (Correction::Mask { low: 0.5, high: 1.5, level }, mask),
    ] {
        let weight = |token: &Token| weight((token.logprob - token.behavior).exp());
        let is_sampled = |token: &&Token| token.is_learned && !token.is_demonstrated;
        let value = |token: &Token| -token.advantage * weight(token) / 80.0;
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        // The ratio is current over proximal, 1: nothing is clipped however far the engine is off.
        for clip in [Clip::None, PPO, Clip::Gspo { low: 1e-3, high: 1e-3 }] {
            let objective = MixedPolicyLoss { correction, clip, ..luffy() };
            let got = check(&objective, &rows, |i, token| {
                if token.is_demonstrated {
                    let (value, slope) = policy(token);
                    return (value / 80.0, slope / 80.0);
                }
                let slope = match clip {
                    // Each of n tokens moves the common ratio of all by 1 / n.
                    Clip::Gspo { .. } => {
                        mean(rows[i].iter().filter(is_sampled).map(value).collect())
                    }
                    _ => value(token),
                };
                (value(token), slope)
            });
            assert_same(got.metrics.mean(metric::PG_CLIPFRAC).expect("samples"), 0.0, "clipped");
            let expected = mean(rows.iter().flatten().filter(is_sampled).map(weight).collect());
            assert_same(
                got.metrics.mean(metric::CORRECTION).expect("measured"),
                expected,
                "logged",
            );
        }
    }
    assert_eq!(run(&luffy(), &rows).0.metrics.mean(metric::CORRECTION), None);
}

#[test]
fn losses_without_stop_gradients_have_the_gradient_of_their_differences() {
    let rows: Rows = ragged();
    let kl = |estimator| Some(KlPenalty { estimator, coefficient: 0.2 });
    let objectives = [
        MixedPolicyLoss { entropy_coefficient: 0.1, kl: kl(KlEstimator::K1), ..luffy() },
        MixedPolicyLoss {
            clip: PPO,
            aggregate: Aggregate::TokenMean,
            kl: kl(KlEstimator::Abs),
            ..luffy()
        },
        MixedPolicyLoss {
            clip: Clip::Dual { low: 0.2, high: 0.2, max: 1.9 },
            aggregate: Aggregate::SequenceMean,
            kl: kl(KlEstimator::Mse),
            ..MixedPolicyLoss::new(Arc::new(Identity))
        },
        MixedPolicyLoss {
            clip: Clip::Gspo { low: 0.1, high: 0.3 },
            aggregate: Aggregate::Reference { devices: 2, micro_batches: 3 },
            kl: kl(KlEstimator::K3),
            entropy_coefficient: 0.1,
            ..MixedPolicyLoss::new(Arc::new(Power { exponent: 0.4 }))
        },
        MixedPolicyLoss {
            clip: Clip::Sapo { positive: 1.0, negative: 1.05 },
            kl: kl(KlEstimator::K3Clamped),
            supervised: Some(SupervisedTerm { shaping: Arc::new(Likelihood), coefficient: 0.3 }),
            prefix_entropy: Some(0.4),
            ..MixedPolicyLoss::new(Arc::new(IdentityPlusLog { weight: 0.1 }))
        },
        MixedPolicyLoss {
            reshape: Arc::new(RegularizedRatio { gamma: 0.1 }),
            clip: PPO,
            ..MixedPolicyLoss::new(Arc::new(Log { weight: 0.1 }))
        },
    ];
    for objective in &objectives {
        check_differences(objective, &rows);
    }
    check_differences(&SupervisedLoss::default(), &rows);
}

#[test]
fn demonstrated_tokens_never_see_a_clip_or_a_reshape() {
    // Weights of 20 with A > 0 and 0.1 with A < 0: far outside the range of a sampled token.
    let clips = [
        PPO,
        Clip::Dual { low: 0.2, high: 0.2, max: 1.5 },
        Clip::Cispo { high: 0.2 },
        Clip::Gspo { low: 0.2, high: 0.2 },
        Clip::Sapo { positive: 1.0, negative: 1.05 },
    ];
    for clip in clips {
        for (weight, advantage) in [(20.0_f64, 1.0), (0.1, -1.0)] {
            let demonstration =
                Token { behavior: -0.1 - weight.ln(), ..demonstrated(-0.1, advantage) };
            let rows = vec![vec![demonstration, sampled(-1.0, -1.0, advantage)]];
            let objective = MixedPolicyLoss { clip, ..luffy() };
            let reshaped = MixedPolicyLoss { reshape: Arc::new(SrftSample), ..luffy() };
            for objective in [objective, reshaped] {
                let (got, scale) = run(&objective, &rows);
                let expected = -advantage * 0.1 * weight / (weight + 0.1).powi(2);
                assert_same(got.gradient[0][0], expected / scale.divisor, "gradient");
                assert_same(got.metrics.mean(metric::PG_CLIPFRAC).expect("a sample"), 0.0, "share");
                let ratio = got.metrics.mean(metric::OFF_RATIO_MEAN).expect("a demonstration");
                assert_same(ratio, weight / (weight + 0.1), "shaped weight");
            }
        }
    }
}

#[test]
fn nothing_learned_gives_zero_and_no_metric() {
    let all = MixedPolicyLoss {
        entropy_coefficient: 0.1,
        clip: Clip::Gspo { low: 0.1, high: 0.1 },
        correction: Correction::Mask { low: 0.5, high: 2.0, level: Level::Geometric },
        aggregate: Aggregate::SequenceMean,
        kl: Some(KlPenalty { estimator: KlEstimator::K3, coefficient: 0.1 }),
        supervised: Some(SupervisedTerm { shaping: Arc::new(Likelihood), coefficient: 1.0 }),
        prefix_entropy: Some(0.2),
        ..luffy()
    };
    let supervised = SupervisedLoss::default();
    for rows in [vec![vec![context(f64::NAN); 2], vec![]], vec![vec![]]] {
        for objective in [&all as &dyn Objective, &luffy(), &supervised] {
            let (got, _) = run(objective, &rows);
            assert!(got.loss.abs() <= 0.0, "{}", got.loss);
            assert!(got.gradient.concat().iter().all(|gradient| gradient.abs() <= 0.0));
            assert_eq!(got.metrics.means().count(), 0);
        }
    }
}
