//! Numbers and comparisons.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// Numbers between -1 and 1 that look drawn, a function of `seed`.
pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| draw()).collect()
}

pub(crate) fn matrix(shape: [usize; 2], seed: u64) -> Tensor<2> {
    let values: Vec<f32> =
        numbers(shape[0] * shape[1], seed).into_iter().map(|x| x as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

pub(crate) fn column(n: usize, seed: u64) -> Tensor<1> {
    matrix([1, n], seed).reshape([n])
}

/// The same values in f64, where nothing is fused.
pub(crate) fn wide<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    let shape = tensor.dims();
    let values = host(tensor);
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64))
}

pub(crate) fn host<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// The largest difference, relative to the largest value.
pub(crate) fn far<const D: usize>(a: &Tensor<D>, b: &Tensor<D>) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (host(a), host(b));
    assert!(a.iter().chain(&b).all(|x| x.is_finite()), "a value is not finite");
    let largest = b.iter().fold(1e-30_f64, |max, x| max.max(x.abs()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}

pub(crate) fn assert_close<const D: usize>(what: &str, a: &Tensor<D>, b: &Tensor<D>, bound: f64) {
    let far = far(a, b);
    assert!(far < bound, "{what}: {far:e} apart");
}

/// Central differences of `sum(f(x) * cotangent)` in f64, for every number of `x`.
pub(crate) fn differences<const D: usize>(
    x: &Tensor<D>,
    f: impl Fn(&Tensor<D>) -> Tensor<2>,
    cotangent: &Tensor<2>,
) -> Tensor<D> {
    const STEP: f64 = 1e-5;
    let (shape, values, cotangent) = (x.dims(), host(x), host(cotangent));
    let at = |values: Vec<f64>| -> f64 {
        let x = Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F64));
        host(&f(&x)).iter().zip(&cotangent).map(|(y, c)| y * c).sum()
    };
    let slopes: Vec<f64> = (0..values.len())
        .map(|i| {
            let moved = |by: f64| {
                let mut values = values.clone();
                values[i] += by;
                at(values)
            };
            (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
        })
        .collect();
    Tensor::from_data(TensorData::new(slopes, shape), (&Device::flex(), DType::F64))
}
