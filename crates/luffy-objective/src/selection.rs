//! Which tokens of a micro-batch a term is summed over.

use burn::tensor::{Bool, DType, Tensor};
use luffy_core::{MicroBatch, TokenStats, TokenView};

use crate::log_importance_weights;

/// The learned tokens of a micro-batch by where they come from, `[B, T]` each.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// All of them.
    pub(crate) learned: Tensor<2, Bool>,
    /// Those of demonstrations.
    pub(crate) demonstrated: Tensor<2, Bool>,
    /// The others.
    pub(crate) sampled: Tensor<2, Bool>,
}

impl Selection {
    pub(crate) fn of(batch: &MicroBatch) -> Self {
        let learned = batch.response_mask.clone();
        Self {
            demonstrated: learned.clone().bool_and(batch.demonstrated.clone()),
            sampled: learned.clone().bool_and(batch.demonstrated.clone().bool_not()),
            learned,
        }
    }
}

/// `values` where `selected`, zero elsewhere. What is not selected may be anything, NaN included, and
/// gets a gradient of exactly zero.
pub(crate) fn keep(values: Tensor<2>, selected: &Tensor<2, Bool>) -> Tensor<2> {
    values.mask_fill(selected.clone().bool_not(), 0.0)
}

/// Number of selected tokens of each row, `[B, 1]`, as numbers of `dtype`.
pub(crate) fn row_counts(selected: &Tensor<2, Bool>, dtype: DType) -> Tensor<2> {
    selected.clone().inner().float().cast(dtype).sum_dim(1)
}

/// What is known of the tokens of a micro-batch, in the precision of the log-probs.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    pub(crate) logprobs: Tensor<2>,
    pub(crate) behavior: Tensor<2>,
    pub(crate) entropy: Tensor<2>,
    pub(crate) demonstrated: Tensor<2, Bool>,
    pub(crate) advantages: Tensor<2>,
}

impl Streams {
    pub(crate) fn of(stats: TokenStats, batch: &MicroBatch) -> Self {
        let dtype = stats.logprobs.dtype();
        Self {
            behavior: batch.behavior_logprobs.clone().cast(dtype),
            entropy: stats.entropy.cast(dtype),
            demonstrated: batch.demonstrated.clone(),
            // Zero elsewhere, not only masked later: a NaN would come back through the sums over a row.
            advantages: keep(batch.advantages.clone().cast(dtype), &batch.response_mask),
            logprobs: stats.logprobs,
        }
    }

    /// `logprobs - behavior_logprobs`, in nats.
    pub(crate) fn log_ratios(&self) -> Tensor<2> {
        log_importance_weights(self.logprobs.clone(), self.behavior.clone())
    }

    /// What a shaping function may look at: all streams are zero outside of `selected`, so its result is
    /// finite there (as for a token of probability 1) and has no gradient.
    pub(crate) fn view(&self, selected: &Tensor<2, Bool>) -> TokenView {
        TokenView {
            logprobs: keep(self.logprobs.clone(), selected),
            behavior_logprobs: keep(self.behavior.clone(), selected),
            entropy: keep(self.entropy.clone(), selected),
            demonstrated: self.demonstrated.clone(),
            advantages: keep(self.advantages.clone(), selected),
        }
    }
}

/// Place of a sum in [`Sums`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(usize);

/// Sums over tokens under construction, off the graph; read back from the device in one transfer.
#[derive(Debug)]
pub(crate) struct Sums {
    dtype: DType,
    sums: Vec<Tensor<1>>,
}

/// Sums on the host.
#[derive(Debug)]
pub(crate) struct Totals(Vec<f64>);

impl Sums {
    /// Sums in the precision of `dtype`.
    pub(crate) fn new(dtype: DType) -> Self {
        Self { dtype, sums: Vec::new() }
    }

    /// Adds the sum of `values` over `selected` to the transfer.
    pub(crate) fn add(&mut self, values: &Tensor<2>, selected: &Tensor<2, Bool>) -> Place {
        self.total(keep(values.clone().inner(), &selected.clone().inner()).sum())
    }

    /// Adds the number of tokens that are `selected`.
    pub(crate) fn count(&mut self, selected: &Tensor<2, Bool>) -> Place {
        self.total(selected.clone().inner().float().sum())
    }

    /// Adds a sum that exists already.
    pub(crate) fn total(&mut self, sum: Tensor<1>) -> Place {
        self.sums.push(sum.inner().cast(self.dtype));
        Place(self.sums.len() - 1)
    }

    /// One transfer for all of them.
    pub(crate) fn read(self) -> Totals {
        Totals(Tensor::cat(self.sums, 0).into_data().iter::<f64>().collect())
    }
}

impl Totals {
    pub(crate) fn at(&self, place: Place) -> f64 {
        self.0[place.0]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use luffy_core::PackedRows;

    use super::*;

    #[test]
    fn a_view_is_zero_outside_of_its_selection() {
        let device = Device::flex();
        let odd = || Tensor::<2>::from_data([[-1.0, f64::NAN, f64::INFINITY, -3.0]], &device);
        let learned = Tensor::<2, Bool>::from_data([[true, false, false, true]], &device);
        let batch = MicroBatch {
            packed: PackedRows::unread([1, 4], &device),
            response_mask: learned.clone(),
            demonstrated: Tensor::<2, Bool>::from_data([[true, true, false, false]], &device),
            behavior_logprobs: odd(),
            advantages: odd(),
            reference_logprobs: None,
        };
        let stats = TokenStats { logprobs: odd(), entropy: odd() };
        let streams = Streams::of(stats, &batch);
        let Selection { demonstrated, sampled, .. } = Selection::of(&batch);
        for (selected, expected) in
            [(demonstrated, [-1.0, 0.0, 0.0, 0.0]), (sampled, [0.0, 0.0, 0.0, -3.0])]
        {
            let view = streams.view(&selected);
            for stream in [view.logprobs, view.behavior_logprobs, view.entropy, view.advantages] {
                assert_eq!(stream.into_data().iter::<f64>().collect::<Vec<_>>(), expected);
            }
        }
    }
}
