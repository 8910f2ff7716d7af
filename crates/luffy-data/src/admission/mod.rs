//! From tasks to prompts: lengths are checked, demonstrations tokenised and verified, and everything
//! that is left out is counted with its reason.

use std::convert::Infallible;
use std::thread;

use luffy_core::{
    Behavior, Demonstration, FinishReason, Prompt, Response, Task, TextCodec,
    TokenizedDemonstration, Verifier,
};
use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::thinking::Opening;

mod report;

pub use report::{AdmissionReport, DemonstrationFault, PromptDrop, SourceReport, Tally};

/// What to do with a demonstration that is wrong, malformed or breaks off. One that is too long or goes
/// on after an end token is left out in any case, as no policy could write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// It is left out and counted.
    #[default]
    Drop,
    /// It stays and is counted; the reference never checks its traces.
    Keep,
}

/// Limits and policies of [`admit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AdmissionSettings {
    /// Longest rendered prompt, in tokens.
    pub max_prompt_tokens: u32,
    /// Longest response, in tokens with the end token. A longer demonstration is left out, not cut:
    /// the reference cuts it and then teaches a false end or none.
    pub max_response_tokens: u32,
    /// Most tokens the model takes: a prompt is left out if a response of full length does not fit.
    pub context_len: u32,
    /// Demonstrations with a fault.
    #[serde(default)]
    pub admission: Admission,
    /// Whether a prompt without any admitted demonstration is left out.
    #[serde(default)]
    pub require_demonstration: bool,
}

impl AdmissionSettings {
    /// Limits in tokens with the default policies: wrong traces are dropped, prompts without
    /// demonstration stay.
    pub fn new(max_prompt_tokens: u32, max_response_tokens: u32, context_len: u32) -> Self {
        Self {
            max_prompt_tokens,
            max_response_tokens,
            context_len,
            admission: Admission::Drop,
            require_demonstration: false,
        }
    }
}

/// Makes prompts of tasks.
///
/// - The conversation is rendered and tokenised without further special tokens; [`Prompt::index`] is
///   the task's position in `tasks`, whatever is left out before it.
/// - If the rendered prompt ends in `<think>` or `<think>\n`, that prefix is cut from demonstrations that
///   begin so.
/// - What does not fit together is a fault: a thought that is opened twice, not opened, or not closed
///   ([`DemonstrationFault`]); so is whatever `verifier` finds wrong. [`Admission`] decides what becomes
///   of it.
/// - A demonstration gets the codec's first end token unless it ends in one, and is never cut.
/// - Recorded probabilities `p` become [`Behavior::Logprobs`] `ln p`, else it is [`Behavior::One`].
/// - [`TokenizedDemonstration::text`] is decoded from the tokens without the end token, as a sampled
///   response would be, and that text is what `verifier` gets. Without a verifier all traces pass.
///
/// The work is spread over the machine's cores; the result does not depend on how many there are.
///
/// # Errors
/// If a task cannot be rendered or tokenised, if recorded probabilities do not fit, if the codec has no
/// end token, or if no prompt is left.
pub fn admit(
    tasks: Vec<Task>,
    codec: &dyn TextCodec,
    settings: &AdmissionSettings,
    verifier: Option<&dyn Verifier>,
) -> Result<(Vec<Prompt>, AdmissionReport), DataError> {
    let end_token = *codec.end_tokens().first().ok_or(DataError::NoEndToken)?;
    let gate = Gate { codec, settings, verifier, end_token };
    let (prompts, report) = spread(tasks, |first, chunk| gate.admit_all(first, chunk))?;
    if prompts.is_empty() {
        Err(DataError::NoPrompts(Box::new(report)))
    } else {
        Ok((prompts, report))
    }
}

/// Checks the demonstrations of a file before there is a model: their tags and their answers.
///
/// A task whose demonstration has a fault stays, with the demonstration under [`Admission::Keep`] and
/// without it under [`Admission::Drop`]. Lengths are not looked at; the report says so with zeros.
pub fn screen(
    tasks: Vec<Task>,
    verifier: &dyn Verifier,
    admission: Admission,
) -> (Vec<Task>, AdmissionReport) {
    let screened = spread(tasks, |_, mut chunk| {
        let mut report = AdmissionReport::default();
        for task in &mut chunk {
            report.read(task, 0);
            let mut kept = Vec::new();
            for demonstration in std::mem::take(&mut task.demonstrations) {
                let response = Response::complete(&demonstration.text);
                let outcome = verifier.verify(task, &response).outcome();
                report.verified(outcome, task);
                let fault = Opening::Response.fault(&demonstration.text);
                match fault.or(DemonstrationFault::of_outcome(outcome)) {
                    Some(fault) if admission == Admission::Drop => {
                        report.drop_demonstration(fault, task);
                        continue;
                    }
                    Some(fault) => report.keep_demonstration(fault, task),
                    None => {}
                }
                kept.push(demonstration);
            }
            report.admit(task, kept.len() as u64);
            task.demonstrations = kept;
        }
        Ok::<_, Infallible>((chunk, report))
    });
    screened.unwrap_or_else(|never| match never {})
}

/// Does `work` on runs of consecutive tasks side by side; it gets the position of the first of them. The
/// result does not depend on how many there are.
fn spread<T: Send, E: Send>(
    tasks: Vec<Task>,
    work: impl Fn(u64, Vec<Task>) -> Result<(Vec<T>, AdmissionReport), E> + Sync,
) -> Result<(Vec<T>, AdmissionReport), E> {
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    let chunk_len = tasks.len().div_ceil(n_threads).max(1);
    let mut chunks = Vec::new();
    let mut rest = tasks;
    let mut first = 0;
    while !rest.is_empty() {
        let tail = rest.split_off(chunk_len.min(rest.len()));
        let len = rest.len() as u64;
        chunks.push((first, rest));
        (first, rest) = (first + len, tail);
    }
    let work = &work;
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = chunks
            .into_iter()
            .map(|(first, chunk)| scope.spawn(move || work(first, chunk)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut items = Vec::new();
    let mut report = AdmissionReport::default();
    for result in results {
        let (chunk, part) = result?;
        items.extend(chunk);
        report.merge(part);
    }
    Ok((items, report))
}

#[derive(Clone, Copy)]
struct Gate<'a> {
    codec: &'a dyn TextCodec,
    settings: &'a AdmissionSettings,
    verifier: Option<&'a dyn Verifier>,
    end_token: u32,
}

impl Gate<'_> {
    /// Admits consecutive tasks, the first of which has position `first`.
    fn admit_all(
        self,
        first: u64,
        tasks: Vec<Task>,
    ) -> Result<(Vec<Prompt>, AdmissionReport), DataError> {
        let mut report = AdmissionReport::default();
        let mut prompts = Vec::with_capacity(tasks.len());
        for (index, task) in (first..).zip(tasks) {
            prompts.extend(self.admit_one(index, task, &mut report)?);
        }
        Ok((prompts, report))
    }

    fn admit_one(
        self,
        index: u64,
        task: Task,
        report: &mut AdmissionReport,
    ) -> Result<Option<Prompt>, DataError> {
        let failed = |e| DataError::codec(&task.id, e);
        let text = self.codec.render(&task.messages).map_err(failed)?;
        let tokens = self.codec.encode(&text).map_err(failed)?;
        let len = tokens.len() as u64;
        report.read(&task, len);
        let reason = if len == 0 {
            Some(PromptDrop::Empty)
        } else if len > u64::from(self.settings.max_prompt_tokens) {
            Some(PromptDrop::TooLong)
        } else if len + u64::from(self.settings.max_response_tokens)
            > u64::from(self.settings.context_len)
        {
            Some(PromptDrop::ContextExceeded)
        } else {
            None
        };
        if let Some(reason) = reason {
            for _ in &task.demonstrations {
                report.drop_demonstration(DemonstrationFault::PromptDropped, &task);
            }
            report.drop_prompt(reason, &task);
            return Ok(None);
        }
        let opening = Opening::of(&text);
        let mut demonstrations = Vec::new();
        for demonstration in &task.demonstrations {
            let Trace { tokenized, len, fault } =
                self.demonstration(&task, demonstration, opening, report)?;
            report.longest_demonstration = report.longest_demonstration.max(len);
            match fault {
                None => demonstrations.push(tokenized),
                Some(fault) if self.keeps(fault) => {
                    report.keep_demonstration(fault, &task);
                    demonstrations.push(tokenized);
                }
                Some(fault) => report.drop_demonstration(fault, &task),
            }
        }
        if demonstrations.is_empty() && self.settings.require_demonstration {
            report.drop_prompt(PromptDrop::NoDemonstration, &task);
            return Ok(None);
        }
        report.admit(&task, demonstrations.len() as u64);
        Ok(Some(Prompt { task, index, tokens: tokens.into(), demonstrations }))
    }

    fn keeps(self, fault: DemonstrationFault) -> bool {
        self.settings.admission == Admission::Keep && fault.may_be_kept()
    }

    fn demonstration(
        self,
        task: &Task,
        demonstration: &Demonstration,
        opening: Opening,
        report: &mut AdmissionReport,
    ) -> Result<Trace, DataError> {
        let text = opening.continued_by(&demonstration.text);
        let mut tokens = self.codec.encode(text).map_err(|e| DataError::codec(&task.id, e))?;
        let is_end = |token: &u32| self.codec.end_tokens().contains(token);
        if !tokens.last().is_some_and(is_end) {
            tokens.push(self.end_token);
        }
        // Probabilities are checked before anything is left out: a wrong length means that the column
        // was made with another tokenizer, and then no row of it can be trusted.
        let behavior = match &demonstration.behavior_probs {
            None => Behavior::One,
            Some(probs) => Behavior::Logprobs(logprobs(&task.id, probs, tokens.len())?),
        };
        let len = tokens.len() as u64;
        let answer = &tokens[..tokens.len() - 1];
        let has_end_inside = answer.iter().any(is_end);
        let decoded = self.codec.decode(answer);
        let fault = if len > u64::from(self.settings.max_response_tokens) {
            Some(DemonstrationFault::TooLong)
        } else if has_end_inside {
            Some(DemonstrationFault::EndTokenInside)
        } else {
            let verdict = self.verifier.and_then(|verifier| {
                let outcome = verifier.verify(task, &Response::complete(&decoded)).outcome();
                report.verified(outcome, task);
                DemonstrationFault::of_outcome(outcome)
            });
            opening.fault(&decoded).or(verdict)
        };
        let finish = FinishReason::Stop;
        let tokenized = TokenizedDemonstration { tokens, text: decoded, behavior, finish };
        Ok(Trace { tokenized, len, fault })
    }
}

/// A demonstration as tokens, and the first thing that is wrong with it.
struct Trace {
    tokenized: TokenizedDemonstration,
    /// Tokens with the end token.
    len: u64,
    fault: Option<DemonstrationFault>,
}

/// By how much a softmax in half precision may exceed 1 (one unit of bfloat16 above 1 is 2^-7).
const ROUNDING: f32 = 0.0079;

/// Natural logarithms of recorded probabilities, one per token.
fn logprobs(task: &str, probs: &[f64], n_tokens: usize) -> Result<Vec<f32>, DataError> {
    if probs.len() != n_tokens {
        return Err(DataError::ProbabilityCount {
            task: task.to_owned(),
            expected: n_tokens,
            found: probs.len(),
        });
    }
    let checked = probs.iter().enumerate().map(|(index, &value)| {
        let value = value as f32;
        if value > 0.0 && value <= 1.0 + ROUNDING {
            Ok(value.min(1.0).ln())
        } else {
            Err(DataError::Probability { task: task.to_owned(), index, value })
        }
    });
    checked.collect()
}
