use std::collections::BTreeMap;
use std::fs;

use half::{bf16, f16};
use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};

use super::read::widen;
use super::*;

fn host(shape: &[usize], values: &[f32]) -> HostTensor {
    HostTensor { shape: shape.to_vec(), values: values.to_vec() }
}

fn half_to_f32(bits: u16) -> f32 {
    let mut value = [0.0];
    widen(Dtype::F16, &[bits], &mut value);
    value[0]
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
    let tall = turned("lm_head.weight", wide.clone());
    assert_eq!(tall, host(&[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
    assert_eq!(turned("lm_head.weight", tall), wide);
    assert_eq!(turned("model.embed_tokens.weight", wide.clone()), wide);
    assert!(!is_linear("model.norm.weight", &[2]));
    // Sizes that are no multiple of a block.
    let (rows, columns) = (37, 70);
    let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
    let turned = transposed(rows, columns, &values);
    assert!((0..rows).all(|i| {
        (0..columns).all(|j| turned[j * rows + i].to_bits() == values[i * columns + j].to_bits())
    }));
}

#[test]
fn a_file_is_written_in_the_type_that_was_asked_for() {
    // 1/3 lies between two numbers of each type; `half` is the reference for the nearest.
    let values = [1.0 / 3.0, -65504.0, 1e-8];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.safetensors");
    let shapes = || BTreeMap::from([("t", vec![3])]);
    let tensor = host(&[3], &values);
    let read = |dtype: FileDtype| {
        write::write_with(&path, dtype, shapes(), |_| Ok(&tensor)).unwrap();
        read_tensors(&path).unwrap()["t"].values.clone()
    };
    assert_eq!(read(FileDtype::F32), values);
    assert_eq!(read(FileDtype::Bf16), values.map(|x| bf16::from_f32(x).to_f32()));
    assert_eq!(read(FileDtype::F16), values.map(|x| f16::from_f32(x).to_f32()));
    let large = host(&[1], &[1e5]);
    let error =
        write::write_with(&path, FileDtype::F16, BTreeMap::from([("w", vec![1])]), |_| Ok(&large));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("`w` has values that float16 cannot hold"), "{error}");
    let large = host(&[1], &[3.4e38]);
    let bf16 =
        write::write_with(&path, FileDtype::Bf16, BTreeMap::from([("w", vec![1])]), |_| Ok(&large));
    assert!(bf16.unwrap_err().to_string().contains("bfloat16"));
    let infinite = host(&[1], &[f32::INFINITY]);
    write::write_with(&path, FileDtype::F16, BTreeMap::from([("w", vec![1])]), |_| Ok(&infinite))
        .unwrap();
}
