//! The comparisons of one case.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use luffy_core::{
    Decoder as _, Learner as _, MicroBatch, Objective as _, OptimizerSlot, Origin, Policy as _,
    Purpose, Row, SampleRequest, Sampler as _, Sampling, StepShape, StreamKey, TextCodec as _,
    Trajectory,
};
use luffy_data::HfCodec;
use luffy_objective::SupervisedLoss;
use luffy_policy::{
    CausalLm, FrequencyRounding, LmDecoder, ModelConfig, ReplicaLearner, load_model,
};
use luffy_rollout::Engine;

use super::Tally;
use super::case::{Case, Forward, Greedy};
use crate::device::device;
use crate::exit::{Code, WithCode};

/// Log-probs, entropies, and sampling against scoring, in nats.
const NATS: f64 = 2e-5;
/// Logits, whose size is not bounded.
const LOGITS: f64 = 1e-4;
/// Losses and gradient norms, relative.
const RELATIVE: f64 = 1e-4;

/// All comparisons, and a note on how the model was read.
///
/// A checkpoint in half precision whose figures do not fit is compared once more with its rotary frequencies
/// rounded to that precision: so computes a model that was cast as a whole (`model.to(dtype)`), and
/// nothing in its files tells it from one that was loaded.
pub(super) fn run(case: &Case) -> anyhow::Result<(Tally, String)> {
    let mut config = ModelConfig::read(&case.dir).code(Code::Input)?;
    let exact = compare(case, &config)?;
    let rounding = half_precision(&config);
    if exact.failures.is_empty() || rounding == FrequencyRounding::Exact {
        return Ok((exact, String::new()));
    }
    config.rope.rounding = rounding;
    let rounded = compare(case, &config)?;
    if rounded.failures.is_empty() {
        let far = exact.kinds.iter().find(|(kind, ..)| *kind == "log-prob").map_or(0.0, |k| k.2);
        let note = format!(
            "; with rotary frequencies rounded to {rounding:?}, as `model.to(dtype)` leaves them \
             (exact ones miss by {far:.0e})"
        );
        return Ok((rounded, note));
    }
    Ok((exact, String::new()))
}

/// The precision of the stored weights.
fn half_precision(config: &ModelConfig) -> FrequencyRounding {
    let dtype = ["dtype", "torch_dtype"].iter().find_map(|key| config.raw.get(*key)?.as_str());
    match dtype {
        Some("bfloat16") => FrequencyRounding::Bf16,
        Some("float16") => FrequencyRounding::F16,
        _ => FrequencyRounding::Exact,
    }
}

fn compare(case: &Case, config: &ModelConfig) -> anyhow::Result<Tally> {
    case.check(config).code(Code::Input)?;
    let device = device();
    let mut tally = Tally::default();
    let codec = HfCodec::open(&case.dir, None).code(Code::Input)?;
    let model = load_model(config, &case.dir, &device).code(Code::Input)?;
    texts(case, &codec, &mut tally)?;
    forward(case, &model, &device, &mut tally);
    sampling(case, &model, codec, &device, &mut tally)?;
    steps(case, model, &device, &mut tally)?;
    Ok(tally)
}

/// Token ids and rendered chats.
fn texts(case: &Case, codec: &HfCodec, tally: &mut Tally) -> anyhow::Result<()> {
    for text in &case.expected.texts {
        tally.check_equal("text", &text.text, &codec.encode(&text.text)?, &text.ids);
    }
    for (i, chat) in case.expected.chat.iter().enumerate() {
        let rendered = codec.render_with(&chat.messages, chat.add_generation_prompt)?;
        tally.check_equal("chat", &i.to_string(), &rendered, &chat.text);
    }
    Ok(())
}

/// A row that is scored and learned from.
fn row(prompt: &[u32], response: &[u32]) -> Row {
    Row::given(prompt.into(), response.to_vec())
}

fn host(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// Largest difference; infinite where the lengths differ.
fn distance(found: &[f64], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, worse)
}

/// The larger of two distances; NaN is worse than any number.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Log-probs, entropies and logits.
fn forward(case: &Case, model: &CausalLm, device: &Device, tally: &mut Tally) {
    let decoder = LmDecoder::new(model.clone());
    for Forward { ids, last_logits, token_log_prob, entropy } in &case.expected.forward {
        let what = format!("of {} tokens", ids.len());
        // One token more than there is, so that the last position is scored too.
        let mut response = ids[1..].to_vec();
        response.push(0);
        let row = row(&ids[..1], &response);
        let stats = model.score(&MicroBatch::collate(&[&row], device));
        let logprobs = host(stats.logprobs);
        let found = &logprobs[..logprobs.len() - 1];
        tally.check("log-prob", &what, distance(found, token_log_prob), NATS);
        tally.check("entropy", &what, distance(&host(stats.entropy), entropy), NATS);
        let logits = host(decoder.prefill(&[ids]).0);
        tally.check("logits", &what, distance(&logits, last_logits), LOGITS);
    }
}

/// Greedy tokens, and log-probs while sampling against log-probs from scoring, whatever stands beside in
/// the batch.
fn sampling(
    case: &Case,
    model: &CausalLm,
    codec: HfCodec,
    device: &Device,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let decoder = LmDecoder::new(model.clone());
    let room = decoder.context_len();
    let mut engine = Engine::new(decoder, Arc::new(codec), device.clone(), 64);
    let request = |greedy: &Greedy, sampling, member| SampleRequest {
        prompt: greedy.prompt.as_slice().into(),
        prefix: [].into(),
        max_new_tokens: Greedy::MAX_NEW.min((room - greedy.prompt.len()) as u32),
        sampling,
        stop: Arc::default(),
        key: StreamKey { seed: 0, purpose: Purpose::Generate, step: 0, prompt: 0, member },
    };
    let cases = &case.expected.greedy;
    for greedy in cases {
        let found = engine.sample(&[request(greedy, Sampling::Greedy, 0)]).remove(0)?;
        let what = format!("after {} tokens", greedy.prompt.len());
        tally.check_equal("greedy", &what, &found.tokens, &greedy.new_tokens);
    }
    // Alone, in groups that share a prefill, in another order, and interleaved.
    let all = |order: &[usize], members: u32| -> Vec<SampleRequest> {
        order
            .iter()
            .flat_map(|i| {
                (0..members).map(|member| request(&cases[*i], Sampling::temperature(1.0), member))
            })
            .collect()
    };
    let n = cases.len();
    let (forward, backward): (Vec<_>, Vec<_>) = ((0..n).collect(), (0..n).rev().collect());
    let mut interleaved = all(&forward, 1);
    interleaved.extend(all(&backward, 3));
    let batches = (0..n).map(|i| all(&[i], 1)).chain([
        all(&forward, 4),
        all(&backward, 5),
        interleaved,
        all(&[forward, backward].concat(), 2),
    ]);
    for batch in batches {
        let found = engine.sample(&batch).into_iter().collect::<Result<Vec<_>, _>>()?;
        let rows: Vec<Row> =
            batch.iter().zip(&found).map(|(r, found)| row(&r.prompt, &found.tokens)).collect();
        let rows: Vec<&Row> = rows.iter().collect();
        let what = format!("in a batch of {}", rows.len());
        tally.check("sampling", &what, apart(model, &rows, &found, device), NATS);
    }
    Ok(())
}

/// The largest difference between the log-probs of trajectories and those that scoring gives.
fn apart(model: &CausalLm, rows: &[&Row], found: &[Trajectory], device: &Device) -> f64 {
    let stats = model.score(&MicroBatch::collate(rows, device));
    let [_, t] = stats.logprobs.dims();
    let scored = host(stats.logprobs);
    let mut far: f64 = 0.0;
    for (scored, trajectory) in scored.chunks(t).zip(found) {
        let Origin::Sampled { logprobs } = &trajectory.spans[0].origin else {
            return f64::INFINITY;
        };
        let sampled: Vec<f64> = logprobs.iter().map(|logprob| f64::from(*logprob)).collect();
        far = worse(far, distance(&sampled, &scored[..sampled.len()]));
    }
    far
}

/// Losses and gradient norms of the training steps, with recomputation and without.
fn steps(case: &Case, model: CausalLm, device: &Device, tally: &mut Tally) -> anyhow::Result<()> {
    let expected = &case.expected.train_steps;
    let rows = [row(&expected.ids[..1], &expected.ids[1..])];
    let n_tokens = rows[0].response.len() as u64;
    let shape = StepShape::supervised(1, n_tokens, n_tokens as u32);
    let scale = SupervisedLoss::default().scale(&shape);
    for recompute in [false, true] {
        let model = model.clone().with_recompute(recompute);
        let mut learner = ReplicaLearner::new(model, device, expected.optimizer.settings());
        for (i, step) in expected.steps.iter().enumerate() {
            let (gradients, metrics) =
                learner.gradients(&rows, &SupervisedLoss::default(), &scale)?;
            let report = learner.apply(OptimizerSlot(0), gradients, expected.optimizer.lr)?;
            let loss = metrics.mean(luffy_objective::metric::SFT_LOSS).unwrap_or(f64::NAN);
            let what = format!("{i}, recompute {recompute}");
            let relative = |found: f64, wanted: f64| (found - wanted).abs() / wanted.abs();
            tally.check("loss", &what, relative(loss, step.loss), RELATIVE);
            tally.check("grad-norm", &what, relative(report.grad_norm, step.grad_norm), RELATIVE);
        }
    }
    Ok(())
}
