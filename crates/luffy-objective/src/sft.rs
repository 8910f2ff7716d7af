//! The loss of supervised fine-tuning.

use luffy_core::{LossOutput, Metrics, MicroBatch, Objective, Scale, StepShape, TokenStats};

use crate::selection::{Selection, Sums, keep};
use crate::{Aggregate, metric};

/// Mean negative log-likelihood: `loss = -sum(logprobs) / n_tokens` over the learned tokens of the
/// update, in nats. Advantages play no part: which rows are learned from is the method's choice.
///
/// # Shapes
/// - all streams of the batch: `[B, T]`; loss: `[1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SftLoss;

impl Objective for SftLoss {
    fn scale(&self, shape: &StepShape) -> Scale {
        Aggregate::TokenMean.scale(shape)
    }

    fn loss(&self, stats: TokenStats, batch: &MicroBatch, scale: &Scale) -> LossOutput {
        let TokenStats { logprobs, entropy } = stats;
        let Selection { learned, demonstrated, .. } = Selection::of(batch);
        let logprobs = keep(logprobs, &learned);
        let loss = logprobs.clone().sum() / -scale.n_tokens;

        let mut sums = Sums::default();
        sums.count(&learned);
        sums.count(&demonstrated);
        sums.add(&logprobs, &learned);
        sums.add(&logprobs.inner().exp(), &demonstrated);
        sums.add(&entropy, &learned);
        let [n, n_off, logprob, off_prob, h] = sums.read();
        let mut metrics = Metrics::default();
        metrics.add(metric::SFT_LOSS, -logprob, n);
        metrics.add(metric::OFF_POLICY_PROB, off_prob, n_off);
        metrics.add(metric::ENTROPY, h, n);
        LossOutput { loss, metrics }
    }
}
