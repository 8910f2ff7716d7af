//! Arrays and masks of rows and tokens, from JSON to tensors and back.

use burn::tensor::{Bool, Device, Tensor, TensorData};
use serde::Deserialize;

use super::figure::Precision;

/// An array of rows and tokens; at least one of each.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Vec<Vec<f64>>")]
pub(super) struct Array {
    pub(super) rows: usize,
    pub(super) tokens: usize,
    /// Row after row.
    pub(super) values: Vec<f64>,
}

impl TryFrom<Vec<Vec<f64>>> for Array {
    type Error = String;

    fn try_from(rows: Vec<Vec<f64>>) -> Result<Self, String> {
        let tokens = rows.first().map_or(0, Vec::len);
        if tokens == 0 {
            return Err("an array needs a row and a token".to_owned());
        }
        if let Some(row) = rows.iter().find(|row| row.len() != tokens) {
            return Err(format!("an array has rows of {tokens} and of {} tokens", row.len()));
        }
        Ok(Self { rows: rows.len(), tokens, values: rows.into_iter().flatten().collect() })
    }
}

impl Array {
    /// Every value through a function.
    pub(super) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { values: self.values.iter().map(|value| f(*value)).collect(), ..*self }
    }

    pub(super) fn tensor(&self, precision: Precision, device: &Device) -> Tensor<2> {
        let data = TensorData::new(self.values.clone(), [self.rows, self.tokens]);
        Tensor::from_data(data, (device, precision.dtype()))
    }

    /// A tensor of two axes on the host.
    pub(super) fn read(tensor: Tensor<2>) -> Self {
        let [rows, tokens] = tensor.dims();
        Self { rows, tokens, values: tensor.into_data().iter::<f64>().collect() }
    }
}

/// Which tokens of an [`Array`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Vec<Vec<Flag>>")]
pub(super) struct Mask {
    pub(super) rows: usize,
    pub(super) tokens: usize,
    /// Row after row.
    pub(super) values: Vec<bool>,
}

/// Yes or no, as a file writes it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Flag {
    Truth(bool),
    Number(f64),
}

impl TryFrom<Vec<Vec<Flag>>> for Mask {
    type Error = String;

    fn try_from(rows: Vec<Vec<Flag>>) -> Result<Self, String> {
        let number = |flag: Flag| match flag {
            Flag::Truth(truth) => f64::from(u8::from(truth)),
            Flag::Number(number) => number,
        };
        let rows: Vec<Vec<f64>> =
            rows.into_iter().map(|row| row.into_iter().map(number).collect()).collect();
        let Array { rows, tokens, values } = Array::try_from(rows)?;
        let is_set = |value: f64| match value {
            0.0 => Ok(false),
            1.0 => Ok(true),
            other => Err(format!("a mask holds {other}")),
        };
        Ok(Self { rows, tokens, values: values.into_iter().map(is_set).collect::<Result<_, _>>()? })
    }
}

impl Mask {
    pub(super) fn tensor(&self, device: &Device) -> Tensor<2, Bool> {
        Tensor::from_data(TensorData::new(self.values.clone(), [self.rows, self.tokens]), device)
    }

    /// The tokens of one row.
    pub(super) fn row(&self, row: usize) -> &[bool] {
        &self.values[row * self.tokens..][..self.tokens]
    }

    /// Every flag through a function.
    pub(super) fn map(&self, f: impl Fn(bool) -> bool) -> Self {
        Self { values: self.values.iter().map(|is_set| f(*is_set)).collect(), ..*self }
    }

    /// The tokens that are in both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let pairs = self.values.iter().zip(&other.values);
        Self { values: pairs.map(|(a, b)| *a && *b).collect(), ..*self }
    }

    pub(super) fn count(&self) -> usize {
        self.values.iter().filter(|is_set| **is_set).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_rectangular_and_masks_hold_zero_and_one() {
        let array = |text: &str| serde_json::from_str::<Array>(text);
        assert!(array("[[1, 2], [3, 4]]").is_ok());
        for text in ["[]", "[[]]", "[[1], [2, 3]]", "[[null]]", "[1]"] {
            assert!(array(text).is_err(), "{text}");
        }
        let mask = |text: &str| serde_json::from_str::<Mask>(text).map(|mask| mask.values);
        assert_eq!(mask("[[1.0, 0], [false, true]]").unwrap(), [true, false, false, true]);
        assert!(mask("[[0.5]]").is_err());
    }
}
