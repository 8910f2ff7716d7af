//! Hugging Face folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use luffy_core::{HostTensor, durable};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};

use crate::named::{load_named, to_device};
use crate::{CausalLm, ModelConfig, PolicyError};

/// Reads `config.json` and the weights of a folder; the model stands on `device`.
///
/// # Errors
/// If a file is missing or damaged, the architecture is not supported, or a tensor is missing, left over
/// or misshapen: all such tensors are named.
pub fn load_pretrained(
    dir: &Path,
    device: &Device,
) -> Result<(ModelConfig, CausalLm), PolicyError> {
    let config = ModelConfig::read(dir)?;
    let mut weights = read_weights(dir)?;
    if config.tie_word_embeddings {
        // Some writers store the tied head a second time.
        weights.remove("lm_head.weight");
    }
    let model = load_weights(CausalLm::new(&config, device), &weights)?;
    Ok((config, model))
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
    let index = dir.join("model.safetensors.index.json");
    let mut weights = BTreeMap::new();
    for file in
        if index.exists() { shards(dir, &index)? } else { vec![dir.join("model.safetensors")] }
    {
        weights.extend(read_tensors(&file)?);
    }
    for (name, tensor) in &mut weights {
        if is_linear(name, tensor) {
            *tensor = transposed(tensor);
        }
    }
    Ok(weights)
}

fn shards(dir: &Path, index: &Path) -> Result<Vec<PathBuf>, PolicyError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let path = index.to_owned();
    let text = fs::read_to_string(index)
        .map_err(|source| PolicyError::Io { path: path.clone(), source })?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|source| PolicyError::Config { path: path.clone(), source })?;
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    names.into_iter().map(|name| shard(dir, &path, name)).collect()
}

/// A file of the folder itself; an index from elsewhere must not reach out of it.
fn shard(dir: &Path, index: &Path, name: &str) -> Result<PathBuf, PolicyError> {
    if Path::new(name).file_name().is_none_or(|file| file != name) {
        return Err(PolicyError::Safetensors {
            path: index.to_owned(),
            message: format!("its shard {name:?} is no plain file name"),
        });
    }
    Ok(dir.join(name))
}

/// Writes `config.json` and `model.safetensors` into `dir`, which is made where it is missing. Equal
/// weights give equal bytes.
///
/// The configuration is written as it was read, so a model that was read from half precision still says
/// so; the tensors are f32.
///
/// # Errors
/// If a file cannot be written.
pub fn save_pretrained(
    dir: &Path,
    config: &ModelConfig,
    weights: &BTreeMap<String, HostTensor>,
) -> Result<(), PolicyError> {
    let in_file_layout: BTreeMap<String, HostTensor> = weights
        .iter()
        .map(|(name, tensor)| {
            let tensor = if is_linear(name, tensor) { transposed(tensor) } else { tensor.clone() };
            (name.clone(), tensor)
        })
        .collect();
    fs::create_dir_all(dir).map_err(|source| PolicyError::Io { path: dir.to_owned(), source })?;
    let path = dir.join("config.json");
    let mut raw = config.raw.clone();
    for key in ["dtype", "torch_dtype"] {
        if let Some(dtype) = raw.get_mut(key) {
            // Whatever was read, f32 is written; a reader that trusts the old name would round it.
            *dtype = "float32".into();
        }
    }
    let json = serde_json::to_vec_pretty(&raw)
        .map_err(|source| PolicyError::Config { path: path.clone(), source })?;
    write_atomic(&path, &json)?;
    write_tensors(&dir.join("model.safetensors"), &in_file_layout)
}

/// Matrices of linear layers, which files hold as `[out, in]`; embeddings are `[V, d]` in both.
fn is_linear(name: &str, tensor: &HostTensor) -> bool {
    tensor.shape.len() == 2 && !name.ends_with("embed_tokens.weight")
}

fn transposed(tensor: &HostTensor) -> HostTensor {
    let (rows, columns) = (tensor.shape[0], tensor.shape[1]);
    let mut values = Vec::with_capacity(tensor.values.len());
    for column in 0..columns {
        values.extend((0..rows).map(|row| tensor.values[row * columns + column]));
    }
    HostTensor { shape: vec![columns, rows], values }
}

/// All tensors of a safetensors file, widened to f32.
///
/// # Errors
/// If the file is missing, damaged, or holds a type other than F32, F16 and BF16.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, HostTensor>, PolicyError> {
    let bytes =
        fs::read(path).map_err(|source| PolicyError::Io { path: path.to_owned(), source })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| PolicyError::Safetensors {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    file.iter()
        .map(|(name, view)| {
            let values = widen(&view).ok_or_else(|| PolicyError::Dtype {
                path: path.to_owned(),
                name: name.to_owned(),
                dtype: format!("{:?}", view.dtype()),
            })?;
            Ok((name.to_owned(), HostTensor { shape: view.shape().to_vec(), values }))
        })
        .collect()
}

fn widen(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    let pairs = || data.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    match view.dtype() {
        Dtype::F32 => Some(
            data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        ),
        Dtype::BF16 => Some(pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
        Dtype::F16 => Some(pairs().map(half_to_f32).collect()),
        _ => None,
    }
}

/// IEEE 754 half precision, subnormals, infinities and NaN included.
fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((bits >> 10) & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    match exponent {
        0 => sign * fraction * 2.0_f32.powi(-24),
        0x1f if fraction > 0.0 => f32::NAN,
        0x1f => sign * f32::INFINITY,
        _ => sign * (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15),
    }
}

/// Writes tensors as f32, sorted by name, in one piece.
///
/// # Errors
/// If the file cannot be written.
///
/// # Panics
/// If a tensor has not as many values as its shape says.
pub fn write_tensors(
    path: &Path,
    tensors: &BTreeMap<String, HostTensor>,
) -> Result<(), PolicyError> {
    let bytes: Vec<(&String, &HostTensor, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, tensor, bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, tensor, bytes)| {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)
            .expect("a tensor holds as many values as its shape says");
        (name.as_str(), view)
    });
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    let file = serialize(views, metadata).map_err(|error| PolicyError::Safetensors {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    write_atomic(path, &file)
}

fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), PolicyError> {
    durable::write_atomic(path, bytes)
        .map_err(|source| PolicyError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(shape: &[usize], values: &[f32]) -> HostTensor {
        HostTensor { shape: shape.to_vec(), values: values.to_vec() }
    }

    #[test]
    fn halves_widen_exactly() {
        // Bit patterns of IEEE 754-2019, table 3.5: one, largest, smallest subnormal, largest subnormal.
        for (bits, value) in [
            (0x3c00, 1.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0xc000, -2.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(half_to_f32(bits).to_bits(), f32::to_bits(value), "{bits:#x}");
        }
        assert!(half_to_f32(0x7e00).is_nan());
        assert_eq!(half_to_f32(0x8000).to_bits(), (-0.0_f32).to_bits());
    }

    /// One tensor of two values in a file of its own.
    fn read_back(dtype: Dtype, bytes: &[u8]) -> Result<BTreeMap<String, HostTensor>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.safetensors");
        let view = TensorView::new(dtype, vec![2], bytes).unwrap();
        fs::write(&path, serialize([("t", view)], None).unwrap()).unwrap();
        read_tensors(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn half_precision_files_are_widened_and_others_refused() {
        let wanted: BTreeMap<_, _> = [("t".to_owned(), host(&[2], &[1.0, -2.0]))].into();
        assert_eq!(read_back(Dtype::F16, &[0x00, 0x3c, 0x00, 0xc0]).unwrap(), wanted);
        assert_eq!(read_back(Dtype::BF16, &[0x80, 0x3f, 0x00, 0xc0]).unwrap(), wanted);
        let error = read_back(Dtype::I32, &[0; 8]).unwrap_err();
        assert!(error.contains("`t` has type I32"), "{error}");
    }

    #[test]
    fn equal_tensors_give_equal_bytes_in_name_order() {
        let dir = tempfile::tempdir().unwrap();
        let tensors: BTreeMap<_, _> = [
            ("b".to_owned(), host(&[1, 2], &[1.5, f32::MIN_POSITIVE])),
            ("a".to_owned(), host(&[0], &[])),
        ]
        .into();
        let path = |name: &str| dir.path().join(name);
        write_tensors(&path("1"), &tensors).unwrap();
        write_tensors(&path("2"), &tensors).unwrap();
        write_tensors(&path("2"), &tensors).unwrap();
        assert_eq!(fs::read(path("1")).unwrap(), fs::read(path("2")).unwrap());
        assert_eq!(read_tensors(&path("1")).unwrap(), tensors);
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 2, "no temporary file is left");
    }

    #[test]
    fn a_damaged_or_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.safetensors");
        let error = read_tensors(&path).unwrap_err().to_string();
        assert!(error.contains("cannot access") && error.contains("model.safetensors"), "{error}");
        write_tensors(&path, &[("a".to_owned(), host(&[3], &[1.0; 3]))].into()).unwrap();
        let bytes = fs::read(&path).unwrap();
        for len in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&path, &bytes[..len]).unwrap();
            let error = read_tensors(&path).unwrap_err().to_string();
            assert!(error.contains("no safetensors file"), "{error}");
        }
    }

    #[test]
    fn an_index_does_not_reach_out_of_its_folder() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("model.safetensors.index.json");
        for name in ["../model.safetensors", "/etc/passwd", "", "a/b"] {
            let text = serde_json::json!({ "weight_map": { "w": name } }).to_string();
            fs::write(&index, text).unwrap();
            let error = read_weights(dir.path()).unwrap_err().to_string();
            assert!(error.contains("no plain file name"), "{name}: {error}");
        }
    }

    #[test]
    fn linear_matrices_turn_and_embeddings_do_not() {
        let wide = host(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let tall = transposed(&wide);
        assert_eq!(tall, host(&[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
        assert_eq!(transposed(&tall), wide);
        assert!(is_linear("lm_head.weight", &wide));
        assert!(!is_linear("model.embed_tokens.weight", &wide));
        assert!(!is_linear("model.norm.weight", &host(&[2], &[1.0, 1.0])));
    }
}
