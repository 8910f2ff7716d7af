//! Losses in `f64`: values and gradients, with whatever stands outside of the learned tokens.

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use luffy_core::{
    LossOutput, Metrics, MicroBatch, Objective, PackedRows, Scale, StepShape, TokenStats,
};

/// One response token and all that a loss may know of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) is_learned: bool,
    pub(crate) is_demonstrated: bool,
    pub(crate) logprob: f64,
    pub(crate) behavior: f64,
    pub(crate) entropy: f64,
    pub(crate) advantage: f64,
    pub(crate) reference: f64,
}

/// Responses by token.
pub(crate) type Rows = Vec<Vec<Token>>;

/// A loss with its gradients, by row, without padding.
#[derive(Debug, Clone)]
pub(crate) struct Evaluated {
    pub(crate) loss: f64,
    /// In the log-probs.
    pub(crate) gradient: Vec<Vec<f64>>,
    /// In the entropies.
    pub(crate) entropy_gradient: Vec<Vec<f64>>,
    pub(crate) metrics: Metrics,
}

/// A demonstrated token of behaviour probability 1.
pub(crate) fn demonstrated(logprob: f64, advantage: f64) -> Token {
    Token {
        is_learned: true,
        is_demonstrated: true,
        logprob,
        behavior: 0.0,
        entropy: 0.7,
        advantage,
        reference: -1.3,
    }
}

/// A sampled token.
pub(crate) fn sampled(logprob: f64, behavior: f64, advantage: f64) -> Token {
    let token = demonstrated(logprob, advantage);
    Token { is_demonstrated: false, behavior, entropy: 1.1, ..token }
}

/// A token that is not learned from; every stream of it holds `value`.
pub(crate) fn context(value: f64) -> Token {
    Token {
        is_learned: false,
        is_demonstrated: false,
        logprob: value,
        behavior: value,
        entropy: value,
        advantage: value,
        reference: value,
    }
}

/// The shape of an update of these rows.
pub(crate) fn shape_of(rows: &Rows) -> StepShape {
    let count = |is: fn(&Token) -> bool| {
        rows.iter().flatten().filter(|token| token.is_learned && is(token)).count() as u64
    };
    StepShape {
        n_rows: rows.len() as u64,
        n_tokens: count(|_| true),
        n_policy_tokens: count(|_| true),
        n_demonstrated: count(|token| token.is_demonstrated),
        max_response_len: 16,
    }
}

/// One micro-batch of these rows, padded on the right by tokens whose every stream holds `padding`.
/// Gradients on what is not learned must be exactly zero.
pub(crate) fn evaluate(
    objective: &dyn Objective,
    rows: &Rows,
    scale: &Scale,
    padding: f64,
) -> Evaluated {
    let device = Device::flex().autodiff();
    let b = rows.len();
    let t = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let place = |i: usize, j: usize| rows[i].get(j).copied().unwrap_or_else(|| context(padding));
    let tokens: Vec<Token> = (0..b * t).map(|k| place(k / t, k % t)).collect();
    let floats = |stream: fn(&Token) -> f64| {
        let values: Vec<f64> = tokens.iter().map(stream).collect();
        Tensor::<2>::from_data(TensorData::new(values, [b, t]), (&device, DType::F64))
    };
    let flags = |stream: fn(&Token) -> bool| {
        let values: Vec<bool> = tokens.iter().map(stream).collect();
        Tensor::<2, Bool>::from_data(TensorData::new(values, [b, t]), &device)
    };
    let batch = MicroBatch {
        packed: PackedRows::unread([b, t], &device),
        response_mask: flags(|token| token.is_learned),
        demonstrated: flags(|token| token.is_demonstrated),
        behavior_logprobs: floats(|token| token.behavior),
        advantages: floats(|token| token.advantage),
        reference_logprobs: Some(floats(|token| token.reference)),
    };
    let logprobs = floats(|token| token.logprob).require_grad();
    let entropy = floats(|token| token.entropy).require_grad();
    let stats = TokenStats { logprobs: logprobs.clone(), entropy: entropy.clone() };
    let LossOutput { loss, metrics } = objective.loss(stats, &batch, scale);
    assert_eq!(loss.dtype(), DType::F64, "what comes in double precision goes out in it");
    let gradients = loss.backward();
    let by_row = |leaf: &Tensor<2>| -> Vec<Vec<f64>> {
        let flat: Vec<f64> = match leaf.grad(&gradients) {
            None => vec![0.0; b * t],
            Some(gradient) => gradient.into_data().iter::<f64>().collect(),
        };
        for (token, gradient) in tokens.iter().zip(&flat) {
            assert!(token.is_learned || gradient.abs() <= 0.0, "{token:?}: {gradient}");
        }
        flat.chunks(t).zip(rows).map(|(values, row)| values[..row.len()].to_vec()).collect()
    };
    Evaluated {
        gradient: by_row(&logprobs),
        entropy_gradient: by_row(&entropy),
        loss: loss.into_data().iter::<f64>().next().expect("a scalar"),
        metrics,
    }
}

/// Asserts that two numbers agree to `1e-9`, absolutely or relatively.
#[track_caller]
pub(crate) fn assert_same(got: f64, expected: f64, what: &str) {
    let difference = (got - expected).abs();
    assert!(difference <= 1e-9 + 1e-9 * expected.abs(), "{what}: {got} is not {expected}");
}

/// Checks the gradients of a loss without stop-gradients against central differences of the loss itself.
#[track_caller]
pub(crate) fn check_differences(objective: &dyn Objective, rows: &Rows) {
    let scale = objective.scale(&shape_of(rows));
    let got = evaluate(objective, rows, &scale, f64::NAN);
    check_stream(objective, rows, &got.gradient, |token| &mut token.logprob);
    check_stream(objective, rows, &got.entropy_gradient, |token| &mut token.entropy);
}

#[track_caller]
fn check_stream(
    objective: &dyn Objective,
    rows: &Rows,
    gradient: &[Vec<f64>],
    stream: fn(&mut Token) -> &mut f64,
) {
    const STEP: f64 = 1e-5;
    let scale = objective.scale(&shape_of(rows));
    for i in 0..rows.len() {
        for j in 0..rows[i].len() {
            let at = |step: f64| {
                let mut moved = rows.clone();
                *stream(&mut moved[i][j]) += step;
                evaluate(objective, &moved, &scale, 0.0).loss
            };
            let expected = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            // The error of a central difference is of the order of STEP^2.
            let error = (gradient[i][j] - expected).abs();
            assert!(
                error <= 1e-8 * (1.0 + expected.abs()),
                "{objective:?}, token {j} of row {i}: {} is not {expected}",
                gradient[i][j]
            );
        }
    }
}
