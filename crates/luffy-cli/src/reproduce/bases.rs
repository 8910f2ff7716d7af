//! The policies that runs start from, made and checked once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::plan::{Bases, Plan};
use crate::base::{self, BaseRecipe, BaseReport};
use crate::config::BUILTIN_ADDITION;

/// Least accuracy on every level of a base that is made to think first. What it lacks there, training
/// does not repair in time (`docs/src/results.md`).
const LEAST_SKILL: f64 = 0.97;

/// A policy to start from.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// A Hugging Face folder, or `builtin:addition`.
    pub(super) path: PathBuf,
    /// How it was made; absent for one that was given.
    pub(super) report: Option<BaseReport>,
}

/// The policies of one name, in the order in which seeds take them.
///
/// Those that exist are read, the others made. A seed whose base fails the check is passed over for good.
///
/// # Errors
/// If too few seeds give a base with the skill, or files cannot be read or written.
pub(super) fn make(
    plan: &Plan,
    name: &str,
    dir: &Path,
    replicas: usize,
    say: &dyn Fn(&str),
) -> anyhow::Result<Vec<Base>> {
    let bases = plan.bases(name)?;
    if !bases.path.is_empty() {
        return Ok(vec![Base { path: PathBuf::from(&bases.path), report: None }]);
    }
    let mut made = Vec::new();
    for seed in &bases.seeds {
        if made.len() == bases.count {
            break;
        }
        made.extend(one(bases, *seed, dir, replicas, say)?);
    }
    if made.len() < bases.count {
        bail!("of the seeds of bases `{name}` only {} gave one with the skill", made.len());
    }
    Ok(made)
}

/// The policies of one name that are there.
///
/// # Errors
/// If one cannot be read.
pub(super) fn existing(plan: &Plan, name: &str, dir: &Path) -> anyhow::Result<Vec<Base>> {
    let bases = plan.bases(name)?;
    let mut found = Vec::new();
    for seed in &bases.seeds {
        let path = folder(bases, *seed, dir);
        if let Some(report) = read(&path)?.filter(|_| found.len() < bases.count) {
            found.push(Base { path, report: Some(report) });
        }
    }
    Ok(found)
}

fn folder(bases: &Bases, seed: u64, dir: &Path) -> PathBuf {
    dir.join("bases").join(&bases.name).join(format!("seed-{seed}"))
}

/// The base of one seed; `None` if it does not have the skill.
fn one(
    bases: &Bases,
    seed: u64,
    dir: &Path,
    replicas: usize,
    say: &dyn Fn(&str),
) -> anyhow::Result<Option<Base>> {
    let path = folder(bases, seed, dir);
    let failed = path.with_extension("failed");
    if failed.exists() {
        return Ok(None);
    }
    if let Some(report) = read(&path)? {
        return Ok(Some(Base { path, report: Some(report) }));
    }
    say(&format!("base `{}` of seed {seed}", bases.name));
    let recipe = BaseRecipe { seed, habit_steps: bases.habit_steps, ..BaseRecipe::default() };
    let quiet = |_: &str| ();
    let built = base::build(&path, recipe, replicas, &quiet).and_then(|report| {
        let least = report.accuracy_when_thinking.values().copied().fold(1.0, f64::min);
        if least < LEAST_SKILL {
            bail!("told to think, it solves {least:.3} of the worst level");
        }
        Ok(report)
    });
    match built {
        Ok(report) => {
            say(&format!("  it thinks on levels 3 and 4 with probability {:.1e}", report.p_joint));
            Ok(Some(Base { path, report: Some(report) }))
        }
        Err(error) => {
            say(&format!("  passed over: {error:#}"));
            let context = || format!("cannot put {} away", path.display());
            fs::rename(&path, &failed).with_context(context)?;
            Ok(None)
        }
    }
}

/// The report of a finished base: `recipe.json` is the last file that is written.
fn read(path: &Path) -> anyhow::Result<Option<BaseReport>> {
    let file = path.join("recipe.json");
    if !file.exists() {
        return Ok(None);
    }
    let json = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let report = serde_json::from_slice(&json)
        .with_context(|| format!("{} is not of this version", file.display()))?;
    Ok(Some(report))
}

/// Whether a base is one that comes with the program.
pub(super) fn is_builtin(path: &Path) -> bool {
    path.as_os_str() == BUILTIN_ADDITION
}
