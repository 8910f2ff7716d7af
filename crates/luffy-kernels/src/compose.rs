//! The way back through a composed form: its graph, built once more from leaves.

use burn::tensor::{Gradients, Tensor};

/// A leaf with the values of a plain tensor.
pub(crate) fn leaf<const D: usize>(plain: &Tensor<D>) -> Tensor<D> {
    Tensor::from_inner(plain.clone()).require_grad()
}

/// Derivatives of `sum(output * cotangent)`.
pub(crate) fn pull<const D: usize>(output: Tensor<D>, cotangent: &Tensor<D>) -> Gradients {
    (output * Tensor::from_inner(cotangent.clone())).sum().backward()
}

/// What came back to a leaf; zeros if nothing did.
pub(crate) fn of<const D: usize>(leaf: &Tensor<D>, gradients: &mut Gradients) -> Tensor<D> {
    leaf.grad_remove(gradients).unwrap_or_else(|| leaf.clone().inner().zeros_like())
}
