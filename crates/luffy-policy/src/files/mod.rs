//! Hugging Face folders: weights in and out, and what lies beside them.

mod folder;
mod load;
mod read;
mod save;
#[cfg(test)]
mod tests;
mod write;

pub use load::{load_model, load_pretrained, load_weights, read_weights};
pub use read::read_tensors;
pub use save::{SaveOptions, convert_pretrained, copy_side_files, save_pretrained};
pub use write::{FileDtype, write_tensors};

use luffy_core::HostTensor;

/// Matrices of linear layers, which files hold as `[out, in]`; embeddings are `[V, d]` in both.
fn is_linear(name: &str, shape: &[usize]) -> bool {
    shape.len() == 2 && !name.ends_with("embed_tokens.weight")
}

/// The shape of a tensor in the other layout: the model's for a file's, and the other way round.
fn other_layout(name: &str, shape: &[usize]) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if is_linear(name, &shape) {
        shape.reverse();
    }
    shape
}

/// Columns become rows, in blocks that stay in the cache.
fn transposed(rows: usize, columns: usize, values: &[f32]) -> Vec<f32> {
    const BLOCK: usize = 32;
    let mut turned = vec![0.0; values.len()];
    for top in (0..rows).step_by(BLOCK) {
        for left in (0..columns).step_by(BLOCK) {
            for row in top..(top + BLOCK).min(rows) {
                for column in left..(left + BLOCK).min(columns) {
                    turned[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    turned
}

/// A tensor in the other layout.
fn turned(name: &str, tensor: HostTensor) -> HostTensor {
    if !is_linear(name, &tensor.shape) {
        return tensor;
    }
    let (rows, columns) = (tensor.shape[0], tensor.shape[1]);
    HostTensor { shape: vec![columns, rows], values: transposed(rows, columns, &tensor.values) }
}
