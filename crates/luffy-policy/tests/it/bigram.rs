//! The bigram table, whose every number has a closed form.

use burn::tensor::{Device, Int, Tensor};
use luffy_core::{AdamWSettings, Decoder, Learner, MicroBatch, OptimizerSlot, Policy};
use luffy_policy::{Bigram, ReplicaLearner};

use crate::fixture::{Likelihood, host, row, scale};

#[test]
fn an_untrained_table_is_uniform() {
    let policy = Bigram::new(8, &Device::flex());
    let stats = policy.score(&MicroBatch::collate(&[&row(&[1], &[2, 3])], &Device::flex()));
    for (logprob, entropy) in host(stats.logprobs).iter().zip(host(stats.entropy)) {
        assert!((logprob + 8_f32.ln()).abs() < 1e-6 && (entropy - 8_f32.ln()).abs() < 1e-6);
    }
}

#[test]
fn a_gradient_is_probability_minus_choice_in_the_row_of_the_last_token() {
    let policy = Bigram::new(4, &Device::flex());
    let mut learner = ReplicaLearner::new(policy, &Device::flex(), AdamWSettings::default());
    let (gradients, _) = learner
        .gradients(&[row(&[0, 3], &[2])], &Likelihood { entropy: 0.0 }, &scale(1))
        .expect("finite");
    // d(-log p) / d logit = p - [chosen]: 1/4 each, minus 1 at token 2, all in row 3.
    let wanted = [[0.0; 4], [0.0; 4], [0.0; 4], [0.25, 0.25, -0.75, 0.25]].concat();
    let found: Vec<f32> = gradients.0["table"].values().to_data().iter::<f32>().collect();
    assert!(
        found.iter().zip(&wanted).all(|(a, b): (&f32, &f32)| (a - b).abs() < 1e-6),
        "{found:?}"
    );
}

#[test]
fn it_decodes_what_it_learned() {
    let device = Device::flex();
    let mut learner =
        ReplicaLearner::new(Bigram::new(4, &device), &device, AdamWSettings::default());
    let rows = [row(&[0], &[2, 1, 3])];
    for _ in 0..20 {
        let (gradients, _) =
            learner.gradients(&rows, &Likelihood { entropy: 0.0 }, &scale(3)).expect("finite");
        learner.apply(OptimizerSlot(0), gradients, 0.1).expect("finite");
    }
    let mut policy = Bigram::new(4, &device);
    policy.publish(&learner.weights()).expect("they fit");
    let best = |logits: Tensor<2>| logits.argmax(1).into_data().iter::<i64>().collect::<Vec<_>>();
    let ((), prefill) = {
        let (logits, cache) = policy.prefill(&[&[3, 0], &[2]]);
        (cache, logits)
    };
    assert_eq!(best(prefill), [2, 1]);
    let step = policy.step(Tensor::<1, Int>::from_ints([1, 2], &device), &mut ());
    assert_eq!(best(step), [3, 1]);
}
