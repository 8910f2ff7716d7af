//! Which tokens of a micro-batch a term is summed over.

use burn::tensor::{Bool, Tensor};
use luffy_core::MicroBatch;

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

/// Sums over tokens under construction, off the graph; read back from the device in one transfer.
#[derive(Debug, Default)]
pub(crate) struct Sums(Vec<Tensor<1>>);

impl Sums {
    /// Adds the sum of `values` over `selected` to the transfer.
    pub(crate) fn add(&mut self, values: &Tensor<2>, selected: &Tensor<2, Bool>) {
        self.0.push(keep(values.clone().inner(), &selected.clone().inner()).sum());
    }

    /// Adds the number of tokens that are `selected`.
    pub(crate) fn count(&mut self, selected: &Tensor<2, Bool>) {
        self.0.push(selected.clone().inner().float().sum());
    }

    /// The sums in the order they were added.
    ///
    /// # Panics
    /// If their number is not `N`.
    pub(crate) fn read<const N: usize>(self) -> [f64; N] {
        let sums: Vec<f64> = Tensor::cat(self.0, 0).into_data().iter::<f64>().collect();
        sums.try_into().expect("as many sums are read as were added")
    }
}
