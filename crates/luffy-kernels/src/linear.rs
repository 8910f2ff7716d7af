//! Matrix products, with what is added to them.

use burn::tensor::{IndexingUpdateOp, Int, Tensor};

#[cfg(feature = "flex")]
use crate::gemm::{View, new_product, product};
#[cfg(feature = "flex")]
use crate::host;

/// `x W + bias`: `[N, in]` times `[in, out]` to `[N, out]`.
pub fn linear(x: &Tensor<2>, weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Tensor<2> {
    let Some(bias) = bias else { return matmul(x, weight) };
    #[cfg(feature = "flex")]
    if let (Some(a), Some(b), Some(bias)) =
        (host::matrix(x), host::matrix(weight), host::values(bias))
    {
        let [n, out] = [x.dims()[0], weight.dims()[1]];
        let mut sum = host::repeated(&bias, n);
        product(&mut sum, out, true, view(&a, x), view(&b, weight));
        return host::tensor(sum, [n, out], &x.device());
    }
    x.clone().matmul(weight.clone()) + bias.clone().unsqueeze_dim::<2>(0)
}

/// `sum + x W + bias`.
pub fn linear_add(
    sum: Tensor<2>,
    x: &Tensor<2>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
) -> Tensor<2> {
    let out = matmul_add(sum, x, weight);
    match bias {
        Some(bias) => out + bias.clone().unsqueeze_dim::<2>(0),
        None => out,
    }
}

/// `a b`: `[N, k]` times `[k, M]`. Either may be a transposed view.
pub fn matmul(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    matmul_squares(a, b).0
}

/// [`matmul`], and the sum of squares of its result where that comes with making it: of the gradients of large matrices,
/// on processors with AVX-512. It is right to rounding in `f32`, and as large as `f32` holds.
pub fn matmul_squares(a: &Tensor<2>, b: &Tensor<2>) -> (Tensor<2>, Option<f64>) {
    #[cfg(feature = "flex")]
    if let (Some(left), Some(right)) = (host::matrix(a), host::matrix(b)) {
        let (out, squares) = new_product(view(&left, a), view(&right, b));
        return (host::tensor(out, [a.dims()[0], b.dims()[1]], &a.device()), squares);
    }
    (a.clone().matmul(b.clone()), None)
}

/// `sum + a b`, into the buffer of `sum` where nobody else holds it.
pub fn matmul_add(sum: Tensor<2>, a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if let (Some(left), Some(right)) = (host::matrix(a), host::matrix(b))
        && host::values(&sum).is_some()
    {
        let [_, columns] = sum.dims();
        return host::change(sum, |out| {
            product(out, columns, true, view(&left, a), view(&right, b));
        });
    }
    sum + a.clone().matmul(b.clone())
}

#[cfg(feature = "flex")]
fn view<'a>(matrix: &'a host::Matrix, of: &Tensor<2>) -> View<'a> {
    let [rows, columns] = of.dims();
    View { data: matrix.data(), rows, columns, strides: matrix.strides }
}

/// The way back of [`linear`]: derivatives with respect to `x`, added to `dx` where it is given, and to the
/// matrix: `dy W'` and `x' dy`, the latter with its squares as [`matmul_squares`] gives them. That of the bias is the sum
/// of `dy` over its rows.
pub fn linear_backward(
    x: &Tensor<2>,
    weight: &Tensor<2>,
    dy: &Tensor<2>,
    dx: Option<Tensor<2>>,
) -> (Tensor<2>, (Tensor<2>, Option<f64>)) {
    let back = weight.clone().transpose();
    let dx = match dx {
        Some(dx) => matmul_add(dx, dy, &back),
        None => matmul(dy, &back),
    };
    (dx, matmul_squares(&x.clone().transpose(), dy))
}

/// Adds row `i` of `rows`, `[n, d]`, to row `places[i]` of `sum`, `[N, d]`, in order. Places may repeat.
pub fn add_rows(sum: Tensor<2>, places: &Tensor<1, Int>, rows: &Tensor<2>) -> Tensor<2> {
    add_rows_squares((sum, None), places, rows).0
}

/// [`add_rows`] to a tensor and the sum of its squares, where that is known and stays so: not where most of it goes away.
pub fn add_rows_squares(
    (sum, squares): (Tensor<2>, Option<f64>),
    places: &Tensor<1, Int>,
    rows: &Tensor<2>,
) -> (Tensor<2>, Option<f64>) {
    #[cfg(feature = "flex")]
    if let Some(values) = host::values(rows)
        && host::values(&sum).is_some()
    {
        let [_, d] = sum.dims();
        let places: Vec<usize> =
            places.to_data().iter::<i64>().map(|place| place as usize).collect();
        let square = |x: f32| f64::from(x) * f64::from(x);
        let mut change = 0.0;
        let sum = host::change(sum, |sum| {
            for (place, row) in places.iter().zip(values.chunks(d)) {
                for (sum, x) in sum[place * d..(place + 1) * d].iter_mut().zip(row) {
                    change -= square(*sum);
                    *sum += x;
                    change += square(*sum);
                }
            }
        });
        return (sum, squares.filter(|squares| change > -0.5 * squares).map(|s| s + change));
    }
    (sum.select_assign(0, places.clone(), rows.clone(), IndexingUpdateOp::Add), None)
}
