//! The decode loop.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{
    Decoder, FinishReason, Origin, SampleError, SampleRequest, Sampler, Span, TextCodec,
    Trajectory, Weights,
};

use crate::stop::text_before_stop;
use crate::{Chosen, choose};

/// Decodes with a policy in memory, batch by batch.
///
/// Requests are taken in order, at most `max_rows` at a time; how a call is cut into batches depends on
/// the requests alone, so equal calls give equal bytes.
pub struct Engine<D> {
    decoder: D,
    codec: Arc<dyn TextCodec>,
    device: Device,
    max_rows: usize,
    version: u64,
}

impl<D> fmt::Debug for Engine<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("device", &self.device)
            .field("max_rows", &self.max_rows)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A sequence in flight.
struct Slot {
    request: usize,
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
    finish: Option<FinishReason>,
    /// What stands before the stop string that ended it.
    text: Option<String>,
}

impl<D: Decoder> Engine<D> {
    /// An engine that decodes at most `max_rows` sequences at once on `device` (a plain one).
    ///
    /// # Panics
    /// If `max_rows` is zero.
    pub fn new(decoder: D, codec: Arc<dyn TextCodec>, device: Device, max_rows: usize) -> Self {
        assert!(max_rows > 0, "an engine needs room for one row");
        Self { decoder, codec, device, max_rows, version: 0 }
    }

    fn admit(&self, request: &SampleRequest) -> Result<(), SampleError> {
        let prompt_len = request.prompt.len() + request.prefix.len();
        let max_new_tokens = request.max_new_tokens as usize;
        let context_len = self.decoder.context_len();
        if request.prompt.is_empty() {
            return Err(SampleError::EmptyPrompt);
        }
        if prompt_len + max_new_tokens > context_len {
            return Err(SampleError::PromptTooLong { prompt_len, max_new_tokens, context_len });
        }
        Ok(())
    }

    /// Decodes one batch of admitted requests to the end.
    fn decode(&self, requests: &[&SampleRequest]) -> Vec<Result<Trajectory, SampleError>> {
        let mut results: Vec<Option<Result<Trajectory, SampleError>>> = vec![None; requests.len()];
        let (contexts, context_of) = distinct_contexts(requests);
        let borrowed: Vec<&[u32]> = contexts.iter().map(|context| &**context).collect();
        let (logits, mut cache) = self.decoder.prefill(&borrowed);
        let mut logits = rows_of(logits);
        // `row_of[slot]` is the cache row (and logits row) that a slot reads.
        let mut slots: Vec<Slot> = (0..requests.len())
            .map(|request| Slot {
                request,
                tokens: requests[request].prefix.to_vec(),
                logprobs: vec![],
                finish: None,
                text: None,
            })
            .collect();
        let mut row_of: Vec<u32> = context_of;
        let mut n_rows = contexts.len();
        loop {
            for (slot, row) in slots.iter_mut().zip(&row_of) {
                if slot.finish.is_none()
                    && let Err(error) =
                        self.extend(slot, requests[slot.request], &logits[*row as usize])
                {
                    results[slot.request] = Some(Err(error));
                    slot.finish = Some(FinishReason::Length);
                }
            }
            let live = slots.iter().filter(|slot| slot.finish.is_none()).count();
            if live == 0 {
                break;
            }
            // Dropping rows copies the cache, so it waits until a quarter of the rows are done.
            let identity = n_rows == slots.len() && row_of.iter().copied().eq(0..n_rows as u32);
            if !identity || live * 4 <= slots.len() * 3 {
                let mut kept_rows = Vec::with_capacity(live);
                let mut kept = Vec::with_capacity(live);
                for (slot, row) in slots.into_iter().zip(&row_of) {
                    if slot.finish.is_none() {
                        kept_rows.push(*row);
                        kept.push(slot);
                    } else {
                        self.finish(slot, requests, &mut results);
                    }
                }
                slots = kept;
                self.decoder.reorder(&mut cache, &kept_rows);
                n_rows = slots.len();
                row_of = (0..n_rows as u32).collect();
            }
            let next: Vec<i64> =
                slots.iter().map(|slot| slot.tokens.last().copied().map_or(0, i64::from)).collect();
            let next: Tensor<1, Int> =
                Tensor::from_data(TensorData::new(next, [slots.len()]), &self.device);
            logits = rows_of(self.decoder.step(next, &mut cache));
        }
        for slot in slots {
            self.finish(slot, requests, &mut results);
        }
        results.into_iter().map(|result| result.expect("every request ends in the loop")).collect()
    }

    /// Chooses the next token of a live slot.
    fn extend(
        &self,
        slot: &mut Slot,
        request: &SampleRequest,
        logits: &[f32],
    ) -> Result<(), SampleError> {
        let position = slot.tokens.len();
        let limit = request.prefix.len() + request.max_new_tokens as usize;
        if position >= limit {
            slot.finish = Some(FinishReason::Length);
            return Ok(());
        }
        let Chosen { token, logprob } =
            choose(logits, &request.sampling, request.key.uniform_at(position as u64))
                .ok_or(SampleError::NotFinite { position })?;
        slot.tokens.push(token);
        slot.logprobs.push(logprob);
        if self.codec.end_tokens().contains(&token) {
            slot.finish = Some(FinishReason::Stop);
        } else if let Some(text) = text_before_stop(&*self.codec, &slot.tokens, &request.stop) {
            slot.text = Some(text);
            slot.finish = Some(FinishReason::Stop);
        } else if slot.tokens.len() == limit {
            slot.finish = Some(FinishReason::Length);
        }
        Ok(())
    }

    fn finish(
        &self,
        slot: Slot,
        requests: &[&SampleRequest],
        results: &mut [Option<Result<Trajectory, SampleError>>],
    ) {
        let Slot { request, tokens, logprobs, finish, text } = slot;
        if results[request].is_some() {
            return;
        }
        let finish = finish.expect("only finished slots are turned into trajectories");
        let text = text.unwrap_or_else(|| {
            self.codec.decode(match finish {
                FinishReason::Stop => &tokens[..tokens.len() - 1],
                FinishReason::Length => &tokens[..],
            })
        });
        let sampled = Span { len: logprobs.len() as u32, origin: Origin::Sampled { logprobs } };
        let spans = match requests[request].prefix.len() as u32 {
            0 => vec![sampled],
            len => vec![Span { len, origin: Origin::Context }, sampled],
        };
        results[request] = Some(Ok(Trajectory {
            text,
            spans,
            tokens,
            finish,
            key: requests[request].key,
            version: self.version,
        }));
    }
}

impl<D: Decoder + Send> Sampler for Engine<D> {
    fn sample(&mut self, requests: &[SampleRequest]) -> Vec<Result<Trajectory, SampleError>> {
        let mut results: Vec<Option<Result<Trajectory, SampleError>>> =
            requests.iter().map(|request| self.admit(request).err().map(Err)).collect();
        let admitted: Vec<usize> = (0..requests.len()).filter(|i| results[*i].is_none()).collect();
        for batch in admitted.chunks(self.max_rows) {
            let batch_requests: Vec<&SampleRequest> = batch.iter().map(|i| &requests[*i]).collect();
            for (i, result) in batch.iter().zip(self.decode(&batch_requests)) {
                results[*i] = Some(result);
            }
        }
        results.into_iter().map(|result| result.expect("every request is decoded once")).collect()
    }

    fn publish(&mut self, weights: &Weights, version: u64) -> Result<(), SampleError> {
        self.decoder.publish(weights)?;
        self.version = version;
        Ok(())
    }
}

/// What the sequences start from, without repetition among neighbours, and for each request which of them it
/// has.
fn distinct_contexts<'a>(requests: &[&'a SampleRequest]) -> (Vec<Cow<'a, [u32]>>, Vec<u32>) {
    let mut contexts: Vec<Cow<'a, [u32]>> = Vec::new();
    let mut context_of = Vec::with_capacity(requests.len());
    for (i, request) in requests.iter().enumerate() {
        let is_repeated = i > 0 && {
            let before = requests[i - 1];
            before.prompt == request.prompt && before.prefix == request.prefix
        };
        if !is_repeated {
            contexts.push(if request.prefix.is_empty() {
                Cow::Borrowed(&*request.prompt)
            } else {
                Cow::Owned([&*request.prompt, &*request.prefix].concat())
            });
        }
        context_of.push(contexts.len() as u32 - 1);
    }
    (contexts, context_of)
}

/// `[R, V]` on the host, by rows.
fn rows_of(logits: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, v] = logits.dims();
    let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
    values.chunks(v).map(<[f32]>::to_vec).collect()
}
