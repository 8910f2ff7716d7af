//! Models into folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use luffy_core::{HostTensor, durable};
use serde_json::json;

use super::folder::{INDEX, SINGLE};
use super::write::{FileDtype, write_with};
use super::{is_linear, other_layout, transposed};
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
/// model that lie there are removed first. Equal weights give equal bytes.
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
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| PolicyError::Io { path, source }
    };
    fs::create_dir_all(dir).map_err(io(dir))?;
    for path in weight_files(dir).map_err(io(dir))? {
        fs::remove_file(&path).map_err(io(&path))?;
    }
    write_config(dir, config, options.dtype)?;
    let shards = shards(weights, options);
    let n = shards.len();
    let mut weight_map = BTreeMap::new();
    let mut total_size = 0;
    for (i, names) in shards.into_iter().enumerate() {
        let file = match n {
            1 => SINGLE.to_owned(),
            _ => format!("model-{:05}-of-{n:05}.safetensors", i + 1),
        };
        let mut shapes = BTreeMap::new();
        for name in names {
            total_size += size(&weights[name], options.dtype);
            weight_map.insert(name, file.clone());
            shapes.insert(name, other_layout(name, &weights[name].shape));
        }
        write_with(&dir.join(&file), options.dtype, shapes, |name| in_file(name, &weights[name]))?;
    }
    if n > 1 {
        let index = json!({ "metadata": { "total_size": total_size }, "weight_map": weight_map });
        write_json(&dir.join(INDEX), &index)?;
    }
    Ok(())
}

/// Copies everything that is neither weights nor `config.json` from one model folder to another: tokenizer,
/// templates, generation settings, licence. Folders and hidden files stay behind.
///
/// # Errors
/// If a folder cannot be listed or a file cannot be copied.
pub fn copy_side_files(from: &Path, to: &Path) -> Result<(), PolicyError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| PolicyError::Io { path, source }
    };
    for entry in fs::read_dir(from).map_err(io(from))? {
        let entry = entry.map_err(io(from))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Folders of models are often links into a cache.
        if name.starts_with('.') || name == "config.json" || holds_weights(&name) || !path.is_file()
        {
            continue;
        }
        let bytes = fs::read(&path).map_err(io(&path))?;
        let target = to.join(&*name);
        durable::write_atomic(&target, &bytes).map_err(io(&target))?;
    }
    Ok(())
}

/// Whether a file name is one of weights, in any format, or of their index.
fn holds_weights(name: &str) -> bool {
    const WEIGHTS: [&str; 9] =
        ["safetensors", "bin", "pt", "pth", "gguf", "h5", "msgpack", "onnx", "ot"];
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    name.ends_with(".index.json") || extension.is_some_and(|known| WEIGHTS.contains(&known))
}

/// Safetensors of a model and their index.
fn weight_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_shard = name.starts_with("model") && name.ends_with(".safetensors");
        if is_shard || name == INDEX {
            files.push(entry.path());
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
    write_json(&dir.join("config.json"), &serde_json::Value::Object(raw))
}

fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), PolicyError> {
    let json = serde_json::to_vec_pretty(value)
        .map_err(|source| PolicyError::Config { path: path.to_owned(), source })?;
    durable::write_atomic(path, &json)
        .map_err(|source| PolicyError::Io { path: path.to_owned(), source })
}

fn size(tensor: &HostTensor, dtype: FileDtype) -> u64 {
    (tensor.values.len() * dtype.width()) as u64
}

/// Names by file, in name order.
fn shards<'a>(
    weights: &'a BTreeMap<String, HostTensor>,
    options: &SaveOptions,
) -> Vec<Vec<&'a str>> {
    let mut shards: Vec<Vec<&str>> = Vec::new();
    let mut room = 0;
    for (name, tensor) in weights {
        let size = size(tensor, options.dtype);
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
