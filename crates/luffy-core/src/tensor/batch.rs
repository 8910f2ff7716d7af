//! Rows on a device.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::{Packing, Row};

/// `B` rows on a device: what a model reads, and per-token streams for a loss, padded on the right to `T`
/// columns of response.
#[derive(Debug, Clone)]
pub struct MicroBatch {
    /// What a model reads.
    pub packed: PackedRows,
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

/// Prompts and responses one after the other, without padding and without the last token of each response, from which
/// nothing is predicted: `N` tokens, that predict `M` response tokens.
///
/// Neighbouring rows with one prompt share it: it is there once, and each response is a segment behind it.
#[derive(Debug, Clone)]
pub struct PackedRows {
    /// Prompts and responses without their last tokens, `[N]`.
    pub tokens: Tensor<1, Int>,
    /// Which of them see which.
    pub packing: Packing,
    /// The places in `tokens` of those that predict response tokens, in order, `[P]`.
    pub predicting: Tensor<1, Int>,
    /// For each response token which of them predicts it, `[M]`. The last token of a shared prompt predicts several.
    pub predictors: Tensor<1, Int>,
    /// Response tokens in row order, `[M]`.
    pub targets: Tensor<1, Int>,
    /// Where each lies in a flattened `[B, T]`: `[M]`.
    pub cells: Tensor<1, Int>,
    /// For each cell of `[B, T]` which of the `M` it is; padding is the first.
    pub spread: Tensor<2, Int>,
}

/// Rows laid out, on the host.
#[derive(Default)]
struct Layout {
    packing: Packing,
    tokens: Vec<i64>,
    places: Vec<i64>,
    targets: Vec<i64>,
    cells: Vec<i64>,
    spread: Vec<i64>,
}

impl Layout {
    fn new(rows: &[&Row], t: usize) -> Self {
        let mut layout = Self { spread: vec![0; rows.len() * t], ..Self::default() };
        let mut i = 0;
        while i < rows.len() {
            let n = rows[i..].iter().take_while(|row| shares_prompt(rows[i], row)).count();
            let shared = (n > 1).then(|| layout.push(&[&rows[i].prompt], None));
            for (j, row) in rows[i..i + n].iter().enumerate() {
                layout.push_row(row, shared.clone(), (i + j) * t);
            }
            i += n;
        }
        layout
    }

    fn upload(mut self, shape: [usize; 2], device: &Device) -> PackedRows {
        if self.targets.is_empty() {
            // Nothing to predict: one token stands in, no cell is learned from.
            for stream in [&mut self.places, &mut self.targets, &mut self.cells] {
                stream.push(0);
            }
        }
        let ints = |values: Vec<i64>| {
            let n = values.len();
            Tensor::from_data(TensorData::new(values, [n]), device)
        };
        let (predicting, predictors) = self.predictors();
        PackedRows {
            tokens: ints(self.tokens),
            packing: self.packing,
            predicting: ints(predicting),
            predictors: ints(predictors),
            targets: ints(self.targets),
            cells: ints(self.cells),
            spread: Tensor::from_data(TensorData::new(self.spread, shape), device),
        }
    }

    /// The places of tokens that predict something, in order, and for each response token which of them does.
    fn predictors(&self) -> (Vec<i64>, Vec<i64>) {
        let mut predicting = self.places.clone();
        predicting.sort_unstable();
        predicting.dedup();
        let which = |place: &i64| predicting.partition_point(|other| other < place) as i64;
        let predictors = self.places.iter().map(which).collect();
        (predicting, predictors)
    }

    fn push(&mut self, parts: &[&[u32]], prefix: Option<Range<usize>>) -> Range<usize> {
        self.tokens.extend(parts.iter().copied().flatten().map(|token| i64::from(*token)));
        self.packing.push(parts.iter().map(|part| part.len()).sum(), prefix)
    }

    /// A row whose first response token is cell `cell`.
    fn push_row(&mut self, row: &Row, shared: Option<Range<usize>>, cell: usize) {
        let read = &row.response[..row.response.len().saturating_sub(1)];
        let (first, before) = if let Some(prompt) = shared {
            let last = prompt.end - 1;
            let first = self.packing.n_tokens();
            if !read.is_empty() {
                self.push(&[read], Some(prompt));
            }
            (first, last)
        } else {
            let tokens = self.push(&[&row.prompt, read], None);
            let first = tokens.start + row.prompt.len();
            (first, first - 1)
        };
        for (j, token) in row.response.iter().enumerate() {
            self.places.push(if j == 0 { before } else { first + j - 1 } as i64);
            self.spread[cell + j] = self.targets.len() as i64;
            self.targets.push(i64::from(*token));
            self.cells.push((cell + j) as i64);
        }
    }
}

/// Whether two rows answer the same prompt.
fn shares_prompt(a: &Row, b: &Row) -> bool {
    Arc::ptr_eq(&a.prompt, &b.prompt) || a.prompt == b.prompt
}

impl MicroBatch {
    /// Uploads rows: one transfer per stream.
    ///
    /// # Panics
    /// If there are no rows, a prompt is empty (nothing predicts the first response token), or the
    /// streams of a row differ in length.
    pub fn collate(rows: &[&Row], device: &Device) -> Self {
        assert!(!rows.is_empty(), "a batch needs at least one row");
        for row in rows {
            let n = row.response.len();
            let lens = [
                row.mask.len(),
                row.demonstrated.len(),
                row.behavior_logprobs.len(),
                row.advantages.len(),
            ];
            assert!(!row.prompt.is_empty(), "a row needs a prompt");
            assert!(
                lens.iter().all(|len| *len == n),
                "the streams of a row are as long as its response"
            );
        }
        let b = rows.len();
        let t = rows.iter().map(|row| row.response.len()).max().unwrap_or(0).max(1);
        let has_reference = rows.iter().all(|row| !row.reference_logprobs.is_empty());
        let floats = |of: &dyn Fn(&Row) -> &[f32]| -> Tensor<2> {
            Tensor::from_data(TensorData::new(table(rows, t, of), [b, t]), device)
        };
        let bools = |of: &dyn Fn(&Row) -> &[bool]| -> Tensor<2, Bool> {
            Tensor::from_data(TensorData::new(table(rows, t, of), [b, t]), device)
        };
        Self {
            packed: Layout::new(rows, t).upload([b, t], device),
            response_mask: bools(&|row| &row.mask),
            demonstrated: bools(&|row| &row.demonstrated),
            behavior_logprobs: floats(&|row| &row.behavior_logprobs),
            advantages: floats(&|row| &row.advantages),
            reference_logprobs: has_reference.then(|| floats(&|row| &row.reference_logprobs)),
        }
    }
}

impl PackedRows {
    /// Stands in for rows of shape `[B, T]` where no model reads them: for losses on given log-probs.
    pub fn unread(shape: [usize; 2], device: &Device) -> Self {
        let [b, t] = shape;
        Layout { spread: vec![0; b * t], ..Layout::default() }.upload(shape, device)
    }

    /// From one number for each response token, `[M]`, to `[B, T]`; padding repeats the first.
    pub fn to_table(&self, column: Tensor<1>) -> Tensor<2> {
        let [b, t] = self.spread.dims();
        column.select(0, self.spread.clone().reshape([b * t])).reshape([b, t])
    }

    /// From `[B, T]` to one number for each response token, `[M]`.
    pub fn from_table(&self, table: Tensor<2>) -> Tensor<1> {
        let [b, t] = table.dims();
        table.reshape([b * t]).select(0, self.cells.clone())
    }
}

/// One stream of all rows, padded on the right.
fn table<T: Copy + Default>(rows: &[&Row], t: usize, of: &dyn Fn(&Row) -> &[T]) -> Vec<T> {
    let mut table = vec![T::default(); rows.len() * t];
    for (line, row) in table.chunks_mut(t).zip(rows) {
        let values = of(row);
        line[..values.len()].copy_from_slice(values);
    }
    table
}

/// Rows in order, as many at a time as have at most `max_tokens` tokens together, a shared prompt counted once;
/// a longer row is one by itself.
pub fn micro_batches<'a>(rows: &'a [&'a Row], max_tokens: usize) -> Vec<&'a [&'a Row]> {
    let mut batches = Vec::new();
    let (mut start, mut n_tokens) = (0, 0);
    for (i, row) in rows.iter().enumerate() {
        let own =
            |is_shared: bool| row.response.len() + if is_shared { 0 } else { row.prompt.len() };
        let added = own(i > start && shares_prompt(rows[i - 1], row));
        if i > start && n_tokens + added > max_tokens {
            batches.push(&rows[start..i]);
            (start, n_tokens) = (i, own(false));
        } else {
            n_tokens += added;
        }
    }
    if start < rows.len() {
        batches.push(&rows[start..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tensors of this crate's tests would need a backend: the layout is what can go wrong, and it is host
    /// data.
    fn row(prompt: &[u32], response: &[u32]) -> Row {
        Row::given(prompt.into(), response.to_vec())
    }

    #[test]
    fn neighbours_with_one_prompt_share_it_and_others_stand_alone() {
        let rows = [
            row(&[1, 2], &[10, 11]),
            row(&[1, 2], &[20]),
            row(&[3], &[30, 31]),
            row(&[1, 2], &[40]),
        ];
        let layout = Layout::new(&rows.iter().collect::<Vec<_>>(), 2);
        assert_eq!(layout.tokens, [1, 2, 10, 3, 30, 1, 2]);
        let segments: Vec<_> =
            layout.packing.segments.iter().map(|s| (s.tokens.clone(), s.prefix.clone())).collect();
        let shared = Some(0..2);
        assert_eq!(segments, [(0..2, None), (2..3, shared), (3..5, None), (5..7, None)]);
        // The last token of the shared prompt predicts the first token of both responses; nothing is predicted from
        // the last tokens of responses.
        assert_eq!(layout.places, [1, 2, 1, 3, 4, 6]);
        assert_eq!(layout.predictors(), (vec![1, 2, 3, 4, 6], vec![0, 1, 0, 2, 3, 4]));
        assert_eq!(layout.targets, [10, 11, 20, 30, 31, 40]);
        assert_eq!(layout.cells, [0, 1, 2, 4, 5, 6]);
        assert_eq!(layout.spread, [0, 1, 2, 0, 3, 4, 5, 0]);
        assert_eq!(layout.packing.positions(), [0, 1, 2, 0, 1, 0, 1]);
    }

    /// Lengths of the rows of each batch; prompts are one token, equal where `shared`.
    fn cut(lens: &[usize], shared: bool, max_tokens: usize) -> Vec<Vec<usize>> {
        let prompt = |i: usize| [if shared { 0 } else { i as u32 }];
        let rows: Vec<Row> =
            lens.iter().enumerate().map(|(i, len)| row(&prompt(i), &vec![0; len - 1])).collect();
        let rows: Vec<&Row> = rows.iter().collect();
        micro_batches(&rows, max_tokens)
            .iter()
            .map(|batch| batch.iter().map(|row| row.response.len() + 1).collect())
            .collect()
    }

    #[test]
    fn micro_batches_hold_what_fits() {
        assert_eq!(cut(&[4, 4, 4], false, 12), [vec![4, 4, 4]]);
        assert_eq!(cut(&[4, 4, 4], false, 11), [vec![4, 4], vec![4]]);
        assert_eq!(cut(&[2, 2, 4], false, 8), [vec![2, 2, 4]]);
        assert_eq!(cut(&[9, 2, 2], false, 4), [vec![9], vec![2, 2]]);
        assert_eq!(cut(&[3], false, usize::MAX), [vec![3]]);
        assert!(cut(&[], false, 5).is_empty());
        // A shared prompt counts once in each batch: 4 + 3 + 3, and again 4.
        assert_eq!(cut(&[4, 4, 4, 4], true, 10), [vec![4, 4, 4], vec![4]]);
        assert_eq!(cut(&[4, 4, 4, 4], true, 9), [vec![4, 4], vec![4, 4]]);
    }
}
