//! Weights into models.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use luffy_core::HostTensor;

use super::folder::WeightFolder;
use super::other_layout;
use crate::init::parameter_shapes;
use crate::named::{load_named, to_device};
use crate::{CausalLm, ModelConfig, PolicyError};

/// Reads `config.json` and the weights of a folder; the model stands on `device`, in f32.
///
/// Weights are read one tensor at a time, so that the peak is the model and its largest tensor.
///
/// # Errors
/// If the architecture is not supported (before any weight is read), a file is missing or damaged, or a
/// tensor is missing, left over or misshapen: all such tensors are named.
pub fn load_pretrained(
    dir: &Path,
    device: &Device,
) -> Result<(ModelConfig, CausalLm), PolicyError> {
    let config = ModelConfig::read(dir)?;
    let model = load_model(&config, dir, device)?;
    Ok((config, model))
}

/// The model of a configuration with the weights of a folder, as [`load_pretrained`].
///
/// # Errors
/// As [`load_pretrained`].
pub fn load_model(
    config: &ModelConfig,
    dir: &Path,
    device: &Device,
) -> Result<CausalLm, PolicyError> {
    let folder = checked(config, dir)?;
    let model = CausalLm::new(config, device);
    let mut fill = Fill { folder: &folder, path: Vec::new(), error: None };
    let model = model.map(&mut fill);
    match fill.error {
        Some(error) => Err(error),
        None => Ok(model),
    }
}

/// Fills a model with weights from the host.
///
/// # Errors
/// If a parameter is missing, left over or misshapen.
pub fn load_weights(
    model: CausalLm,
    weights: &BTreeMap<String, HostTensor>,
) -> Result<CausalLm, PolicyError> {
    let device = model.model.embed_tokens.weight.val().device();
    let device = if device.is_autodiff() { device.inner() } else { device };
    load_named(model, &to_device(weights, &device))
}

/// The weights of a folder in the layout of the model: linear layers as `[in, out]`.
///
/// # Errors
/// If a file is missing or damaged.
pub fn read_weights(dir: &Path) -> Result<BTreeMap<String, HostTensor>, PolicyError> {
    let folder = WeightFolder::open(dir)?;
    let names: Vec<String> = folder.shapes().map(|(name, _)| name.to_owned()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let tensor = folder.read(&name)?;
            Some(tensor.map(|tensor| (name, tensor)))
        })
        .collect()
}

/// The weights of a folder, after a look at headers alone: names every tensor that is missing, misshapen or
/// left over.
pub(super) fn checked(config: &ModelConfig, dir: &Path) -> Result<WeightFolder, PolicyError> {
    let folder = WeightFolder::open(dir)?;
    let wanted = parameter_shapes(config);
    let found: BTreeMap<&str, &[usize]> = folder.shapes().collect();
    let mut problems = Vec::new();
    for (name, shape) in &wanted {
        folder.check_dtype(name)?;
        // As it must stand in the file.
        let shape = other_layout(name, shape);
        match found.get(name.as_str()) {
            None => problems.push(format!("`{name}` is missing")),
            Some(found) if **found != *shape => problems
                .push(format!("`{name}` has shape {found:?}, config.json asks for {shape:?}")),
            Some(_) => {}
        }
    }
    let known: BTreeSet<&str> = wanted.keys().map(String::as_str).collect();
    let extra = found.keys().filter(|name| !known.contains(*name) && !is_ignored(name, config));
    problems.extend(extra.map(|name| format!("`{name}` is not in the model")));
    if problems.is_empty() { Ok(folder) } else { Err(PolicyError::Weights { problems }) }
}

/// What some writers store beside the weights: the tied head a second time, and rotary frequencies, which
/// follow from `config.json`.
fn is_ignored(name: &str, config: &ModelConfig) -> bool {
    (config.tie_word_embeddings && name == "lm_head.weight")
        || name.ends_with(".rotary_emb.inv_freq")
}

/// Replaces parameter by parameter, so that the zeros of the empty model go as the weights come.
struct Fill<'a> {
    folder: &'a WeightFolder,
    path: Vec<String>,
    error: Option<PolicyError>,
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        match self.folder.read(&self.path.join(".")) {
            Some(Ok(HostTensor { shape, values })) => param.map(|zeros| {
                let device = zeros.device();
                drop(zeros);
                Tensor::from_data(TensorData::new(values, shape), &device)
            }),
            Some(Err(error)) => {
                self.error = Some(error);
                param
            }
            // Checked before.
            None => param,
        }
    }
}
