//! Gradients do not depend on how they are computed.

use burn::tensor::{Device, Tensor};
use luffy_core::{
    AdamWSettings, Gradients, LearnError, Learner, LossOutput, Metrics, MicroBatch, Objective,
    OptimizerSlot, Policy, Row, Scale, StepShape, TokenStats,
};
use luffy_policy::{CausalLm, ReplicaLearner, load_named, trainable, weights_of};

use crate::fixture::{Likelihood, assert_exact, exact, host, model, row, scale};

const OBJECTIVE: Likelihood = Likelihood { entropy: 0.3 };

fn rows() -> Vec<Row> {
    vec![row(&[5, 6], &[10, 11, 12]), row(&[7], &[20, 21, 22, 23, 24]), row(&[1, 2, 3, 4], &[30])]
}

fn learner() -> ReplicaLearner<CausalLm> {
    ReplicaLearner::new(model().1, &Device::flex(), AdamWSettings::default())
}

fn assert_close(a: &Gradients, b: &Gradients) {
    assert_eq!(a.0.len(), b.0.len());
    for (name, gradient) in &a.0 {
        let (a, b): (Vec<f32>, Vec<f32>) = (
            gradient.values().to_data().iter::<f32>().collect(),
            b.0[name].values().to_data().iter::<f32>().collect(),
        );
        let norm = a.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let far = a.iter().zip(&b).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt();
        assert!(far <= 2e-6 * norm + 1e-9, "{name}: {far} of {norm}");
    }
}

#[test]
fn two_stages_give_the_direct_gradient() {
    let rows = rows();
    let scale = scale(9);
    let (staged, _) = learner().gradients(&rows, &OBJECTIVE, &scale).expect("finite");
    let refs: Vec<&Row> = rows.iter().collect();
    let batch = MicroBatch::collate(&refs, &Device::flex());
    let direct = |model: CausalLm| {
        let loss = OBJECTIVE.loss(model.score(&batch), &batch, &scale).loss;
        luffy_policy::gradients_of(&model, loss.backward())
    };
    let (exact, graph) = (direct(exact(model().1)), direct(trainable(model().1)));
    // Every parameter has a gradient, and the embeddings' one speaks for the direct computation.
    assert_eq!(staged.0.len(), weights_of(&model().1).0.len());
    assert_exact(&staged, &exact, &graph, 2e-6);
}

#[test]
fn micro_batches_sum_to_the_whole() {
    let rows = rows();
    let whole = learner().gradients(&rows, &OBJECTIVE, &scale(9)).expect("finite").0;
    // One row at a time, two and one, all three.
    for max_tokens in [1, 12, 18] {
        let mut cut = learner().with_max_tokens(max_tokens);
        assert_close(&cut.gradients(&rows, &OBJECTIVE, &scale(9)).expect("finite").0, &whole);
    }
}

#[test]
fn padding_does_not_change_a_score() {
    let model = model().1;
    let rows = rows();
    let alone =
        |row: &Row| host(model.score(&MicroBatch::collate(&[row], &Device::flex())).logprobs);
    let refs: Vec<&Row> = rows.iter().collect();
    let together = host(model.score(&MicroBatch::collate(&refs, &Device::flex())).logprobs);
    for (i, row) in rows.iter().enumerate() {
        for (a, b) in alone(row).iter().zip(&together[i * 5..]) {
            assert!((a - b).abs() < 2e-5, "alone {a}, padded {b}");
        }
    }
}

#[test]
fn masked_tokens_change_nothing() {
    let mut rows = rows();
    rows[1].mask[2..].fill(false);
    let whole = learner().gradients(&rows, &OBJECTIVE, &scale(6)).expect("finite").0;
    for row in &mut rows {
        let n = row.mask.iter().filter(|learned| **learned).count();
        row.response.truncate(n);
        row.mask.truncate(n);
        row.demonstrated.truncate(n);
        row.behavior_logprobs.truncate(n);
        row.advantages.truncate(n);
    }
    assert_close(&learner().gradients(&rows, &OBJECTIVE, &scale(6)).expect("finite").0, &whole);
}

/// A loss that does not look at the policy.
#[derive(Debug)]
struct Constant(f32);

impl Objective for Constant {
    fn scale(&self, _: &StepShape) -> Scale {
        scale(1)
    }

    fn loss(&self, _: TokenStats, _: &MicroBatch, _: &Scale) -> LossOutput {
        let loss = Tensor::from_floats([self.0], &Device::flex());
        LossOutput { loss, metrics: Metrics::default() }
    }
}

#[test]
fn a_loss_without_the_policy_has_no_gradients() {
    let (gradients, _) = learner().gradients(&rows(), &Constant(3.0), &scale(1)).expect("finite");
    assert!(gradients.0.is_empty());
}

#[test]
fn a_loss_that_is_not_finite_is_an_error() {
    let error = learner().gradients(&rows(), &Constant(f32::NAN), &scale(1)).expect_err("NaN");
    assert_eq!(error, LearnError::NotFinite { parameter: "loss".into() });
    // Zero tokens to divide by: infinite, and so is the gradient that reaches the first parameter by name.
    let error = learner().gradients(&rows(), &OBJECTIVE, &scale(0)).expect_err("infinite");
    let parameter = "model.embed_tokens.weight".into();
    assert_eq!(error, LearnError::NotFinite { parameter });
}

#[test]
fn an_entropy_term_alone_has_a_gradient() {
    #[derive(Debug)]
    struct Entropy;
    impl Objective for Entropy {
        fn scale(&self, _: &StepShape) -> Scale {
            scale(1)
        }
        fn loss(&self, stats: TokenStats, batch: &MicroBatch, _: &Scale) -> LossOutput {
            let loss = -(stats.entropy * batch.response_mask.clone().float()).sum();
            LossOutput { loss, metrics: Metrics::default() }
        }
    }
    let mut learner = learner();
    let mean_entropy = |learner: &ReplicaLearner<CausalLm>| {
        let weights = learner.weights();
        let model = load_named(model().1, &weights).expect("they fit");
        let batch = MicroBatch::collate(&[&rows()[1]], &Device::flex());
        host(model.score(&batch).entropy).iter().sum::<f32>()
    };
    let before = mean_entropy(&learner);
    let (gradients, _) = learner.gradients(&rows()[1..2], &Entropy, &scale(1)).expect("finite");
    learner.apply(OptimizerSlot(0), gradients, 1e-3).expect("finite");
    assert!(mean_entropy(&learner) > before + 1e-3, "a step up the entropy raises it");
}

#[test]
fn temperature_flattens_what_is_scored() {
    let row = row(&[5, 6], &[10, 11, 12]);
    let entropy = |temperature: f64| {
        let model = model().1.with_temperature(temperature);
        host(model.score(&MicroBatch::collate(&[&row], &Device::flex())).entropy)
    };
    let logprobs = |temperature: f64| {
        let model = model().1.with_temperature(temperature);
        host(model.score(&MicroBatch::collate(&[&row], &Device::flex())).logprobs)
    };
    // Infinitely hot is uniform over the 384 tokens: entropy ln 384.
    for (nats, logprob) in entropy(1e6).iter().zip(logprobs(1e6)) {
        assert!((nats - 384_f32.ln()).abs() < 1e-4 && (logprob + 384_f32.ln()).abs() < 1e-4);
    }
    assert!(entropy(0.5).iter().zip(entropy(1.0)).all(|(cold, warm)| *cold < warm));
}

/// Gradients of large matrices bring the sum of their squares (on processors with AVX-512), here that of tied embeddings,
/// which is made in two parts; sums of gradients do not. The norm is the same either way.
#[test]
fn squares_are_those_of_the_gradients() {
    let (mut config, _) = model();
    config.vocab_size = 8192;
    let empty = CausalLm::new(&config, &Device::flex());
    let mut weights = weights_of(&empty);
    for (i, tensor) in weights.0.values_mut().enumerate() {
        let [n] = tensor.values.dims();
        let values: Vec<f32> = (0..n).map(|j| ((j * 7 + i) % 61) as f32 / 150.0 - 0.2).collect();
        tensor.values = Tensor::from_floats(values.as_slice(), &Device::flex());
    }
    let model = load_named(empty, &weights).expect("the same shapes");
    let mut learner = ReplicaLearner::new(model, &Device::flex(), AdamWSettings::default());
    let (gradients, _) = learner.gradients(&rows(), &OBJECTIVE, &scale(9)).expect("finite");
    let exact = |values: &Tensor<1>| -> f64 {
        values.to_data().iter::<f32>().map(|x| f64::from(x).powi(2)).sum()
    };
    let mut sum = 0.0;
    for (name, gradient) in &gradients.0 {
        let squares = exact(gradient.values());
        let far = gradient.squares().map_or(0.0, |found| (found / squares - 1.0).abs());
        assert!(far < 1e-6, "{name}: {far}");
        sum += squares;
    }
    let mut twice = gradients.clone();
    twice.accumulate(gradients.clone());
    assert!(twice.0.values().all(|gradient| gradient.squares().is_none()));
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        assert!(gradients.0["model.embed_tokens.weight"].squares().is_some());
    }
    let report = learner.apply(OptimizerSlot(0), gradients, 0.0).expect("finite");
    assert!((report.grad_norm / sum.sqrt() - 1.0).abs() < 1e-6, "{}", report.grad_norm);
}
