//! Figures of single tokens: KL estimates, log-probs and entropies.

use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::TokenStats;
use luffy_objective::KlEstimator;
use luffy_policy::token_statistics;

use super::Found;
use super::arguments::{KlConfig, KlInputs, KlName, TokenInputs};
use super::array::Array;
use super::figure::{Figure, Precision};

/// `kl`.
pub(super) fn kl(
    config: &KlConfig,
    inputs: &KlInputs,
    precision: Precision,
    device: &Device,
) -> Found {
    let estimator = match config.estimator {
        KlName::Kl => KlEstimator::K1,
        KlName::Abs => KlEstimator::Abs,
        KlName::Mse => KlEstimator::Mse,
        KlName::LowVarKl => KlEstimator::K3Clamped,
    };
    let estimate = estimator.estimate(
        inputs.log_prob.tensor(precision, device),
        inputs.ref_log_prob.tensor(precision, device),
    );
    Found::from([("kl", Figure::from(Array::read(estimate)))])
}

/// `token_statistics`, as scoring computes them without a graph or with one.
pub(super) fn statistics(
    inputs: &TokenInputs,
    precision: Precision,
    device: &Device,
    with_graph: bool,
) -> Found {
    let Array { rows: tokens, tokens: vocabulary, .. } = inputs.logits[0];
    let rows = inputs.logits.len();
    let logits: Vec<f64> = inputs.logits.iter().flat_map(|row| row.values.clone()).collect();
    let logits = TensorData::new(logits, [rows, tokens, vocabulary]);
    let ids: Vec<i64> = inputs.token_ids.iter().flatten().map(|id| i64::from(*id)).collect();
    let device = if with_graph { device.clone().autodiff() } else { device.clone() };
    let logits = Tensor::<3>::from_data(logits, (&device, precision.dtype()));
    let targets = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, tokens]), &device);
    let TokenStats { logprobs, entropy } = token_statistics(logits, targets);
    Found::from([
        ("entropy", Array::read(entropy).into()),
        ("log_prob", Array::read(logprobs).into()),
    ])
}
