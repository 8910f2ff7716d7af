//! Buffers of burn's CPU backend, without a copy.

use std::mem::MaybeUninit;

use burn::backend::Flex;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// The values of a plain `f32` tensor on the CPU, in row-major order.
#[derive(Debug)]
pub(crate) struct Values {
    tensor: burn::backend::flex::FlexTensor,
    start: usize,
    len: usize,
}

impl std::ops::Deref for Values {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.tensor.storage::<f32>()[self.start..self.start + self.len]
    }
}

/// The values of a tensor if it is a plain `f32` one of this backend. Shares the buffer; copies only what
/// does not lie in order.
pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Option<Values> {
    if tensor.dtype() != DType::F32 || tensor.is_autodiff() {
        return None;
    }
    let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
    let tensor = if tensor.layout().is_contiguous() { tensor } else { tensor.to_contiguous() };
    let (start, len) = (tensor.layout().start_offset(), tensor.layout().num_elements());
    Some(Values { tensor, start, len })
}

/// A matrix of this backend, which may lie transposed.
pub(crate) struct Matrix {
    tensor: burn::backend::flex::FlexTensor,
    start: usize,
    pub(crate) strides: [usize; 2],
}

impl Matrix {
    pub(crate) fn data(&self) -> &[f32] {
        &self.tensor.storage::<f32>()[self.start..]
    }
}

/// A matrix as it lies, if it is a plain `f32` one of this backend.
pub(crate) fn matrix(tensor: &Tensor<2>) -> Option<Matrix> {
    if tensor.dtype() != DType::F32 || tensor.is_autodiff() {
        return None;
    }
    let tensor = tensor.clone().try_into_primitive::<Flex>().ok()?;
    let strides = tensor.layout().strides();
    let is_plain = strides.len() == 2 && strides.iter().all(|stride| *stride >= 0);
    let tensor = if is_plain { tensor } else { tensor.to_contiguous() };
    let strides = tensor.layout().strides();
    let strides = [strides[0] as usize, strides[1] as usize];
    let start = tensor.layout().start_offset();
    Some(Matrix { tensor, start, strides })
}

/// A tensor of these values; takes the buffer.
pub(crate) fn tensor<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
}

/// Values as room for values.
///
/// # Safety
/// Nothing but values is written.
#[allow(unsafe_code, reason = "the results of one product are the summands of the next")]
pub(crate) unsafe fn as_room(values: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // Safety: one lies as the other, and the caller vouches for what is written.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) }
}

/// A buffer that is written once, by `f`, and not filled with zeros before.
///
/// # Safety
/// `f` writes all of it and reads none of it before.
#[allow(unsafe_code, reason = "the compiler cannot see that all of it is written")]
pub(crate) unsafe fn written(len: usize, f: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut out = Vec::with_capacity(len);
    f(&mut out.spare_capacity_mut()[..len]);
    // Safety: there is room for them, and the caller vouches that they are written.
    unsafe { out.set_len(len) };
    out
}

/// A row so many times.
pub(crate) fn repeated(row: &[f32], times: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(row.len() * times);
    for _ in 0..times {
        out.extend_from_slice(row);
    }
    out
}

/// Gives the buffer of a tensor to a loop that changes it, and a tensor of the result: in place where nobody
/// else holds the buffer.
pub(crate) fn change<const D: usize>(owned: Tensor<D>, f: impl FnOnce(&mut [f32])) -> Tensor<D> {
    let device = owned.device();
    let mut data = owned.into_data();
    f(data.as_mut_slice::<f32>().expect("the type was checked"));
    Tensor::from_data(data, (&device, DType::F32))
}
