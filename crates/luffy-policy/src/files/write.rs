//! A safetensors file, written one tensor at a time.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use half::{bf16, f16};
use luffy_core::{HostTensor, durable};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::{Deserialize, Serialize};

use crate::PolicyError;

/// The type of the numbers in a file. Rounding is to the nearest, ties to even.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileDtype {
    /// Single precision: what a run computes with, so nothing is lost.
    #[default]
    F32,
    /// Half precision; values beyond 65,504 do not fit.
    F16,
    /// bfloat16.
    Bf16,
}

impl FileDtype {
    /// As `config.json` calls it.
    pub const fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    /// Bytes of a value.
    pub(super) const fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    const fn safetensors(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    /// The bytes of some values; `None` if one that is finite does not fit.
    fn bytes(self, values: &[f32]) -> Option<Vec<u8>> {
        let fits = |finite: bool, value: &f32| finite || !value.is_finite();
        match self {
            Self::F32 => Some(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Self::Bf16 => {
                let halves: Vec<bf16> = values.iter().map(|value| bf16::from_f32(*value)).collect();
                let fit =
                    halves.iter().zip(values).all(|(half, value)| fits(half.is_finite(), value));
                fit.then(|| halves.iter().flat_map(|half| half.to_le_bytes()).collect())
            }
            Self::F16 => {
                let halves: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
                let fit =
                    halves.iter().zip(values).all(|(half, value)| fits(half.is_finite(), value));
                fit.then(|| halves.iter().flat_map(|half| half.to_le_bytes()).collect())
            }
        }
    }
}

/// Values that are converted at a time.
const PIECE: usize = 1 << 20;

/// Writes tensors as f32, sorted by name, in one piece: whole or not at all. Equal tensors give equal
/// bytes.
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
    let shapes = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shape.clone()));
    write_with(path, FileDtype::F32, shapes.collect(), |name| Ok(&tensors[name]))
}

/// Writes tensors of known shapes; `tensor` gives each when its turn comes.
pub(super) fn write_with<T: Borrow<HostTensor>>(
    path: &Path,
    dtype: FileDtype,
    shapes: BTreeMap<&str, Vec<usize>>,
    mut tensor: impl FnMut(&str) -> Result<T, PolicyError>,
) -> Result<(), PolicyError> {
    let damaged = |message: String| PolicyError::Safetensors { path: path.to_owned(), message };
    let io = PolicyError::io(path);
    let mut infos = Vec::with_capacity(shapes.len());
    let mut end = 0;
    for (name, shape) in &shapes {
        let start = end;
        end += shape.iter().product::<usize>() * dtype.width();
        let data_offsets = (start, end);
        let info = TensorInfo { dtype: dtype.safetensors(), shape: shape.clone(), data_offsets };
        infos.push(((*name).to_owned(), info));
    }
    let format = [("format".to_owned(), "pt".to_owned())].into();
    let header = Metadata::new(Some(format), infos).map_err(|error| damaged(error.to_string()))?;
    let mut header = serde_json::to_vec(&header).map_err(|error| damaged(error.to_string()))?;
    // The format wants the data at a multiple of eight.
    header.resize(header.len().next_multiple_of(8), b' ');
    durable::write_with(
        path,
        |file| {
            file.write_all(&(header.len() as u64).to_le_bytes()).map_err(&io)?;
            file.write_all(&header).map_err(&io)?;
            for (name, shape) in &shapes {
                let tensor = tensor(name)?;
                let values = &tensor.borrow().values;
                assert_eq!(
                    values.len(),
                    shape.iter().product::<usize>(),
                    "`{name}` is as its shape says"
                );
                for piece in values.chunks(PIECE) {
                    let bytes = dtype.bytes(piece).ok_or_else(|| PolicyError::Overflow {
                        path: path.to_owned(),
                        name: (*name).to_owned(),
                        dtype: dtype.torch_name(),
                    })?;
                    file.write_all(&bytes).map_err(&io)?;
                }
            }
            Ok(())
        },
        &io,
    )
}
