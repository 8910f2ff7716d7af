//! What transformers and PyTorch compute.

use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{AdamWSettings, Decoder, Learner, MicroBatch, OptimizerSlot, Policy};
use luffy_policy::{LmDecoder, ReplicaLearner, SaveOptions, save_pretrained};

use crate::fixture::{Likelihood, dir, expected, floats, host, ids, model, row, scale};

/// Largest difference between two lists.
fn distance(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found
        .iter()
        .zip(expected)
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, |far: f64, d| if d.is_nan() { f64::INFINITY } else { far.max(d) })
}

#[test]
fn logprobs_and_entropies_are_those_of_transformers() {
    let (_, model) = model();
    let mut compared = 0;
    for case in expected()["forward"].as_array().expect("cases") {
        let ids = ids(&case["ids"]);
        let logprobs = floats(&case["token_log_prob"]);
        // Entropies are given at every position, the last one predicts nothing.
        let entropy = floats(&case["entropy"]);
        if ids.len() < 2 {
            continue;
        }
        let row = row(&ids[..1], &ids[1..]);
        let stats = model.score(&MicroBatch::collate(&[&row], &Device::flex()));
        let far = distance(&host(stats.logprobs), &logprobs);
        assert!(far < 2e-5, "log-probs differ by {far}");
        let far = distance(&host(stats.entropy), &entropy[..ids.len() - 1]);
        assert!(far < 2e-5, "entropies differ by {far}");
        compared += logprobs.len();
    }
    assert!(compared > 50, "{compared} tokens compared");
}

#[test]
fn last_logits_are_those_of_transformers() {
    let decoder = LmDecoder::new(model().1);
    for case in expected()["forward"].as_array().expect("cases") {
        let ids = ids(&case["ids"]);
        let (logits, _) = decoder.prefill(&[&ids]);
        let far = distance(&host(logits), &floats(&case["last_logits"]));
        assert!(far < 1e-4, "logits differ by {far}");
    }
}

#[test]
fn greedy_tokens_are_those_of_transformers() {
    let decoder = LmDecoder::new(model().1);
    let end = 383; // eos_token_id of its config.json
    for case in expected()["greedy"].as_array().expect("cases") {
        let wanted = ids(&case["new_tokens"]);
        let (mut logits, mut cache) = decoder.prefill(&[&ids(&case["prompt"])]);
        let mut found = Vec::new();
        while found.len() < 24 && found.last() != Some(&end) {
            let values = host(logits);
            let best = (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b]));
            let best = best.expect("a vocabulary") as u32;
            found.push(best);
            let next = TensorData::new(vec![i64::from(best)], [1]);
            let next: Tensor<1, Int> = Tensor::from_data(next, &Device::flex());
            logits = decoder.step(next, &mut cache);
        }
        assert_eq!(found, wanted);
    }
}

#[test]
fn three_adamw_steps_are_those_of_pytorch() {
    let steps = &expected()["train_steps"];
    let ids = ids(&steps["ids"]);
    let setting = |name: &str| steps["optimizer"][name].as_f64().expect("a number");
    let settings = AdamWSettings {
        beta1: setting("beta1"),
        beta2: setting("beta2"),
        epsilon: setting("eps"),
        weight_decay: setting("weight_decay"),
        max_grad_norm: setting("max_grad_norm"),
    };
    let mut learner = ReplicaLearner::new(model().1, &Device::flex(), settings);
    let rows = [row(&ids[..1], &ids[1..])];
    let objective = Likelihood { entropy: 0.0 };
    for step in steps["steps"].as_array().expect("steps") {
        let (gradients, metrics) =
            learner.gradients(&rows, &objective, &scale(ids.len() - 1)).expect("finite");
        let report = learner.apply(OptimizerSlot(0), gradients, setting("lr")).expect("finite");
        let relative = |found: f64, name: &str| {
            let wanted = step[name].as_f64().expect("a number");
            let far = (found - wanted).abs() / wanted;
            assert!(far < 1e-4, "{name}: {found} against {wanted}");
        };
        relative(metrics.mean("loss").expect("measured"), "loss");
        relative(report.grad_norm, "grad_norm");
    }
}

#[test]
fn a_saved_folder_has_the_same_tensors() {
    let (config, model) = model();
    let out = tempfile::tempdir().expect("a directory");
    let weights = luffy_policy::to_host(&luffy_policy::weights_of(&model));
    save_pretrained(out.path(), &config, &weights, &SaveOptions::default())
        .expect("it can be written");
    let read = |dir: &std::path::Path| {
        luffy_policy::read_tensors(&dir.join("model.safetensors")).expect("it can be read")
    };
    assert!(read(&dir()) == read(out.path()), "some tensor differs");
    let again = tempfile::tempdir().expect("a directory");
    let (config, model) =
        luffy_policy::load_pretrained(out.path(), &Device::flex()).expect("it fits");
    let weights = luffy_policy::to_host(&luffy_policy::weights_of(&model));
    save_pretrained(&again.path().join("hf"), &config, &weights, &SaveOptions::default())
        .expect("written");
    for name in ["config.json", "model.safetensors"] {
        let bytes = |dir: &std::path::Path| std::fs::read(dir.join(name)).expect("it is there");
        assert!(bytes(out.path()) == bytes(&again.path().join("hf")), "{name} differs");
    }
    assert_eq!(config.raw["eos_token_id"], 383);
}
