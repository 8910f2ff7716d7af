//! What can be wrong with a model on disk.

use std::path::PathBuf;

/// Why a model cannot be read, written or filled.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file cannot be read or written.
    #[error("cannot access {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `config.json` is no JSON or lacks a field.
    #[error("{path} is no model configuration: {source}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// An architecture or option that this crate does not compute.
    #[error("{path}: `{key}` is {found}; supported: {supported}", path = path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The key of `config.json`.
        key: &'static str,
        /// What it holds.
        found: String,
        /// What it may hold.
        supported: &'static str,
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
