//! The decoder, with fields named as in Hugging Face checkpoints.

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
    #[module(skip)]
    heads: HeadShape,
}

impl SelfAttention {
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
        let q = rotation.apply(q);
        let k = rotation.apply(k).swap_dims(1, 2);
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

#[derive(Module, Debug)]
pub(crate) struct Trunk {
    pub(crate) embed_tokens: Embedding,
    layers: Vec<Layer>,
    norm: RmsNorm,
}

/// A decoder-only language model.
#[derive(Module, Debug)]
pub struct CausalLm {
    pub(crate) model: Trunk,
    /// Absent where the head is tied to the embeddings.
    pub(crate) lm_head: Option<Linear>,
    #[module(skip)]
    pub(crate) rope_theta: f64,
    #[module(skip)]
    pub(crate) heads: HeadShape,
    #[module(skip)]
    pub(crate) temperature: f64,
    #[module(skip)]
    pub(crate) context_len: usize,
}

impl CausalLm {
    /// A model with zero matrices and unit norms, waiting for its weights.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let d = config.hidden_size;
        let heads = HeadShape {
            n_heads: config.num_attention_heads,
            n_kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim(),
        };
        let (q, kv) = (heads.n_heads * heads.head_dim, heads.n_kv_heads * heads.head_dim);
        let linear = |n_in, n_out, bias| Linear::new(n_in, n_out, bias, device);
        let norm = || RmsNorm::new(d, config.rms_norm_eps, device);
        let layer = |_| Layer {
            input_layernorm: norm(),
            self_attn: SelfAttention {
                q_proj: linear(d, q, true),
                k_proj: linear(d, kv, true),
                v_proj: linear(d, kv, true),
                o_proj: linear(q, d, false),
                heads,
            },
            post_attention_layernorm: norm(),
            mlp: Mlp {
                gate_proj: linear(d, config.intermediate_size, false),
                up_proj: linear(d, config.intermediate_size, false),
                down_proj: linear(config.intermediate_size, d, false),
            },
        };
        let embeddings = Tensor::zeros([config.vocab_size, d], device);
        Self {
            model: Trunk {
                embed_tokens: Embedding { weight: Param::from_tensor(embeddings) },
                layers: (0..config.num_hidden_layers).map(layer).collect(),
                norm: norm(),
            },
            lm_head: (!config.tie_word_embeddings).then(|| linear(d, config.vocab_size, false)),
            rope_theta: config.rope_theta,
            heads,
            temperature: 1.0,
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

    /// Hidden states after the last norm, `[B * S, d]`. `positions` is `[B, S]` or `[1, S]`.
    pub(crate) fn hidden(
        &self,
        tokens: Tensor<2, Int>,
        positions: Tensor<2, Int>,
        attended: &Attended,
        mut caches: Option<&mut Vec<LayerCache>>,
    ) -> Tensor<2> {
        let [b, s] = tokens.dims();
        let rotation = Rotation::new(positions, self.heads.head_dim, self.rope_theta);
        let mut x = self.model.embed_tokens.weight.val().select(0, tokens.reshape([b * s]));
        for (i, layer) in self.model.layers.iter().enumerate() {
            let cache = caches.as_mut().map(|caches| &mut caches[i]);
            let normed = layer.input_layernorm.forward(x.clone());
            x = x + layer.self_attn.forward(normed, b, &rotation, attended, cache);
            x = x.clone() + layer.mlp.forward(layer.post_attention_layernorm.forward(x));
        }
        self.model.norm.forward(x)
    }

    /// Logits, `[N, V]`, of hidden states `[N, d]`.
    pub(crate) fn head(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.forward(hidden),
            None => hidden.matmul(self.model.embed_tokens.weight.val().transpose()),
        }
    }

    pub(crate) fn n_layers(&self) -> usize {
        self.model.layers.len()
    }
}
