//! Which file of a folder holds which tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use luffy_core::HostTensor;
use safetensors::tensor::TensorInfo;

use super::read::TensorFile;
use super::turned;
use crate::PolicyError;

/// The index of weights in several files.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// The weights of one file.
pub(super) const SINGLE: &str = "model.safetensors";

/// All tensors of a folder, in one file or in shards. Headers are read; weights are not.
pub(super) struct WeightFolder {
    files: Vec<TensorFile>,
    /// By name: the file, and what its header says.
    tensors: BTreeMap<String, (usize, TensorInfo)>,
}

impl WeightFolder {
    /// Opens `model.safetensors`, else the shards that `model.safetensors.index.json` names: transformers
    /// looks in this order too.
    pub(super) fn open(dir: &Path) -> Result<Self, PolicyError> {
        let index = dir.join(INDEX);
        let (names, placed) = if dir.join(SINGLE).exists() {
            (BTreeSet::from([SINGLE.to_owned()]), BTreeMap::new())
        } else if index.exists() {
            let placed = read_index(&index)?;
            (placed.values().cloned().collect(), placed)
        } else {
            return Err(PolicyError::NoWeights { dir: dir.to_owned(), hint: hint(dir) });
        };
        let mut folder = Self { files: Vec::new(), tensors: BTreeMap::new() };
        for name in &names {
            let path = dir.join(name);
            if !path.exists() {
                return Err(PolicyError::MissingShard {
                    index: index.clone(),
                    shard: name.clone(),
                });
            }
            let file = TensorFile::open(&path)?;
            for (tensor, info) in file.tensors() {
                if placed.get(&tensor).is_none_or(|place| place == name) {
                    folder.tensors.insert(tensor, (folder.files.len(), info));
                }
            }
            folder.files.push(file);
        }
        let lost: Vec<String> = placed
            .iter()
            .filter(|(tensor, _)| !folder.tensors.contains_key(*tensor))
            .map(|(tensor, file)| format!("`{tensor}` is not in {file}, where the index puts it"))
            .collect();
        if lost.is_empty() { Ok(folder) } else { Err(PolicyError::Weights { problems: lost }) }
    }

    /// The shapes in the files, by name.
    pub(super) fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, (_, info))| (name.as_str(), &*info.shape))
    }

    /// An error unless a tensor, if it is there, has a type that can be widened to f32.
    pub(super) fn check_dtype(&self, name: &str) -> Result<(), PolicyError> {
        match self.tensors.get(name) {
            Some((file, info)) => self.files[*file].check_dtype(name, info),
            None => Ok(()),
        }
    }

    /// One tensor in the layout of the model; `None` if there is none of this name.
    pub(super) fn read(&self, name: &str) -> Option<Result<HostTensor, PolicyError>> {
        let (file, info) = self.tensors.get(name)?;
        let values = self.files[*file].read(name, info);
        let shape = info.shape.clone();
        Some(values.map(|values| turned(name, HostTensor { shape, values })))
    }
}

/// The file of each tensor.
fn read_index(path: &Path) -> Result<BTreeMap<String, String>, PolicyError> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = fs::read_to_string(path).map_err(PolicyError::io(path))?;
    let index: Index = serde_json::from_str(&text)
        .map_err(|error| PolicyError::Index { path: path.to_owned(), error })?;
    // A file of the folder itself; an index from elsewhere must not reach out of it.
    let outside = index
        .weight_map
        .values()
        .find(|name| Path::new(name).file_name().is_none_or(|file| file != name.as_str()));
    match outside {
        Some(name) => Err(PolicyError::Safetensors {
            path: path.to_owned(),
            message: format!("its shard {name:?} is no plain file name"),
        }),
        None => Ok(index.weight_map),
    }
}

/// What to do about a folder without safetensors.
fn hint(dir: &Path) -> &'static str {
    let pytorch = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
    if pytorch.iter().any(|name| dir.join(name).exists()) {
        "; its weights are in PyTorch's format: load it in transformers and \
         `save_pretrained(..., safe_serialization=True)`"
    } else {
        "; is this the folder of a model?"
    }
}
