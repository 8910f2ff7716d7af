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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[track_caller]
    fn check(share: f64, entropy: [[f64; 5]; 2], demonstrated: [[bool; 5]; 2], kept: &[usize]) {
        let device = Device::flex();
        let entropy = Tensor::<2>::from_data(entropy, &device);
        let demonstrated = Tensor::<2, Bool>::from_data(demonstrated, &device);
        let got = most_undecided(&entropy, &demonstrated, share).into_data();
        let got: Vec<usize> =
            got.iter::<bool>().enumerate().filter(|(_, kept)| *kept).map(|(i, _)| i).collect();
        assert_eq!(got, kept, "share {share}");
    }

    const ENTROPY: [[f64; 5]; 2] = [[0.1, 0.9, 0.5, 0.9, 9.0], [3.0, 3.0, 3.0, 9.0, f64::NAN]];
    const DEMONSTRATED: [[bool; 5]; 2] =
        [[true, true, true, true, false], [true, true, true, false, false]];

    #[test]
    fn each_row_keeps_its_own_share_rounded_up() {
        check(0.2, ENTROPY, DEMONSTRATED, &[1, 5]);
        check(0.5, ENTROPY, DEMONSTRATED, &[1, 3, 5, 6]);
        check(0.6, ENTROPY, DEMONSTRATED, &[1, 2, 3, 5, 6]);
        check(1.0, ENTROPY, DEMONSTRATED, &[0, 1, 2, 3, 5, 6, 7]);
        check(0.0, ENTROPY, DEMONSTRATED, &[]);
        check(0.5, ENTROPY, [[false; 5]; 2], &[]);
    }

    #[test]
    fn a_rounding_error_does_not_keep_one_more() {
        // 0.07 * 100 is 7.000000000000001 in f64.
        assert_eq!(n_kept(100, 0.07), 7);
        assert_eq!(n_kept(100, 0.0701), 8);
        assert_eq!(n_kept(1, 0.2), 1);
    }
}
