//! Groups to test with.

use std::sync::Arc;

use luffy_core::{
    Behavior, FinishReason, GradedGroup, Group, Origin, Prompt, Purpose, Reason, Span, StreamKey,
    Task, TokenizedDemonstration, Trajectory, Verdict,
};

/// A prompt with that many demonstrations.
pub(crate) fn prompt(n_demonstrations: usize) -> Prompt {
    Prompt {
        task: Task {
            id: "test:0".into(),
            source: "test".into(),
            messages: vec![],
            golds: vec![],
            demonstrations: vec![],
            extra: serde_json::Map::new(),
        },
        index: 0,
        tokens: vec![1, 2].into(),
        demonstrations: (0..n_demonstrations)
            .map(|_| TokenizedDemonstration {
                tokens: vec![3; 4],
                text: String::new(),
                behavior: Behavior::One,
                finish: FinishReason::Stop,
            })
            .collect(),
    }
}

/// A group with these rewards, sampled members first. Member `i` has `i + 1` tokens, so that advantages
/// on the wrong row do not fit.
pub(crate) fn graded(sampled: &[f32], demonstrated: &[f32]) -> GradedGroup {
    let rewards = [sampled, demonstrated].concat();
    let trajectories = (0..rewards.len()).map(|i| {
        let len = i + 1;
        let origin = if i < sampled.len() {
            Origin::Sampled { logprobs: vec![-0.5; len] }
        } else {
            Origin::Demonstrated(Behavior::One)
        };
        Trajectory {
            tokens: vec![5; len],
            spans: vec![Span { len: len as u32, origin }],
            text: String::new(),
            finish: FinishReason::Stop,
            key: StreamKey {
                seed: 0,
                purpose: Purpose::Rollout,
                step: 0,
                prompt: 0,
                member: i as u32,
            },
            version: 0,
        }
    });
    GradedGroup {
        group: Group { prompt: Arc::new(prompt(1)), trajectories: trajectories.collect() },
        verdicts: rewards.iter().map(|_| Verdict::new(Reason::Identical)).collect(),
        rewards,
    }
}
