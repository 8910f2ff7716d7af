//! The decode loop.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{
    Decoder, FinishReason, Origin, Purpose, SampleError, SampleRequest, Sampler, Span, TextCodec,
    Trajectory, Weights,
};

use crate::choose::{Chooser, Chosen};
use crate::stop::text_before_stop;

/// Decodes with a policy in memory.
///
/// At most `max_rows` sequences are in flight. Neighbours with the same prompt share one prefill; a sequence that
/// ends makes room, and as soon as the next prompt's requests fit they join those under way. What a call does
/// depends on its requests and the policy alone, so equal calls give equal bytes.
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

/// What became of a request, once it is known.
type Sampled = Option<Result<Trajectory, SampleError>>;

/// Sequences in flight; row `i` of the cache is slot `i`.
struct Live<C> {
    slots: Vec<Slot>,
    cache: Option<C>,
    chooser: Chooser,
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

impl Slot {
    fn new(request: usize, asked: &SampleRequest) -> Self {
        let tokens = asked.prefix.to_vec();
        Self { request, tokens, logprobs: vec![], finish: None, text: None }
    }

    fn last_token(&self) -> i64 {
        self.tokens.last().copied().map_or(0, i64::from)
    }
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

    /// Decodes admitted requests to the end. `results` has a place for each.
    fn decode(&self, requests: &[&SampleRequest], results: &mut [Sampled]) {
        let mut waiting: VecDeque<Vec<usize>> = by_context(requests, self.max_rows);
        let mut live = Live { slots: Vec::new(), cache: None, chooser: Chooser::default() };
        loop {
            self.admit_waiting(&mut waiting, &mut live, requests, results);
            let Some(cache) = &mut live.cache else { break };
            let next: Vec<i64> = live.slots.iter().map(Slot::last_token).collect();
            let n = next.len();
            let next: Tensor<1, Int> = Tensor::from_data(TensorData::new(next, [n]), &self.device);
            let logits = Rows::new(self.decoder.step(next, cache));
            for (i, slot) in live.slots.iter_mut().enumerate() {
                self.extend(slot, requests, logits.row(i), &mut live.chooser, results);
            }
            self.drop_finished(&mut live, requests, results);
        }
    }

    /// Prefills the contexts that wait and have room, one pass for all, forks each to its requests, and lets
    /// these choose their first token.
    fn admit_waiting(
        &self,
        waiting: &mut VecDeque<Vec<usize>>,
        live: &mut Live<D::Cache>,
        requests: &[&SampleRequest],
        results: &mut [Sampled],
    ) {
        while waiting.front().is_some_and(|next| live.slots.len() + next.len() <= self.max_rows) {
            let mut groups = Vec::new();
            let mut room = self.max_rows - live.slots.len();
            while let Some(group) = waiting.pop_front_if(|group| group.len() <= room) {
                room -= group.len();
                groups.push(group);
            }
            let contexts: Vec<Vec<u32>> =
                groups.iter().map(|group| context(requests[group[0]])).collect();
            let borrowed: Vec<&[u32]> = contexts.iter().map(Vec::as_slice).collect();
            let is_learned = requests.iter().all(|request| request.key.purpose == Purpose::Rollout);
            let (logits, mut cache) = if is_learned {
                self.decoder.prefill_to_learn(&borrowed)
            } else {
                self.decoder.prefill(&borrowed)
            };
            let logits = Rows::new(logits);
            let (mut slots, mut forks) = (Vec::new(), Vec::new());
            for (i, group) in groups.iter().enumerate() {
                for request in group {
                    let mut slot = Slot::new(*request, requests[*request]);
                    self.extend(&mut slot, requests, logits.row(i), &mut live.chooser, results);
                    if slot.finish.is_none() {
                        slots.push(slot);
                        forks.push(i as u32);
                    } else {
                        self.finish(slot, requests, results);
                    }
                }
            }
            if slots.is_empty() {
                continue;
            }
            self.decoder.select(&mut cache, &forks);
            live.slots.append(&mut slots);
            match &mut live.cache {
                Some(known) => self.decoder.append(known, cache),
                None => live.cache = Some(cache),
            }
        }
    }

    /// Takes finished rows out of the batch: at once where that is free, and otherwise when a quarter is done,
    /// since it copies the cache.
    fn drop_finished(
        &self,
        live: &mut Live<D::Cache>,
        requests: &[&SampleRequest],
        results: &mut [Sampled],
    ) {
        let n_live = live.slots.iter().filter(|slot| slot.finish.is_none()).count();
        let is_worth = if self.decoder.is_select_cheap() {
            n_live < live.slots.len()
        } else {
            n_live * 4 <= live.slots.len() * 3
        };
        if !is_worth {
            return;
        }
        let mut kept = Vec::with_capacity(n_live);
        let mut rows = Vec::with_capacity(n_live);
        for (row, slot) in live.slots.drain(..).enumerate() {
            if slot.finish.is_none() {
                rows.push(row as u32);
                kept.push(slot);
            } else {
                self.finish(slot, requests, results);
            }
        }
        live.slots = kept;
        match &mut live.cache {
            Some(cache) if n_live > 0 => self.decoder.select(cache, &rows),
            cache => *cache = None,
        }
    }

    /// Chooses the next token of a live slot.
    fn extend(
        &self,
        slot: &mut Slot,
        requests: &[&SampleRequest],
        logits: &[f32],
        chooser: &mut Chooser,
        results: &mut [Sampled],
    ) {
        if slot.finish.is_some() {
            return;
        }
        let request = requests[slot.request];
        let position = slot.tokens.len();
        let limit = request.prefix.len() + request.max_new_tokens as usize;
        if position >= limit {
            slot.finish = Some(FinishReason::Length);
            return;
        }
        let uniform = request.key.uniform_at(position as u64);
        let Some(Chosen { token, logprob }) = chooser.choose(logits, &request.sampling, uniform)
        else {
            results[slot.request] = Some(Err(SampleError::NotFinite { position }));
            slot.finish = Some(FinishReason::Length);
            return;
        };
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
    }

    fn finish(&self, slot: Slot, requests: &[&SampleRequest], results: &mut [Sampled]) {
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
        let mut results: Vec<Sampled> =
            requests.iter().map(|request| self.admit(request).err().map(Err)).collect();
        let admitted: Vec<usize> = (0..requests.len()).filter(|i| results[*i].is_none()).collect();
        let chosen: Vec<&SampleRequest> = admitted.iter().map(|i| &requests[*i]).collect();
        let mut decoded: Vec<Sampled> = vec![None; chosen.len()];
        self.decode(&chosen, &mut decoded);
        for (i, result) in admitted.into_iter().zip(decoded) {
            results[i] = result;
        }
        results.into_iter().map(|result| result.expect("every request is decoded once")).collect()
    }

    fn publish(&mut self, weights: &Weights, version: u64) -> Result<(), SampleError> {
        self.decoder.publish(weights)?;
        self.version = version;
        Ok(())
    }
}

/// What a sequence starts from.
fn context(request: &SampleRequest) -> Vec<u32> {
    [&*request.prompt, &*request.prefix].concat()
}

/// Neighbouring requests that start from the same tokens, at most `max_rows` together.
fn by_context(requests: &[&SampleRequest], max_rows: usize) -> VecDeque<Vec<usize>> {
    let mut groups: VecDeque<Vec<usize>> = VecDeque::new();
    for (i, request) in requests.iter().enumerate() {
        let is_repeated = i > 0 && {
            let before = requests[i - 1];
            before.prompt == request.prompt && before.prefix == request.prefix
        };
        match groups.back_mut() {
            Some(group) if is_repeated && group.len() < max_rows => group.push(i),
            _ => groups.push_back(vec![i]),
        }
    }
    groups
}

/// `[R, V]` on the host.
struct Rows {
    values: TensorData,
    width: usize,
}

impl Rows {
    fn new(logits: Tensor<2>) -> Self {
        let [_, width] = logits.dims();
        Self { values: logits.into_data_as::<f32>(), width }
    }

    fn row(&self, i: usize) -> &[f32] {
        let values = self.values.as_slice::<f32>().expect("the cast gives f32");
        &values[i * self.width..(i + 1) * self.width]
    }
}
