//! Bounds on shaped weights.

use std::sync::Arc;

use burn::tensor::Tensor;
use luffy_core::{Shaping, TokenView};

/// Another shaping kept within `[min, max]`: at the bound, and without gradient, outside. LUFFY's code
/// offers it for demonstrated tokens; its runs do not use it.
///
/// # Shapes
/// - result: `[B, T]`, in `[min, max]`.
#[derive(Debug, Clone)]
pub struct Bounded {
    /// What is bounded.
    pub inner: Arc<dyn Shaping>,
    /// Smallest value; minus infinity turns it off.
    pub min: f64,
    /// Largest value, at least `min`; infinity turns it off.
    pub max: f64,
}

impl Shaping for Bounded {
    fn shape(&self, tokens: &TokenView) -> Tensor<2> {
        let mut shaped = self.inner.shape(tokens);
        if self.max < f64::INFINITY {
            shaped = shaped.clamp_max(self.max);
        }
        if self.min > f64::NEG_INFINITY {
            shaped = shaped.clamp_min(self.min);
        }
        shaped
    }
}
