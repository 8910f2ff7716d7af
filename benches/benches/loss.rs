//! What the objective costs beside the model: advantages, shaping, and the whole loss with its gradient.
//!
//! `cargo bench -p luffy-benches --bench loss`. Sizes are one update of recipe `addition` (256 rows of 24
//! tokens), a micro-batch of long responses (8 rows of 4,096), and a whole step of the paper's length on one
//! device (512 rows of 8,192).

#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use luffy_core::{
    AdvantageEstimator, Behavior, FinishReason, GradedGroup, Group, MicroBatch, Objective, Origin,
    Prompt, Purpose, Reason, Row, Shaping, Span, StepShape, StreamKey, Task, TokenRuns, TokenStats,
    TokenView, Trajectory, Verdict,
};
use luffy_objective::{Advantages, Clip, MixedPolicyLoss, Regularized};

/// Rows and response tokens.
const SIZES: [(usize, usize); 3] = [(256, 24), (8, 4096), (512, 8192)];
/// Members of a group; the last one is demonstrated.
const GROUP: usize = 8;

fn trajectory(member: usize, len: usize) -> Trajectory {
    let origin = if member + 1 == GROUP {
        Origin::Demonstrated(Behavior::One)
    } else {
        Origin::Sampled { logprobs: vec![-0.7; len] }
    };
    Trajectory {
        tokens: vec![1; len],
        spans: vec![Span { len: len as u32, origin }],
        text: String::new(),
        finish: FinishReason::Stop,
        key: StreamKey {
            seed: 0,
            purpose: Purpose::Rollout,
            step: 0,
            prompt: 0,
            member: member as u32,
        },
        version: 0,
    }
}

fn graded_groups(n_groups: usize, len: usize) -> Vec<GradedGroup> {
    let task = Task {
        id: "bench:0".into(),
        source: "bench".into(),
        messages: vec![],
        golds: vec![],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    };
    let prompt =
        Arc::new(Prompt { task, index: 0, tokens: vec![1; 16].into(), demonstrations: vec![] });
    let verdict = Verdict::new(Reason::Identical);
    (0..n_groups)
        .map(|_| GradedGroup {
            group: Group {
                prompt: Arc::clone(&prompt),
                trajectories: (0..GROUP).map(|member| trajectory(member, len)).collect(),
            },
            verdicts: vec![verdict.clone(); GROUP],
            rewards: (0..GROUP).map(|member| (member % 2) as f32).collect(),
        })
        .collect()
}

fn advantages(c: &mut Criterion) {
    let mut group = c.benchmark_group("advantages");
    for (rows, len) in SIZES {
        let groups = graded_groups(rows / GROUP, len);
        // The largest takes seconds.
        group.sample_size(if rows * len > 1_000_000 { 10 } else { 100 });
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{rows}x{len}")), |b| {
            b.iter(|| Advantages::default().advantages(black_box(&groups)));
        });
    }
    group.finish();
}

/// Log-probs and entropies of `rows` rows that a gradient can be asked for.
fn leaves(rows: usize, len: usize, device: &Device) -> [Tensor<2>; 2] {
    [-0.8, 1.2].map(|value| Tensor::full([rows, len], value, device).require_grad())
}

fn batch(rows: usize, len: usize, device: &Device) -> MicroBatch {
    let prompt: Arc<[u32]> = vec![1; 16].into();
    let rows: Vec<Row> = (0..rows)
        .map(|row| {
            let value = if row % 2 == 0 { 0.5 } else { -0.5 };
            Row::new(
                Arc::clone(&prompt),
                &trajectory(row % GROUP, len),
                &TokenRuns::constant(len as u32, value),
            )
        })
        .collect();
    MicroBatch::collate(&rows.iter().collect::<Vec<_>>(), device)
}

fn shaping(c: &mut Criterion) {
    let mut group = c.benchmark_group("shaping_and_gradient");
    let device = Device::flex().autodiff();
    for (rows, len) in SIZES {
        let batch = batch(rows, len, &device);
        let [logprobs, entropy] = leaves(rows, len, &device);
        let view = TokenView {
            logprobs: logprobs.clone(),
            behavior_logprobs: batch.behavior_logprobs.clone(),
            entropy,
            demonstrated: batch.demonstrated.clone(),
            advantages: batch.advantages.clone(),
        };
        // The largest takes seconds.
        group.sample_size(if rows * len > 1_000_000 { 10 } else { 100 });
        group.throughput(Throughput::Elements((rows * len) as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{rows}x{len}")), |b| {
            b.iter(|| {
                let shaped = Regularized { gamma: 0.1 }.shape(black_box(&view));
                logprobs.grad(&shaped.sum().backward())
            });
        });
    }
    group.finish();
}

fn loss(c: &mut Criterion) {
    let mut group = c.benchmark_group("loss_and_gradient");
    let device = Device::flex().autodiff();
    for (rows, len) in SIZES {
        let batch = batch(rows, len, &device);
        let [logprobs, entropy] = leaves(rows, len, &device);
        let objective = MixedPolicyLoss {
            clip: Clip::Epsilon { low: 0.2, high: 0.2 },
            entropy_coefficient: 0.001,
            ..MixedPolicyLoss::new(Arc::new(Regularized { gamma: 0.1 }))
        };
        let scale = objective.scale(&StepShape {
            n_rows: rows as u64,
            n_tokens: (rows * len) as u64,
            n_policy_tokens: (rows * len) as u64,
            n_demonstrated: 0,
            max_response_len: len as u32,
        });
        // The largest takes seconds.
        group.sample_size(if rows * len > 1_000_000 { 10 } else { 100 });
        group.throughput(Throughput::Elements((rows * len) as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{rows}x{len}")), |b| {
            b.iter(|| {
                let stats = TokenStats { logprobs: logprobs.clone(), entropy: entropy.clone() };
                let output = objective.loss(stats, black_box(&batch), &scale);
                logprobs.grad(&output.loss.backward())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, advantages, shaping, loss);
criterion_main!(benches);
