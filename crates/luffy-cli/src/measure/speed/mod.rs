//! `luffy measure-speed`: does the jobs of `benches/peers/speed_peers.py`, a line of JSON in, a line out.
//!
//! `benches/peers/torch_worker.py` does the same jobs with PyTorch. The clock runs over the work alone:
//! loading, the making of requests and rows, and the pools of threads are outside.

mod held;
mod job;
mod machine;
mod step;

use std::io::{self, BufRead};

use anyhow::Context;
use serde_json::{Value, json};

use self::held::Held;
use self::job::Job;
use crate::machine::peak_memory_bytes;
use crate::stdout::say;

/// What a job took and what it found out.
struct Measured {
    seconds: f64,
    said: Value,
}

/// Answers every line of standard input.
pub(crate) fn measure_speed() -> anyhow::Result<()> {
    let mut held = None;
    for line in io::stdin().lock().lines() {
        let line = line.context("cannot read the next job")?;
        let mut answer = match answer(&line, &mut held) {
            Ok(Measured { seconds, said }) => {
                let mut answer = json!({ "seconds": seconds });
                merge(&mut answer, said);
                answer
            }
            // A job that cannot be done is a finding; the next one may go.
            Err(error) => json!({ "error": format!("{error:#}") }),
        };
        let peak = peak_memory_bytes().map(|bytes| bytes as f64 / f64::from(1 << 30));
        merge(&mut answer, json!({ "peak_gib": peak }));
        say(&answer.to_string())?;
    }
    Ok(())
}

fn answer(line: &str, held: &mut Option<Held>) -> anyhow::Result<Measured> {
    let job: Job = serde_json::from_str(line).context("not a job")?;
    match job {
        Job::Gemm(job) => machine::gemm(&job),
        Job::Bandwidth(job) => Ok(machine::bandwidth(&job)),
        Job::Facts => Ok(machine::facts()),
        Job::Rollout(job) => Held::of(held, &job.model)?.rollout(&job),
        Job::Score(job) => Ok(Held::of(held, &job.model)?.score(&job)),
        Job::Update(job) => Held::of(held, &job.model)?.update(&job),
        Job::Step(job) => step::step(Held::of(held, &job.model)?, &job),
    }
}

/// Adds the fields of one object to another.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
