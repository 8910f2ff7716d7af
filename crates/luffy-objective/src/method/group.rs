//! Methods that compare the members of a group.

use std::sync::Arc;

use luffy_core::{
    AdvantageEstimator, GradedGroup, GroupPlan, KeptRow, Method, MethodMemory, Metrics,
    OptimizerSlot, PlanRequest, Progress, Prompt, Row, StepShape, StepView, TokenRuns, Trajectory,
    Update, UpdateRow,
};

use super::Mix;
use super::plan::{Members, MicroGroups};
use super::settings::{EntropyControl, Filter};
use crate::{Advantages, MixedPolicyLoss, SupervisedLoss, metric};

/// How the members of a group come about.
#[derive(Debug, Clone)]
pub(super) enum Rollout {
    Members(Members),
    MicroGroups(MicroGroups),
}

/// What the advantage of a sampled row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SampledAdvantage {
    /// How it compares with its group.
    Relative,
    /// 1 where it is rewarded, -1 where it is not: SRFT.
    Sign,
}

/// Prompts that the policy never solves, kept until there are enough of them for a supervised update:
/// `ReLIFT`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct KeepUnsolved {
    /// Rows of a supervised update.
    pub(super) batch: u32,
    /// Multiplies the learning rate of that update.
    pub(super) lr_factor: f64,
}

/// Everything a method with rollouts consists of. Which of the published ones it is, nobody asks.
#[derive(Debug, Clone)]
pub(super) struct GroupMethod {
    pub(super) rollout: Rollout,
    pub(super) advantages: Advantages,
    pub(super) sampled: SampledAdvantage,
    /// The loss, with the coefficients of the first step.
    pub(super) objective: MixedPolicyLoss,
    /// How the supervised term and the policy term are weighed over the run.
    pub(super) mix: Mix,
    pub(super) entropy: EntropyControl,
    pub(super) filter: Filter,
    /// A prompt with more rewarded samples than this learns from its samples alone, any other from its
    /// demonstration alone: HPT.
    pub(super) gate: Option<u32>,
    pub(super) keep_unsolved: Option<KeepUnsolved>,
    /// Optimiser steps per rollout, each on a share of the prompts.
    pub(super) mini_batches: u32,
    /// How often each rollout is gone through.
    pub(super) epochs: u32,
    pub(super) slot: OptimizerSlot,
}

/// The rows a group brings to an update.
struct Contribution {
    rows: Vec<UpdateRow>,
    /// Rows that the policy term is a mean over, trained on or not.
    n_planned: u64,
    /// Their tokens that the policy term can see.
    n_policy_tokens: u64,
}

impl Method for GroupMethod {
    fn plan(&self, prompt: &Prompt, request: &PlanRequest<'_>) -> GroupPlan {
        match &self.rollout {
            Rollout::Members(members) => members.plan(prompt, request),
            Rollout::MicroGroups(rounds) => rounds.plan(prompt, request),
        }
    }

    fn advantages(&self, _progress: Progress, groups: &[GradedGroup]) -> Vec<TokenRuns> {
        let mut advantages = self.advantages.advantages(groups);
        if self.sampled == SampledAdvantage::Sign {
            for ((trajectory, reward), advantage) in members(groups).zip(&mut advantages) {
                if !trajectory.is_demonstrated() {
                    let sign = if reward > 0.0 { 1.0 } else { -1.0 };
                    *advantage = TokenRuns::constant(trajectory.tokens.len() as u32, sign);
                }
            }
        }
        advantages
    }

    /// The rows of the groups that teach something. No update where every advantage is zero and nothing is
    /// supervised: the optimiser would turn an entropy bonus alone into a step of full size.
    fn updates(&self, step: &StepView<'_>, memory: &mut MethodMemory) -> Vec<Update> {
        let contributions = self.contributions(step);
        let objective = Arc::new(self.objective_at(step, memory));
        let n_groups = contributions.len();
        let mut updates = Vec::new();
        for _ in 0..self.epochs {
            for part in 0..self.mini_batches as usize {
                let from = part * n_groups / self.mini_batches as usize;
                let to = (part + 1) * n_groups / self.mini_batches as usize;
                updates.extend(self.update(&contributions[from..to], &objective, step));
            }
        }
        updates.extend(self.supervised_updates(step, memory));
        updates
    }

    fn needs_reference(&self) -> bool {
        self.objective.kl.is_some()
    }

    /// The entropy of its own updates; that of supervised ones is none of its concern.
    fn observe(
        &self,
        _progress: Progress,
        slot: OptimizerSlot,
        metrics: &Metrics,
        memory: &mut MethodMemory,
    ) {
        if slot == self.slot
            && let Some(mean) = metrics.mean(metric::ENTROPY)
        {
            self.entropy.observe(self.objective.entropy_coefficient, mean, &mut memory.scalars);
        }
    }
}

impl GroupMethod {
    /// The loss of a step.
    fn objective_at(&self, step: &StepView<'_>, memory: &MethodMemory) -> MixedPolicyLoss {
        let mut objective = self.objective.clone();
        objective.entropy_coefficient =
            self.entropy.coefficient(objective.entropy_coefficient, &memory.scalars);
        if let Some(term) = &mut objective.supervised {
            term.coefficient = self.mix.supervised(step.progress);
        }
        objective
    }

    /// What each group brings, by position in the step.
    fn contributions(&self, step: &StepView<'_>) -> Vec<Contribution> {
        let n_rows: usize = step.groups.iter().map(|group| group.group.trajectories.len()).sum();
        assert_eq!(step.advantages.len(), n_rows, "a step has one advantage per trajectory");
        let policy_weight = self.mix.policy(step.progress);
        let mut rest = step.advantages;
        let mut contributions = Vec::with_capacity(step.groups.len());
        for (position, group) in (0_u32..).zip(step.groups) {
            let (own, others) = rest.split_at(group.group.trajectories.len());
            rest = others;
            let own: Vec<TokenRuns> = own.iter().map(|runs| runs.scaled(policy_weight)).collect();
            contributions.push(self.contribution(position, group, &own));
        }
        contributions
    }

    fn contribution(&self, position: u32, group: &GradedGroup, own: &[TokenRuns]) -> Contribution {
        let trajectories = &group.group.trajectories;
        let is_supervised = self.objective.supervised.is_some();
        let is_solved = self.gate.is_none_or(|gate| n_solved(group) > gate);
        let is_dropped = self.filter == Filter::Drop && !group.has_spread();
        let is_taught = is_solved && !is_dropped;
        let teaches = is_taught && own.iter().any(|advantage| !advantage.is_zero());
        let is_regularised = !is_dropped
            && (self.objective.entropy_coefficient.abs() > 0.0 || self.objective.kl.is_some());
        let wants = |trajectory: &Trajectory| {
            let is_target = is_supervised && trajectory.is_demonstrated();
            match self.gate {
                Some(_) if is_solved => teaches && !trajectory.is_demonstrated(),
                Some(_) => is_target,
                None => teaches || is_regularised || is_target,
            }
        };
        let rows = trajectories.iter().zip(own).filter(|(trajectory, _)| wants(trajectory));
        let rows: Vec<UpdateRow> = rows
            .map(|(trajectory, advantage)| {
                let advantage = if is_taught {
                    advantage.clone()
                } else {
                    TokenRuns::constant(trajectory.tokens.len() as u32, 0.0)
                };
                let prompt = Arc::clone(&group.group.prompt.tokens);
                UpdateRow { group: position, row: Row::new(prompt, trajectory, &advantage) }
            })
            .collect();
        // A row without a token that the policy term could see is none of its rows.
        let seen: Vec<u64> = if is_taught {
            trajectories.iter().map(|t| self.policy_tokens(t)).collect()
        } else {
            vec![]
        };
        let n_planned = seen.iter().filter(|n| **n > 0).count() as u64;
        Contribution { rows, n_planned, n_policy_tokens: seen.iter().sum() }
    }

    /// Tokens of a trajectory that the policy term can see.
    fn policy_tokens(&self, trajectory: &Trajectory) -> u64 {
        let n_unseen =
            if self.objective.learns_demonstrations { 0 } else { trajectory.n_demonstrated() };
        trajectory.n_learned() - n_unseen
    }

    fn update(
        &self,
        contributions: &[Contribution],
        objective: &Arc<MixedPolicyLoss>,
        step: &StepView<'_>,
    ) -> Option<Update> {
        let rows: Vec<UpdateRow> =
            contributions.iter().flat_map(|group| group.rows.iter().cloned()).collect();
        let has_advantage = |row: &UpdateRow| row.row.advantages.iter().any(|a| a.abs() > 0.0);
        let n_demonstrated = rows.iter().map(|row| row.row.n_demonstrated() as u64).sum::<u64>();
        let is_supervised = objective
            .supervised
            .as_ref()
            .is_some_and(|term| term.coefficient.abs() > 0.0 && n_demonstrated > 0);
        if !is_supervised && !rows.iter().any(has_advantage) {
            return None;
        }
        let n_tokens = rows.iter().map(|row| row.row.n_learned() as u64).sum::<u64>();
        let shape = StepShape {
            n_rows: contributions.iter().map(|group| group.n_planned).sum(),
            n_tokens,
            n_policy_tokens: contributions.iter().map(|group| group.n_policy_tokens).sum(),
            n_demonstrated,
            max_response_len: step.max_response_len,
        };
        Some(Update { rows, objective: objective.clone(), slot: self.slot, lr_factor: 1.0, shape })
    }

    /// Keeps the demonstrations of unsolved prompts; an update for every full batch of them.
    fn supervised_updates(&self, step: &StepView<'_>, memory: &mut MethodMemory) -> Vec<Update> {
        let Some(KeepUnsolved { batch, lr_factor }) = self.keep_unsolved else { return Vec::new() };
        for group in step.groups.iter().filter(|group| n_solved(group) == 0) {
            let prompt = &group.group.prompt;
            let n_available = prompt.demonstrations.len() as u64;
            if n_available > 0 {
                let position = (step.progress.step % n_available) as usize;
                memory.kept.push(KeptRow {
                    prompt: prompt.tokens.to_vec(),
                    response: prompt.demonstrations[position].tokens.clone(),
                });
            }
        }
        let batch = batch as usize;
        let n_full = memory.kept.len() / batch;
        let kept: Vec<KeptRow> = memory.kept.drain(..n_full * batch).collect();
        kept.chunks(batch).map(|rows| supervised_update(rows, lr_factor, step)).collect()
    }
}

/// A supervised update with an optimiser of its own.
fn supervised_update(kept: &[KeptRow], lr_factor: f64, step: &StepView<'_>) -> Update {
    let rows: Vec<UpdateRow> = (0_u32..)
        .zip(kept)
        .map(|(position, kept)| {
            let row = Row::given(kept.prompt.as_slice().into(), kept.response.clone());
            UpdateRow { group: position, row }
        })
        .collect();
    let n_tokens = rows.iter().map(|row| row.row.n_learned() as u64).sum();
    let shape = StepShape::supervised(rows.len() as u64, n_tokens, step.max_response_len);
    let objective = Arc::new(SupervisedLoss::default());
    Update { rows, objective, slot: OptimizerSlot(1), lr_factor, shape }
}

fn members(groups: &[GradedGroup]) -> impl Iterator<Item = (&Trajectory, f32)> {
    groups
        .iter()
        .flat_map(|group| group.group.trajectories.iter().zip(group.rewards.iter().copied()))
}

/// Members without a demonstrated token that are rewarded.
fn n_solved(group: &GradedGroup) -> u32 {
    let rows = group.group.trajectories.iter().zip(&group.rewards);
    let solved =
        rows.filter(|(trajectory, reward)| !trajectory.is_demonstrated() && **reward > 0.0);
    solved.count() as u32
}
