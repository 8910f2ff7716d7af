//! What a method asks of the rollout and what it remembers, as plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::StreamKey;

/// One member of a group before it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberPlan {
    /// Draw a response from the policy.
    Sample,
    /// Take the demonstration with this position in [`crate::Prompt::demonstrations`].
    Demonstrate(u32),
    /// Begin with a demonstration and let the policy go on. A prefix as long as the demonstration is
    /// [`MemberPlan::Demonstrate`].
    Continue {
        /// Position in [`crate::Prompt::demonstrations`].
        demonstration: u32,
        /// How many of its tokens are given.
        prefix_len: u32,
    },
}

/// The next members of one group, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupPlan {
    /// Sampled members first in a plan of one round: the position of a member in its group keys its random
    /// stream.
    pub members: Vec<MemberPlan>,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The step about to be taken, 0-based.
    pub step: u64,
    /// Steps of the whole run.
    pub n_steps: u64,
}

/// What a plan may depend on.
#[derive(Debug, Clone, Copy)]
pub struct PlanRequest<'a> {
    /// Where in the run.
    pub progress: Progress,
    /// Random draws of this prompt and step, [`StreamKey::uniform_at`].
    pub draws: StreamKey,
    /// Rewards of the members that earlier rounds gave, in order; empty in the first round.
    pub rewards: &'a [f32],
}

/// A supervised row that waits for a later step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRow {
    /// Prompt tokens.
    pub prompt: Vec<u32>,
    /// Response tokens, all demonstrated.
    pub response: Vec<u32>,
}

/// What a method carries from step to step; part of every checkpoint.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodMemory {
    /// Rows in the order they were kept.
    pub kept: Vec<KeptRow>,
    /// Numbers by name.
    pub scalars: BTreeMap<String, f64>,
}
