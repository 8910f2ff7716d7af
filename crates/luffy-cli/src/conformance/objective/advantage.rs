//! Advantages of rows that stand in any order.

use std::collections::BTreeMap;
use std::sync::Arc;

use luffy_core::{
    AdvantageEstimator as _, Behavior, FinishReason, GradedGroup, Group, Origin, Prompt, Purpose,
    Span, StreamKey, Task, Trajectory,
};
use luffy_objective::{AdvantageScale, Advantages, Baseline, Estimator};

use super::Found;
use super::arguments::{AdvantageConfig, AdvantageInputs, EstimatorName};
use super::array::Array;

/// `advantage`: of every token. They are computed in f64 and stored in f32 whatever the precision of
/// a loss, so there is nothing to choose.
pub(super) fn advantages(config: &AdvantageConfig, inputs: &AdvantageInputs) -> Found {
    let scale = if config.normalise_by_std { AdvantageScale::Std } else { AdvantageScale::None };
    let (estimator, baseline) = match config.estimator {
        EstimatorName::Grpo => (Estimator::GroupRelative, Baseline::WholeGroup),
        EstimatorName::GrpoSplit => (Estimator::GroupRelative, Baseline::OnPolicy),
        EstimatorName::Reinforce => (Estimator::Reinforce, Baseline::WholeGroup),
        EstimatorName::ReinforcePlusPlus => (Estimator::ReinforcePlusPlus, Baseline::WholeGroup),
    };
    let advantages = Advantages { estimator, baseline, scale, ..Advantages::default() };
    let (groups, positions) = groups(inputs);
    let runs = advantages.advantages(&groups);
    let Array { rows, tokens, .. } = inputs.token_rewards;
    let mut values = vec![0.0; rows * tokens];
    for (row, runs) in positions.into_iter().flatten().zip(runs) {
        let learned = inputs.response_mask.row(row).iter();
        let places = learned.enumerate().filter(|(_, learned)| **learned).map(|(at, _)| at);
        for (at, value) in places.zip(runs.to_vec()) {
            values[row * tokens + at] = f64::from(value);
        }
    }
    Found::from([("advantages", Array { rows, tokens, values }.into())])
}

/// The rows as groups, and for each group the positions of its rows.
fn groups(inputs: &AdvantageInputs) -> (Vec<GradedGroup>, Vec<Vec<usize>>) {
    let mut positions: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, name) in inputs.group.iter().enumerate() {
        positions.entry(name).or_default().push(row);
    }
    let positions: Vec<Vec<usize>> = positions.into_values().collect();
    let group = |rows: &Vec<usize>| GradedGroup {
        group: Group {
            prompt: prompt(),
            trajectories: rows.iter().map(|row| trajectory(inputs, *row)).collect(),
        },
        verdicts: vec![],
        rewards: rows.iter().map(|row| reward(inputs, *row)).collect(),
    };
    (positions.iter().map(group).collect(), positions)
}

/// The sum over the tokens of a row, in the precision in which rewards are kept.
#[expect(clippy::cast_possible_truncation, reason = "rewards are kept in f32")]
fn reward(inputs: &AdvantageInputs, row: usize) -> f32 {
    let Array { tokens, values, .. } = &inputs.token_rewards;
    values[row * tokens..][..*tokens].iter().sum::<f64>() as f32
}

/// A response with as many tokens as are learned in a row.
fn trajectory(inputs: &AdvantageInputs, row: usize) -> Trajectory {
    let len = inputs.response_mask.row(row).iter().filter(|learned| **learned).count();
    let origin = if inputs.on_policy[row] {
        Origin::Sampled { logprobs: vec![0.0; len] }
    } else {
        Origin::Demonstrated(Behavior::One)
    };
    Trajectory {
        tokens: vec![0; len],
        spans: vec![Span { len: u32::try_from(len).unwrap_or(u32::MAX), origin }],
        text: String::new(),
        finish: FinishReason::Stop,
        key: StreamKey { seed: 0, purpose: Purpose::Rollout, step: 0, prompt: 0, member: 0 },
        version: 0,
    }
}

fn prompt() -> Arc<Prompt> {
    let task = Task {
        id: "case".into(),
        source: "case".into(),
        messages: vec![],
        golds: vec![],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    };
    Arc::new(Prompt { task, index: 0, tokens: vec![0].into(), demonstrations: vec![] })
}
