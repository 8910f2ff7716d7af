//! Optimiser state.

use burn::tensor::{Device, Tensor};
use luffy_core::{AdamWSettings, LearnError, Learner, LearnerState, OptimizerSlot, Row};
use luffy_policy::{CausalLm, ReplicaLearner};

use crate::fixture::{Likelihood, model, row, scale};

const OBJECTIVE: Likelihood = Likelihood { entropy: 0.0 };

fn learner() -> ReplicaLearner<CausalLm> {
    ReplicaLearner::new(model().1, &Device::flex(), AdamWSettings::default())
}

fn rows() -> Vec<Row> {
    vec![row(&[5, 6], &[10, 11, 12])]
}

fn step(learner: &mut ReplicaLearner<CausalLm>, slot: u32) {
    let (gradients, _) = learner.gradients(&rows(), &OBJECTIVE, &scale(3)).expect("finite");
    learner.apply(OptimizerSlot(slot), gradients, 1e-3).expect("finite");
}

#[test]
fn a_restored_learner_goes_on_to_the_same_bytes() {
    let mut whole = learner();
    step(&mut whole, 0);
    step(&mut whole, 1);
    let saved: LearnerState = whole.state();
    step(&mut whole, 0);
    let mut resumed = learner();
    resumed.restore(&saved).expect("it fits");
    step(&mut resumed, 0);
    assert!(resumed.state() == whole.state(), "weights or moments differ");
}

#[test]
fn without_its_moments_a_learner_goes_elsewhere() {
    let mut whole = learner();
    step(&mut whole, 0);
    let saved = whole.state();
    step(&mut whole, 0);
    let mut fresh = learner();
    fresh
        .restore(&LearnerState { weights: saved.weights, ..LearnerState::default() })
        .expect("it fits");
    step(&mut fresh, 0);
    assert!(fresh.state().weights != whole.state().weights);
}

#[test]
fn slots_have_state_of_their_own() {
    let mut learner = learner();
    step(&mut learner, 0);
    step(&mut learner, 3);
    let state = learner.state();
    assert_eq!(state.steps, [(0, 1), (3, 1)].into());
    assert!(state.optimizer.contains_key("3/exp_avg/model.norm.weight"));
}

#[test]
fn a_gradient_that_is_not_finite_leaves_the_weights_alone() {
    let mut learner = learner();
    let before = learner.state();
    let (mut gradients, _) = learner.gradients(&rows(), &OBJECTIVE, &scale(3)).expect("finite");
    let name = "model.norm.weight".to_owned();
    let nan = Tensor::<1>::from_floats([f32::NAN; 64], &Device::flex());
    gradients.0.insert(name.clone(), nan.into());
    let error = learner.apply(OptimizerSlot(0), gradients, 1e-3).expect_err("it diverged");
    assert_eq!(error, LearnError::NotFinite { parameter: name });
    assert!(learner.state() == before);
}

#[test]
fn a_replica_shares_the_weights_and_learns_on_its_own() {
    let mut first = learner();
    let mut second = first.replica();
    step(&mut first, 0);
    assert!(first.state().weights != second.state().weights);
    second.set_weights(&first.weights()).expect("they fit");
    assert!(first.state().weights == second.state().weights);
}

#[test]
fn weights_of_another_shape_are_refused_by_name() {
    let mut state = learner().state();
    state.weights.remove("model.norm.weight");
    let error = learner().restore(&state).expect_err("one is missing").to_string();
    assert!(error.contains("`model.norm.weight` is missing"), "{error}");
}

#[test]
fn a_refused_restore_leaves_weights_and_moments_alone() {
    let mut learner = learner();
    step(&mut learner, 0);
    let before = learner.state();
    step(&mut learner, 0);
    let after = learner.state();
    let mut bad = before.clone();
    bad.weights.remove("model.norm.weight");
    bad.optimizer.retain(|name, _| !name.ends_with("model.norm.weight"));
    assert!(learner.restore(&bad).is_err());
    let mut bad = before.clone();
    bad.optimizer.remove("0/exp_avg/model.norm.weight");
    assert!(learner.restore(&bad).is_err());
    let mut bad = before.clone();
    bad.weights.get_mut("model.norm.weight").expect("it is there").values.pop();
    assert!(learner.restore(&bad).is_err());
    assert!(learner.state() == after, "a refused state left traces");
    learner.restore(&before).expect("it fits");
    assert!(learner.state() == before);
}

#[test]
fn the_device_optimiser_learns_as_the_host_one() {
    let mut host = learner();
    let mut device = learner().with_optimizer_on_device();
    for _ in 0..3 {
        step(&mut host, 0);
        step(&mut device, 0);
    }
    let (host, device) = (host.state(), device.state());
    for (name, tensor) in &host.weights {
        for (a, b) in tensor.values.iter().zip(&device.weights[name].values) {
            assert!((a - b).abs() < 1e-5, "{name}: {a} on the host, {b} on the device");
        }
    }
}
