//! How many answers a second one thread grades: `cargo bench -p luffy-reward`.
//!
//! The rows are those of `cargo xtask bench grader`, which sets them beside math-verify: every third row
//! of category `equality`, and apart from them the hostile ones. They lie beside the checkout
//! (`LUFFY_SHARED`); without them nothing is measured. It stands here and not in the package of the other
//! benches because that one builds burn.

#![allow(missing_docs, reason = "criterion's macro makes a public function")]
#![expect(clippy::print_stderr, reason = "says why nothing is measured")]

#[path = "../examples/conformance/rows.rs"]
#[expect(dead_code, reason = "nothing is judged here")]
mod rows;

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use luffy_core::{Response, Verifier};
use luffy_reward::{MathVerifier, Profile};
use rows::Row;

fn cases() -> Vec<Row> {
    let shared = std::env::var_os("LUFFY_SHARED").filter(|dir| !dir.is_empty()).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let mut found = Vec::new();
    let read = rows::read(&shared.join("conformance/grader/cases.jsonl"), |_, row| {
        found.extend(row);
    });
    if let Err(complaint) = read {
        eprintln!("nothing is measured: {complaint}");
    }
    found
}

fn grade(c: &mut Criterion) {
    let cases = cases();
    let of = |category: &str| -> Vec<&Row> {
        cases.iter().filter(|row| row.category == category).collect()
    };
    let equality: Vec<&Row> = of("equality").into_iter().step_by(3).collect();
    let mut group = c.benchmark_group("grader");
    group.sample_size(20);
    for (name, rows) in [("equality", equality), ("hostile", of("hostile"))] {
        if rows.is_empty() {
            continue;
        }
        group.throughput(Throughput::Elements(rows.len() as u64));
        for profile in [Profile::Training, Profile::Lenient] {
            group.bench_function(format!("{name}/{profile:?}").to_lowercase(), |b| {
                b.iter(|| {
                    for row in &rows {
                        let verifier = MathVerifier::new(profile, row.format);
                        let response = Response::complete(&row.response);
                        black_box(verifier.verify(black_box(&row.task), &response));
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, grade);
criterion_main!(benches);
