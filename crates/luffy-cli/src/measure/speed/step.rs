//! Whole steps: rollout, grading, scoring, update.

use std::sync::Arc;

use anyhow::ensure;
use luffy_core::{
    AdamWSettings, Learner, Prompt, Reason, Response, Sampler, Task, TextCodec, Verdict, Verifier,
};
use luffy_data::HfCodec;
use luffy_objective::{MethodConfig, OnPolicyConfig};
use luffy_policy::{Activations, LmDecoder, ReplicaLearner};
use luffy_rollout::Engine;
use luffy_trainer::{Decay, Schedule, Trainer, TrainerSettings, Workers};
use serde_json::json;

use super::Measured;
use super::held::{Held, LR, MAX_ROWS};
use super::job::StepJob;
use crate::clock::Stopwatch;
use crate::device::device;
use crate::run::n_samplers;

/// As many steps as a run may have; the learning rate is constant.
const N_STEPS: u64 = 1_000_000;

/// Seconds of each step after the first.
pub(super) fn step(held: &mut Held, job: &StepJob) -> anyhow::Result<Measured> {
    let prompts: Vec<Arc<Prompt>> =
        job.prompts.iter().enumerate().map(|(i, tokens)| prompt(i, tokens)).collect();
    let made_for = format!("{} {} {} {}", job.threads, job.group, job.new_tokens, job.unit_prompts);
    let (_, mut trainer, mut number) = match held.trainer.take() {
        Some(made) if made.0 == made_for => made,
        _ => (String::new(), trainer(held, job)?, 0),
    };
    let mut each = Vec::with_capacity(job.steps);
    for timed in 0..=job.steps {
        let clock = Stopwatch::start();
        let outcome = trainer.step(number, &prompts)?;
        let seconds = clock.seconds();
        number += 1;
        ensure!(
            outcome.graded.groups.len() == prompts.len(),
            "{} groups of {}",
            outcome.graded.groups.len(),
            prompts.len()
        );
        if timed > 0 {
            each.push(seconds);
        }
    }
    held.trainer = Some((made_for, trainer, number));
    let n_tokens = prompts.len() as u64 * u64::from(job.group) * u64::from(job.new_tokens);
    let seconds = each.first().copied().unwrap_or(f64::NAN);
    Ok(Measured { seconds, said: json!({ "tokens": n_tokens, "each": each }) })
}

fn trainer(held: &Held, job: &StepJob) -> anyhow::Result<Trainer> {
    let codec: Arc<dyn TextCodec> = Arc::new(HfCodec::open(&held.dir, None)?);
    let activations = Activations::default();
    let model = held.model.clone().with_activations(&activations);
    let first = ReplicaLearner::new(model, &device(), AdamWSettings::default());
    let mut samplers: Vec<Box<dyn Sampler>> = vec![];
    let mut learners: Vec<Box<dyn Learner>> = vec![];
    let decoder = LmDecoder::new(held.model.clone()).keeping(&activations);
    for _ in 0..n_samplers(&held.config, job.threads) {
        samplers.push(Box::new(Engine::new(
            decoder.clone(),
            Arc::clone(&codec),
            device(),
            MAX_ROWS,
        )));
    }
    for _ in 0..job.threads {
        learners.push(Box::new(first.replica()));
    }
    drop(first);
    let mut method = OnPolicyConfig::dr_grpo();
    method.policy.group_size = job.group;
    let settings = TrainerSettings {
        seed: job.seed,
        n_steps: N_STEPS,
        schedule: Schedule { lr: LR, warmup_steps: 0, decay: Decay::Constant },
        sampling: luffy_core::Sampling::temperature(1.0),
        max_response_len: job.new_tokens,
        sample_unit_prompts: job.unit_prompts,
        // The default of a run.
        learn_unit_prompts: 1,
    };
    let method = MethodConfig::DrGrpo(method).build();
    let grader = |verdict: &Verdict| Some(f32::from(u8::from(verdict.reason == Reason::Exact)));
    let workers = Workers { samplers, learners, threads: job.threads };
    Ok(Trainer::new(settings, method, Arc::new(Parity), Arc::new(grader), workers)?)
}

fn prompt(i: usize, tokens: &[u32]) -> Arc<Prompt> {
    let task = Task {
        id: format!("prompt {i}"),
        source: String::new(),
        messages: vec![],
        golds: vec![],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    };
    let tokens = tokens.to_vec().into();
    Arc::new(Prompt { task, index: i as u64, tokens, demonstrations: vec![] })
}

/// Right where the sum of the code points is even; `torch_worker.py` has the same rule.
#[derive(Debug)]
struct Parity;

impl Verifier for Parity {
    fn verify(&self, _: &Task, response: &Response<'_>) -> Verdict {
        let odd = response.text.chars().filter(|c| u32::from(*c) % 2 == 1).count();
        Verdict::new(if odd % 2 == 0 { Reason::Exact } else { Reason::Different })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use luffy_core::FinishReason;

    #[test]
    fn an_even_sum_of_code_points_is_right() {
        let prompt = prompt(0, &[1]);
        let reason = |text| {
            let response = Response { text, finish: FinishReason::Length };
            Parity.verify(&prompt.task, &response).reason
        };
        // 97 + 99 = 196, 97 + 98 = 195.
        assert_eq!(
            [reason("ac"), reason("ab"), reason("")],
            [Reason::Exact, Reason::Different, Reason::Exact]
        );
    }
}
