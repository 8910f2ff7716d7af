//! What was admitted and what was not, in counts.

use std::collections::BTreeMap;
use std::fmt;

use luffy_core::{Outcome, Task};
use serde::{Deserialize, Serialize};

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

/// What is wrong with a demonstration. Where several things are, the first of this list counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DemonstrationFault {
    /// Its prompt was left out before it was looked at.
    PromptDropped,
    /// It is longer than `max_response_tokens` with its end token.
    TooLong,
    /// An end token stands in its middle: a policy would have stopped there.
    EndTokenInside,
    /// The prompt ends in `<think>`, and it opens the thought again in another spelling.
    ThoughtOpenedTwice,
    /// It closes a thought that neither it nor the prompt opened.
    ThoughtNotOpened,
    /// Its thought is never closed: it was cut before its end.
    Truncated,
    /// The verifier says that the answer is wrong.
    Incorrect,
    /// The verifier found no answer in the form that is asked for.
    Malformed,
    /// The task has no gold answer, or one that nobody can grade by.
    Ungradable,
}

impl DemonstrationFault {
    /// What the verifier's outcome says against a trace.
    pub(super) fn of_outcome(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Correct => None,
            Outcome::Incorrect => Some(Self::Incorrect),
            Outcome::Malformed => Some(Self::Malformed),
            Outcome::BadGold => Some(Self::Ungradable),
        }
    }

    /// Whether a policy could have written it at all.
    pub(super) fn may_be_kept(self) -> bool {
        !matches!(self, Self::PromptDropped | Self::TooLong | Self::EndTokenInside)
    }
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

/// What [`admit`](crate::admit) did, as data. Its `Display` is the same for a human.
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
    /// Demonstrations left out, by fault.
    pub demonstrations_dropped: BTreeMap<DemonstrationFault, Tally>,
    /// Demonstrations admitted in spite of a fault, as [`Admission::Keep`](crate::Admission::Keep) asks.
    pub demonstrations_kept: BTreeMap<DemonstrationFault, Tally>,
    /// Verdicts on the demonstrations that fit, by outcome; empty without a verifier.
    pub outcomes: BTreeMap<Outcome, Tally>,
    /// Tokens of the longest prompt read; what `max_prompt_tokens` would have to be.
    pub longest_prompt: u64,
    /// Tokens of the longest demonstration read, with its end token.
    pub longest_demonstration: u64,
    /// The same counts for each source: the file's name, then the task's source where it says more.
    pub sources: BTreeMap<String, SourceReport>,
}

/// The part of an [`AdmissionReport`] that speaks of one source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SourceReport {
    /// Tasks read.
    pub prompts_read: u64,
    /// Prompts admitted.
    pub prompts_admitted: u64,
    /// Prompts left out, by reason.
    pub prompts_dropped: BTreeMap<PromptDrop, u64>,
    /// Demonstrations read.
    pub demonstrations_read: u64,
    /// Demonstrations admitted.
    pub demonstrations_admitted: u64,
    /// Demonstrations left out, by fault.
    pub demonstrations_dropped: BTreeMap<DemonstrationFault, u64>,
    /// Demonstrations admitted in spite of a fault.
    pub demonstrations_kept: BTreeMap<DemonstrationFault, u64>,
}

impl SourceReport {
    fn line(&self, name: &str) -> String {
        let mut faults = reasons("dropped", &self.demonstrations_dropped);
        faults.extend(reasons("kept", &self.demonstrations_kept));
        format!(
            "  {name}: prompts {} of {}{}; demonstrations {} of {}{}",
            self.prompts_admitted,
            self.prompts_read,
            bracketed(&reasons("dropped", &self.prompts_dropped)),
            self.demonstrations_admitted,
            self.demonstrations_read,
            bracketed(&faults)
        )
    }

    fn merge(&mut self, next: Self) {
        self.prompts_read += next.prompts_read;
        self.prompts_admitted += next.prompts_admitted;
        self.demonstrations_read += next.demonstrations_read;
        self.demonstrations_admitted += next.demonstrations_admitted;
        merge_counts(&mut self.prompts_dropped, next.prompts_dropped);
        merge_counts(&mut self.demonstrations_dropped, next.demonstrations_dropped);
        merge_counts(&mut self.demonstrations_kept, next.demonstrations_kept);
    }
}

/// Nothing where there was nothing to measure.
fn longest(n_tokens: u64) -> String {
    if n_tokens == 0 { String::new() } else { format!(", longest {n_tokens} tokens") }
}

fn reasons<K: fmt::Debug>(what: &str, counts: &BTreeMap<K, u64>) -> Vec<String> {
    counts.iter().map(|(reason, count)| format!("{what} {reason:?} {count}")).collect()
}

fn bracketed(reasons: &[String]) -> String {
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) }
}

impl AdmissionReport {
    /// The report line by line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "prompts: {} of {} admitted, {} of them without demonstration{}",
            self.prompts_admitted,
            self.prompts_read,
            self.prompts_without_demonstration,
            longest(self.longest_prompt)
        )];
        for (reason, tally) in &self.prompts_dropped {
            lines.push(tally.line("dropped", reason));
        }
        lines.push(format!(
            "demonstrations: {} of {} admitted{}",
            self.demonstrations_admitted,
            self.demonstrations_read,
            longest(self.longest_demonstration)
        ));
        for (reason, tally) in &self.demonstrations_dropped {
            lines.push(tally.line("dropped", reason));
        }
        for (fault, tally) in &self.demonstrations_kept {
            lines.push(tally.line("kept", fault));
        }
        for (outcome, tally) in &self.outcomes {
            lines.push(tally.line("verified", outcome));
        }
        // One source would only say the same again.
        if self.sources.len() > 1 {
            lines.push("by source:".into());
            lines.extend(self.sources.iter().map(|(name, part)| part.line(name)));
        }
        lines
    }
}

impl fmt::Display for AdmissionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl AdmissionReport {
    /// Counts a task whose prompt has `len` tokens.
    pub(super) fn read(&mut self, task: &Task, len: u64) {
        let n_demonstrations = task.demonstrations.len() as u64;
        self.prompts_read += 1;
        self.demonstrations_read += n_demonstrations;
        self.longest_prompt = self.longest_prompt.max(len);
        let source = self.source(task);
        source.prompts_read += 1;
        source.demonstrations_read += n_demonstrations;
    }

    /// Counts an admitted prompt.
    pub(super) fn admit(&mut self, task: &Task, n_demonstrations: u64) {
        self.prompts_admitted += 1;
        self.prompts_without_demonstration += u64::from(n_demonstrations == 0);
        self.demonstrations_admitted += n_demonstrations;
        let source = self.source(task);
        source.prompts_admitted += 1;
        source.demonstrations_admitted += n_demonstrations;
    }

    pub(super) fn drop_prompt(&mut self, reason: PromptDrop, task: &Task) {
        self.prompts_dropped.entry(reason).or_default().add(&task.id);
        *self.source(task).prompts_dropped.entry(reason).or_default() += 1;
    }

    pub(super) fn drop_demonstration(&mut self, fault: DemonstrationFault, task: &Task) {
        self.demonstrations_dropped.entry(fault).or_default().add(&task.id);
        *self.source(task).demonstrations_dropped.entry(fault).or_default() += 1;
    }

    pub(super) fn keep_demonstration(&mut self, fault: DemonstrationFault, task: &Task) {
        self.demonstrations_kept.entry(fault).or_default().add(&task.id);
        *self.source(task).demonstrations_kept.entry(fault).or_default() += 1;
    }

    pub(super) fn verified(&mut self, outcome: Outcome, task: &Task) {
        self.outcomes.entry(outcome).or_default().add(&task.id);
    }

    fn source(&mut self, task: &Task) -> &mut SourceReport {
        // An id is `FILE:ROW`.
        let file = task.id.rsplit_once(':').map_or("", |(file, _)| file);
        let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
        let name = match task.source.as_str() {
            source if source.is_empty() || source == stem => file.to_owned(),
            source if file.is_empty() => source.to_owned(),
            source => format!("{file} {source}"),
        };
        self.sources.entry(name).or_default()
    }

    /// Adds the report on the tasks that follow.
    pub(super) fn merge(&mut self, next: Self) {
        self.prompts_read += next.prompts_read;
        self.prompts_admitted += next.prompts_admitted;
        self.prompts_without_demonstration += next.prompts_without_demonstration;
        self.demonstrations_read += next.demonstrations_read;
        self.demonstrations_admitted += next.demonstrations_admitted;
        self.longest_prompt = self.longest_prompt.max(next.longest_prompt);
        self.longest_demonstration = self.longest_demonstration.max(next.longest_demonstration);
        merge_tallies(&mut self.prompts_dropped, next.prompts_dropped);
        merge_tallies(&mut self.demonstrations_dropped, next.demonstrations_dropped);
        merge_tallies(&mut self.demonstrations_kept, next.demonstrations_kept);
        merge_tallies(&mut self.outcomes, next.outcomes);
        for (name, part) in next.sources {
            self.sources.entry(name).or_default().merge(part);
        }
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

fn merge_counts<K: Ord>(own: &mut BTreeMap<K, u64>, next: BTreeMap<K, u64>) {
    for (key, count) in next {
        *own.entry(key).or_default() += count;
    }
}
