//! Several methods and seeds, one after the other, and one report.
//!
//! Each run is an ordinary run directory `DIR/METHOD/seed-N`. A comparison that was stopped goes on where it
//! was: finished runs are kept, a broken-off one is resumed.

use std::fs;
use std::path::Path;

use anyhow::Context;
use luffy_objective::MethodConfig;
use serde::{Deserialize, Serialize};

use crate::atomic::write_atomic;
use crate::config::RunConfig;
use crate::exit::{Code, WithCode};
use crate::report;
use crate::run::{self, RunDir, RunOptions, Summary};

/// All runs of one method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Name of the method.
    pub method: String,
    /// One per seed.
    pub runs: Vec<Summary>,
}

/// `summary.json` of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Layout of this file.
    pub schema: u32,
    /// The arms in the order of the configuration.
    pub arms: Vec<Arm>,
}

/// The configurations of all runs, method by method.
///
/// # Errors
/// If a method has no such name.
pub fn expand(config: &RunConfig) -> anyhow::Result<Vec<(String, Vec<RunConfig>)>> {
    let methods = &config.compare.methods;
    let seeds = &config.compare.seeds;
    methods
        .iter()
        .map(|name| {
            // An arm that the file configures keeps its parameters, the others take their defaults.
            let method = if config.method.name() == name {
                config.method.clone()
            } else {
                MethodConfig::by_name(name)
                    .with_context(|| {
                        format!("`compare.methods` names `{name}`, which is no method")
                    })
                    .code(Code::Config)?
            };
            let runs = seeds
                .iter()
                .map(|seed| RunConfig {
                    seed: *seed,
                    method: method.clone(),
                    compare: crate::config::CompareSection::default(),
                    ..config.clone()
                })
                .collect();
            Ok((name.clone(), runs))
        })
        .collect()
}

/// Runs everything and writes `summary.json` and `report.html`.
///
/// # Errors
/// As a single run; what is finished stays.
pub fn compare(
    config: &RunConfig,
    out: &Path,
    options: &RunOptions,
    say: &dyn Fn(&str),
) -> anyhow::Result<Comparison> {
    let expanded = expand(config)?;
    for (_, runs) in &expanded {
        runs.iter().try_for_each(run::validate)?;
    }
    let dir = RunDir::create(out, config)?;
    proceed(&expanded, dir.path(), options, say)
}

/// Continues a comparison.
///
/// # Errors
/// As [`compare`].
pub fn resume(
    path: &Path,
    replicas: Option<usize>,
    options: &RunOptions,
    say: &dyn Fn(&str),
) -> anyhow::Result<Comparison> {
    let (dir, mut config) = RunDir::open(path)?;
    if let Some(replicas) = replicas {
        config.parallel.replicas = replicas;
    }
    proceed(&expand(&config)?, dir.path(), options, say)
}

fn proceed(
    expanded: &[(String, Vec<RunConfig>)],
    dir: &Path,
    options: &RunOptions,
    say: &dyn Fn(&str),
) -> anyhow::Result<Comparison> {
    let n_runs: usize = expanded.iter().map(|(_, runs)| runs.len()).sum();
    let mut done = 0;
    let mut arms = Vec::new();
    for (method, runs) in expanded {
        let mut summaries = Vec::new();
        for config in runs {
            done += 1;
            say(&format!("run {done} of {n_runs}: {method}, seed {}", config.seed));
            let path = dir.join(method).join(format!("seed-{}", config.seed));
            summaries.push(one(config, &path, options)?);
        }
        arms.push(Arm { method: method.clone(), runs: summaries });
    }
    let comparison = Comparison { schema: 1, arms };
    report::write_comparison(dir, &comparison)?;
    write_atomic(&dir.join("summary.json"), &serde_json::to_vec_pretty(&comparison)?)?;
    Ok(comparison)
}

/// A run in `path`: as it ended if it is finished, continued if it was begun, made otherwise.
///
/// # Errors
/// As a single run.
pub(crate) fn one(
    config: &RunConfig,
    path: &Path,
    options: &RunOptions,
) -> anyhow::Result<Summary> {
    let finished = path.join("summary.json");
    if finished.exists() {
        let json =
            fs::read(&finished).with_context(|| format!("cannot read {}", finished.display()))?;
        return serde_json::from_slice(&json)
            .with_context(|| format!("{} is not of this version", finished.display()));
    }
    let outcome = if path.join("config.toml").exists() {
        run::resume(path, Some(config.parallel.replicas), options)?
    } else {
        run::train(config, path, options)?
    };
    Ok(outcome.summary)
}
