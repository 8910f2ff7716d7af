//! Whether two tensors are one.

use burn::tensor::Tensor;

/// Whether two tensors are views of the same part of one buffer on the CPU, and so equal without a look at
/// their values, as long as both live. `false` elsewhere.
pub fn is_same_buffer(a: &Tensor<1>, b: &Tensor<1>) -> bool {
    #[cfg(feature = "flex")]
    if let (Some(a), Some(b)) = (crate::host::values(a), crate::host::values(b)) {
        return std::ptr::eq::<[f32]>(&raw const *a, &raw const *b);
    }
    false
}
