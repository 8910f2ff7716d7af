//! `luffy generate`: prompts in, responses of a model out.

use std::sync::Arc;

use clap::Args;
use luffy_core::{Origin, Purpose, SampleRequest, Sampler, Sampling, StreamKey, Trajectory};
use luffy_data::HfCodec;
use luffy_policy::{LmDecoder, ModelConfig};
use luffy_rollout::Engine;

use crate::device::device;
use crate::model::{ModelArgs, check_ids};
use crate::rows::{Fields, Given, IoArgs, Line, RowWriter, Rows, Words, Worked};

mod sampling;

pub(crate) use sampling::{SamplingArgs, count, positive, whole};

/// The fields that are written anew.
const ADDED: [&str; 6] =
    ["prompt_len", "sample", "response", "response_ids", "finish", "response_logprobs"];

/// What to generate.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    io: IoArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Responses to each row, one line each.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, allow_negative_numbers = true, value_parser = count::<u32>)]
    samples: u32,
    /// Most tokens of a response; fewer where the context of the model ends.
    #[arg(long, value_name = "N", default_value_t = 256, allow_negative_numbers = true, value_parser = count::<u32>)]
    max_new_tokens: u32,
    /// Write the log-prob of every token, in nats at the sampling temperature, before the filters.
    #[arg(long)]
    logprobs: bool,
}

/// Answers the rows: `ids`, `messages`, `prompt` or `text`. Draw `t` of stream `(seed, line, sample)`
/// chooses token `t`, so a response does not depend on its neighbours.
///
/// # Errors
/// If model or input cannot be read, or the output not written.
pub(crate) fn generate(args: &GenerateArgs, bar: bool) -> anyhow::Result<()> {
    let codec = Arc::new(args.model.codec()?);
    let device = device();
    let (config, model) = args.model.load(&codec, &device)?;
    let max_rows = args.sampling.max_rows;
    let decoder = LmDecoder::new(model);
    let engine = Engine::new(decoder, Arc::<HfCodec>::clone(&codec), device, max_rows);
    let mut generator = Generator {
        engine,
        codec,
        config,
        sampling: args.sampling.sampling(1.0),
        stop: args.sampling.stop(),
        seed: args.sampling.seed,
        samples: args.samples,
        max_new_tokens: args.max_new_tokens,
        logprobs: args.logprobs,
    };
    let chunk_lines = (max_rows / args.samples as usize).max(1);
    Rows::run(&args.io, bar, chunk_lines, |lines| Ok(generator.chunk(lines)))
}

struct Generator {
    engine: Engine<LmDecoder>,
    codec: Arc<HfCodec>,
    config: ModelConfig,
    sampling: Sampling,
    stop: Arc<[String]>,
    seed: u64,
    samples: u32,
    max_new_tokens: u32,
    logprobs: bool,
}

impl Generator {
    fn chunk(&mut self, lines: &[Line]) -> Vec<Worked> {
        let read: Vec<Result<(Fields<'_>, Vec<SampleRequest>), String>> = lines
            .iter()
            .map(|line| {
                let fields = Fields::parse(&line.bytes)?;
                let requests = self.requests(&fields, line.number)?;
                Ok((fields, requests))
            })
            .collect();
        let requests: Vec<SampleRequest> =
            read.iter().flatten().flat_map(|(_, requests)| requests).cloned().collect();
        let mut answers = self.engine.sample(&requests).into_iter();
        read.into_iter()
            .map(|result| {
                let (fields, requests) = result?;
                let (mut bytes, mut n_tokens) = (Vec::new(), 0);
                // All answers of the row are taken, whatever the first of them is.
                let own: Vec<_> = answers.by_ref().take(requests.len()).collect();
                for (request, answer) in requests.iter().zip(own) {
                    let answer = answer.map_err(|error| error.to_string())?;
                    n_tokens += answer.tokens.len() as u64;
                    bytes.extend(self.row(&fields, request, &answer));
                }
                Ok((bytes, n_tokens))
            })
            .collect()
    }

    fn requests(&self, fields: &Fields<'_>, number: u64) -> Result<Vec<SampleRequest>, String> {
        let given = Given::read(fields, &Words { ids: Some("ids"), text: "text" })?;
        let prompt: Arc<[u32]> = given.tokens(&self.codec)?.into();
        check_ids(&prompt, &self.config)?;
        let context = self.config.max_position_embeddings;
        if prompt.is_empty() {
            return Err("the prompt has no tokens".into());
        }
        let room = context.saturating_sub(prompt.len()) as u32;
        if room == 0 {
            let len = prompt.len();
            return Err(format!("the prompt has {len} tokens, the context of the model {context}"));
        }
        let request = |member| SampleRequest {
            prompt: Arc::clone(&prompt),
            prefix: [].into(),
            max_new_tokens: self.max_new_tokens.min(room),
            sampling: self.sampling,
            stop: Arc::clone(&self.stop),
            key: StreamKey {
                seed: self.seed,
                purpose: Purpose::Evaluation,
                step: 0,
                prompt: number,
                member,
            },
        };
        Ok((0..self.samples).map(request).collect())
    }

    fn row(&self, fields: &Fields<'_>, request: &SampleRequest, answer: &Trajectory) -> Vec<u8> {
        let mut row = RowWriter::pass(fields, &ADDED)
            .add("prompt_len", &request.prompt.len())
            .add("sample", &request.key.member)
            .add("response", &answer.text)
            .add("response_ids", &answer.tokens)
            .add("finish", &answer.finish);
        if self.logprobs {
            let logprobs: Vec<f32> = answer
                .spans
                .iter()
                .filter_map(|span| match &span.origin {
                    Origin::Sampled { logprobs } => Some(logprobs),
                    _ => None,
                })
                .flatten()
                .copied()
                .collect();
            row = row.add("response_logprobs", &logprobs);
        }
        row.finish()
    }
}
