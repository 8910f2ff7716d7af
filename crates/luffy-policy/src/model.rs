//! The decoder, with fields named as in Hugging Face checkpoints.

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use luffy_kernels::{Attended, HeadShape, Rotation};

use crate::layer::{Attend, Kept, Layer, Linear, RmsNorm, heads_of};
use crate::{Activations, ModelConfig};

/// Token embeddings, `[V, d]`.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    pub(crate) weight: Param<Tensor<2>>,
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
    pub(crate) activations: Option<Activations>,
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
            heads: heads_of(config),
            temperature: 1.0,
            recompute: false,
            activations: None,
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

    /// Takes activations of sampled sequences from where a decoder keeps them, instead of computing them again.
    /// With [recomputation](Self::with_recompute) it takes none.
    #[must_use]
    pub fn with_activations(mut self, activations: &Activations) -> Self {
        self.activations = Some(activations.clone());
        self
    }

    /// Embeddings of tokens, `[N, d]`.
    pub(crate) fn embed(&self, tokens: Tensor<1, Int>) -> Tensor<2> {
        self.model.embed_tokens.weight.val().select(0, tokens)
    }

    /// The rotation of tokens at `positions`.
    pub(crate) fn rotation(&self, positions: &[u32]) -> Rotation {
        let device = self.model.embed_tokens.weight.val().device();
        Rotation::new(positions, &self.frequencies, &device.without_autodiff())
    }

    /// Hidden states before the last norm, `[N, d]`, or of the tokens at `wanted` alone, `[wanted, d]`: others have
    /// their keys and values computed in the last layer, and no more. `look` is shown each layer on the way.
    pub(crate) fn hidden(
        &self,
        tokens: Tensor<1, Int>,
        rotation: &Rotation,
        wanted: Option<&Tensor<1, Int>>,
        mut attend: impl FnMut(usize, &Attend) -> Attended,
        mut look: impl FnMut(Kept),
    ) -> Tensor<2> {
        let mut x = self.embed(tokens);
        for (i, layer) in self.model.layers.iter().enumerate() {
            let wanted = wanted.filter(|_| i + 1 == self.model.layers.len());
            let (next, kept) = layer.run(x, rotation, wanted, |heads| attend(i, heads));
            look(kept);
            x = next;
        }
        x
    }

    /// The last norm.
    pub(crate) fn norm(&self, hidden: &Tensor<2>) -> Tensor<2> {
        self.model.norm.forward(hidden)
    }

    /// The matrix that turns hidden states into logits, `[d, V]`; a view of the embeddings where it is tied.
    pub(crate) fn head_matrix(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val().transpose(),
        }
    }
}
