//! From planned groups to groups of trajectories.

use std::collections::BTreeMap;
use std::sync::Arc;

use luffy_core::{
    Behavior, FinishReason, GradedGroup, Group, GroupPlan, MemberPlan, Method, Origin, PlanRequest,
    Progress, Prompt, Purpose, Response, SampleError, SampleRequest, Sampler, Sampling, Span,
    StreamKey, TokenizedDemonstration, Trajectory, Verdict, Verifier,
};
use rayon::prelude::*;

use crate::{Replicas, TrainError};

/// Who says what a response is worth.
pub(crate) struct Judge<'a> {
    pub(crate) verifier: &'a dyn Verifier,
    pub(crate) grader: &'a (dyn Fn(&Verdict) -> Option<f32> + Send + Sync),
}

/// What the requests of a step have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RolloutSettings {
    pub(crate) seed: u64,
    pub(crate) progress: Progress,
    pub(crate) version: u64,
    pub(crate) sampling: Sampling,
    pub(crate) max_response_len: u32,
    pub(crate) unit_prompts: usize,
}

impl RolloutSettings {
    fn key(&self, purpose: Purpose, prompt: &Prompt, member: u32) -> StreamKey {
        StreamKey {
            seed: self.seed,
            purpose,
            step: self.progress.step,
            prompt: prompt.index,
            member,
        }
    }
}

/// Streams between those of a prompt and those of the same prompt once more in the same step.
const STREAMS_PER_OCCURRENCE: u32 = 1 << 16;

/// A group that may still grow.
struct Growing {
    graded: GradedGroup,
    /// How often the prompt stands before this one in the step: each time it draws anew.
    occurrence: u32,
    plan: GroupPlan,
    /// Whether every verdict so far gave a reward: a gold that cannot be used gives none.
    is_usable: bool,
}

/// Samples and grades what the method plans, round by round, `unit_prompts` prompts a unit. Groups with an
/// unusable gold are left out.
pub(crate) fn roll_out(
    samplers: &mut Replicas<Box<dyn Sampler>>,
    method: &dyn Method,
    judge: &Judge<'_>,
    prompts: &[Arc<Prompt>],
    settings: &RolloutSettings,
) -> Result<Vec<GradedGroup>, TrainError> {
    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    let mut groups: Vec<Growing> = prompts
        .iter()
        .map(|prompt| {
            let n_before = seen.entry(prompt.index).or_default();
            *n_before += 1;
            Growing::new(prompt, *n_before - 1)
        })
        .collect();
    loop {
        for group in &mut groups {
            group.plan_next(method, settings);
        }
        if groups.iter().all(|group| group.plan.members.is_empty()) {
            break;
        }
        let units: Vec<&[Growing]> = groups.chunks(settings.unit_prompts.max(1)).collect();
        let requests: Vec<Vec<SampleRequest>> =
            units.iter().map(|unit| requests(unit, settings)).collect::<Result<_, _>>()?;
        let sampled = samplers.map(&requests, |sampler, unit| sampler.sample(unit));
        let mut sampled = sampled.into_iter().flatten();
        let mut planned = Vec::with_capacity(groups.len());
        for group in &groups {
            planned.push(assemble(group, &mut sampled, settings)?);
        }
        groups.par_iter_mut().zip(planned).for_each(|(group, members)| group.grade(members, judge));
    }
    Ok(groups.into_iter().filter(|group| group.is_usable).map(|group| group.graded).collect())
}

impl Growing {
    fn new(prompt: &Arc<Prompt>, occurrence: u32) -> Self {
        let group = Group { prompt: Arc::clone(prompt), trajectories: vec![] };
        let graded = GradedGroup { group, verdicts: vec![], rewards: vec![] };
        Self { graded, occurrence, plan: GroupPlan::default(), is_usable: true }
    }

    fn prompt(&self) -> &Prompt {
        &self.graded.group.prompt
    }

    /// The random stream of a member.
    fn stream(&self, member: u32) -> u32 {
        self.occurrence * STREAMS_PER_OCCURRENCE + member
    }

    fn plan_next(&mut self, method: &dyn Method, settings: &RolloutSettings) {
        let draws = settings.key(Purpose::Demonstration, self.prompt(), self.stream(0));
        let rewards = &self.graded.rewards;
        let request = PlanRequest { progress: settings.progress, draws, rewards };
        self.plan = if self.is_usable {
            method.plan(self.prompt(), &request)
        } else {
            GroupPlan::default()
        };
    }

    /// The members still to come, with their positions in the group.
    fn planned(&self) -> impl Iterator<Item = (u32, MemberPlan)> {
        let first = self.graded.rewards.len() as u32;
        (first..).zip(self.plan.members.iter().copied())
    }

    fn grade(&mut self, members: Vec<Trajectory>, judge: &Judge<'_>) {
        for trajectory in members {
            let response = Response { text: &trajectory.text, finish: trajectory.finish };
            let verdict = judge.verifier.verify(&self.graded.group.prompt.task, &response);
            let reward = (judge.grader)(&verdict);
            self.is_usable &= reward.is_some();
            self.graded.rewards.push(reward.unwrap_or(0.0));
            self.graded.verdicts.push(verdict);
            self.graded.group.trajectories.push(trajectory);
        }
    }
}

fn requests(
    unit: &[Growing],
    settings: &RolloutSettings,
) -> Result<Vec<SampleRequest>, TrainError> {
    let mut requests = Vec::new();
    for group in unit {
        let prompt = group.prompt();
        for (member, planned) in group.planned() {
            let prefix = match planned {
                MemberPlan::Sample => &[],
                MemberPlan::Demonstrate(_) => continue,
                MemberPlan::Continue { demonstration, prefix_len } => {
                    &demonstrated(prompt, demonstration)?.tokens[..prefix_len as usize]
                }
            };
            requests.push(SampleRequest {
                prompt: Arc::clone(&prompt.tokens),
                prefix: prefix.into(),
                max_new_tokens: settings.max_response_len.saturating_sub(prefix.len() as u32),
                sampling: settings.sampling,
                stop: [].into(),
                key: settings.key(Purpose::Rollout, prompt, group.stream(member)),
            });
        }
    }
    Ok(requests)
}

/// The members a group has planned.
fn assemble(
    group: &Growing,
    sampled: &mut impl Iterator<Item = Result<Trajectory, SampleError>>,
    settings: &RolloutSettings,
) -> Result<Vec<Trajectory>, TrainError> {
    let prompt = group.prompt();
    let mut draw = || {
        let result = sampled.next().expect("a sampler gives one result per request");
        result.map_err(|source| TrainError::Sample { prompt: prompt.task.id.clone(), source })
    };
    let member = |(member, planned): (u32, MemberPlan)| match planned {
        MemberPlan::Sample => draw(),
        MemberPlan::Demonstrate(position) => {
            let key = settings.key(Purpose::Rollout, prompt, group.stream(member));
            demonstrate(prompt, position, key, settings.version)
        }
        MemberPlan::Continue { demonstration, prefix_len } => {
            let mut trajectory = draw()?;
            let behavior = match &demonstrated(prompt, demonstration)?.behavior {
                Behavior::One => Behavior::One,
                Behavior::Logprobs(all) => Behavior::Logprobs(all[..prefix_len as usize].to_vec()),
            };
            if let Some(first) = trajectory.spans.first_mut()
                && prefix_len > 0
            {
                first.origin = Origin::Demonstrated(behavior);
            }
            Ok(trajectory)
        }
    };
    group.planned().map(member).collect()
}

fn demonstrated(prompt: &Prompt, position: u32) -> Result<&TokenizedDemonstration, TrainError> {
    prompt.demonstrations.get(position as usize).ok_or_else(|| TrainError::NoDemonstration {
        prompt: prompt.task.id.clone(),
        position,
        n_demonstrations: prompt.demonstrations.len(),
    })
}

fn demonstrate(
    prompt: &Prompt,
    position: u32,
    key: StreamKey,
    version: u64,
) -> Result<Trajectory, TrainError> {
    let demonstration = demonstrated(prompt, position)?;
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
