//! What can be wrong with a model on disk.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model cannot be read, written or filled.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file cannot be read or written.
    #[error("cannot access {path}: {error}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// `config.json` is no JSON or lacks a field.
    #[error("{path} is no model configuration: {error}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// An architecture or option that this crate does not compute.
    #[error("{path}: `{key}` is {found}; supported: {supported}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key of `config.json`.
        key: String,
        /// What it holds.
        found: String,
        /// What it may hold.
        supported: String,
    },
    /// A folder has no weights that are read here.
    #[error("{dir} has neither model.safetensors nor model.safetensors.index.json{hint}", dir = dir.display())]
    NoWeights {
        /// The folder.
        dir: PathBuf,
        /// What to do about it.
        hint: &'static str,
    },
    /// The index of shards is no JSON or lacks its map.
    #[error("{path} is no index of weights: {error}", path = path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// The index names a file that is not there.
    #[error("{index} names the shard {shard}, which is not in its folder", index = index.display())]
    MissingShard {
        /// The index.
        index: PathBuf,
        /// The file that is missing.
        shard: String,
    },
    /// A finite weight is too large for the type it is to be written in.
    #[error("{path}: `{name}` has values that {dtype} cannot hold; write a wider type", path = path.display())]
    Overflow {
        /// The file to be written.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The type.
        dtype: &'static str,
    },
    /// A safetensors file is damaged.
    #[error("{path} is no safetensors file: {message}", path = path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A tensor has a type that is not read.
    #[error("{path}: tensor `{name}` has type {dtype}; F32, F16 and BF16 are read", path = path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// Names or shapes do not fit the model.
    #[error("weights do not fit the model: {}", problems.join("; "))]
    Weights {
        /// Every problem that was found.
        problems: Vec<String>,
    },
}

impl PolicyError {
    /// What an error of the system becomes for the file or folder that it is about.
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { path: path.clone(), error }
    }
}
