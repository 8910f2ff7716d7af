//! Rows of many tensors in one.

use burn::tensor::{Int, Tensor, TensorData};

#[cfg(feature = "flex")]
use crate::host;

/// Row `i` is row `places[i].1` of `from[places[i].0]`: `[places, width]` from tensors `[_, width]`.
///
/// # Panics
/// If there is no tensor, the widths differ, or a place is in none of them.
pub fn collect_rows(from: &[&Tensor<2>], places: &[(u32, u32)]) -> Tensor<2> {
    let [_, width] = from[0].dims();
    assert!(from.iter().all(|tensor| tensor.dims()[1] == width), "rows are of one width");
    #[cfg(feature = "flex")]
    {
        let values: Option<Vec<_>> = from.iter().map(|tensor| host::values(*tensor)).collect();
        if let Some(values) = values {
            let mut rows = Vec::with_capacity(places.len() * width);
            for (which, row) in places {
                let start = *row as usize * width;
                rows.extend_from_slice(&values[*which as usize][start..start + width]);
            }
            return host::tensor(rows, [places.len(), width], &from[0].device());
        }
    }
    let mut starts = Vec::with_capacity(from.len());
    let mut n = 0;
    for tensor in from {
        starts.push(n);
        n += tensor.dims()[0] as i64;
    }
    let index = |(which, row): &(u32, u32)| {
        let [rows, _] = from[*which as usize].dims();
        assert!((*row as usize) < rows, "a place is in its tensor");
        starts[*which as usize] + i64::from(*row)
    };
    let rows: Vec<i64> = places.iter().map(index).collect();
    let device = from[0].device().without_autodiff();
    let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [places.len()]), &device);
    Tensor::cat(from.iter().copied().cloned().collect(), 0).select(0, rows)
}
