//! Parameters and gradients by name.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

/// A tensor of any rank on the host, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// `shape.product()` values.
    pub values: Vec<f32>,
}

/// A tensor of any rank on a device, flattened row-major.
#[derive(Debug, Clone)]
pub struct NamedTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// The values, on a plain (non-autodiff) device.
    pub values: Tensor<1>,
}

/// The parameters of a model by their Hugging Face names (`model.layers.0.mlp.up_proj.weight`).
///
/// Cloning shares buffers. Matrices of linear layers are `[in, out]`, as the model uses them; files hold
/// `[out, in]` and the reader and writer transpose.
#[derive(Debug, Clone, Default)]
pub struct Weights(pub BTreeMap<String, NamedTensor>);

impl Weights {
    /// Number of parameters.
    pub fn n_parameters(&self) -> usize {
        self.0.values().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }
}

/// The gradient of one parameter, flattened row-major.
#[derive(Debug, Clone)]
pub struct Gradient {
    values: Tensor<1>,
    squares: Option<f64>,
}

impl Gradient {
    /// With the sum of squares of its values, where that came with making them.
    pub const fn new(values: Tensor<1>, squares: Option<f64>) -> Self {
        Self { values, squares }
    }

    /// Its values.
    pub const fn values(&self) -> &Tensor<1> {
        &self.values
    }

    /// The sum of their squares, where it is known: whoever wants the norm need not read them.
    pub const fn squares(&self) -> Option<f64> {
        self.squares
    }

    /// Its values alone.
    pub fn into_values(self) -> Tensor<1> {
        self.values
    }
}

impl From<Tensor<1>> for Gradient {
    fn from(values: Tensor<1>) -> Self {
        Self::new(values, None)
    }
}

/// Gradients by parameter name. A parameter that took no part is absent.
#[derive(Debug, Clone, Default)]
pub struct Gradients(pub BTreeMap<String, Gradient>);

impl Gradients {
    /// Adds `other`, name by name. Called in unit order, this is the whole of gradient reduction.
    pub fn accumulate(&mut self, other: Self) {
        for (name, gradient) in other.0 {
            let sum = match self.0.remove(&name) {
                Some(own) => (own.values + gradient.values).into(),
                None => gradient,
            };
            self.0.insert(name, sum);
        }
    }
}
