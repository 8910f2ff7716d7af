//! Heads of an attention.

/// Heads of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadShape {
    /// Heads of queries.
    pub n_heads: usize,
    /// Heads of keys and values; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Numbers of a head.
    pub head_dim: usize,
}

impl HeadShape {
    /// Query heads that share one key head.
    pub const fn group(self) -> usize {
        self.n_heads / self.n_kv_heads
    }
}
