//! `luffy score`: how likely a model finds given tokens.

use burn::tensor::Device;
use clap::Args;
use luffy_core::{MicroBatch, Policy, Row};
use luffy_policy::CausalLm;

use crate::device::device;
use crate::generate::{count, positive};
use crate::model::ModelArgs;
use crate::rows::{Fields, IoArgs, Line, RowWriter, Rows, Worked};

mod asked;
mod sample;

use asked::asked;
pub(crate) use sample::{ScoreSampleArgs, score_sample};

/// Lines among which rows of like length are put together.
const CHUNK_LINES: usize = 256;

/// The fields that are written anew.
const ADDED: [&str; 6] = ["ids", "prompt_len", "logprobs", "entropy", "logprob_sum", "n_scored"];

/// What to score.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    io: IoArgs,
    /// Most tokens of a batch, padding included; a longer row is a batch of its own. Memory grows with
    /// it, the figures do not depend on it beyond rounding.
    #[arg(long, value_name = "N", default_value_t = 1024, allow_negative_numbers = true, value_parser = count::<usize>)]
    max_tokens: usize,
    /// Score under `softmax(logits / T)`.
    #[arg(long, value_name = "T", default_value_t = 1.0, allow_negative_numbers = true, value_parser = positive)]
    temperature: f64,
    /// Append the end token to the response, as to a demonstration in training, unless it ends with one.
    #[arg(long)]
    end_token: bool,
}

/// Scores the rows: a prompt with `response_ids` or `response`, or `ids` (from `prompt_len` or the second token
/// on) or a `text` as a whole.
///
/// # Errors
/// If model or input cannot be read, or the output not written.
pub(crate) fn score(args: &ScoreArgs, bar: bool) -> anyhow::Result<()> {
    let device = device();
    let codec = args.model.codec()?;
    let (config, model) = args.model.load(&codec, &device)?;
    let scorer = Scorer {
        model: model.with_temperature(args.temperature),
        max_tokens: args.max_tokens,
        device,
    };
    Rows::run(&args.io, bar, CHUNK_LINES, |lines| {
        Ok(chunk(lines, &scorer, |fields| asked(fields, &codec, &config, args.end_token)))
    })
}

/// Scores the good ones of some lines.
fn chunk(
    lines: &[Line],
    scorer: &Scorer,
    asked: impl Fn(&Fields<'_>) -> Result<Row, String>,
) -> Vec<Worked> {
    let read: Vec<Result<(Fields<'_>, Row), String>> = lines
        .iter()
        .map(|line| {
            let fields = Fields::parse(&line.bytes)?;
            let row = asked(&fields)?;
            Ok((fields, row))
        })
        .collect();
    let rows: Vec<&Row> = read.iter().flatten().map(|(_, row)| row).collect();
    let mut scores = scorer.score(&rows).into_iter();
    let mut written = |(fields, row): (Fields<'_>, Row)| {
        let score = scores.next().expect("every row is scored once");
        if let Some(i) = score.logprobs.iter().position(|logprob| !logprob.is_finite()) {
            return Err(format!(
                "the log-prob of token {} is {}: the weights have diverged",
                row.prompt.len() + i,
                score.logprobs[i]
            ));
        }
        let ids: Vec<u32> = row.prompt.iter().chain(&row.response).copied().collect();
        let sum: f64 = score.logprobs.iter().map(|logprob| f64::from(*logprob)).sum();
        let bytes = RowWriter::pass(&fields, &ADDED)
            .add("ids", &ids)
            .add("prompt_len", &row.prompt.len())
            .add("logprobs", &score.logprobs)
            .add("entropy", &score.entropy)
            .add("logprob_sum", &sum)
            .add("n_scored", &score.logprobs.len());
        Ok((bytes.finish(), ids.len() as u64))
    };
    read.into_iter().map(|result| result.and_then(&mut written)).collect()
}

/// What a model says of the response tokens of a row.
struct Score {
    logprobs: Vec<f32>,
    entropy: Vec<f32>,
}

struct Scorer {
    model: CausalLm,
    max_tokens: usize,
    device: Device,
}

impl Scorer {
    /// Scores rows in batches of like lengths; results are in the order of the rows.
    fn score(&self, rows: &[&Row]) -> Vec<Score> {
        let mut scores: Vec<Option<Score>> = rows.iter().map(|_| None).collect();
        let lens: Vec<usize> =
            rows.iter().map(|row| row.prompt.len() + row.response.len()).collect();
        for batch in batches(&lens, self.max_tokens) {
            let members: Vec<&Row> = batch.iter().map(|i| rows[*i]).collect();
            let stats = self.model.score(&MicroBatch::collate(&members, &self.device));
            let [_, t] = stats.logprobs.dims();
            let logprobs: Vec<f32> = stats.logprobs.into_data().iter::<f32>().collect();
            let entropy: Vec<f32> = stats.entropy.into_data().iter::<f32>().collect();
            for (n, i) in batch.into_iter().enumerate() {
                let at = n * t..n * t + rows[i].response.len();
                scores[i] = Some(Score {
                    logprobs: logprobs[at.clone()].to_vec(),
                    entropy: entropy[at].to_vec(),
                });
            }
        }
        scores.into_iter().map(|score| score.expect("every row is in one batch")).collect()
    }
}

/// Positions of rows, shortest first, cut so that rows times the longest are at most `max_tokens`.
fn batches(lens: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lens.len()).collect();
    order.sort_by_key(|i| lens[*i]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for i in order {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * lens[i] <= max_tokens => batch.push(i),
            _ => batches.push(vec![i]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_keeps_its_budget_unless_it_is_one_row() {
        let lens = [5, 1, 9, 2, 2, 30];
        assert_eq!(
            batches(&lens, 10),
            [vec![1, 3, 4], vec![0], vec![2], vec![5]],
            "3 x 2, then 5 and 9 that do not share, then 30 alone"
        );
        assert_eq!(batches(&lens, 0).len(), 6);
        assert!(batches(&[], 10).is_empty());
    }
}
