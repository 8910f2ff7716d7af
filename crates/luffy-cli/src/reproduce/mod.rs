//! The paper at small scale: its arms, learning rates of their own, several seeds, one report.
//!
//! ```text
//! plan.toml                              what is run; a directory belongs to one plan
//! bases/NAME/seed-N/                     the policies that runs start from
//! runs/SET/ARM/lr-X/seed-N/              ordinary run directories
//! report.md, curves-SET.svg              what came out
//! ```
//!
//! Stages are worked through in order; within one, learning rates are chosen first. A reproduction that
//! was stopped goes on where it was.

mod bases;
mod claims;
mod picture;
mod plan;
mod report;
mod results;
mod tables;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use crate::atomic::write_atomic;
use crate::clock::Stopwatch;
use crate::exit::{Code, WithCode};
use crate::run::{RunDir, RunOptions};
use crate::stdout;
use bases::Base;
use plan::{Plan, Stage};
use work::{Crew, Job};

/// Flags of `luffy reproduce`.
#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// Where everything is; an existing one is continued.
    #[arg(long, value_name = "DIR", default_value = "runs/reproduce")]
    out: PathBuf,
    /// Minutes after which no run begins and those that go on save and end; start again to continue.
    #[arg(long, value_name = "N", default_value_t = 90.0)]
    minutes: f64,
    /// Runs side by side; 0 for one per core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    workers: usize,
    /// Another plan than the built-in one (`configs/reproduce.toml`).
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Also write the report between the markers of this page, and the pictures to `images/` beside it.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Run nothing, write the report of what is there.
    #[arg(long)]
    report_only: bool,
}

impl ReproduceArgs {
    /// Runs side by side, as asked for.
    pub(crate) const fn workers(&self) -> usize {
        self.workers
    }
}

/// Runs what the plan asks for while there is time and writes the report.
pub(crate) fn reproduce(
    args: &ReproduceArgs,
    workers: usize,
    options: &RunOptions,
    say: &dyn Fn(&str),
) -> anyhow::Result<()> {
    let watch = Stopwatch::start();
    if !(args.minutes.is_finite() && args.minutes >= 0.0) {
        return Err(anyhow!("`--minutes` is {}, it must be 0 or more", args.minutes))
            .code(Code::Config);
    }
    let text = match &args.plan {
        None => plan::BUILTIN.to_owned(),
        Some(path) => fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))
            .code(Code::Config)?,
    };
    let plan = Plan::parse(&text).code(Code::Config)?;
    if let Some(page) = &args.write {
        // Before an hour of work, not after it.
        report::check_page(page)?;
    }
    let _lock = RunDir::claim(&args.out)?;
    let dir = fs::canonicalize(&args.out)
        .with_context(|| format!("cannot find {}", args.out.display()))?;
    keep_plan(&dir, &text)?;
    let crew =
        Crew { dir: &dir, n_workers: workers, options, watch, budget: args.minutes * 60.0, say };
    let is_complete = if args.report_only { false } else { all_stages(&plan, &crew)? };
    // A deadline is not somebody who interrupts.
    let is_interrupted = !args.report_only && !is_complete && !crew.is_late();
    let summary = report::write(&plan, &dir, &options.command, args.write.as_deref())?;
    stdout::say(&summary)?;
    stdout::say(&format!("report: {}", dir.join("report.md").display()))?;
    if is_interrupted {
        let how = format!("interrupted; continue with `--out {}`", args.out.display());
        return Err(anyhow!(how)).code(Code::Interrupted);
    }
    Ok(())
}

/// Stores the plan, or refuses another one than what the directory was begun with.
fn keep_plan(dir: &Path, text: &str) -> anyhow::Result<()> {
    let file = dir.join("plan.toml");
    if !file.exists() {
        return write_atomic(&file, text.as_bytes());
    }
    let stored =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    if stored == text {
        return Ok(());
    }
    let error = anyhow!(
        "{} was begun with another plan; continue it with `--plan {}`, or choose another `--out`",
        dir.display(),
        file.display()
    );
    Err(error).code(Code::Config)
}

/// Works through the stages; whether everything has ended.
fn all_stages(plan: &Plan, crew: &Crew<'_>) -> anyhow::Result<bool> {
    let mut made: BTreeMap<String, Vec<Base>> = BTreeMap::new();
    for (i, stage) in plan.stages.iter().enumerate() {
        for set in stage.sets.iter().chain(&plan.tuning_sets) {
            let name = &plan.set(set)?.bases;
            if made.contains_key(name) {
                continue;
            }
            if crew.is_over() {
                return Ok(false);
            }
            let found = bases::make(plan, name, crew.dir, crew.n_workers, crew.say)?;
            made.insert(name.clone(), found);
        }
        let stage_name = format!("stage {} of {}", i + 1, plan.stages.len());
        let tuning = tuning_jobs(plan, stage, &made)?;
        if !crew.work(&format!("{stage_name}, learning rates"), &tuning)? {
            return Ok(false);
        }
        let jobs = final_jobs(plan, stage, &made, crew.dir)?;
        if !crew.work(&stage_name, &jobs)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A run of each arm of the stage on each tuning set at each rate, where the arm has a rate of its own.
fn tuning_jobs(
    plan: &Plan,
    stage: &Stage,
    made: &BTreeMap<String, Vec<Base>>,
) -> anyhow::Result<Vec<Job>> {
    let mut jobs: Vec<Job> = Vec::new();
    for arm in &stage.arms {
        let arm = plan.tuner(plan.arm(arm)?)?;
        for (set, rate) in
            plan.tuning_sets.iter().flat_map(|set| plan.rates.iter().map(move |r| (set, r)))
        {
            let set = plan.set(set)?;
            let base = &made[&set.bases][0];
            let job = Job::new(plan, arm, set, *rate, plan.tuning_seed, &base.path)?;
            if jobs.iter().all(|other| other.name != job.name) {
                jobs.push(job);
            }
        }
    }
    Ok(jobs)
}

/// The runs that count, seed by seed, so that what is there when the time is up compares all arms.
fn final_jobs(
    plan: &Plan,
    stage: &Stage,
    made: &BTreeMap<String, Vec<Base>>,
    dir: &Path,
) -> anyhow::Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for (i, seed) in plan.seeds[..stage.seeds].iter().enumerate() {
        for set in &stage.sets {
            let set = plan.set(set)?;
            let bases = &made[&set.bases];
            let base = &bases[i % bases.len()];
            for arm in &stage.arms {
                let arm = plan.arm(arm)?;
                let rate = results::rate(plan, arm, dir)?
                    .with_context(|| format!("arm `{}` has no learning rate yet", arm.name))?;
                jobs.push(Job::new(plan, arm, set, rate, *seed, &base.path)?);
            }
        }
    }
    Ok(jobs)
}
