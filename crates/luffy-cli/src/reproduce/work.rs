//! Runs side by side, until there is none left or the time is up.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::Context;

use super::plan::{Arm, Plan, Set};
use crate::atomic::write_atomic;
use crate::clock::Stopwatch;
use crate::compare;
use crate::config::RunConfig;
use crate::exit::{Code, code_of};
use crate::progress::{Show, duration};
use crate::run::{RunOptions, Summary};

/// Name of the file that says that a run diverged.
const DIVERGED: &str = "diverged.txt";

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// `SET/ARM/lr-X/seed-N`, below the folder of all runs.
    pub(super) name: String,
    pub(super) config: RunConfig,
}

impl Job {
    /// The run of an arm on a set, from a base.
    ///
    /// # Errors
    /// If the settings make no run.
    pub(super) fn new(
        plan: &Plan,
        arm: &Arm,
        set: &Set,
        rate: f64,
        seed: u64,
        base: &Path,
    ) -> anyhow::Result<Self> {
        let config = plan.config(arm, set, rate, seed, base)?;
        Ok(Self { name: name(&set.name, &arm.name, rate, seed), config })
    }
}

/// `SET/ARM/lr-X/seed-N`.
pub(super) fn name(set: &str, arm: &str, rate: f64, seed: u64) -> String {
    format!("{set}/{arm}/lr-{rate:e}/seed-{seed}")
}

/// The folder of a run.
pub(super) fn run_dir(dir: &Path, name: &str) -> PathBuf {
    dir.join("runs").join(name)
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ending {
    /// It took every step.
    Finished(Box<Summary>),
    /// A loss or a gradient stopped being finite, which is a result too.
    Diverged,
}

/// How a run ended; `None` if it did not yet.
///
/// # Errors
/// If its summary cannot be read.
pub(super) fn ending(dir: &Path) -> anyhow::Result<Option<Ending>> {
    if dir.join(DIVERGED).exists() {
        return Ok(Some(Ending::Diverged));
    }
    let file = dir.join("summary.json");
    if !file.exists() {
        return Ok(None);
    }
    let json = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let summary = serde_json::from_slice(&json)
        .with_context(|| format!("{} is not of this version", file.display()))?;
    Ok(Some(Ending::Finished(Box::new(summary))))
}

/// The time that is left, and who works in it.
pub(super) struct Crew<'a> {
    pub(super) dir: &'a Path,
    pub(super) n_workers: usize,
    pub(super) options: &'a RunOptions,
    pub(super) watch: Stopwatch,
    /// Seconds from the start; after them no run begins, and those that go on save and end.
    pub(super) budget: f64,
    pub(super) say: &'a dyn Fn(&str),
}

/// What a worker tells.
enum Told {
    Finished(usize, f64),
    Stopped,
    Failed(anyhow::Error),
}

impl Crew<'_> {
    /// Whether no further run may begin.
    pub(super) fn is_over(&self) -> bool {
        self.options.interrupted.load(Ordering::SeqCst) || self.is_late()
    }

    /// Whether the time is up.
    pub(super) fn is_late(&self) -> bool {
        self.watch.seconds() >= self.budget
    }

    /// Makes runs, in this order, as many at a time as there are workers; finished ones are passed over.
    /// Returns whether all of them have ended.
    ///
    /// # Errors
    /// The first error of a run, other than that it diverged; the others save and end.
    pub(super) fn work(&self, stage: &str, jobs: &[Job]) -> anyhow::Result<bool> {
        let mut left = Vec::new();
        for job in jobs {
            if ending(&run_dir(self.dir, &job.name))?.is_none() {
                left.push(job);
            }
        }
        if left.is_empty() {
            return Ok(true);
        }
        if self.is_over() {
            return Ok(false);
        }
        (self.say)(&format!("{stage}: {} of {} runs to do", left.len(), jobs.len()));
        let next = AtomicUsize::new(0);
        let (sender, receiver) = mpsc::channel();
        let options = RunOptions { show: Show::Nothing, ..self.options.clone() };
        std::thread::scope(|scope| {
            for _ in 0..self.n_workers.min(left.len()) {
                let (sender, next, left, options) = (sender.clone(), &next, &left, &options);
                let dir = self.dir;
                scope.spawn(move || {
                    worker(dir, left, next, options, &sender);
                });
            }
            drop(sender);
            self.listen(stage, &left, &receiver)
        })
    }

    /// Follows the workers to their end and stops them when the time is up.
    fn listen(
        &self,
        stage: &str,
        left: &[&Job],
        receiver: &mpsc::Receiver<Told>,
    ) -> anyhow::Result<bool> {
        let mut n_done = 0;
        let mut failure = None;
        loop {
            let rest = (self.budget - self.watch.seconds()).clamp(0.0, 1e6);
            let told = match receiver.recv_timeout(Duration::from_secs_f64(rest.max(0.05))) {
                Ok(told) => told,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.is_late() && !self.options.interrupted.swap(true, Ordering::SeqCst) {
                        (self.say)("the time is up: runs save and end");
                    }
                    continue;
                }
            };
            match told {
                Told::Finished(i, seconds) => {
                    n_done += 1;
                    (self.say)(&format!(
                        "{stage} {n_done}/{}  {}  {}  {} left",
                        left.len(),
                        left[i].name,
                        duration(seconds),
                        duration(self.budget - self.watch.seconds())
                    ));
                }
                Told::Stopped => {}
                Told::Failed(error) => {
                    self.options.interrupted.store(true, Ordering::SeqCst);
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(n_done == left.len()),
        }
    }
}

fn worker(
    dir: &Path,
    left: &[&Job],
    next: &AtomicUsize,
    options: &RunOptions,
    sender: &mpsc::Sender<Told>,
) {
    while !options.interrupted.load(Ordering::SeqCst) {
        let i = next.fetch_add(1, Ordering::SeqCst);
        let Some(job) = left.get(i) else { return };
        let watch = Stopwatch::start();
        let path = run_dir(dir, &job.name);
        let told = match compare::one(&job.config, &path, options) {
            Ok(_) => Told::Finished(i, watch.seconds()),
            Err(error) => match code_of(&error) {
                Code::Interrupted => Told::Stopped,
                Code::Diverged => {
                    let text = format!("{error:#}\n");
                    match write_atomic(&path.join(DIVERGED), text.as_bytes()) {
                        Ok(()) => Told::Finished(i, watch.seconds()),
                        Err(error) => Told::Failed(error),
                    }
                }
                _ => Told::Failed(error.context(job.name.clone())),
            },
        };
        // Whoever listens stays until every worker has ended.
        let _ = sender.send(told);
    }
}
