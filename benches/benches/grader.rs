//! A batch of responses graded side by side, as a training step does it.
//!
//! `cargo bench -p luffy-benches --bench grader`. The batch is one step of the paper's run, 1,024 responses
//! (128 prompts, 8 members), of the kinds that occur there. `cargo xtask bench grader` compares with Python.

#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use luffy_core::{Response, Task};
use luffy_reward::{Format, MathVerifier, Profile, verify_batch};

/// Responses in a batch.
const BATCH: usize = 1024;

/// Gold answer, and what is written about it: equal as written, equal after work, different, without a box.
const CASES: [(&str, &str); 8] = [
    ("57", r"\boxed{57}"),
    (r"\frac{1}{2}", r"\boxed{0.5}"),
    ("x^2-1", r"\boxed{(x-1)(x+1)}"),
    (r"\left(3,\frac{\pi}{2}\right)", r"\boxed{(3, \pi/2)}"),
    (r"\sqrt{2}+\sqrt{3}", r"\boxed{\sqrt{5+2\sqrt{6}}}"),
    ("142.0", r"\boxed{143}"),
    (r"(2,\infty)", r"\boxed{x > 2}"),
    ("12", "the answer is twelve"),
];

fn task(gold: &str) -> Task {
    Task {
        id: "bench:0".into(),
        source: "bench".into(),
        messages: vec![],
        golds: vec![gold.into()],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    }
}

fn batch(c: &mut Criterion) {
    let tasks: Vec<Task> = CASES.iter().map(|(gold, _)| task(gold)).collect();
    let thought = "We look at the problem step by step and check each of them. ".repeat(100);
    let texts: Vec<String> =
        CASES.iter().map(|(_, answer)| format!("<think>\n{thought}</think>\n{answer}")).collect();
    let mut group = c.benchmark_group("grader_batch");
    group.throughput(Throughput::Elements(BATCH as u64));
    for (name, profile) in [("training", Profile::Training), ("lenient", Profile::Lenient)] {
        let verifier = MathVerifier::new(profile, Format::Think);
        let pairs: Vec<(&Task, Response<'_>)> = (0..BATCH)
            .map(|i| (&tasks[i % CASES.len()], Response::complete(&texts[i % CASES.len()])))
            .collect();
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| verify_batch(&verifier, black_box(&pairs)));
        });
    }
    group.finish();
}

criterion_group!(benches, batch);
criterion_main!(benches);
