//! The decode loop over a policy whose next token depends on the whole history.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use luffy_core::{
    CodecError, Decoder, FinishReason, Message, Origin, Purpose, SampleError, SampleRequest,
    Sampler, Sampling, Span, StreamKey, TextCodec, Trajectory, Weights,
};
use luffy_rollout::Engine;
use proptest::prelude::*;

const VOCABULARY: usize = 6;
const END: u32 = 5;

/// Logits are a hash of everything a row has seen, so a row that is mixed up with another one shows.
#[derive(Debug, Default)]
struct Historian {
    /// After this many tokens of a row its logits are NaN.
    nan_after: Option<usize>,
}

impl Historian {
    fn logits(&self, rows: &[Vec<u32>]) -> Tensor<2> {
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|row| {
                let seen = row
                    .iter()
                    .fold(7_u64, |h, token| h.wrapping_mul(31).wrapping_add(u64::from(*token) + 1));
                let broken = self.nan_after.is_some_and(|n| row.len() > n);
                (0..VOCABULARY as u64).map(move |v| {
                    if broken { f32::NAN } else { (seen.wrapping_mul(v + 3) % 17) as f32 / 6.0 }
                })
            })
            .collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), VOCABULARY]), &Device::flex())
    }
}

impl Decoder for Historian {
    type Cache = Vec<Vec<u32>>;

    fn prefill(&self, prompts: &[&[u32]]) -> (Tensor<2>, Self::Cache) {
        let rows: Vec<Vec<u32>> = prompts.iter().map(|prompt| prompt.to_vec()).collect();
        (self.logits(&rows), rows)
    }

    fn step(&self, tokens: Tensor<1, Int>, cache: &mut Self::Cache) -> Tensor<2> {
        let tokens: Vec<i64> = tokens.into_data().iter::<i64>().collect();
        assert_eq!(tokens.len(), cache.len(), "one token per row");
        for (row, token) in cache.iter_mut().zip(tokens) {
            row.push(u32::try_from(token).expect("a token id"));
        }
        self.logits(cache)
    }

    fn select(&self, cache: &mut Self::Cache, rows: &[u32]) {
        *cache = rows.iter().map(|row| cache[*row as usize].clone()).collect();
    }

    fn append(&self, cache: &mut Self::Cache, other: Self::Cache) {
        cache.extend(other);
    }

    fn context_len(&self) -> usize {
        32
    }

    fn publish(&mut self, _weights: &Weights) -> Result<(), SampleError> {
        Ok(())
    }
}

#[derive(Debug)]
struct Digits;

impl TextCodec for Digits {
    fn encode(&self, text: &str) -> Result<Vec<u32>, CodecError> {
        Ok(text.chars().filter_map(|c| c.to_digit(10)).collect())
    }

    fn decode(&self, tokens: &[u32]) -> String {
        tokens.iter().filter_map(|token| char::from_digit(*token, 10)).collect()
    }

    fn render(&self, _messages: &[Message]) -> Result<String, CodecError> {
        Ok(String::new())
    }

    fn end_tokens(&self) -> &[u32] {
        &[END]
    }
}

fn engine(decoder: Historian, max_rows: usize) -> Engine<Historian> {
    Engine::new(decoder, Arc::new(Digits), Device::flex(), max_rows)
}

fn request(prompt: &[u32], member: u32, max_new_tokens: u32) -> SampleRequest {
    SampleRequest {
        prompt: prompt.into(),
        prefix: [].into(),
        max_new_tokens,
        sampling: Sampling::temperature(1.0),
        stop: [].into(),
        key: StreamKey { seed: 1, purpose: Purpose::Rollout, step: 2, prompt: 3, member },
    }
}

/// A group of eight for each of three prompts.
fn requests() -> Vec<SampleRequest> {
    let prompts: [&[u32]; 3] = [&[1, 2], &[3], &[4, 4, 4]];
    prompts.iter().flat_map(|prompt| (0..8).map(|member| request(prompt, member, 12))).collect()
}

fn sample(requests: &[SampleRequest], max_rows: usize) -> Vec<Trajectory> {
    let results = engine(Historian::default(), max_rows).sample(requests);
    results.into_iter().map(|result| result.expect("a trajectory")).collect()
}

#[test]
fn a_prefix_is_as_if_it_had_been_sampled() {
    // The first tokens of what a request gives, handed over as a prefix, lead to the same response: the
    // logits see the same history and the draws are keyed by the position in the response.
    let whole = requests();
    let expected = sample(&whole, 64);
    let prefix_len = |t: &Trajectory| (t.tokens.len() - 1).min(3);
    let begun: Vec<SampleRequest> = whole
        .iter()
        .zip(&expected)
        .map(|(request, t)| SampleRequest {
            prefix: t.tokens[..prefix_len(t)].into(),
            max_new_tokens: request.max_new_tokens - prefix_len(t) as u32,
            ..request.clone()
        })
        .collect();
    for max_rows in [1, 5, 64] {
        for (got, expected) in sample(&begun, max_rows).iter().zip(&expected) {
            assert_eq!(
                (&got.tokens, &got.text, got.finish),
                (&expected.tokens, &expected.text, expected.finish)
            );
            let Origin::Sampled { logprobs: all } = &expected.spans[0].origin else {
                panic!("sampled")
            };
            let n = prefix_len(expected);
            let rest = Span {
                len: (all.len() - n) as u32,
                origin: Origin::Sampled { logprobs: all[n..].to_vec() },
            };
            let given = Span { len: n as u32, origin: Origin::Context };
            assert_eq!(got.spans, if n == 0 { vec![rest] } else { vec![given, rest] });
        }
    }
}

#[test]
fn a_prefix_counts_against_the_context() {
    let mut long = request(&[1, 2], 0, 12);
    long.prefix = vec![1; 20].into();
    let results = engine(Historian::default(), 4).sample(&[long]);
    let expected =
        SampleError::PromptTooLong { prompt_len: 22, max_new_tokens: 12, context_len: 32 };
    assert_eq!(results, [Err(expected)]);
}

#[test]
fn responses_end_with_the_end_token_or_at_the_limit() {
    let trajectories = sample(&requests(), 64);
    let n_stopped = trajectories.iter().filter(|t| t.finish == FinishReason::Stop).count();
    assert!((1..24).contains(&n_stopped), "{n_stopped} of 24 stopped: both ends must occur");
    for t in &trajectories {
        let ended = t.tokens.last() == Some(&END);
        assert_eq!(ended, t.finish == FinishReason::Stop);
        assert!(ended || t.tokens.len() == 12);
        assert!(t.tokens[..t.tokens.len() - 1].iter().all(|token| *token != END));
        assert!(!t.text.contains('5'), "the end token is no part of the text");
        let Origin::Sampled { logprobs } = &t.spans[0].origin else { panic!("sampled") };
        assert_eq!(logprobs.len(), t.tokens.len());
        assert!(logprobs.iter().all(|logprob| *logprob < 0.0));
    }
}

#[test]
fn the_batch_does_not_change_a_response() {
    let together = sample(&requests(), 64);
    for max_rows in [1, 5, 8, 24] {
        assert_eq!(sample(&requests(), max_rows), together, "at most {max_rows} rows");
    }
    for (request, expected) in requests().iter().zip(&together) {
        assert_eq!(&sample(std::slice::from_ref(request), 64)[0], expected);
    }
}

#[test]
fn members_of_a_group_differ() {
    let group = &sample(&requests(), 64)[..8];
    assert!(group.iter().any(|t| t.tokens != group[0].tokens));
}

#[test]
fn what_does_not_fit_is_refused_alone() {
    let requests = [request(&[1; 25], 0, 8), request(&[], 0, 8), request(&[1; 24], 0, 8)];
    let results = engine(Historian::default(), 8).sample(&requests);
    let too_long =
        SampleError::PromptTooLong { prompt_len: 25, max_new_tokens: 8, context_len: 32 };
    assert_eq!(results[0], Err(too_long));
    assert_eq!(results[1], Err(SampleError::EmptyPrompt));
    assert!(results[2].is_ok());
}

#[test]
fn logits_that_are_not_finite_are_reported_with_their_place() {
    // The prompt has 2 tokens: the first token of a response is drawn, the second sees NaN.
    let requests: Vec<SampleRequest> = (0..8).map(|member| request(&[1, 2], member, 12)).collect();
    let results = engine(Historian { nan_after: Some(2) }, 8).sample(&requests);
    let (stopped, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert!(failed.len() >= 4, "only a first token that ends the response can help");
    assert!(failed.iter().all(|r| *r == Err(SampleError::NotFinite { position: 1 })));
    assert!(stopped.iter().flatten().all(|t| t.tokens == [END]));
}

#[test]
fn trajectories_carry_the_version_of_the_weights() {
    let mut engine = engine(Historian::default(), 8);
    engine.publish(&Weights::default(), 9).expect("it fits");
    let results = engine.sample(&[request(&[1], 0, 4)]);
    assert_eq!(results[0].as_ref().expect("a trajectory").version, 9);
}

/// The requests with stop strings.
fn stopping(stop: &[&str]) -> Vec<SampleRequest> {
    let stop: Arc<[String]> = stop.iter().map(|stop| (*stop).to_owned()).collect();
    requests().into_iter().map(|r| SampleRequest { stop: Arc::clone(&stop), ..r }).collect()
}

#[test]
fn a_stop_string_ends_a_response_with_the_token_that_completes_it() {
    let free = sample(&requests(), 64);
    // Two tokens that the first long response has in its middle.
    let long = free.iter().find(|t| t.text.len() > 6).expect("a long response");
    let stop = long.text.get(3..5).expect("digits are one byte");
    let stopped = sample(&stopping(&[stop, ""]), 64);
    let mut n_hit = 0;
    for (free, stopped) in free.iter().zip(&stopped) {
        let Some(at) = free.text.find(stop) else {
            assert_eq!(stopped, free, "without the stop string nothing changes");
            continue;
        };
        n_hit += 1;
        assert_eq!(Some(stopped.text.as_str()), free.text.get(..at));
        assert_eq!(stopped.tokens, free.tokens[..at + 2]);
        assert_eq!(stopped.finish, FinishReason::Stop);
        let Origin::Sampled { logprobs } = &stopped.spans[0].origin else { panic!("sampled") };
        assert_eq!(logprobs.len(), stopped.tokens.len());
    }
    assert!((1..24).contains(&n_hit), "{n_hit} of 24 have it");
}

#[test]
fn an_end_token_is_no_text_to_stop_at() {
    assert_eq!(sample(&stopping(&["5"]), 64), sample(&requests(), 64));
}

#[test]
fn a_stop_string_at_the_limit_is_a_stop() {
    let free = sample(&requests(), 64);
    let (request, free) =
        requests().into_iter().zip(free).find(|(_, t)| t.text.len() > 4).expect("a long response");
    // The limit is the token that completes the first four digits.
    let stop: Arc<[String]> = [free.text.get(..4).expect("digits").to_owned()].into();
    let limited = SampleRequest { max_new_tokens: 4, ..request };
    assert_eq!(sample(std::slice::from_ref(&limited), 1)[0].finish, FinishReason::Length);
    let stopped = &sample(&[SampleRequest { stop, ..limited }], 1)[0];
    assert_eq!((stopped.finish, stopped.text.as_str()), (FinishReason::Stop, ""));
    assert_eq!(stopped.tokens, free.tokens[..4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn stop_strings_cut_whatever_the_batch(stop in "[0-4]{1,3}", max_rows in 1_usize..30) {
        let stopped = sample(&stopping(&[&stop]), max_rows);
        for (free, stopped) in sample(&requests(), 64).iter().zip(&stopped) {
            let cut = free.text.find(&stop).map_or(free.text.len(), |at| at);
            prop_assert_eq!(Some(stopped.text.as_str()), free.text.get(..cut));
            prop_assert!(free.tokens.starts_with(&stopped.tokens));
        }
    }

    #[test]
    fn any_order_of_requests_gives_the_same_responses(seed in any::<u64>()) {
        let requests = requests();
        let expected = sample(&requests, 64);
        let key = StreamKey { seed, purpose: Purpose::Order, step: 0, prompt: 0, member: 0 };
        let order = key.stream().permutation(requests.len());
        let shuffled: Vec<SampleRequest> = order.iter().map(|i| requests[*i].clone()).collect();
        for (found, i) in sample(&shuffled, 7).iter().zip(order) {
            prop_assert_eq!(found, &expected[i]);
        }
    }
}
