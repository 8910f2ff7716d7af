//! What a loss must not depend on: micro-batches, replicas, order, padding, and packing where the divisor
//! counts tokens.

use std::sync::Arc;

use luffy_core::{Metrics, Objective, Scale};
use luffy_objective::{
    Aggregate, ChordPhi, Clip, Correction, Dft, KlEstimator, KlPenalty, Level, Likelihood,
    MixedPolicyLoss, Power, Regularized, SrftDemonstration, SrftSample, SupervisedLoss,
    SupervisedTerm,
};
use proptest::prelude::*;

use crate::precise::{Evaluated, Rows, Token, context, evaluate, shape_of};

/// One loss for each aggregate, with every term and clip in one of them.
fn mixed() -> Vec<MixedPolicyLoss> {
    let luffy = || MixedPolicyLoss {
        entropy_coefficient: 0.01,
        ..MixedPolicyLoss::new(Arc::new(Regularized { gamma: 0.1 }))
    };
    let penalty = |estimator| Some(KlPenalty { estimator, coefficient: 0.02 });
    vec![
        MixedPolicyLoss {
            kl: penalty(KlEstimator::K3),
            supervised: Some(SupervisedTerm {
                shaping: Arc::new(SrftDemonstration),
                coefficient: 0.3,
            }),
            ..luffy()
        },
        MixedPolicyLoss {
            clip: Clip::Epsilon { low: 0.2, high: 0.28 },
            reshape: Arc::new(Power { exponent: 0.5 }),
            aggregate: Aggregate::TokenMean,
            prefix_entropy: Some(0.4),
            ..luffy()
        },
        MixedPolicyLoss {
            clip: Clip::Gspo { low: 0.1, high: 0.1 },
            aggregate: Aggregate::SequenceMean,
            kl: penalty(KlEstimator::Mse),
            ..luffy()
        },
        MixedPolicyLoss {
            clip: Clip::Dual { low: 0.2, high: 0.2, max: 3.0 },
            aggregate: Aggregate::Reference { devices: 8, micro_batches: 3 },
            kl: penalty(KlEstimator::K3Clamped),
            ..luffy()
        },
        MixedPolicyLoss {
            correction: Correction::Truncate { max: 2.0, level: Level::Sequence },
            clip: Clip::Cispo { high: 0.2 },
            ..luffy()
        },
        MixedPolicyLoss {
            correction: Correction::Mask { low: 0.3, high: 3.0, level: Level::Geometric },
            reshape: Arc::new(SrftSample),
            ..MixedPolicyLoss::new(Arc::new(ChordPhi))
        },
        MixedPolicyLoss {
            clip: Clip::Sapo { positive: 1.0, negative: 1.05 },
            supervised: Some(SupervisedTerm { shaping: Arc::new(Likelihood), coefficient: 1.0 }),
            ..luffy()
        },
    ]
}

fn objectives() -> Vec<Arc<dyn Objective>> {
    let mut objectives: Vec<Arc<dyn Objective>> =
        mixed().into_iter().map(|loss| Arc::new(loss) as Arc<dyn Objective>).collect();
    objectives.push(Arc::new(SupervisedLoss::default()));
    objectives.push(Arc::new(SupervisedLoss { shaping: Arc::new(Dft) }));
    // Not zero for a probability of 1.
    objectives.push(Arc::new(SupervisedLoss { shaping: Arc::new(Regularized { gamma: 0.1 }) }));
    objectives
}

prop_compose! {
    fn token(advantage: f64)(
        is_learned in prop::bool::weighted(0.8),
        is_demonstrated in any::<bool>(),
        logprob in -6.0_f64..0.0,
        behavior in -6.0_f64..0.0,
        entropy in 0.0_f64..3.0,
        reference in -6.0_f64..0.0,
    ) -> Token {
        let behavior = if is_demonstrated || !is_learned { 0.0 } else { behavior };
        Token { is_learned, is_demonstrated, logprob, behavior, entropy, advantage, reference }
    }
}

fn row() -> impl Strategy<Value = Vec<Token>> {
    (-1.0_f64..1.0).prop_flat_map(|advantage| prop::collection::vec(token(advantage), 0..7))
}

fn rows() -> impl Strategy<Value = Rows> {
    prop::collection::vec(row(), 1..7)
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() <= 1e-9 * (1.0 + expected.abs())
}

/// The parts, put together, are the whole.
fn same(parts: &[Evaluated], whole: &Evaluated) -> Result<(), TestCaseError> {
    let loss: f64 = parts.iter().map(|part| part.loss).sum();
    prop_assert!(close(loss, whole.loss), "{loss} is not {}", whole.loss);
    let streams: [fn(&Evaluated) -> Vec<f64>; 2] =
        [|e| e.gradient.concat(), |e| e.entropy_gradient.concat()];
    for stream in streams {
        let cut: Vec<f64> = parts.iter().flat_map(stream).collect();
        let one: Vec<f64> = stream(whole);
        prop_assert_eq!(cut.len(), one.len());
        for (cut, one) in cut.iter().zip(&one) {
            prop_assert!(close(*cut, *one), "{cut} is not {one}");
        }
    }
    let mut merged = Metrics::default();
    for part in parts {
        merged.merge(&part.metrics);
    }
    prop_assert_eq!(merged.means().count(), whole.metrics.means().count());
    for (id, mean) in merged.means() {
        let expected = whole.metrics.mean(id).expect("the same names");
        prop_assert!(close(mean, expected), "{id}: {mean}, {expected}");
    }
    Ok(())
}

fn scale_of(objective: &dyn Objective, rows: &Rows) -> Scale {
    objective.scale(&shape_of(rows))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Replicas take units of rows as micro-batches do: any cut is a sum of parts under one scale.
    #[test]
    fn any_cut_into_micro_batches_and_replicas_gives_the_same_gradient(
        rows in rows(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(rows.len() + 1)).collect();
        ends.extend([0, rows.len()]);
        ends.sort_unstable();
        for objective in objectives() {
            let scale = scale_of(&*objective, &rows);
            let whole = evaluate(&*objective, &rows, &scale, -1.0);
            let parts: Vec<Evaluated> = ends
                .windows(2)
                .map(|ends| rows[ends[0]..ends[1]].to_vec())
                .filter(|part| !part.is_empty())
                .map(|part| evaluate(&*objective, &part, &scale, -1.0))
                .collect();
            same(&parts, &whole)?;
        }
    }

    #[test]
    fn rows_may_come_in_any_order(
        (rows, order) in rows().prop_flat_map(|rows| {
            let order: Vec<usize> = (0..rows.len()).collect();
            (Just(rows), Just(order).prop_shuffle())
        }),
    ) {
        let shuffled: Rows = order.iter().map(|i| rows[*i].clone()).collect();
        for objective in objectives() {
            let scale = scale_of(&*objective, &rows);
            let mut whole = evaluate(&*objective, &rows, &scale, -1.0);
            whole.gradient = order.iter().map(|i| whole.gradient[*i].clone()).collect();
            whole.entropy_gradient = order.iter().map(|i| whole.entropy_gradient[*i].clone()).collect();
            same(&[evaluate(&*objective, &shuffled, &scale, -1.0)], &whole)?;
        }
    }

    /// `evaluate` asserts that nothing outside of the learned tokens has a gradient.
    #[test]
    fn what_is_not_learned_may_hold_anything(
        rows in rows(),
        value in prop::sample::select(vec![0.0, -1e3, 1e3, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ) {
        for objective in objectives() {
            let scale = scale_of(&*objective, &rows);
            let whole = evaluate(&*objective, &rows, &scale, 0.0);
            // A long row of nothing pads every other one; what was there keeps its place.
            let mut wider: Rows = rows.clone();
            for token in wider.iter_mut().flatten().filter(|token| !token.is_learned) {
                *token = Token { is_demonstrated: token.is_demonstrated, ..context(value) };
            }
            wider.push(vec![context(value); 11]);
            let mut wider = evaluate(&*objective, &wider, &scale, value);
            wider.gradient.pop();
            wider.entropy_gradient.pop();
            same(&[wider], &whole)?;
        }
    }

    /// A row may be cut in two, or two packed into one, where the divisor does not count rows and no clip or
    /// correction looks at one.
    #[test]
    fn packing_changes_nothing_where_tokens_are_counted(rows in rows()) {
        let packed: Rows = rows.chunks(2).map(<[_]>::concat).collect();
        for mut objective in mixed() {
            objective.aggregate = Aggregate::TokenMean;
            objective.prefix_entropy = None;
            let by_row = matches!(objective.clip, Clip::Gspo { .. })
                || !matches!(objective.correction, Correction::None);
            if by_row {
                continue;
            }
            let scale = scale_of(&objective, &rows);
            let mut whole = evaluate(&objective, &rows, &scale, 0.0);
            let pack = |rows: Vec<Vec<f64>>| rows.chunks(2).map(<[_]>::concat).collect();
            whole.gradient = pack(whole.gradient);
            whole.entropy_gradient = pack(whole.entropy_gradient);
            same(&[evaluate(&objective, &packed, &scale, 0.0)], &whole)?;
        }
    }

    #[test]
    fn an_update_without_advantage_has_no_policy_gradient(mut rows in rows()) {
        for token in rows.iter_mut().flatten() {
            token.advantage = 0.0;
        }
        for mut objective in mixed() {
            (objective.kl, objective.supervised) = (None, None);
            let scale = scale_of(&objective, &rows);
            let gradient = evaluate(&objective, &rows, &scale, -1.0).gradient.concat();
            prop_assert!(gradient.iter().all(|gradient| gradient.abs() <= 0.0));
        }
    }
}
