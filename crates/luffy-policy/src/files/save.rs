//! Models into folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use luffy_core::{HostTensor, durable};
use serde_json::json;

use super::folder::{INDEX, SINGLE};
use super::load::checked;
use super::write::{FileDtype, write_with};
use super::{is_linear, other_layout, transposed, turned};
use crate::init::parameter_shapes;
use crate::{ModelConfig, PolicyError};

/// How weights are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaveOptions {
    /// The type of the numbers.
    pub dtype: FileDtype,
    /// Most bytes of tensors in one file; larger models are cut into shards with an index. A tensor that
    /// is larger by itself has a file of its own.
    pub max_shard_bytes: u64,
}

impl Default for SaveOptions {
    /// f32, files of at most 5 GB.
    fn default() -> Self {
        Self { dtype: FileDtype::F32, max_shard_bytes: 5_000_000_000 }
    }
}

/// Writes `config.json` and the weights into `dir`, which is made where it is missing, as `transformers` and
/// vLLM read them: `model.safetensors`, or shards and `model.safetensors.index.json`. Weights of another
/// model that lie there are removed last. Equal weights give equal bytes.
///
/// `weights` are in the layout of the model, as [`crate::to_host`] and [`crate::read_weights`] give them. The
/// configuration is written as it was read, but says the type of the numbers that are in the files.
///
/// Each file appears whole or not at all. For a folder of which that holds, write to a temporary name and
/// rename.
///
/// # Errors
/// If a file cannot be written, or a finite weight does not fit into half precision.
pub fn save_pretrained(
    dir: &Path,
    config: &ModelConfig,
    weights: &BTreeMap<String, HostTensor>,
    options: &SaveOptions,
) -> Result<(), PolicyError> {
    let shapes: BTreeMap<&str, &[usize]> =
        weights.iter().map(|(name, tensor)| (name.as_str(), &*tensor.shape)).collect();
    save(dir, config, &shapes, options, |name| Ok(in_file(name, &weights[name])))
}

/// Writes the model in one folder to another, as [`save_pretrained`], a tensor at a time. Other files are
/// for [`copy_side_files`].
///
/// # Errors
/// As [`crate::load_pretrained`] and [`save_pretrained`].
pub fn convert_pretrained(
    from: &Path,
    to: &Path,
    options: &SaveOptions,
) -> Result<(), PolicyError> {
    let config = ModelConfig::read(from)?;
    let folder = checked(&config, from)?;
    let shapes = parameter_shapes(&config);
    let shapes = shapes.iter().map(|(name, shape)| (name.as_str(), &**shape)).collect();
    save(to, &config, &shapes, options, |name| {
        let missing = || PolicyError::Weights { problems: vec![format!("`{name}` is missing")] };
        Ok(turned(name, folder.read(name).ok_or_else(missing)??))
    })
}

/// Writes tensors of known shapes, in the layout of the model; `tensor` gives each in the layout of files.
fn save(
    dir: &Path,
    config: &ModelConfig,
    shapes: &BTreeMap<&str, &[usize]>,
    options: &SaveOptions,
    mut tensor: impl FnMut(&str) -> Result<HostTensor, PolicyError>,
) -> Result<(), PolicyError> {
    let io = PolicyError::io;
    fs::create_dir_all(dir).map_err(io(dir))?;
    let size = |shape: &[usize]| (shape.iter().product::<usize>() * options.dtype.width()) as u64;
    let shards = shards(shapes.iter().map(|(name, shape)| (*name, size(shape))), options);
    let n = shards.len();
    let mut weight_map = BTreeMap::new();
    let mut written = BTreeSet::new();
    for (i, names) in shards.into_iter().enumerate() {
        let file = match n {
            1 => SINGLE.to_owned(),
            _ => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        let in_file: BTreeMap<&str, Vec<usize>> =
            names.iter().map(|name| (*name, other_layout(name, shapes[name]))).collect();
        write_with(&dir.join(&file), options.dtype, in_file, &mut tensor)?;
        weight_map.extend(names.into_iter().map(|name| (name, file.clone())));
        written.insert(file);
    }
    if n > 1 {
        let total_size: u64 = shapes.values().map(|shape| size(shape)).sum();
        let index = json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map });
        write_json(&dir.join(INDEX), &index)?;
        written.insert(INDEX.to_owned());
    }
    write_config(dir, config, options.dtype)?;
    for name in weight_files(dir).map_err(io(dir))?.difference(&written) {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(io(&path))?;
    }
    Ok(())
}

/// Copies everything that is neither weights nor `config.json` from one model folder to another: tokenizer,
/// templates (also those in `additional_chat_templates`), generation settings, licence. Other folders,
/// hidden files and weights in other formats stay behind.
///
/// # Errors
/// If a folder cannot be listed or a file cannot be copied.
pub fn copy_side_files(from: &Path, to: &Path) -> Result<(), PolicyError> {
    let io = PolicyError::io;
    for entry in fs::read_dir(from).map_err(io(from))? {
        let entry = entry.map_err(io(from))?;
        let (path, name) = (entry.path(), entry.file_name());
        let shown = name.to_string_lossy();
        if shown.starts_with('.') || shown == "config.json" || holds_weights(&shown) {
            continue;
        }
        // Follows links, which folders in a download cache consist of; a broken one is an error.
        if fs::metadata(&path).map_err(io(&path))?.is_dir() {
            if shown == "additional_chat_templates" {
                let below = to.join(&name);
                fs::create_dir_all(&below).map_err(io(&below))?;
                copy_side_files(&path, &below)?;
            }
            continue;
        }
        let bytes = fs::read(&path).map_err(io(&path))?;
        let target = to.join(&name);
        durable::write_atomic(&target, &bytes).map_err(io(&target))?;
    }
    Ok(())
}

/// Whether a file name is one of weights, in any format, or of their index.
fn holds_weights(name: &str) -> bool {
    const WEIGHTS: [&str; 8] = ["safetensors", "bin", "pt", "pth", "gguf", "h5", "msgpack", "onnx"];
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    name.ends_with(".index.json") || extension.is_some_and(|known| WEIGHTS.contains(&known))
}

/// Names of the safetensors of a model, as transformers and [`save_pretrained`] write them, and of their index.
fn weight_files(dir: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let shard = name.strip_prefix("model-").and_then(|rest| rest.strip_suffix(".safetensors"));
        let is_shard = shard.is_some_and(|middle| {
            middle.split_once("-of-").is_some_and(|(i, n)| {
                [i, n].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
            })
        });
        if is_shard || name == SINGLE || name == INDEX {
            files.insert(name);
        }
    }
    Ok(files)
}

/// `config.json` as it was read, with the type of the numbers in the files: a reader that trusts another
/// would round them.
fn write_config(dir: &Path, config: &ModelConfig, dtype: FileDtype) -> Result<(), PolicyError> {
    let mut raw = config.raw.clone();
    let key = if raw.contains_key("dtype") { "dtype" } else { "torch_dtype" };
    raw.insert(key.to_owned(), dtype.torch_name().into());
    if let Some(older) = raw.get_mut("torch_dtype") {
        *older = dtype.torch_name().into();
    }
    if raw.get("architectures").is_none_or(serde_json::Value::is_null) {
        // vLLM goes by it.
        raw.insert("architectures".to_owned(), json!([config.family.architecture()]));
    }
    write_json(&dir.join("config.json"), &serde_json::Value::Object(raw))
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), PolicyError> {
    let json = serde_json::to_vec_pretty(value)
        .map_err(|error| PolicyError::Config { path: path.to_owned(), error })?;
    durable::write_atomic(path, &json).map_err(PolicyError::io(path))
}

/// Names by file, in name order.
fn shards<'a>(
    sizes: impl Iterator<Item = (&'a str, u64)>,
    options: &SaveOptions,
) -> Vec<Vec<&'a str>> {
    let mut shards: Vec<Vec<&str>> = Vec::new();
    let mut room = 0;
    for (name, size) in sizes {
        match shards.last_mut() {
            Some(shard) if size <= room => shard.push(name),
            _ => {
                shards.push(vec![name]);
                room = options.max_shard_bytes;
            }
        }
        room = room.saturating_sub(size);
    }
    shards
}

/// A tensor in the layout of files.
fn in_file(name: &str, tensor: &HostTensor) -> HostTensor {
    let values = if is_linear(name, &tensor.shape) {
        transposed(tensor.shape[0], tensor.shape[1], &tensor.values)
    } else {
        tensor.values.clone()
    };
    HostTensor { shape: other_layout(name, &tensor.shape), values }
}
