//! Log-probs on given tokens, for comparison with other implementations.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use luffy_core::{MicroBatch, Policy, Purpose, Row, StreamKey};
use luffy_policy::load_pretrained;
use serde_json::json;

use crate::atomic::write_atomic;
use crate::device::device;
use crate::exit::{Code, WithCode};

/// What to score.
#[derive(Debug, Args)]
pub(crate) struct ScoreSampleArgs {
    /// A Hugging Face folder.
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Where the rows go: `{"ids", "prompt_len", "logprobs", "entropy"}`.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Number of sequences, of different lengths.
    #[arg(long, default_value_t = 8)]
    sequences: u64,
    /// Tokens of the longest.
    #[arg(long, default_value_t = 128)]
    max_tokens: u64,
}

/// Scores sequences of uniformly drawn tokens, all in one padded batch.
pub(crate) fn score_sample(args: &ScoreSampleArgs) -> anyhow::Result<()> {
    let device = device();
    let (config, model) = load_pretrained(&args.model, &device).code(Code::Input)?;
    let context = config.max_position_embeddings as u64;
    let longest = args.max_tokens.clamp(2, context);
    let rows: Vec<Row> = (0..args.sequences)
        .map(|prompt| {
            let key = StreamKey { seed: 0, purpose: Purpose::Generate, step: 0, prompt, member: 0 };
            let mut stream = key.stream();
            let len = 2 + stream.below(longest - 1);
            let n_prompt = 1 + stream.below(len - 1);
            let mut draw = |n: u64| -> Vec<u32> {
                (0..n).map(|_| stream.below(config.vocab_size as u64) as u32).collect()
            };
            let prompt = draw(n_prompt).into();
            let response = draw(len - n_prompt);
            Row::given(prompt, response)
        })
        .collect();
    let refs: Vec<&Row> = rows.iter().collect();
    let stats = model.score(&MicroBatch::collate(&refs, &device));
    let [_, t] = stats.logprobs.dims();
    let logprobs: Vec<f32> = stats.logprobs.into_data().iter::<f32>().collect();
    let entropy: Vec<f32> = stats.entropy.into_data().iter::<f32>().collect();
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        let at = i * t..i * t + row.response.len();
        let ids: Vec<u32> = row.prompt.iter().chain(&row.response).copied().collect();
        let line = json!({
            "ids": ids,
            "prompt_len": row.prompt.len(),
            "logprobs": logprobs[at.clone()],
            "entropy": entropy[at],
        });
        let _ = writeln!(text, "{line}");
    }
    write_atomic(&args.output, text.as_bytes())
}
