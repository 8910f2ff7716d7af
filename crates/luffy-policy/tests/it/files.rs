//! What a folder must hold.

use std::collections::BTreeMap;

use burn::tensor::Device;
use luffy_core::HostTensor;
use luffy_policy::{
    CausalLm, SaveOptions, init_weights, load_pretrained, load_weights, read_weights,
    save_pretrained,
};

use crate::fixture::{dir, model};

/// The error of loading the checkpoint with changed weights.
fn refused(change: impl FnOnce(&mut BTreeMap<String, HostTensor>)) -> String {
    let (config, _) = model();
    let mut weights = read_weights(&dir()).expect("it is there");
    change(&mut weights);
    let out = tempfile::tempdir().expect("a directory");
    save_pretrained(out.path(), &config, &weights, &SaveOptions::default())
        .expect("it can be written");
    load_pretrained(out.path(), &Device::flex()).expect_err("it does not fit").to_string()
}

#[test]
fn all_missing_extra_and_misshapen_tensors_are_named_at_once() {
    let error = refused(|weights| {
        weights.remove("model.layers.1.self_attn.k_proj.bias");
        weights.remove("model.norm.weight");
        let tensor = HostTensor { shape: vec![1], values: vec![0.0] };
        weights.insert("model.layers.2.mlp.up_proj.bias".into(), tensor);
        let wide = weights.get_mut("model.layers.0.mlp.up_proj.weight").expect("it is there");
        wide.shape.reverse();
    });
    for part in [
        "`model.layers.1.self_attn.k_proj.bias` is missing",
        "`model.norm.weight` is missing",
        "`model.layers.2.mlp.up_proj.bias` is not in the model",
        "`model.layers.0.mlp.up_proj.weight` has shape [64, 160], config.json asks for [160, 64]",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_tied_head_that_is_stored_too_is_ignored() {
    let (config, _) = model();
    let mut weights = read_weights(&dir()).expect("it is there");
    let head = HostTensor { shape: vec![64, 384], values: vec![0.0; 64 * 384] };
    weights.insert("lm_head.weight".into(), head);
    let out = tempfile::tempdir().expect("a directory");
    save_pretrained(out.path(), &config, &weights, &SaveOptions::default())
        .expect("it can be written");
    load_pretrained(out.path(), &Device::flex()).expect("it fits");
}

#[test]
fn initial_weights_fit_the_model_they_were_drawn_for() {
    let (config, _) = model();
    let weights = init_weights(&config, 0);
    let model = load_weights(CausalLm::new(&config, &Device::flex()), &weights).expect("they fit");
    assert!(luffy_policy::to_host(&luffy_policy::weights_of(&model)) == weights);
}
