//! Responses of a model to problems, appended unit by unit so that an interrupted evaluation goes on.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use luffy_core::{
    Outcome, Purpose, Reason, SampleRequest, Sampler, StreamKey, TextCodec, Trajectory,
};
use luffy_data::{HfCodec, ThinkFormat, check_thinking};
use luffy_policy::{LmDecoder, ModelConfig};
use luffy_reward::Format;
use luffy_rollout::Engine;
use rayon::prelude::*;

use super::record::{Finish, Line, Results};
use super::settings::Settings;
use super::suite::{Problem, Selected, without_system};
use super::{EvalArgs, RESPONSES, System, counted, digest, ensure_some, grading};
use crate::device::device;
use crate::exit::{Code, WithCode};
use crate::jsonl::JsonlLog;
use crate::meter::Meter;
use crate::model::{ModelArgs, check_ids};

mod stored;

use stored::Expected;

/// The temperature of LUFFY's evaluation.
pub(super) const TEMPERATURE: f32 = 0.6;

/// A problem as the model reads it.
struct Asked {
    problem: Problem,
    prompt: Arc<[u32]>,
    prompt_digest: String,
    format: Format,
    /// Most tokens of a response; zero if the prompt fills the context.
    room: u32,
    samples: u32,
}

/// Generates and grades the responses that the file does not have yet, in the order of the problems.
///
/// The work is cut into units by the position of a response in the whole, `max_rows` sequences each. A
/// resume begins at the last unit whose responses are all there, so every batch is the one of an
/// uninterrupted run, and the file has the same bytes.
pub(super) fn answer(
    args: &EvalArgs,
    model: &ModelArgs,
    selected: Selected,
    out: &Path,
    bar: bool,
) -> anyhow::Result<Results> {
    let codec = Arc::new(model.codec()?);
    let config = ModelConfig::read(&model.model).code(Code::Input)?;
    let settings = Settings::new(args, model, &selected.files)?;
    settings.check(out)?;
    let mut results = Results::new(args.grading.profile, Some(selected.data));
    let files = selected.files.iter().map(|file| file.display().to_string());
    ensure_some(selected.problems.len(), &files.collect::<Vec<_>>().join(", "))?;
    let asked = selected
        .problems
        .into_iter()
        .map(|problem| ask(args, problem, &codec, &config))
        .collect::<anyhow::Result<Vec<Asked>>>()?;
    let pairs: Vec<(usize, u32)> = asked
        .iter()
        .enumerate()
        .flat_map(|(i, asked)| (0..asked.samples).map(move |sample| (i, sample)))
        .collect();
    say_too_long(&asked, config.max_position_embeddings);

    let units = units(&pairs, &asked, args.sampling.max_rows);
    let expected: Vec<Expected<'_>> = pairs
        .iter()
        .map(|(i, sample)| Expected {
            task: &asked[*i].problem.task,
            sample: *sample,
            prompt_digest: Some(&asked[*i].prompt_digest),
        })
        .collect();
    let ends: Vec<usize> = units.iter().map(|unit| unit.end).collect();
    let path = out.join(RESPONSES);
    let stored = stored::read(&path, &expected, &ends, |line| results.add(line))?;
    if stored.n_lines > 0 {
        let (n, all) = (stored.n_lines, pairs.len());
        eprintln!("{n} of {all} responses are there already");
    }
    if stored.n_lines == pairs.len() {
        return Ok(results);
    }
    let device = device();
    let (_, weights) = model.load(&codec, &device)?;
    // Only now: a folder that is claimed for a model that cannot be read is in the way of the right one.
    settings.write(out)?;
    let dir = out.display();
    eprintln!(
        "responses go to {dir}; after an interruption, the same command with `--out {dir}` goes on"
    );
    let mut log = JsonlLog::open(&path, stored.offset)?;
    let decoder = LmDecoder::new(weights);
    let engine_codec: Arc<dyn TextCodec> = Arc::<HfCodec>::clone(&codec);
    let mut engine = Engine::new(decoder, engine_codec, device, args.sampling.max_rows);
    let n_left = (pairs.len() - stored.n_lines) as u64;
    let mut meter = Meter::new("responses", Some(n_left), bar);
    for unit in units.into_iter().filter(|unit| unit.start >= stored.n_lines) {
        for line in answer_unit(args, &mut engine, &asked, &pairs[unit])? {
            log.append(&line)?;
            meter.add(1, 1, line.n_tokens);
            results.add(line).map_err(anyhow::Error::msg)?;
        }
        log.sync()?;
    }
    meter.finish();
    Ok(results)
}

/// Renders and tokenises a problem.
fn ask(
    args: &EvalArgs,
    problem: Problem,
    codec: &HfCodec,
    config: &ModelConfig,
) -> anyhow::Result<Asked> {
    let messages = match args.system {
        System::Keep => &problem.task.messages[..],
        System::Drop => without_system(&problem.task.messages),
    };
    let id = &problem.task.id;
    let text = codec.render(messages).with_context(|| id.clone()).code(Code::Input)?;
    let prompt: Arc<[u32]> =
        codec.encode(&text).with_context(|| id.clone()).code(Code::Input)?.into();
    let check = if prompt.is_empty() {
        Err("the prompt has no tokens".to_owned())
    } else {
        check_ids(&prompt, config)
    };
    check.map_err(|what| anyhow!("{id}: {what}")).code(Code::Input)?;
    // A prompt that no format without thoughts fits has opened one.
    let is_opened = check_thinking(&text, ThinkFormat::Nothing).is_err();
    let own = if is_opened { Format::Think } else { Format::Plain };
    let left = config.max_position_embeddings.saturating_sub(prompt.len());
    Ok(Asked {
        format: args.grading.format.unwrap_or(own),
        room: args.max_new_tokens.min(u32::try_from(left).unwrap_or(u32::MAX)),
        samples: args.samples.unwrap_or(problem.n_rows),
        prompt_digest: digest::prompt(&prompt),
        prompt,
        problem,
    })
}

fn say_too_long(asked: &[Asked], context: usize) {
    let n = asked.iter().filter(|asked| asked.room == 0).count();
    if n > 0 {
        let longest = asked.iter().map(|asked| asked.prompt.len()).max().unwrap_or(0);
        eprintln!(
            "{} too long for the context of {context} tokens and count as wrong; the longest has {longest}",
            counted(n as u64, "prompt is", "prompts are")
        );
    }
}

/// Runs of responses with at most `max_rows` that must be generated.
fn units(pairs: &[(usize, u32)], asked: &[Asked], max_rows: usize) -> Vec<Range<usize>> {
    let mut units = Vec::new();
    let (mut start, mut rows) = (0, 0);
    for (at, (i, _)) in pairs.iter().enumerate() {
        rows += usize::from(asked[*i].room > 0);
        if rows == max_rows || at + 1 == pairs.len() {
            units.push(start..at + 1);
            (start, rows) = (at + 1, 0);
        }
    }
    units
}

/// The graded responses of a unit.
fn answer_unit(
    args: &EvalArgs,
    engine: &mut Engine<LmDecoder>,
    asked: &[Asked],
    pairs: &[(usize, u32)],
) -> anyhow::Result<Vec<Line>> {
    let sampling = args.sampling.sampling(TEMPERATURE);
    let stop = args.sampling.stop();
    let requests: Vec<SampleRequest> = pairs
        .iter()
        .filter(|(i, _)| asked[*i].room > 0)
        .map(|(i, sample)| SampleRequest {
            prompt: Arc::clone(&asked[*i].prompt),
            prefix: [].into(),
            max_new_tokens: asked[*i].room,
            sampling,
            stop: Arc::clone(&stop),
            key: StreamKey {
                seed: args.sampling.seed,
                purpose: Purpose::Evaluation,
                step: 0,
                prompt: asked[*i].problem.key,
                member: *sample,
            },
        })
        .collect();
    let mut answers = engine.sample(&requests).into_iter();
    let mut lines = Vec::with_capacity(pairs.len());
    for (i, sample) in pairs {
        let asked = &asked[*i];
        let answer = if asked.room > 0 {
            let answer = answers.next().expect("a sampler gives one result per request");
            Some(answer.with_context(|| asked.problem.task.id.clone())?)
        } else {
            None
        };
        lines.push(line(asked, *sample, answer));
    }
    let (profile, require_stop) = (args.grading.profile, args.grading.require_stop);
    lines.par_iter_mut().for_each(|line| grading::grade(line, profile, require_stop));
    Ok(lines)
}

/// A line without its verdict.
fn line(asked: &Asked, sample: u32, answer: Option<Trajectory>) -> Line {
    let task = &asked.problem.task;
    let finish = answer.as_ref().map_or(Finish::TooLong, |answer| answer.finish.into());
    let n_tokens = answer.as_ref().map_or(0, |answer| answer.tokens.len() as u64);
    Line {
        problem: task.id.clone(),
        source: task.source.clone(),
        sample,
        golds: task.golds.clone(),
        verifier: asked.problem.verifier,
        format: asked.format,
        prompt_len: asked.prompt.len() as u64,
        prompt_digest: Some(asked.prompt_digest.clone()),
        response: answer.map_or_else(String::new, |answer| answer.text),
        n_tokens,
        finish,
        correct: false,
        verdict: Outcome::BadGold,
        reason: Reason::BadGold,
        extracted: None,
    }
}
