//! What the machine can do at most: a product of matrices and a copy.

use anyhow::Context;
use burn::tensor::{Distribution, Tensor};
use rayon::ThreadPoolBuilder;
use serde_json::json;

use super::Measured;
use super::job::{BandwidthJob, GemmJob};
use crate::clock::Stopwatch;
use crate::device::{BACKEND, device};
use crate::machine::{BURN_VERSION, cpu_model, git_commit, memory_bytes};

/// burn's product of two square matrices of `f32`.
pub(super) fn gemm(job: &GemmJob) -> anyhow::Result<Measured> {
    let pool = pool(job.threads)?;
    let seconds = pool.install(|| {
        let draw = || {
            let uniform = Distribution::Uniform(0.0, 1.0);
            Tensor::<2>::random([job.size, job.size], uniform, &device())
        };
        let (a, b) = (draw(), draw());
        let product = || a.clone().matmul(b.clone()).into_data();
        let _ = product();
        let clock = Stopwatch::start();
        for _ in 0..job.times {
            let _ = product();
        }
        clock.seconds() / job.times as f64
    });
    let flops = 2.0 * (job.size as f64).powi(3);
    Ok(Measured { seconds, said: json!({ "gflops": flops / seconds / 1e9 }) })
}

/// Reads one large array and writes another, a thread a part.
pub(super) fn bandwidth(job: &BandwidthJob) -> Measured {
    let n = job.mib << 18;
    let from: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let mut to = vec![1.0_f32; n];
    let part = n.div_ceil(job.threads.max(1)).max(1);
    let clock = Stopwatch::start();
    for _ in 0..job.times {
        std::thread::scope(|scope| {
            for (to, from) in to.chunks_mut(part).zip(from.chunks(part)) {
                scope.spawn(move || to.copy_from_slice(from));
            }
        });
        std::hint::black_box(&to);
    }
    let seconds = clock.seconds() / job.times as f64;
    let gib = 8.0 * n as f64 / f64::from(1 << 30);
    Measured { seconds, said: json!({ "gib_per_second": gib / seconds }) }
}

/// With what it was built and where it runs.
pub(super) fn facts() -> Measured {
    let said = json!({
        "backend": BACKEND,
        "burn": BURN_VERSION,
        "commit": git_commit(),
        "cpu": cpu_model(),
        "cores": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        "memory_bytes": memory_bytes(),
    });
    Measured { seconds: 0.0, said }
}

fn pool(threads: usize) -> anyhow::Result<rayon::ThreadPool> {
    ThreadPoolBuilder::new().num_threads(threads).build().context("no threads")
}
