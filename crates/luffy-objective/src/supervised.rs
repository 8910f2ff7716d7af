//! The loss of supervised fine-tuning and its weighted relatives.

use std::sync::Arc;

use luffy_core::{
    LossOutput, Metrics, MicroBatch, Objective, Scale, Shaping, StepShape, TokenStats,
};

use crate::selection::{Selection, Streams, Sums, keep};
use crate::{Aggregate, Likelihood, metric};

/// `loss = -sum(f) / n_tokens` over the learned tokens of the update. Advantages play no part: which rows
/// are learned from is the method's choice.
///
/// With [`Likelihood`] it is the mean negative log-likelihood in nats, that is supervised fine-tuning; with
/// [`Dft`](crate::Dft) dynamic fine-tuning.
///
/// # Shapes
/// - all streams of the batch: `[B, T]`; loss: `[1]`.
#[derive(Debug, Clone)]
pub struct SupervisedLoss {
    /// `f`.
    pub shaping: Arc<dyn Shaping>,
}

impl Default for SupervisedLoss {
    /// The mean negative log-likelihood.
    fn default() -> Self {
        Self { shaping: Arc::new(Likelihood) }
    }
}

impl Objective for SupervisedLoss {
    fn scale(&self, shape: &StepShape) -> Scale {
        Aggregate::TokenMean.scale(shape)
    }

    fn loss(&self, stats: TokenStats, batch: &MicroBatch, scale: &Scale) -> LossOutput {
        let streams = Streams::of(stats, batch);
        let Selection { learned, demonstrated, .. } = Selection::of(batch);
        let shaped = keep(self.shaping.shape(&streams.view(&learned)), &learned);
        // Multiplied, not divided: the way back through a division by a number is rounded to `f32`
        // (burn 0.22.1).
        let loss = shaped.sum() * (-1.0 / scale.n_tokens);

        let mut sums = Sums::new(streams.logprobs.dtype());
        let n = sums.count(&learned);
        let n_off = sums.count(&demonstrated);
        let logprob = sums.add(&streams.logprobs, &learned);
        let off_prob = sums.add(&streams.logprobs.clone().inner().exp(), &demonstrated);
        let entropy = sums.add(&streams.entropy, &learned);
        let totals = sums.read();
        let mut metrics = Metrics::default();
        metrics.add(metric::SFT_LOSS, -totals.at(logprob), totals.at(n));
        metrics.add(metric::OFF_POLICY_PROB, totals.at(off_prob), totals.at(n_off));
        metrics.add(metric::ENTROPY, totals.at(entropy), totals.at(n));
        LossOutput { loss, metrics }
    }
}
