//! What decoding keeps is what a forward pass would compute.

use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{AdamWSettings, Decoder, Gradients, Learner, MicroBatch, OptimizerSlot, Row};
use luffy_policy::{Activations, CausalLm, LmDecoder, ReplicaLearner, load_pretrained};

use crate::fixture::{Likelihood, dir, model, row, scale};

const OBJECTIVE: Likelihood = Likelihood { entropy: 0.3 };
/// Each way is within 2e-6 of the exact gradient (`gradients.rs`).
const BOUND: f64 = 4e-6;
const PROMPTS: [&[u32]; 2] = [&[5, 300, 7], &[44]];
/// Of each prompt.
const RESPONSES: [[&[u32]; 3]; 2] =
    [[&[10, 11, 12, 13], &[20], &[30, 31]], [&[40, 41, 42, 43, 44], &[50, 51], &[60, 61, 62]]];

/// Decodes these responses as an engine does: all rows of the first prompt, then those of the second beside what is
/// left, each row dropped before its last token would be read.
fn decode(decoder: &LmDecoder) {
    let ints = |tokens: &[u32]| {
        let tokens: Vec<i64> = tokens.iter().map(|token| i64::from(*token)).collect();
        let n = tokens.len();
        Tensor::<1, Int>::from_data(TensorData::new(tokens, [n]), &Device::flex())
    };
    let (mut live, mut cache): (Vec<(&[u32], usize)>, _) = (vec![], None);
    for (prompt, responses) in PROMPTS.iter().zip(RESPONSES) {
        let (_, mut new) = decoder.prefill_to_learn(&[prompt]);
        let rows: Vec<&[u32]> =
            responses.into_iter().filter(|response| response.len() > 1).collect();
        decoder.select(&mut new, &vec![0; rows.len()]);
        live.extend(rows.into_iter().map(|response| (response, 0)));
        match &mut cache {
            Some(cache) => decoder.append(cache, new),
            None => cache = Some(new),
        }
        let is_last = *prompt == PROMPTS[1];
        while let Some(under_way) = cache.as_mut().filter(|_| is_last || live.len() > 1) {
            let next: Vec<u32> = live.iter().map(|(response, at)| response[*at]).collect();
            decoder.step(ints(&next), under_way);
            for (_, at) in &mut live {
                *at += 1;
            }
            let left = (0..).zip(&live).filter(|(_, (response, at))| at + 1 < response.len());
            let left: Vec<u32> = left.map(|(row, _)| row).collect();
            live = left.iter().map(|row| live[*row as usize]).collect();
            if left.is_empty() {
                cache = None;
            } else {
                decoder.select(under_way, &left);
            }
        }
    }
}

/// The rows that were decoded, of each prompt one after the other.
fn rows() -> Vec<Row> {
    let of = |(prompt, responses): (&&[u32], [&[u32]; 3])| {
        responses.map(|response| row(prompt, response))
    };
    PROMPTS.iter().zip(RESPONSES).flat_map(of).collect()
}

fn learner(model: CausalLm) -> ReplicaLearner<CausalLm> {
    ReplicaLearner::new(model, &Device::flex(), AdamWSettings::default())
}

fn gradients(model: CausalLm, rows: &[Row]) -> Gradients {
    learner(model).gradients(rows, &OBJECTIVE, &scale(9)).expect("finite").0
}

/// The largest distance between two gradients of a parameter, relative to its norm, or to a thousandth of the norm of
/// all: biases of keys have a slope of zero but for rounding.
fn distance(a: &Gradients, b: &Gradients) -> f64 {
    assert!(a.0.keys().eq(b.0.keys()), "the same parameters");
    let values =
        |g: &Gradients, name: &str| g.0[name].values().to_data().iter::<f64>().collect::<Vec<_>>();
    let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
    let all = norm(&a.0.keys().map(|name| norm(&values(a, name))).collect::<Vec<_>>());
    let of = |name: &String| {
        let (a, b) = (values(a, name), values(b, name));
        let apart: Vec<f64> = a.iter().zip(&b).map(|(x, y)| x - y).collect();
        norm(&apart) / norm(&a).max(1e-3 * all)
    };
    a.0.keys().map(of).fold(0.0, f64::max)
}

#[test]
fn gradients_from_kept_activations_are_those_of_a_forward_pass() {
    let (_, model) = model();
    let kept = Activations::default();
    decode(&LmDecoder::new(model.clone()).keeping(&kept));
    // All but the response of one token, which is chosen from the prompt alone.
    assert_eq!(kept.n_sequences(), 5);
    // A demonstration among them, a prompt that was never read, a row that was sampled twice.
    let mut rows = rows();
    rows.insert(1, row(PROMPTS[0], &[70, 71, 72, 73, 74, 75]));
    rows.insert(1, rows[0].clone());
    rows.push(row(&[8, 9], &[80, 81]));
    let with = model.clone().with_activations(&kept);
    let whole = gradients(model.clone(), &rows);
    assert!(distance(&gradients(with.clone(), &rows), &whole) < BOUND);
    // Rows alone, which share no prompt.
    for row in rows {
        let rows = [row];
        let far = distance(&gradients(with.clone(), &rows), &gradients(model.clone(), &rows));
        assert!(far < BOUND, "{far}");
    }
}

/// A store that holds what other positions would give shows by what it gives who looked into it.
#[test]
fn a_model_looks_up_what_its_own_weights_have_computed_and_nothing_else() {
    let (_, model) = model();
    let kept = Activations::default();
    let (mut config, _) = load_pretrained(&dir(), &Device::flex()).expect("the checkpoint loads");
    config.rope.theta = 7.0;
    let weights = luffy_policy::weights_of(&model);
    let turned = luffy_policy::load_named(CausalLm::new(&config, &Device::flex()), &weights);
    let turned = turned.expect("the same shapes");
    decode(&LmDecoder::new(turned).keeping(&kept));
    let rows = rows();
    let whole = gradients(model.clone(), &rows);
    let with = model.clone().with_activations(&kept);
    assert!(distance(&gradients(with.clone(), &rows), &whole) > 1e-3, "they are taken");
    assert!(distance(&gradients(with.clone().with_recompute(true), &rows), &whole) < BOUND);
    // Other tokens, and the same weights in other buffers.
    let others: Vec<Row> = [90, 91].map(|first| row(PROMPTS[0], &[first, 11, 12, 13])).into();
    assert!(
        distance(&gradients(with.clone(), &others), &gradients(model.clone(), &others)) < BOUND
    );
    let copied = load_pretrained(&dir(), &Device::flex()).expect("the checkpoint loads").1;
    assert!(distance(&gradients(copied.with_activations(&kept), &rows), &whole) < BOUND);
    // After an update nothing of before is taken.
    let mut learner = learner(with);
    let (step, _) = learner.gradients(&others, &OBJECTIVE, &scale(8)).expect("finite");
    learner.apply(OptimizerSlot(0), step, 1e-3).expect("finite");
    let updated = luffy_policy::load_named(model, &learner.weights()).expect("they fit");
    let after = learner.gradients(&rows, &OBJECTIVE, &scale(9)).expect("finite").0;
    assert!(distance(&after, &gradients(updated, &rows)) < BOUND);
}

#[test]
fn new_weights_empty_the_store_and_generation_keeps_nothing() {
    let (_, model) = model();
    let kept = Activations::default();
    let mut decoder = LmDecoder::new(model.clone()).keeping(&kept);
    drop(decoder.prefill(&[PROMPTS[0]]));
    assert_eq!(kept.n_sequences(), 0);
    drop(decoder.prefill_to_learn(&[PROMPTS[0]]));
    assert_eq!(kept.n_sequences(), 1);
    decoder.publish(&luffy_policy::weights_of(&model)).expect("they fit");
    assert_eq!(kept.n_sequences(), 0);
}

/// Scores, which are all that a row of one token has, agree with a model that keeps nothing.
#[test]
fn scores_from_kept_activations_are_those_of_a_forward_pass() {
    let (_, model) = model();
    let kept = Activations::default();
    decode(&LmDecoder::new(model.clone()).keeping(&kept));
    let rows = rows();
    let (found, whole) =
        (learner(model.clone().with_activations(&kept)).score(&rows), learner(model).score(&rows));
    for (a, b) in found.iter().flatten().zip(whole.iter().flatten()) {
        assert!((a - b).abs() < 2e-5, "{a} is not {b}");
    }
    let batch = MicroBatch::collate(&rows.iter().collect::<Vec<_>>(), &Device::flex());
    assert_eq!(batch.packed.packing.n_tokens(), 3 + 3 + 1 + 1 + 4 + 1 + 2);
}
