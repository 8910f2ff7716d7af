//! A safetensors file, read one tensor at a time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use luffy_core::HostTensor;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::PolicyError;

/// The largest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// Values that are read and widened at a time.
const PIECE: usize = 1 << 20;

/// A file whose header was checked against its length; it is opened again for each tensor that is asked for, so
/// that any number of shards needs one handle.
pub(super) struct TensorFile {
    path: PathBuf,
    /// Where the first tensor begins.
    start: u64,
    header: Metadata,
}

impl TensorFile {
    /// Reads the header.
    pub(super) fn open(path: &Path) -> Result<Self, PolicyError> {
        let io = PolicyError::io(path);
        let damaged = |message: String| PolicyError::Safetensors { path: path.to_owned(), message };
        // A pipe by that name would be waited for.
        let metadata = fs::metadata(path).map_err(&io)?;
        if !metadata.is_file() {
            return Err(damaged("it is no file".to_owned()));
        }
        let len = metadata.len();
        let mut file = File::open(path).map_err(&io)?;
        let mut size = [0; 8];
        if len < 8 {
            return Err(damaged(format!("it has {len} bytes, which is too few for a header")));
        }
        file.read_exact(&mut size).map_err(&io)?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size + 8 > len {
            return Err(damaged(format!(
                "its header is said to have {size} bytes, the file has {len}"
            )));
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(&io)?;
        let header: Metadata = serde_json::from_slice(&header)
            .map_err(|error| damaged(format!("its header does not hold together: {error}")))?;
        let start = 8 + size;
        let wanted = start.saturating_add(header.data_len() as u64);
        if wanted != len {
            return Err(damaged(format!(
                "it has {len} bytes, its header describes {wanted}; was it cut in a download?"
            )));
        }
        Ok(Self { path: path.to_owned(), start, header })
    }

    /// The tensors by name.
    pub(super) fn tensors(&self) -> BTreeMap<String, TensorInfo> {
        self.header
            .offset_keys()
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.header.info(&name)?.clone())))
            .collect()
    }

    /// An error unless the tensor has a type that can be widened to f32.
    pub(super) fn check_dtype(&self, name: &str, info: &TensorInfo) -> Result<(), PolicyError> {
        match info.dtype {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => Ok(()),
            other => Err(PolicyError::Dtype {
                path: self.path.clone(),
                name: name.to_owned(),
                dtype: other.to_string(),
            }),
        }
    }

    /// The values of a tensor, widened to f32.
    pub(super) fn read(&self, name: &str, info: &TensorInfo) -> Result<Vec<f32>, PolicyError> {
        self.check_dtype(name, info)?;
        let n = info.shape.iter().product();
        self.values(info, n).map_err(PolicyError::io(&self.path))
    }

    fn values(&self, info: &TensorInfo, n: usize) -> io::Result<Vec<f32>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.start + info.data_offsets.0 as u64))?;
        let width = info.dtype.bitsize() / 8;
        let mut values = vec![0.0; n];
        let mut bytes = vec![0; PIECE.min(n) * width];
        let mut halves: Vec<u16> = Vec::new();
        for piece in values.chunks_mut(PIECE) {
            let bytes = &mut bytes[..piece.len() * width];
            file.read_exact(bytes)?;
            if info.dtype == Dtype::F32 {
                for (value, b) in piece.iter_mut().zip(bytes.chunks_exact(4)) {
                    *value = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
                }
                continue;
            }
            halves.clear();
            halves.extend(bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])));
            widen(info.dtype, &halves, piece);
        }
        Ok(values)
    }
}

/// Half-precision bit patterns as f32, exactly.
pub(super) fn widen(dtype: Dtype, bits: &[u16], values: &mut [f32]) {
    if dtype == Dtype::BF16 {
        bits.reinterpret_cast::<bf16>().convert_to_f32_slice(values);
    } else {
        bits.reinterpret_cast::<f16>().convert_to_f32_slice(values);
    }
}

/// All tensors of a safetensors file, widened to f32.
///
/// # Errors
/// If the file is missing, damaged, or holds a type other than F32, F16 and BF16.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, HostTensor>, PolicyError> {
    let file = TensorFile::open(path)?;
    file.tensors()
        .into_iter()
        .map(|(name, info)| {
            let values = file.read(&name, &info)?;
            Ok((name, HostTensor { shape: info.shape, values }))
        })
        .collect()
}
