//! Bytes of a run from the shape of its model and its settings, in closed form. Nothing is allocated.
//!
//! The formulas follow what is held: `luffy-policy` (`layer.rs`, `trace.rs`, `head.rs`, `decode.rs`),
//! `Replicas::fold`, and the rows of the cache.

use std::collections::BTreeMap;

use luffy_policy::{ModelConfig, parameter_shapes};

use super::work::{Batch, Decoding};

/// Bytes of a number.
pub(super) const F32: u64 = 4;
/// Columns of a panel and positions of a block, as `luffy-kernels` lays them out.
const WIDE: u64 = 16;
/// Most logits of a chunk of the head.
pub(super) const CHUNK_LOGITS: u64 = 1 << 26;
/// Rows of scores that attention makes at once.
const ATTENTION_ROWS: u64 = 128;

const fn padded(n: u64) -> u64 {
    n.div_ceil(WIDE) * WIDE
}

/// The sizes of a model that formulas name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) layers: u64,
    /// `d`.
    pub(crate) hidden: u64,
    /// `H hd`.
    pub(crate) query: u64,
    /// `KV hd`.
    pub(crate) key: u64,
    pub(crate) heads: u64,
    pub(crate) kv_heads: u64,
    pub(crate) head_dim: u64,
    /// `f`.
    pub(crate) inner: u64,
    /// `V`.
    pub(crate) vocab: u64,
    pub(crate) qk_norm: bool,
    /// All parameters.
    pub(crate) parameters: u64,
    /// Those of the matrices of all layers.
    pub(crate) matrices: u64,
    /// The matrices of layers and head, columns padded: what decoding lays out and reads.
    pub(crate) packed: u64,
}

impl Sizes {
    pub(crate) fn of(config: &ModelConfig) -> Self {
        let shapes: BTreeMap<String, Vec<usize>> = parameter_shapes(config);
        let count = |shape: &[usize]| shape.iter().product::<usize>() as u64;
        let in_layers = || {
            let named = shapes.iter().filter(|(name, _)| name.contains(".layers."));
            named.map(|(_, shape)| shape).filter(|shape| shape.len() == 2)
        };
        let (d, v) = (config.hidden_size as u64, config.vocab_size as u64);
        let panels = |shape: &Vec<usize>| shape[0] as u64 * padded(shape[1] as u64);
        Self {
            layers: config.num_hidden_layers as u64,
            hidden: d,
            query: (config.num_attention_heads * config.head_dim) as u64,
            key: (config.num_key_value_heads * config.head_dim) as u64,
            heads: config.num_attention_heads as u64,
            kv_heads: config.num_key_value_heads as u64,
            head_dim: config.head_dim as u64,
            inner: config.intermediate_size as u64,
            vocab: v,
            qk_norm: config.qk_norm,
            parameters: shapes.values().map(|shape| count(shape)).sum(),
            matrices: in_layers().map(|shape| count(shape)).sum(),
            packed: in_layers().map(panels).sum::<u64>() + d * padded(v),
        }
    }

    /// Bytes of all parameters.
    pub(crate) const fn weights(&self) -> u64 {
        self.parameters * F32
    }

    /// Numbers that a layer keeps of a token for its way back: `x`, `q`, `k`, `v`, `out`, two sums a head, `middle`,
    /// `gate`, `up`, and queries and keys before their norm where the family has one.
    pub(crate) const fn kept_per_token(&self) -> u64 {
        let unnormed = if self.qk_norm { self.query + self.key } else { 0 };
        2 * self.hidden + 2 * self.query + 2 * self.key + 2 * self.heads + 2 * self.inner + unnormed
    }

    /// Bytes of a token that sampling hands to the update: what layers keep, and the last hidden state.
    pub(crate) const fn activations_per_token(&self) -> u64 {
        (self.layers * self.kept_per_token() + self.hidden) * F32
    }

    /// Numbers of a token that the way back of a layer makes beside what was kept: `dy` and three of the width
    /// of the MLP, or the derivatives around attention where these are more.
    pub(crate) const fn scratch_per_token(&self) -> u64 {
        let mlp = self.hidden + 3 * self.inner;
        let attention = 2 * self.hidden + 2 * self.query + 2 * self.key;
        let freed = 2 * self.inner;
        if attention > mlp + freed { attention - freed } else { mlp }
    }

    /// Scratch of attention over sequences of `len` tokens.
    const fn attention_scratch(&self, len: u64) -> u64 {
        (2 * ATTENTION_ROWS * len + 6 * len * self.head_dim) * F32
    }

    /// Bytes of a cache of `rows` sequences, or beginnings of some, with room for `capacity` tokens each.
    pub(crate) const fn cache(&self, rows: u64, capacity: u64) -> u64 {
        let per_position = self.kv_heads * (self.head_dim + padded(self.head_dim));
        rows * capacity * self.layers * per_position * F32
    }
}

/// Room that a row of the cache has for what came behind its prompt after it grew to `len` tokens, half as much again
/// each time.
pub(crate) const fn capacity(len: u64) -> u64 {
    let mut capacity = 0;
    while capacity < len {
        capacity = padded(capacity + 1 + capacity / 2);
    }
    capacity
}

/// The most that one replica holds of a micro-batch: activations, logits, and its gradient so far. What is kept
/// goes layer by layer while the gradient comes, so one of both ends is the most.
pub(crate) fn micro_batch(
    sizes: &Sizes,
    batch: &Batch,
    recompute: bool,
    tempered: bool,
) -> [u64; 3] {
    let Batch { tokens: n, predicted: m, longest, .. } = *batch;
    let one = n * sizes.kept_per_token() * F32;
    let kept = if recompute { n * sizes.layers * sizes.hidden * F32 } else { sizes.layers * one };
    let run_again = if recompute { one } else { 0 };
    let scratch = n * sizes.scratch_per_token() * F32 + sizes.attention_scratch(longest);
    // Ids, places, rotations; what predicts, before and behind the last norm.
    let ends = n * (sizes.head_dim * F32 + 64) + 2 * m * sizes.hidden * F32;
    let most = (CHUNK_LOGITS / sizes.vocab).max(1);
    let chunk = m.div_ceil(m.div_ceil(most).max(1)) * (sizes.vocab + sizes.hidden) * F32;
    let head = if tempered { 2 * chunk } else { chunk };
    let head_gradient = sizes.vocab * sizes.hidden * F32;
    let at_head = [kept + ends, head, head_gradient];
    let at_last = [kept + ends + run_again + scratch, 0, head_gradient];
    let at_first = [n * sizes.hidden * F32 + one + scratch + ends, 0, sizes.weights()];
    let most = |a: [u64; 3], b: [u64; 3]| {
        if b.iter().sum::<u64>() > a.iter().sum() { b } else { a }
    };
    most(at_head, most(at_last, at_first))
}

/// The most that one replica holds while it decodes: the pass over prompts, or the cache at its longest.
pub(crate) fn decoding_bytes(sizes: &Sizes, decoding: &Decoding) -> u64 {
    let Decoding { rows, contexts, prompt, response, .. } = *decoding;
    let n = contexts * prompt;
    let keys = n * sizes.layers * 2 * sizes.key * F32;
    // Beside what is kept: two norms and the output, and the product in the MLP.
    let narrow = sizes.kept_per_token() - 2 * sizes.inner + 3 * sizes.hidden;
    let layer = n * (narrow + 3 * sizes.inner) * F32 + sizes.attention_scratch(prompt);
    // Rows of one prompt share its part.
    let first = sizes.cache(contexts, padded(prompt));
    let logits = rows * 2 * sizes.vocab * F32;
    let step = rows * (sizes.kept_per_token() + 2 * sizes.hidden + sizes.inner) * F32;
    let cache = sizes.cache(rows, capacity(response));
    (keys + layer.max(first)).max(first + cache + logits + step)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two layers of `d` 4, two heads of 2 over one of keys, `f` 8, `V` 10, head tied, biases on q, k, v.
    pub(crate) fn small() -> Sizes {
        let text = r#"{"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu",
            "rms_norm_eps": 1e-6, "tie_word_embeddings": true, "hidden_size": 4, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 8, "vocab_size": 10,
            "max_position_embeddings": 64, "rope_theta": 10000.0}"#;
        Sizes::of(&ModelConfig::parse(text, "config.json".as_ref()).unwrap())
    }

    #[test]
    fn parameters_are_counted_by_hand() {
        // A layer: q and o 4 x 4, k and v 4 x 2, three of 4 x 8 are 144; biases 4 + 2 + 2; norms 2 x 4.
        // Embeddings 10 x 4, last norm 4.
        let sizes = small();
        assert_eq!((sizes.matrices, sizes.parameters), (288, 2 * (144 + 8 + 8) + 44));
        // Columns padded to 16: q, k, v, o, gate and up 4 x 16 each, down 8 x 16; head 4 x 16.
        assert_eq!(sizes.packed, 2 * (6 * 64 + 128) + 64);
    }

    #[test]
    fn what_a_layer_keeps_of_a_token_is_the_sum_of_its_tensors() {
        // x 4, q 4, k 2, v 2, out 4, sums 2 x 2, middle 4, gate 8, up 8.
        assert_eq!(small().kept_per_token(), 40);
        assert_eq!(Sizes { qk_norm: true, ..small() }.kept_per_token(), 46);
        // Two layers, and the last state.
        assert_eq!(small().activations_per_token(), 4 * (2 * 40 + 4));
        // dy 4 and three of 8.
        assert_eq!(small().scratch_per_token(), 28);
    }

    #[test]
    fn a_row_of_the_cache_grows_by_half() {
        // Nothing; one to come: 16; then 16 + 1 + 8 = 25 -> 32; then 32 + 1 + 16 = 49 -> 64.
        assert_eq!([0, 1, 16, 17, 32, 33].map(capacity), [0, 16, 16, 32, 32, 64]);
        // One head of 2 numbers and 16 padded ones, two layers, four bytes.
        assert_eq!(small().cache(3, 32), 3 * 32 * 2 * (2 + 16) * 4);
    }

    #[test]
    fn activations_grow_with_layers_unless_they_run_again() {
        let batch = Batch { tokens: 1000, predicted: 10, rows: 1, prompts: 1, longest: 1000 };
        let deep = Sizes { layers: 100, ..small() };
        let of = |recompute| micro_batch(&deep, &batch, recompute, false)[0];
        // All but the kept tensors of the other 99 layers is common; the inputs come instead.
        assert_eq!(of(false) - of(true), 1000 * 4 * (100 * 40 - 40 - 100 * 4));
    }

    #[test]
    fn the_head_makes_a_chunk_of_logits_at_a_time() {
        let wide = Sizes { vocab: 1 << 20, layers: 0, ..small() };
        let batch = Batch { tokens: 99, predicted: 98, rows: 1, prompts: 1, longest: 99 };
        // 2^26 / 2^20 are 64 tokens at most: two chunks of 49, with their hidden states.
        assert_eq!(micro_batch(&wide, &batch, false, false)[1], 49 * ((1 << 20) + 4) * 4);
        assert_eq!(micro_batch(&wide, &batch, false, true)[1], 2 * 49 * ((1 << 20) + 4) * 4);
    }
}
