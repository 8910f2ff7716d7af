//! Which tokens of a demonstrated prefix are worth learning from.

use burn::tensor::{Bool, Tensor, TensorData};

/// Of each row's `demonstrated` tokens the `share` with the highest entropy, rounded up; of equal ones the
/// earlier. By row, so it does not depend on how an update is cut.
///
/// # Shapes
/// - `entropy` (nats), `demonstrated`, result: `[B, T]`.
///
/// # Reference
/// Prefix-RFT, <https://arxiv.org/abs/2507.01679>; `share` 0.2.
pub(crate) fn most_undecided(
    entropy: &Tensor<2>,
    demonstrated: &Tensor<2, Bool>,
    share: f64,
) -> Tensor<2, Bool> {
    let [b, t] = demonstrated.dims();
    let entropy: Vec<f64> = entropy.clone().inner().into_data().iter::<f64>().collect();
    let is_demonstrated: Vec<bool> =
        demonstrated.clone().inner().into_data().iter::<bool>().collect();
    let mut is_kept = vec![false; b * t];
    for row in 0..b {
        let mut places: Vec<usize> =
            (row * t..(row + 1) * t).filter(|place| is_demonstrated[*place]).collect();
        // The sort is stable: equal entropies stay in the order of their tokens.
        places.sort_by(|one, other| entropy[*other].total_cmp(&entropy[*one]));
        for place in &places[..n_kept(places.len(), share)] {
            is_kept[*place] = true;
        }
    }
    Tensor::from_data(TensorData::new(is_kept, [b, t]), &demonstrated.device())
}

/// `share` of `n`, rounded up, without counting rounding errors of the product.
#[expect(clippy::cast_sign_loss, reason = "a share of a count is not negative after the clamp")]
fn n_kept(n: usize, share: f64) -> usize {
    let kept = (share * n as f64 - 1e-9).ceil().clamp(0.0, n as f64);
    kept as usize
}
