//! From tasks to prompts: lengths are checked, demonstrations tokenised and verified, and everything
//! that is left out is counted with its reason.

use std::collections::BTreeMap;
use std::fmt;
use std::thread;

use luffy_core::{
    Behavior, Demonstration, FinishReason, Outcome, Prompt, Response, Task, TextCodec,
    TokenizedDemonstration, Verifier,
};
use serde::{Deserialize, Serialize};

use crate::DataError;

/// What to do with a demonstration that fails the verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// It is left out.
    #[default]
    Drop,
    /// It stays; the reference never checks its traces.
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
    /// Demonstrations that fail the verifier.
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

/// Why a prompt was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromptDrop {
    /// It renders to no tokens.
    Empty,
    /// It is longer than `max_prompt_tokens`.
    TooLong,
    /// A response of full length would exceed the context.
    ContextExceeded,
    /// No demonstration was admitted and one is required.
    NoDemonstration,
}

/// Why a demonstration was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DemonstrationDrop {
    /// Its prompt was left out before it was looked at.
    PromptDropped,
    /// It is longer than `max_response_tokens` with its end token.
    TooLong,
    /// An end token stands in its middle: a policy would have stopped there.
    EndTokenInside,
    /// The verifier did not find it correct.
    NotCorrect,
}

/// A count with the first few ids it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The first five task ids.
    pub examples: Vec<String>,
}

impl Tally {
    const EXAMPLES: usize = 5;

    fn add(&mut self, id: &str) {
        self.count += 1;
        if self.examples.len() < Self::EXAMPLES {
            self.examples.push(id.to_owned());
        }
    }

    fn line(&self, what: &str, name: &dyn fmt::Debug) -> String {
        let dots = if self.count > self.examples.len() as u64 { ", .." } else { "" };
        format!("  {what} {name:?}: {} ({}{dots})", self.count, self.examples.join(", "))
    }
}

/// What [`admit`] did, as data. Its `Display` is the same for a human.
///
/// Every prompt and demonstration read is either admitted or in exactly one tally.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AdmissionReport {
    /// Tasks read.
    pub prompts_read: u64,
    /// Prompts admitted.
    pub prompts_admitted: u64,
    /// Prompts left out, by reason.
    pub prompts_dropped: BTreeMap<PromptDrop, Tally>,
    /// Admitted prompts without a demonstration; their groups are purely on-policy.
    pub prompts_without_demonstration: u64,
    /// Demonstrations read.
    pub demonstrations_read: u64,
    /// Demonstrations admitted.
    pub demonstrations_admitted: u64,
    /// Demonstrations left out, by reason.
    pub demonstrations_dropped: BTreeMap<DemonstrationDrop, Tally>,
    /// Verdicts on the demonstrations that fit, by outcome; empty without a verifier.
    pub outcomes: BTreeMap<Outcome, Tally>,
    /// Tokens of the longest prompt read; what `max_prompt_tokens` would have to be.
    pub longest_prompt: u64,
    /// Tokens of the longest demonstration read, with its end token.
    pub longest_demonstration: u64,
}

impl AdmissionReport {
    /// The report line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "prompts: {} of {} admitted, {} of them without demonstration, longest {} tokens",
            self.prompts_admitted,
            self.prompts_read,
            self.prompts_without_demonstration,
            self.longest_prompt
        )];
        for (reason, tally) in &self.prompts_dropped {
            lines.push(tally.line("dropped", reason));
        }
        lines.push(format!(
            "demonstrations: {} of {} admitted, longest {} tokens",
            self.demonstrations_admitted, self.demonstrations_read, self.longest_demonstration
        ));
        for (reason, tally) in &self.demonstrations_dropped {
            lines.push(tally.line("dropped", reason));
        }
        for (outcome, tally) in &self.outcomes {
            lines.push(tally.line("verified", outcome));
        }
        lines
    }
}

impl fmt::Display for AdmissionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

/// Makes prompts of tasks.
///
/// - The conversation is rendered and tokenised without further special tokens; [`Prompt::index`] is
///   the task's position in `tasks`, whatever is left out before it.
/// - If the rendered prompt ends in `<think>\n`, that prefix is cut from demonstrations that begin so.
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
    let results: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = chunks
            .into_iter()
            .map(|(first, chunk)| scope.spawn(move || gate.admit_all(first, chunk)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut prompts = Vec::new();
    let mut report = AdmissionReport::default();
    for result in results {
        let (chunk, part) = result?;
        prompts.extend(chunk);
        report.merge(part);
    }
    if prompts.is_empty() {
        Err(DataError::NoPrompts(Box::new(report)))
    } else {
        Ok((prompts, report))
    }
}

/// Prefix that a template may already have opened.
const OPENED_THINKING: &str = "<think>\n";

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
        report.prompts_read += 1;
        report.demonstrations_read += task.demonstrations.len() as u64;
        report.longest_prompt = report.longest_prompt.max(len);
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
                report.drop_demonstration(DemonstrationDrop::PromptDropped, &task.id);
            }
            report.drop_prompt(reason, &task.id);
            return Ok(None);
        }
        let opened = text.ends_with(OPENED_THINKING);
        let mut demonstrations = Vec::new();
        for demonstration in &task.demonstrations {
            match self.demonstration(&task, demonstration, opened, report)? {
                Ok(tokenized) => demonstrations.push(tokenized),
                Err(reason) => report.drop_demonstration(reason, &task.id),
            }
        }
        if demonstrations.is_empty() && self.settings.require_demonstration {
            report.drop_prompt(PromptDrop::NoDemonstration, &task.id);
            return Ok(None);
        }
        report.prompts_admitted += 1;
        report.prompts_without_demonstration += u64::from(demonstrations.is_empty());
        report.demonstrations_admitted += demonstrations.len() as u64;
        Ok(Some(Prompt { task, index, tokens: tokens.into(), demonstrations }))
    }

    fn demonstration(
        self,
        task: &Task,
        demonstration: &Demonstration,
        opened: bool,
        report: &mut AdmissionReport,
    ) -> Result<Result<TokenizedDemonstration, DemonstrationDrop>, DataError> {
        let prefix = if opened { OPENED_THINKING } else { "" };
        let text = demonstration.text.strip_prefix(prefix).unwrap_or(&demonstration.text);
        let mut tokens = self.codec.encode(text).map_err(|e| DataError::codec(&task.id, e))?;
        let is_end = |token: &u32| self.codec.end_tokens().contains(token);
        if !tokens.last().is_some_and(is_end) {
            tokens.push(self.end_token);
        }
        report.longest_demonstration = report.longest_demonstration.max(tokens.len() as u64);
        // Probabilities are checked before anything is left out: a wrong length means that the column
        // was made with another tokenizer, and then no row of it can be trusted.
        let behavior = match &demonstration.behavior_probs {
            None => Behavior::One,
            Some(probs) => Behavior::Logprobs(logprobs(&task.id, probs, tokens.len())?),
        };
        if tokens.len() as u64 > u64::from(self.settings.max_response_tokens) {
            return Ok(Err(DemonstrationDrop::TooLong));
        }
        let answer = &tokens[..tokens.len() - 1];
        if answer.iter().any(is_end) {
            return Ok(Err(DemonstrationDrop::EndTokenInside));
        }
        let text = self.codec.decode(answer);
        if let Some(verifier) = self.verifier {
            let outcome = verifier.verify(task, &Response::complete(&text)).outcome();
            report.outcomes.entry(outcome).or_default().add(&task.id);
            if outcome != Outcome::Correct && self.settings.admission == Admission::Drop {
                return Ok(Err(DemonstrationDrop::NotCorrect));
            }
        }
        Ok(Ok(TokenizedDemonstration { tokens, text, behavior, finish: FinishReason::Stop }))
    }
}

/// By how much a softmax in half precision may exceed 1 (one unit of bfloat16 above 1 is 2^-7).
const ROUNDING: f32 = 0.0079;

/// Natural logarithms of recorded probabilities, one per token.
fn logprobs(task: &str, probs: &[f32], n_tokens: usize) -> Result<Vec<f32>, DataError> {
    if probs.len() != n_tokens {
        return Err(DataError::ProbabilityCount {
            task: task.to_owned(),
            expected: n_tokens,
            found: probs.len(),
        });
    }
    let checked = probs.iter().enumerate().map(|(index, &value)| {
        if value > 0.0 && value <= 1.0 + ROUNDING {
            Ok(value.min(1.0).ln())
        } else {
            Err(DataError::Probability { task: task.to_owned(), index, value })
        }
    });
    checked.collect()
}

impl AdmissionReport {
    fn drop_prompt(&mut self, reason: PromptDrop, id: &str) {
        self.prompts_dropped.entry(reason).or_default().add(id);
    }

    fn drop_demonstration(&mut self, reason: DemonstrationDrop, id: &str) {
        self.demonstrations_dropped.entry(reason).or_default().add(id);
    }

    /// Adds the report on the tasks that follow.
    fn merge(&mut self, next: Self) {
        self.prompts_read += next.prompts_read;
        self.prompts_admitted += next.prompts_admitted;
        self.prompts_without_demonstration += next.prompts_without_demonstration;
        self.demonstrations_read += next.demonstrations_read;
        self.demonstrations_admitted += next.demonstrations_admitted;
        self.longest_prompt = self.longest_prompt.max(next.longest_prompt);
        self.longest_demonstration = self.longest_demonstration.max(next.longest_demonstration);
        merge_tallies(&mut self.prompts_dropped, next.prompts_dropped);
        merge_tallies(&mut self.demonstrations_dropped, next.demonstrations_dropped);
        merge_tallies(&mut self.outcomes, next.outcomes);
    }
}

fn merge_tallies<K: Ord>(own: &mut BTreeMap<K, Tally>, next: BTreeMap<K, Tally>) {
    for (key, tally) in next {
        let sum = own.entry(key).or_default();
        sum.count += tally.count;
        let room = Tally::EXAMPLES - sum.examples.len();
        sum.examples.extend(tally.examples.into_iter().take(room));
    }
}
