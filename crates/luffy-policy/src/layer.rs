//! One layer: forward, with what its way back needs, and the way back in closed form.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use luffy_core::{Gradient, Gradients};
use luffy_kernels::{
    Attended, HeadShape, PackedMatrix, Rotation, add_rows, collect_rows, linear, linear_add,
    linear_backward, rms_norm, rms_norm_backward, swiglu, swiglu_backward,
};

use crate::ModelConfig;

/// The heads of a model.
pub(crate) const fn heads_of(config: &ModelConfig) -> HeadShape {
    HeadShape {
        n_heads: config.num_attention_heads,
        n_kv_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
    }
}

/// `y = x W + b` with `W` as `[in, out]`.
#[derive(Module, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Param<Tensor<2>>,
    pub(crate) bias: Option<Param<Tensor<1>>>,
    /// The same matrix laid out for decoding, where that is what the model is for.
    #[module(skip)]
    packed: Option<PackedMatrix>,
}

impl Linear {
    pub(crate) fn new(n_in: usize, n_out: usize, bias: bool, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([n_in, n_out], device)),
            bias: bias.then(|| Param::from_tensor(Tensor::zeros([n_out], device))),
            packed: None,
        }
    }

    /// Lays the matrix out for decoding.
    pub(crate) fn pack(&mut self) {
        self.packed = PackedMatrix::new(&self.weight.val());
    }

    fn bias(&self) -> Option<Tensor<1>> {
        self.bias.as_ref().map(Param::val)
    }

    /// `[N, in]` to `[N, out]`.
    fn forward(&self, x: &Tensor<2>) -> Tensor<2> {
        match &self.packed {
            Some(packed) => packed.product(x, self.bias().as_ref(), None),
            None => linear(x, &self.weight.val(), self.bias().as_ref()),
        }
    }

    /// The same, added to `sum`.
    fn forward_add(&self, sum: Tensor<2>, x: &Tensor<2>) -> Tensor<2> {
        match (&self.packed, self.bias()) {
            (Some(packed), None) => packed.product(x, None, Some(sum)),
            (Some(packed), bias) => sum + packed.product(x, bias.as_ref(), None),
            (None, bias) => linear_add(sum, x, &self.weight.val(), bias.as_ref()),
        }
    }

    /// Derivatives with respect to `x`, added to `dx` where it is given.
    fn back(
        &self,
        name: &str,
        x: &Tensor<2>,
        dy: &Tensor<2>,
        dx: Option<Tensor<2>>,
        found: &mut Found<'_>,
    ) -> Tensor<2> {
        let (dx, weight) = linear_backward(x, &self.weight.val(), dy, dx);
        found.add(&[name, ".weight"], weight);
        if self.bias.is_some() {
            found.add(&[name, ".bias"], (dy.clone().sum_dim(0), None));
        }
        dx
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight`.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    pub(crate) weight: Param<Tensor<1>>,
    #[module(skip)]
    pub(crate) eps: f64,
}

impl RmsNorm {
    pub(crate) fn new(n: usize, eps: f64, device: &Device) -> Self {
        Self { weight: Param::from_tensor(Tensor::ones([n], device)), eps }
    }

    pub(crate) fn forward(&self, x: &Tensor<2>) -> Tensor<2> {
        rms_norm(x, &self.weight.val(), self.eps)
    }

    pub(crate) fn back(
        &self,
        name: &str,
        x: &Tensor<2>,
        dy: &Tensor<2>,
        found: &mut Found<'_>,
    ) -> Tensor<2> {
        let (dx, weight) = rms_norm_backward(x, &self.weight.val(), self.eps, dy);
        found.0.0.insert(format!("{}{name}.weight", found.1), weight.into());
        dx
    }
}

/// Gradients so far, and what their names begin with.
pub(crate) struct Found<'a>(pub(crate) &'a mut Gradients, pub(crate) String);

impl Found<'_> {
    /// Adds one, with the sum of its squares where that is known.
    pub(crate) fn add(&mut self, name: &[&str], (gradient, squares): (Tensor<2>, Option<f64>)) {
        let [rows, columns] = gradient.dims();
        let name = format!("{}{}", self.1, name.concat());
        let values = gradient.reshape([rows * columns]);
        self.0.0.insert(name, Gradient::new(values, squares));
    }
}

#[derive(Module, Debug)]
#[allow(clippy::struct_field_names, reason = "the names of Hugging Face checkpoints")]
pub(crate) struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
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
    head_dim: usize,
}

/// Queries, keys and values of packed tokens, `[N, heads * head_dim]` each.
#[derive(Debug, Clone)]
pub(crate) struct Attend {
    pub(crate) q: Tensor<2>,
    pub(crate) k: Tensor<2>,
    pub(crate) v: Tensor<2>,
}

#[derive(Module, Debug)]
pub(crate) struct Layer {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

/// What the way back of a layer needs. Norms and the product in the MLP are made again: they cost a pass, and
/// would be half of all that is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The input, `[N, d]`.
    pub(crate) x: Tensor<2>,
    /// Queries and keys before their norm, where the family has one.
    unnormed: [Option<Tensor<2>>; 2],
    pub(crate) attend: Attend,
    attended: Attended,
    /// The tokens that go on behind attention; all where there is none.
    wanted: Option<Tensor<1, Int>>,
    /// Behind attention, of these.
    middle: Tensor<2>,
    gate: Tensor<2>,
    up: Tensor<2>,
}

impl Kept {
    /// Of tokens that were computed in several passes, places as in [`collect_rows`]; all went on behind attention
    /// there, those at `wanted` do here.
    pub(crate) fn collect(
        from: &[&Self],
        places: &[(u32, u32)],
        wanted: Option<&Tensor<1, Int>>,
    ) -> Self {
        let at = |places: &[(u32, u32)], of: &dyn Fn(&Self) -> &Tensor<2>| {
            let tensors: Vec<&Tensor<2>> = from.iter().map(|kept| of(kept)).collect();
            collect_rows(&tensors, places)
        };
        let rows = |of: &dyn Fn(&Self) -> &Tensor<2>| at(places, of);
        let some: Option<Vec<_>> = wanted.map(|wanted| {
            wanted.to_data().iter::<i64>().map(|token| places[token as usize]).collect()
        });
        let behind = some.as_deref().unwrap_or(places);
        let unnormed = |i: usize| {
            let is_kept = from[0].unnormed[i].is_some();
            is_kept.then(|| rows(&|kept| kept.unnormed[i].as_ref().expect("one model")))
        };
        let attended: Vec<&Attended> = from.iter().map(|kept| &kept.attended).collect();
        Self {
            x: rows(&|kept| &kept.x),
            unnormed: [unnormed(0), unnormed(1)],
            attend: Attend {
                q: rows(&|kept| &kept.attend.q),
                k: rows(&|kept| &kept.attend.k),
                v: rows(&|kept| &kept.attend.v),
            },
            attended: Attended::collect(&attended, places),
            wanted: wanted.cloned(),
            middle: at(behind, &|kept| &kept.middle),
            gate: at(behind, &|kept| &kept.gate),
            up: at(behind, &|kept| &kept.up),
        }
    }
}

/// Rows at `wanted`; all where there is none.
fn chosen(x: &Tensor<2>, wanted: Option<&Tensor<1, Int>>) -> Tensor<2> {
    let x = x.clone();
    match wanted {
        Some(wanted) => x.select(0, wanted.clone()),
        None => x,
    }
}

/// Each head of `[N, heads * head_dim]` as a row of its own.
fn by_head(x: &Tensor<2>, head_dim: usize) -> Tensor<2> {
    let [n, width] = x.dims();
    x.clone().reshape([n * width / head_dim, head_dim])
}

impl SelfAttention {
    /// Projected, normed where the family does, rotated; and what was there before the norm.
    fn head_input(
        &self,
        proj: &Linear,
        norm: Option<&RmsNorm>,
        x: &Tensor<2>,
        rotation: &Rotation,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let raw = proj.forward(x);
        let Some(norm) = norm else { return (rotation.apply(raw), None) };
        let normed = norm.forward(&by_head(&raw, self.head_dim)).reshape(raw.dims());
        (rotation.apply(normed), Some(raw))
    }

    /// The way back of [`Self::head_input`], from behind the rotation to the projection's output.
    fn head_back(
        &self,
        (name, norm): (&str, Option<&RmsNorm>),
        turned: Tensor<2>,
        raw: Option<&Tensor<2>>,
        found: &mut Found<'_>,
    ) -> Tensor<2> {
        let (Some(norm), Some(raw)) = (norm, raw) else { return turned };
        let (raw, dy) = (by_head(raw, self.head_dim), by_head(&turned, self.head_dim));
        norm.back(name, &raw, &dy, found).reshape(turned.dims())
    }
}

impl Layer {
    pub(crate) fn new(config: &ModelConfig, device: &Device) -> Self {
        let (d, inner, hd) = (config.hidden_size, config.intermediate_size, config.head_dim);
        let heads = heads_of(config);
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
                head_dim: hd,
            },
            post_attention_layernorm: norm(d),
            mlp: Mlp {
                gate_proj: linear(d, inner, config.biases.mlp),
                up_proj: linear(d, inner, config.biases.mlp),
                down_proj: linear(inner, d, config.biases.mlp),
            },
        }
    }

    /// Lays all matrices out for decoding.
    pub(crate) fn pack(&mut self) {
        let SelfAttention { q_proj, k_proj, v_proj, o_proj, .. } = &mut self.self_attn;
        let Mlp { gate_proj, up_proj, down_proj } = &mut self.mlp;
        for linear in [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj] {
            linear.pack();
        }
    }

    /// `[N, d]` to the same, or to `[wanted, d]`; `attend` mixes values over what each token sees.
    pub(crate) fn run(
        &self,
        x: Tensor<2>,
        rotation: &Rotation,
        wanted: Option<&Tensor<1, Int>>,
        attend: impl FnOnce(&Attend) -> Attended,
    ) -> (Tensor<2>, Kept) {
        let attn = &self.self_attn;
        let normed = self.input_layernorm.forward(&x);
        let (q, raw_q) = attn.head_input(&attn.q_proj, attn.q_norm.as_ref(), &normed, rotation);
        let (k, raw_k) = attn.head_input(&attn.k_proj, attn.k_norm.as_ref(), &normed, rotation);
        let seen = Attend { q, k, v: attn.v_proj.forward(&normed) };
        let attended = attend(&seen);
        let middle = attn.o_proj.forward_add(chosen(&x, wanted), &chosen(&attended.out, wanted));
        let normed = self.post_attention_layernorm.forward(&middle);
        let (gate, up) = (self.mlp.gate_proj.forward(&normed), self.mlp.up_proj.forward(&normed));
        let out = self.mlp.down_proj.forward_add(middle.clone(), &swiglu(&gate, &up));
        let (unnormed, wanted) = ([raw_q, raw_k], wanted.cloned());
        (out, Kept { x, unnormed, attend: seen, attended, wanted, middle, gate, up })
    }

    /// Derivatives with respect to the input, given those with respect to the output; those of the parameters
    /// go to `found`. `attention_back` is the way back of what `attend` did in [`Self::run`].
    pub(crate) fn back(
        &self,
        kept: Kept,
        dy: Tensor<2>,
        rotation: &Rotation,
        attention_back: impl FnOnce(&Attend, &Attended, &Tensor<2>) -> [Tensor<2>; 3],
        found: &mut Found<'_>,
    ) -> Tensor<2> {
        let Kept { x, unnormed: [raw_q, raw_k], attend, attended, wanted, middle, gate, up } = kept;
        let d_product =
            self.mlp.down_proj.back("mlp.down_proj", &swiglu(&gate, &up), &dy, None, found);
        let (d_gate, d_up) = swiglu_backward(gate, up, &d_product);
        drop(d_product);
        let normed = self.post_attention_layernorm.forward(&middle);
        let dn = self.mlp.gate_proj.back("mlp.gate_proj", &normed, &d_gate, None, found);
        let dn = self.mlp.up_proj.back("mlp.up_proj", &normed, &d_up, Some(dn), found);
        drop((d_gate, d_up, normed));
        let norm = &self.post_attention_layernorm;
        let d_middle = norm.back("post_attention_layernorm", &middle, &dn, found) + dy;
        drop((dn, middle));
        let attn = &self.self_attn;
        let out = chosen(&attended.out, wanted.as_ref());
        let mut d_out = attn.o_proj.back("self_attn.o_proj", &out, &d_middle, None, found);
        if let Some(wanted) = &wanted {
            d_out = add_rows(attended.out.zeros_like(), wanted, &d_out);
        }
        drop(out);
        let [dq, dk, dv] = attention_back(&attend, &attended, &d_out);
        drop((attend, attended, d_out));
        let q_norm = ("self_attn.q_norm", attn.q_norm.as_ref());
        let dq = attn.head_back(q_norm, rotation.undo(dq), raw_q.as_ref(), found);
        let k_norm = ("self_attn.k_norm", attn.k_norm.as_ref());
        let dk = attn.head_back(k_norm, rotation.undo(dk), raw_k.as_ref(), found);
        let normed = self.input_layernorm.forward(&x);
        let dn = attn.q_proj.back("self_attn.q_proj", &normed, &dq, None, found);
        let dn = attn.k_proj.back("self_attn.k_proj", &normed, &dk, Some(dn), found);
        let dn = attn.v_proj.back("self_attn.v_proj", &normed, &dv, Some(dn), found);
        let dx = self.input_layernorm.back("input_layernorm", &x, &dn, found);
        match &wanted {
            Some(wanted) => add_rows(dx, wanted, &d_middle),
            None => dx + d_middle,
        }
    }
}
