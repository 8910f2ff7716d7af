//! The decoder, with fields named as in Hugging Face checkpoints.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, activation};

use crate::ModelConfig;
use crate::attention::{Attended, HeadShape, LayerCache, attend};
use crate::rope::Rotation;

/// `y = x W + b` with `W` as `[in, out]`.
#[derive(Module, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Param<Tensor<2>>,
    pub(crate) bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    fn new(n_in: usize, n_out: usize, bias: bool, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([n_in, n_out], device)),
            bias: bias.then(|| Param::from_tensor(Tensor::zeros([n_out], device))),
        }
    }

    /// `[N, in]` to `[N, out]`. Always two-dimensional: burn reshapes batched weights by copying.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.weight.val());
        match &self.bias {
            Some(bias) => y + bias.val().unsqueeze_dim::<2>(0),
            None => y,
        }
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight`.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    weight: Param<Tensor<1>>,
    #[module(skip)]
    eps: f64,
}

impl RmsNorm {
    fn new(n: usize, eps: f64, device: &Device) -> Self {
        Self { weight: Param::from_tensor(Tensor::ones([n], device)), eps }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let mean = x.clone().square().mean_dim(1);
        let scale = (mean + self.eps).sqrt().recip();
        x * scale * self.weight.val().unsqueeze_dim::<2>(0)
    }
}

/// Token embeddings, `[V, d]`.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    pub(crate) weight: Param<Tensor<2>>,
}

#[derive(Module, Debug)]
#[allow(clippy::struct_field_names, reason = "the names of Hugging Face checkpoints")]
pub(crate) struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    /// `SwiGLU`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let gate = activation::silu(self.gate_proj.forward(x.clone()));
        self.down_proj.forward(gate * self.up_proj.forward(x))
    }
}

#[derive(Module, Debug)]
pub(crate) struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    /// In families that norm queries and keys.
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    #[module(skip)]
    heads: HeadShape,
}

impl SelfAttention {
    /// A norm of each head of `[B, S, heads, head_dim]`.
    fn normed(norm: Option<&RmsNorm>, x: Tensor<4>) -> Tensor<4> {
        let Some(norm) = norm else { return x };
        let [b, s, heads, head_dim] = x.dims();
        norm.forward(x.reshape([b * s * heads, head_dim])).reshape([b, s, heads, head_dim])
    }

    /// `[B * S, d]` to the same; keys and values are appended to `cache` where there is one.
    fn forward(
        &self,
        x: Tensor<2>,
        rows: usize,
        rotation: &Rotation,
        attended: &Attended,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<2> {
        let HeadShape { n_heads, n_kv_heads, head_dim } = self.heads;
        let s = x.dims()[0] / rows;
        let q = self.q_proj.forward(x.clone()).reshape([rows, s, n_heads, head_dim]);
        let k = self.k_proj.forward(x.clone()).reshape([rows, s, n_kv_heads, head_dim]);
        let v = self.v_proj.forward(x).reshape([rows, s, n_kv_heads, head_dim]);
        let q = rotation.apply(Self::normed(self.q_norm.as_ref(), q));
        let k = rotation.apply(Self::normed(self.k_norm.as_ref(), k)).swap_dims(1, 2);
        let v = v.swap_dims(1, 2);
        let (k, v) = match cache {
            Some(cache) => cache.append(k, v),
            None => (k, v),
        };
        self.o_proj.forward(attend(q, k, v, attended))
    }
}

#[derive(Module, Debug)]
pub(crate) struct Layer {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

impl Layer {
    fn new(config: &ModelConfig, device: &Device) -> Self {
        let (d, inner, hd) = (config.hidden_size, config.intermediate_size, config.head_dim);
        let heads = HeadShape::of(config);
        let (q, kv) = (heads.n_heads * hd, heads.n_kv_heads * hd);
        let linear = |n_in, n_out, bias| Linear::new(n_in, n_out, bias, device);
        let norm = |n| RmsNorm::new(n, config.rms_norm_eps, device);
        Self {
            input_layernorm: norm(d),
            self_attn: SelfAttention {
                q_proj: linear(d, q, config.biases.qkv),
                k_proj: linear(d, kv, config.biases.qkv),
                v_proj: linear(d, kv, config.biases.qkv),
                o_proj: linear(q, d, config.biases.output),
                q_norm: config.qk_norm.then(|| norm(hd)),
                k_norm: config.qk_norm.then(|| norm(hd)),
                heads,
            },
            post_attention_layernorm: norm(d),
            mlp: Mlp {
                gate_proj: linear(d, inner, config.biases.mlp),
                up_proj: linear(d, inner, config.biases.mlp),
                down_proj: linear(inner, d, config.biases.mlp),
            },
        }
    }

    /// `[B * S, d]` to the same.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        rows: usize,
        rotation: &Rotation,
        attended: &Attended,
        cache: Option<&mut LayerCache>,
    ) -> Tensor<2> {
        let normed = self.input_layernorm.forward(x.clone());
        let x = x + self.self_attn.forward(normed, rows, rotation, attended, cache);
        x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x))
    }
}

#[derive(Module, Debug)]
pub(crate) struct Trunk {
    pub(crate) embed_tokens: Embedding,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: RmsNorm,
}

/// A decoder-only language model.
#[derive(Module, Debug)]
pub struct CausalLm {
    pub(crate) model: Trunk,
    /// Absent where the head is tied to the embeddings.
    pub(crate) lm_head: Option<Linear>,
    #[module(skip)]
    pub(crate) frequencies: Arc<Vec<f32>>,
    #[module(skip)]
    pub(crate) heads: HeadShape,
    #[module(skip)]
    pub(crate) temperature: f64,
    #[module(skip)]
    pub(crate) recompute: bool,
    #[module(skip)]
    pub(crate) context_len: usize,
}

impl CausalLm {
    /// A model with zero matrices and unit norms, waiting for its weights.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let d = config.hidden_size;
        let embeddings = Tensor::zeros([config.vocab_size, d], device);
        Self {
            model: Trunk {
                embed_tokens: Embedding { weight: Param::from_tensor(embeddings) },
                layers: (0..config.num_hidden_layers).map(|_| Layer::new(config, device)).collect(),
                norm: RmsNorm::new(d, config.rms_norm_eps, device),
            },
            lm_head: (!config.tie_word_embeddings)
                .then(|| Linear::new(d, config.vocab_size, false, device)),
            frequencies: Arc::new(config.rope.frequencies(config.head_dim)),
            heads: HeadShape::of(config),
            temperature: 1.0,
            recompute: false,
            context_len: config.max_position_embeddings,
        }
    }

    /// Scores under `softmax(logits / temperature)`, the distribution that a sampler of this temperature
    /// draws from. Decoding is not touched: a sampler divides for itself.
    ///
    /// # Panics
    /// If `temperature` is not above zero.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        assert!(temperature > 0.0, "a temperature is above zero, not {temperature}");
        self.temperature = temperature;
        self
    }

    /// Whether gradients are computed with the activations of one layer at a time: each layer keeps its
    /// input, `[tokens, d]`, and runs a second time on the way back. About a third more computation; the
    /// gradients are the same.
    #[must_use]
    pub fn with_recompute(mut self, recompute: bool) -> Self {
        self.recompute = recompute;
        self
    }

    /// Embeddings of tokens, `[N, d]`.
    pub(crate) fn embed(&self, tokens: Tensor<1, Int>) -> Tensor<2> {
        self.model.embed_tokens.weight.val().select(0, tokens)
    }

    /// The rotation of `positions`, `[B, S]` or `[1, S]`.
    pub(crate) fn rotation(&self, positions: Tensor<2, Int>) -> Rotation {
        Rotation::new(positions, &self.frequencies)
    }

    /// Hidden states before the last norm, `[B * S, d]`.
    pub(crate) fn hidden(
        &self,
        tokens: Tensor<2, Int>,
        rotation: &Rotation,
        attended: &Attended,
        mut caches: Option<&mut Vec<LayerCache>>,
    ) -> Tensor<2> {
        let [b, s] = tokens.dims();
        let mut x = self.embed(tokens.reshape([b * s]));
        for (i, layer) in self.model.layers.iter().enumerate() {
            let cache = caches.as_mut().map(|caches| &mut caches[i]);
            x = layer.forward(x, b, rotation, attended, cache);
        }
        x
    }

    /// The last norm.
    pub(crate) fn norm(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.model.norm.forward(hidden)
    }

    /// The matrix that turns hidden states into logits, `[d, V]`; a view of the embeddings where it is tied.
    pub(crate) fn head_matrix(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val().transpose(),
        }
    }

    pub(crate) fn n_layers(&self) -> usize {
        self.model.layers.len()
    }
}
