//! From planned groups to groups of trajectories.

use std::sync::Arc;

use luffy_core::{
    FinishReason, Group, GroupPlan, MemberPlan, Method, Origin, Prompt, Purpose, SampleError,
    SampleRequest, Sampler, Sampling, Span, StreamKey, Trajectory,
};

use crate::{Replicas, TrainError};

/// What the requests of a step have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RolloutSettings {
    pub(crate) seed: u64,
    pub(crate) step: u64,
    pub(crate) version: u64,
    pub(crate) sampling: Sampling,
    pub(crate) max_response_len: u32,
    pub(crate) unit_prompts: usize,
}

impl RolloutSettings {
    fn key(&self, purpose: Purpose, prompt: &Prompt, member: u32) -> StreamKey {
        StreamKey { seed: self.seed, purpose, step: self.step, prompt: prompt.index, member }
    }
}

/// Samples what the method plans, `unit_prompts` prompts a unit, and adds the demonstrations.
pub(crate) fn roll_out(
    samplers: &mut Replicas<Box<dyn Sampler>>,
    method: &dyn Method,
    prompts: &[Arc<Prompt>],
    settings: &RolloutSettings,
) -> Result<Vec<Group>, TrainError> {
    let planned: Vec<(Arc<Prompt>, GroupPlan)> = prompts
        .iter()
        .map(|prompt| {
            let choice = settings.key(Purpose::Demonstration, prompt, 0).uniform_at(0);
            (Arc::clone(prompt), method.plan(prompt, choice))
        })
        .collect();
    let units: Vec<&[(Arc<Prompt>, GroupPlan)]> =
        planned.chunks(settings.unit_prompts.max(1)).collect();
    let sampled = samplers.map(&units, |sampler, unit| sampler.sample(&requests(unit, settings)));
    let mut groups = Vec::with_capacity(prompts.len());
    for (unit, trajectories) in units.iter().zip(sampled) {
        let mut trajectories = trajectories.into_iter();
        for (prompt, plan) in *unit {
            groups.push(assemble(prompt, plan, &mut trajectories, settings)?);
        }
    }
    Ok(groups)
}

fn requests(unit: &[(Arc<Prompt>, GroupPlan)], settings: &RolloutSettings) -> Vec<SampleRequest> {
    let mut requests = Vec::new();
    for (prompt, plan) in unit {
        for (member, planned) in plan.members.iter().enumerate() {
            if *planned == MemberPlan::Sample {
                requests.push(SampleRequest {
                    prompt: Arc::clone(&prompt.tokens),
                    max_new_tokens: settings.max_response_len,
                    sampling: settings.sampling,
                    stop: [].into(),
                    key: settings.key(Purpose::Rollout, prompt, member as u32),
                });
            }
        }
    }
    requests
}

fn assemble(
    prompt: &Arc<Prompt>,
    plan: &GroupPlan,
    sampled: &mut impl Iterator<Item = Result<Trajectory, SampleError>>,
    settings: &RolloutSettings,
) -> Result<Group, TrainError> {
    let mut trajectories = Vec::with_capacity(plan.members.len());
    for (member, planned) in plan.members.iter().enumerate() {
        trajectories.push(match planned {
            MemberPlan::Sample => {
                sampled.next().expect("a sampler gives one result per request").map_err(
                    |source| TrainError::Sample { prompt: prompt.task.id.clone(), source },
                )?
            }
            MemberPlan::Demonstrate(position) => {
                let key = settings.key(Purpose::Rollout, prompt, member as u32);
                demonstrate(prompt, *position, key, settings.version)?
            }
        });
    }
    Ok(Group { prompt: Arc::clone(prompt), trajectories })
}

fn demonstrate(
    prompt: &Prompt,
    position: u32,
    key: StreamKey,
    version: u64,
) -> Result<Trajectory, TrainError> {
    let demonstration = prompt.demonstrations.get(position as usize).ok_or_else(|| {
        TrainError::NoDemonstration {
            prompt: prompt.task.id.clone(),
            position,
            n_demonstrations: prompt.demonstrations.len(),
        }
    })?;
    debug_assert!(demonstration.finish == FinishReason::Stop || !demonstration.tokens.is_empty());
    Ok(Trajectory {
        tokens: demonstration.tokens.clone(),
        spans: vec![Span {
            len: demonstration.tokens.len() as u32,
            origin: Origin::Demonstrated(demonstration.behavior.clone()),
        }],
        text: demonstration.text.clone(),
        finish: demonstration.finish,
        key,
        version,
    })
}
