//! What a method asks of the rollout, as plain data.

use serde::{Deserialize, Serialize};

/// One member of a group before it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemberPlan {
    /// Draw a response from the policy.
    Sample,
    /// Take the demonstration with this position in [`crate::Prompt::demonstrations`].
    Demonstrate(u32),
}

/// The members of one group, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupPlan {
    /// Sampled members first: the position of a member keys its random stream.
    pub members: Vec<MemberPlan>,
}
