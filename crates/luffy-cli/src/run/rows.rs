//! What goes into the logs of a run.

use std::sync::Arc;

use luffy_core::Prompt;
use luffy_trainer::{EvalAnswer, EvalReport, GradedStep, StepReport};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Version of the rows below.
const SCHEMA: u32 = 1;

/// A training step: all metrics flat beside `schema`, `kind` and `step` (steps done, from 1).
pub(crate) fn train_row(step: u64, report: &StepReport) -> Value {
    let mut row = Map::new();
    row.insert("schema".into(), json!(SCHEMA));
    row.insert("kind".into(), json!("train"));
    row.insert("step".into(), json!(step));
    for (name, value) in &report.values {
        row.insert(name.clone(), json!(value));
    }
    Value::Object(row)
}

/// An evaluation after `step` steps. `complete` says whether all test prompts were used.
pub(crate) fn eval_row(step: u64, report: &EvalReport, complete: bool) -> Value {
    let accuracy: Map<String, Value> =
        report.groups.iter().map(|(name, count)| (name.clone(), json!(count.accuracy()))).collect();
    let mut row = json!({
        "schema": SCHEMA,
        "kind": "eval",
        "step": step,
        "complete": complete,
        "accuracy": accuracy,
        "counts": report.groups,
        "mean_response_len": report.mean_response_len,
    });
    if !report.similarity.is_empty() {
        row["similarity"] = json!(report.similarity);
    }
    row
}

/// One answer of the last evaluation.
#[derive(Debug, Serialize)]
pub(crate) struct AnswerRow<'a> {
    task: &'a str,
    source: &'a str,
    /// As the data has it; null where it names no difficulty.
    level: Option<&'a Value>,
    prompt: &'a str,
    response: &'a str,
    tokens: usize,
    finish: luffy_core::FinishReason,
    correct: bool,
    similarity: Option<f64>,
}

/// Every answer of an evaluation, in the order of the prompts.
pub(crate) fn answer_rows<'a>(
    prompts: &'a [Arc<Prompt>],
    answers: &'a [EvalAnswer],
) -> Vec<AnswerRow<'a>> {
    prompts
        .iter()
        .zip(answers)
        .map(|(prompt, answer)| AnswerRow {
            task: &prompt.task.id,
            source: &prompt.task.source,
            level: prompt.task.extra.get("level"),
            prompt: prompt.task.messages.last().map_or("", |message| message.content.as_str()),
            response: &answer.trajectory.text,
            tokens: answer.trajectory.tokens.len(),
            finish: answer.trajectory.finish,
            correct: answer.correct,
            similarity: answer.similarity,
        })
        .collect()
}

/// One trajectory of a stored rollout.
#[derive(Debug, Serialize)]
pub(crate) struct RolloutRow<'a> {
    step: u64,
    task: &'a str,
    prompt: &'a str,
    member: usize,
    policy: &'static str,
    response: &'a str,
    tokens: usize,
    finish: luffy_core::FinishReason,
    verdict: luffy_core::Outcome,
    reason: luffy_core::Reason,
    extracted: Option<&'a str>,
    golds: &'a [String],
    reward: f32,
    advantage: f32,
}

/// Every trajectory of a step.
pub(crate) fn rollout_rows(step: u64, graded: &GradedStep) -> Vec<RolloutRow<'_>> {
    let mut advantages = graded.advantages.iter();
    let mut rows = Vec::new();
    for graded_group in &graded.groups {
        let task = &graded_group.group.prompt.task;
        let prompt = task.messages.last().map_or("", |message| message.content.as_str());
        for (member, trajectory) in graded_group.group.trajectories.iter().enumerate() {
            let verdict = &graded_group.verdicts[member];
            rows.push(RolloutRow {
                step,
                task: &task.id,
                prompt,
                member,
                policy: if trajectory.is_demonstrated() { "off" } else { "on" },
                response: &trajectory.text,
                tokens: trajectory.tokens.len(),
                finish: trajectory.finish,
                verdict: verdict.outcome(),
                reason: verdict.reason,
                extracted: verdict.extracted.as_ref().map(|extracted| extracted.text.as_str()),
                golds: &task.golds,
                reward: graded_group.rewards[member],
                advantage: advantages.next().map_or(0.0, luffy_core::TokenRuns::last),
            });
        }
    }
    rows
}
