//! The checkpoint in `testdata/models/qwen2-tied` and its `expected.json`: computed by transformers 4.57 and
//! PyTorch 2.9 in float32, made for this project (`shared/conformance/README.md`).

use std::fs;
use std::path::PathBuf;

use burn::tensor::{DType, Device, Tensor};
use luffy_core::{
    Gradients, LossOutput, Metrics, MicroBatch, Objective, Row, Scale, StepShape, TokenStats,
};
use luffy_policy::{CausalLm, ModelConfig, load_named, load_pretrained, trainable, weights_of};
use serde_json::Value;

pub(crate) fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/models/qwen2-tied")
}

pub(crate) fn model() -> (ModelConfig, CausalLm) {
    load_pretrained(&dir(), &Device::flex()).expect("the checkpoint loads")
}

pub(crate) fn expected() -> Value {
    let text = fs::read_to_string(dir().join("expected.json")).expect("expected.json");
    serde_json::from_str(&text).expect("JSON")
}

pub(crate) fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

pub(crate) fn floats(value: &Value) -> Vec<f64> {
    value.as_array().expect("numbers").iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// A row whose response is learned from, with advantage 1.
pub(crate) fn row(prompt: &[u32], response: &[u32]) -> Row {
    let n = response.len();
    Row {
        prompt: prompt.into(),
        response: response.to_vec(),
        mask: vec![true; n],
        demonstrated: vec![true; n],
        behavior_logprobs: vec![0.0; n],
        advantages: vec![1.0; n],
        reference_logprobs: vec![],
    }
}

pub(crate) fn host(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Mean negative log-likelihood, and an entropy term where its weight is not zero.
#[derive(Debug)]
pub(crate) struct Likelihood {
    pub(crate) entropy: f64,
}

impl Objective for Likelihood {
    fn scale(&self, shape: &StepShape) -> Scale {
        let n = shape.n_tokens as f64;
        Scale { divisor: n, n_tokens: n, n_demonstrated: n }
    }

    fn loss(&self, stats: TokenStats, batch: &MicroBatch, scale: &Scale) -> LossOutput {
        let mask = batch.response_mask.clone().float().cast(stats.logprobs.dtype());
        let mut loss = -(stats.logprobs * mask.clone()).sum() / scale.divisor;
        if self.entropy.abs() > 0.0 {
            loss = loss - (stats.entropy * mask).sum() * self.entropy / scale.n_tokens;
        }
        let mut metrics = Metrics::default();
        metrics.add("loss", loss.clone().into_scalar::<f64>(), 1.0);
        LossOutput { loss, metrics }
    }
}

/// The model in f64, with a graph: nothing is fused there, and rounding is out of sight.
pub(crate) fn exact(model: CausalLm) -> CausalLm {
    let mut weights = weights_of(&model);
    for tensor in weights.0.values_mut() {
        tensor.values = tensor.values.clone().cast(DType::F64);
    }
    trainable(load_named(model, &weights).expect("the same shapes"))
}

/// Each gradient in f32 is within `bound` of the exact one, relative to its norm; where the graph of the same
/// f32 model is not, it is no further away than half as much again as that.
pub(crate) fn assert_exact(found: &Gradients, exact: &Gradients, graph: &Gradients, bound: f64) {
    assert!(found.0.keys().eq(exact.0.keys()), "the same parameters");
    let values =
        |g: &Gradients, name: &str| g.0[name].values().to_data().iter::<f64>().collect::<Vec<_>>();
    for name in found.0.keys() {
        let exact = values(exact, name);
        let norm = exact.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-12);
        let far = |g: &Gradients| {
            let apart =
                values(g, name).iter().zip(&exact).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            apart.sqrt() / norm
        };
        let (ours, graph) = (far(found), far(graph));
        assert!(ours < bound.max(1.5 * graph), "{name}: {ours:e}, the graph {graph:e}");
    }
}

pub(crate) fn scale(n_tokens: usize) -> Scale {
    Scale { divisor: n_tokens as f64, n_tokens: n_tokens as f64, n_demonstrated: n_tokens as f64 }
}
