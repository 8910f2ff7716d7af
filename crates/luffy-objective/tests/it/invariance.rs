//! What a loss must not depend on.

use std::sync::Arc;

use luffy_core::{Metrics, Objective, Scale};
use luffy_objective::{Aggregate, Clip, MixedPolicyLoss, Regularized, SupervisedLoss};
use proptest::prelude::*;

use crate::scored::{Evaluated, ScoredRow, Token, evaluate, shape_of};

fn objectives() -> [Arc<dyn Objective>; 3] {
    let mixed = |clip, aggregate| MixedPolicyLoss {
        clip,
        aggregate,
        entropy_coefficient: 0.01,
        ..MixedPolicyLoss::new(Arc::new(Regularized { gamma: 0.1 }))
    };
    [
        Arc::new(mixed(Clip::None, Aggregate::ConstantLength)),
        Arc::new(mixed(Clip::Epsilon { low: 0.2, high: 0.2 }, Aggregate::TokenMean)),
        Arc::new(SupervisedLoss::default()),
    ]
}

prop_compose! {
    fn token()(
        is_learned in prop::bool::weighted(0.8),
        is_demonstrated in any::<bool>(),
        logprob in -6.0_f32..0.0,
        behavior in -6.0_f32..0.0,
        entropy in 0.0_f32..3.0,
    ) -> Token {
        let behavior = if is_demonstrated || !is_learned { 0.0 } else { behavior };
        Token { is_learned, is_demonstrated, logprob, behavior, entropy }
    }
}

prop_compose! {
    fn row()(advantage in -1.0_f32..1.0, tokens in prop::collection::vec(token(), 0..7)) -> ScoredRow {
        ScoredRow::new(advantage, &tokens)
    }
}

fn rows() -> impl Strategy<Value = Vec<ScoredRow>> {
    prop::collection::vec(row(), 1..7)
}

/// A row of the given length that teaches nothing.
fn masked(len: usize) -> ScoredRow {
    let token = Token {
        is_learned: false,
        is_demonstrated: true,
        logprob: -3.0,
        behavior: 0.0,
        entropy: 1.0,
    };
    ScoredRow::new(5.0, &vec![token; len])
}

fn close(got: f64, expected: f64, size: f64) -> bool {
    (got - expected).abs() <= 1e-6 * size.max(1.0)
}

/// Losses add up, gradients are those of the same rows, metrics merge to the same means.
fn same(parts: &[Evaluated], whole: &Evaluated) -> Result<(), TestCaseError> {
    let size: f64 = parts.iter().map(|part| part.loss.abs()).sum();
    let loss: f64 = parts.iter().map(|part| part.loss).sum();
    prop_assert!(close(loss, whole.loss, size), "{loss} is not {}", whole.loss);
    let streams: [fn(&Evaluated) -> Vec<f32>; 2] =
        [|e| e.gradient.concat(), |e| e.entropy_gradient.concat()];
    for stream in streams {
        let cut: Vec<f32> = parts.iter().flat_map(stream).collect();
        let one: Vec<f32> = stream(whole);
        prop_assert_eq!(cut.len(), one.len());
        for (cut, one) in cut.iter().zip(&one) {
            prop_assert!(close(f64::from(*cut), f64::from(*one), f64::from(one.abs())));
        }
    }
    let mut merged = Metrics::default();
    for part in parts {
        merged.merge(&part.metrics);
    }
    prop_assert_eq!(merged.means().count(), whole.metrics.means().count());
    for (id, mean) in merged.means() {
        let expected = whole.metrics.mean(id).expect("the same names");
        prop_assert!(
            (mean - expected).abs() <= 1e-5 * expected.abs().max(1.0),
            "{id}: {mean}, {expected}"
        );
    }
    Ok(())
}

fn scale_of(objective: &dyn Objective, rows: &[ScoredRow]) -> Scale {
    objective.scale(&shape_of(rows))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn micro_batches_add_up_to_the_update(rows in rows(), cut in any::<prop::sample::Index>()) {
        let (left, right) = rows.split_at(cut.index(rows.len() + 1));
        for objective in objectives() {
            let scale = scale_of(&*objective, &rows);
            let whole = evaluate(&*objective, &rows, &scale, -1.0);
            let parts: Vec<Evaluated> = [left, right]
                .into_iter()
                .filter(|part| !part.is_empty())
                .map(|part| evaluate(&*objective, part, &scale, -1.0))
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
        let shuffled: Vec<ScoredRow> = order.iter().map(|i| rows[*i].clone()).collect();
        for objective in objectives() {
            let scale = scale_of(&*objective, &rows);
            let mut whole = evaluate(&*objective, &rows, &scale, -1.0);
            whole.gradient = order.iter().map(|i| whole.gradient[*i].clone()).collect();
            whole.entropy_gradient = order.iter().map(|i| whole.entropy_gradient[*i].clone()).collect();
            same(&[evaluate(&*objective, &shuffled, &scale, -1.0)], &whole)?;
        }
    }

    #[test]
    fn padding_and_its_content_change_nothing(rows in rows(), padding in -1e3_f32..1e3) {
        for objective in objectives() {
            let scale = scale_of(&*objective, &rows);
            let whole = evaluate(&*objective, &rows, &scale, 0.0);
            // The long masked row pads every other one.
            let mut padded = rows.clone();
            padded.push(masked(11));
            let mut wider = evaluate(&*objective, &padded, &scale, padding);
            let gradient = wider.gradient.pop().expect("the masked row");
            prop_assert!(gradient.iter().all(|gradient| gradient.abs() <= 0.0));
            wider.entropy_gradient.pop();
            same(&[wider], &whole)?;
            same(&[evaluate(&*objective, &rows, &scale, f32::NAN)], &whole)?;
        }
    }

    #[test]
    fn an_update_without_advantage_has_no_policy_gradient(mut rows in rows()) {
        for row in &mut rows {
            row.row.advantages.fill(0.0);
        }
        for objective in &objectives()[..2] {
            let scale = scale_of(&**objective, &rows);
            let gradient = evaluate(&**objective, &rows, &scale, -1.0).gradient.concat();
            prop_assert!(gradient.iter().all(|gradient| gradient.abs() <= 0.0));
        }
    }
}
