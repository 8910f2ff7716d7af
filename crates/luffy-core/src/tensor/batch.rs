//! Rows on a device.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::Row;

/// `B` rows padded on the right, `S` columns of prompt and response, `T` columns of response.
///
/// Every row starts at column 0, so positions are column numbers and a causal mask alone hides the
/// padding from every token that counts.
#[derive(Debug, Clone)]
pub struct MicroBatch {
    /// Prompt and response, `[B, S]`; padding repeats token 0.
    pub tokens: Tensor<2, Int>,
    /// For each response token the place of the logits that predict it, in `tokens` flattened: `[B * T]`.
    /// Padding points at place 0.
    pub response_places: Tensor<1, Int>,
    /// Response tokens, `[B, T]`; padding is token 0.
    pub targets: Tensor<2, Int>,
    /// Which response tokens are learned from, `[B, T]`.
    pub response_mask: Tensor<2, Bool>,
    /// Which response tokens come from a demonstration, `[B, T]`.
    pub demonstrated: Tensor<2, Bool>,
    /// Log-probs in nats under the policy that wrote the token, `[B, T]`; 0 where taken as certain.
    pub behavior_logprobs: Tensor<2>,
    /// Advantages, `[B, T]`; 0 on padding.
    pub advantages: Tensor<2>,
    /// Log-probs in nats under a frozen reference policy, `[B, T]`, 0 on padding; `None` where a row lacks
    /// them.
    pub reference_logprobs: Option<Tensor<2>>,
}

impl MicroBatch {
    /// Uploads rows: one transfer per stream.
    ///
    /// # Panics
    /// If there are no rows, a prompt is empty (nothing predicts the first response token), or the
    /// streams of a row differ in length.
    pub fn collate(rows: &[&Row], device: &Device) -> Self {
        assert!(!rows.is_empty(), "a batch needs at least one row");
        let b = rows.len();
        let t = rows.iter().map(|row| row.response.len()).max().unwrap_or(0).max(1);
        let s = rows.iter().map(|row| row.prompt.len() + row.response.len()).max().unwrap_or(0);
        let mut tokens = vec![0_i64; b * s];
        let mut places = vec![0_i64; b * t];
        let mut targets = vec![0_i64; b * t];
        let mut mask = vec![false; b * t];
        let mut demonstrated = vec![false; b * t];
        let mut behavior = vec![0_f32; b * t];
        let mut advantages = vec![0_f32; b * t];
        let has_reference = rows.iter().all(|row| !row.reference_logprobs.is_empty());
        let mut reference = has_reference.then(|| vec![0_f32; b * t]);
        for (i, row) in rows.iter().enumerate() {
            let (p, n) = (row.prompt.len(), row.response.len());
            assert!(p > 0, "a row needs a prompt");
            assert!(
                [
                    row.mask.len(),
                    row.demonstrated.len(),
                    row.behavior_logprobs.len(),
                    row.advantages.len()
                ]
                .iter()
                .all(|len| *len == n),
                "the streams of a row are as long as its response"
            );
            for (j, token) in row.prompt.iter().chain(&row.response).enumerate() {
                tokens[i * s + j] = i64::from(*token);
            }
            for j in 0..n {
                places[i * t + j] = (i * s + p + j - 1) as i64;
                targets[i * t + j] = i64::from(row.response[j]);
            }
            let at = i * t..i * t + n;
            mask[at.clone()].copy_from_slice(&row.mask);
            demonstrated[at.clone()].copy_from_slice(&row.demonstrated);
            behavior[at.clone()].copy_from_slice(&row.behavior_logprobs);
            advantages[at.clone()].copy_from_slice(&row.advantages);
            if let Some(reference) = &mut reference {
                reference[at].copy_from_slice(&row.reference_logprobs);
            }
        }
        Self {
            tokens: Tensor::from_data(TensorData::new(tokens, [b, s]), device),
            response_places: Tensor::from_data(TensorData::new(places, [b * t]), device),
            targets: Tensor::from_data(TensorData::new(targets, [b, t]), device),
            response_mask: Tensor::from_data(TensorData::new(mask, [b, t]), device),
            demonstrated: Tensor::from_data(TensorData::new(demonstrated, [b, t]), device),
            behavior_logprobs: Tensor::from_data(TensorData::new(behavior, [b, t]), device),
            advantages: Tensor::from_data(TensorData::new(advantages, [b, t]), device),
            reference_logprobs: reference
                .map(|values| Tensor::from_data(TensorData::new(values, [b, t]), device)),
        }
    }
}
