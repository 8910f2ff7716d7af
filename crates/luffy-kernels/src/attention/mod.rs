//! Causal attention with grouped queries over packed sequences.

mod composed;
#[cfg(feature = "flex")]
mod fused;

use burn::tensor::Tensor;

use crate::HeadShape;
use crate::collect::collect_rows;
use crate::compose::{leaf, of, pull};
#[cfg(feature = "flex")]
use crate::host;
use luffy_core::Packing;

/// What attention gives, and what its way back needs.
#[derive(Debug, Clone)]
pub struct Attended {
    /// `[N, n_heads * head_dim]`.
    pub out: Tensor<2>,
    /// What makes the weights of each token and head again, `[N, n_heads * 2]`; the composed form has no use
    /// for it.
    pub(crate) sums: Option<Tensor<2>>,
}

impl Attended {
    /// That of a packing whose tokens were computed in several passes, by [`attention`] or by
    /// [`KvCache::attend`](crate::KvCache::attend): places as in [`collect_rows`].
    ///
    /// # Panics
    /// As [`collect_rows`].
    pub fn collect(from: &[&Self], places: &[(u32, u32)]) -> Self {
        let out: Vec<&Tensor<2>> = from.iter().map(|part| &part.out).collect();
        let sums: Option<Vec<&Tensor<2>>> = from.iter().map(|part| part.sums.as_ref()).collect();
        Self { out: collect_rows(&out, places), sums: sums.map(|sums| collect_rows(&sums, places)) }
    }
}

/// `softmax(q k' / sqrt(head_dim)) v` head by head: `q` `[N, n_heads * head_dim]`, `k` and `v`
/// `[N, n_kv_heads * head_dim]`. A token sees the prefix of its segment, what stands before it in the segment,
/// and itself.
///
/// Scores are made for a block of queries at a time, against the keys that the block sees: what is hidden
/// costs half a block at most, and no matrix of all scores ever stands.
///
/// # Panics
/// If the shapes do not fit.
pub fn attention(
    q: &Tensor<2>,
    k: &Tensor<2>,
    v: &Tensor<2>,
    heads: HeadShape,
    packing: &Packing,
) -> Attended {
    check(q, k, v, heads, packing);
    #[cfg(feature = "flex")]
    if let (Some(qs), Some(ks), Some(vs)) = (host::values(q), host::values(k), host::values(v)) {
        let n = packing.n_tokens();
        let (out, sums) = fused::forward(&qs, &ks, &vs, heads, packing);
        let device = q.device();
        return Attended {
            out: host::tensor(out, q.dims(), &device),
            sums: Some(host::tensor(sums, [n, heads.n_heads * 2], &device)),
        };
    }
    let out = composed::attention(q.clone(), k.clone(), v.clone(), heads, packing);
    Attended { out, sums: None }
}

/// The way back of [`attention`]: derivatives with respect to `q`, `k` and `v`. Weights are made again from the
/// kept sums. With `P` the weights and `S = q k' / sqrt(head_dim)`,
///
/// ```text
/// dv = P' do      dP = do v'      dS = P (dP - sum(P dP))      dq = dS k / sqrt(hd)      dk = dS' q / sqrt(hd)
/// ```
///
/// # Reference
/// "FlashAttention-2", <https://arxiv.org/abs/2307.08691>.
#[allow(
    clippy::too_many_arguments,
    reason = "three inputs, what came of them, its slope, the layout"
)]
pub fn attention_backward(
    q: &Tensor<2>,
    k: &Tensor<2>,
    v: &Tensor<2>,
    attended: &Attended,
    d_out: &Tensor<2>,
    heads: HeadShape,
    packing: &Packing,
) -> [Tensor<2>; 3] {
    check(q, k, v, heads, packing);
    #[cfg(feature = "flex")]
    if let (Some(qs), Some(ks), Some(vs), Some(sums)) =
        (host::values(q), host::values(k), host::values(v), &attended.sums)
        && let (Some(sums), Some(slope)) = (host::values(sums), host::values(d_out))
    {
        let known = fused::Known { q: &qs, k: &ks, v: &vs, sums: &sums, d_out: &slope };
        let [dq, dk, dv] = fused::backward(&known, heads, packing);
        let device = q.device();
        return [
            host::tensor(dq, q.dims(), &device),
            host::tensor(dk, k.dims(), &device),
            host::tensor(dv, v.dims(), &device),
        ];
    }
    let leaves = [leaf(q), leaf(k), leaf(v)];
    let [q, k, v] = leaves.clone();
    let mut found = pull(composed::attention(q, k, v, heads, packing), d_out);
    leaves.map(|leaf| of(&leaf, &mut found))
}

fn check(q: &Tensor<2>, k: &Tensor<2>, v: &Tensor<2>, heads: HeadShape, packing: &Packing) {
    let HeadShape { n_heads, n_kv_heads, head_dim } = heads;
    let n = packing.n_tokens();
    assert_eq!(q.dims(), [n, n_heads * head_dim], "queries of every packed token");
    assert_eq!(k.dims(), [n, n_kv_heads * head_dim], "keys of every packed token");
    assert_eq!(v.dims(), k.dims(), "values are as many as keys");
}
