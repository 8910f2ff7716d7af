//! Rows with given log-probs, and what a loss makes of them.

use burn::tensor::{Device, Tensor, TensorData};
use luffy_core::{LossOutput, Metrics, MicroBatch, Objective, Row, Scale, StepShape, TokenStats};

/// A row and what a policy says of its tokens.
#[derive(Debug, Clone)]
pub(crate) struct ScoredRow {
    pub(crate) row: Row,
    pub(crate) logprobs: Vec<f32>,
    pub(crate) entropy: Vec<f32>,
}

/// One token of a row under construction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) is_learned: bool,
    pub(crate) is_demonstrated: bool,
    pub(crate) logprob: f32,
    pub(crate) behavior: f32,
    pub(crate) entropy: f32,
}

impl ScoredRow {
    pub(crate) fn new(advantage: f32, tokens: &[Token]) -> Self {
        Self {
            row: Row {
                prompt: vec![1, 2].into(),
                response: vec![3; tokens.len()],
                mask: tokens.iter().map(|token| token.is_learned).collect(),
                demonstrated: tokens.iter().map(|token| token.is_demonstrated).collect(),
                behavior_logprobs: tokens.iter().map(|token| token.behavior).collect(),
                advantages: vec![advantage; tokens.len()],
                reference_logprobs: vec![],
            },
            logprobs: tokens.iter().map(|token| token.logprob).collect(),
            entropy: tokens.iter().map(|token| token.entropy).collect(),
        }
    }
}

/// A loss with its gradients, by row, without padding.
#[derive(Debug, Clone)]
pub(crate) struct Evaluated {
    pub(crate) loss: f64,
    /// In the log-probs.
    pub(crate) gradient: Vec<Vec<f32>>,
    /// In the entropies.
    pub(crate) entropy_gradient: Vec<Vec<f32>>,
    pub(crate) metrics: Metrics,
}

/// The shape of an update of these rows.
pub(crate) fn shape_of(rows: &[ScoredRow]) -> StepShape {
    StepShape {
        n_rows: rows.len() as u64,
        n_tokens: rows.iter().map(|row| row.row.n_learned() as u64).sum(),
        n_policy_tokens: rows.iter().map(|row| row.row.n_learned() as u64).sum(),
        n_demonstrated: rows.iter().map(|row| row.row.n_demonstrated() as u64).sum(),
        max_response_len: 16,
    }
}

/// Collates the rows into one micro-batch, fills the padding of log-probs and entropies with
/// `padding`, and differentiates. Gradients on the padding must be zero.
pub(crate) fn evaluate(
    objective: &dyn Objective,
    rows: &[ScoredRow],
    scale: &Scale,
    padding: f32,
) -> Evaluated {
    let device = Device::flex().autodiff();
    let batch = MicroBatch::collate(&rows.iter().map(|row| &row.row).collect::<Vec<_>>(), &device);
    let [b, t] = batch.response_mask.dims();
    let upload = |stream: fn(&ScoredRow) -> &[f32]| {
        let mut values = Vec::with_capacity(b * t);
        for row in rows {
            values.extend_from_slice(stream(row));
            values.resize(values.len().next_multiple_of(t), padding);
            if stream(row).is_empty() {
                values.resize(values.len() + t, padding);
            }
        }
        Tensor::<2>::from_data(TensorData::new(values, [b, t]), &device).require_grad()
    };
    let logprobs = upload(|row| &row.logprobs);
    let entropy = upload(|row| &row.entropy);
    let stats = TokenStats { logprobs: logprobs.clone(), entropy: entropy.clone() };
    let LossOutput { loss, metrics } = objective.loss(stats, &batch, scale);
    let gradients = loss.backward();
    let download = |leaf: &Tensor<2>| match leaf.grad(&gradients) {
        None => vec![0.0; b * t],
        Some(gradient) => gradient.into_data().iter::<f32>().collect(),
    };
    let by_row = |flat: Vec<f32>| -> Vec<Vec<f32>> {
        let rows = flat.chunks(t).zip(rows);
        rows.map(|(values, row)| {
            let (own, padding) = values.split_at(row.logprobs.len());
            assert!(padding.iter().all(|gradient| gradient.abs() <= 0.0), "{padding:?}");
            own.to_vec()
        })
        .collect()
    };
    Evaluated {
        gradient: by_row(download(&logprobs)),
        entropy_gradient: by_row(download(&entropy)),
        loss: f64::from(loss.into_scalar::<f32>()),
        metrics,
    }
}

/// Asserts that two numbers are within `1e-6 + 1e-5 * |expected|`.
#[track_caller]
pub(crate) fn assert_close(got: f64, expected: f64, what: &str) {
    let difference = (got - expected).abs();
    assert!(difference <= 1e-6 + 1e-5 * expected.abs(), "{what}: {got} is not {expected}");
}
