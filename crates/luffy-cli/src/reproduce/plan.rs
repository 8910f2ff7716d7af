//! What a reproduction runs: a TOML file of sets, arms, stages and claims.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::config::{self, RunConfig};
use crate::run;

/// The plan that is used where no other is named.
pub(super) const BUILTIN: &str = include_str!("../../../../configs/reproduce.toml");

/// A whole plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Plan {
    /// Learning rates to choose from, ascending.
    pub(super) rates: Vec<f64>,
    /// The seed on which they are compared, none of `seeds`.
    pub(super) tuning_seed: u64,
    /// The sets on which they are compared.
    pub(super) tuning_sets: Vec<String>,
    /// Seeds of the runs that count, in the order in which they are added.
    pub(super) seeds: Vec<u64>,
    /// The arm that the others are set beside.
    pub(super) main_arm: String,
    /// Arms of the figures.
    pub(super) drawn: Vec<String>,
    /// Steps that entropy, length and probability are shown at, as means of the ten steps before.
    pub(super) shown_steps: Vec<u64>,
    /// Settings of every run, on top of recipe `addition`.
    pub(super) run: Table,
    /// Policies to start from.
    pub(super) bases: Vec<Bases>,
    /// Problems to train on.
    pub(super) sets: Vec<Set>,
    /// Methods, each with a learning rate of its own.
    pub(super) arms: Vec<Arm>,
    /// What to do first, and what if time is left.
    pub(super) stages: Vec<Stage>,
    /// What the paper found, to be looked for.
    pub(super) claims: Vec<Claim>,
}

/// Policies made alike from different seeds; seed number `i` of the plan starts from number `i mod count`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Bases {
    pub(super) name: String,
    /// A policy that exists, instead of new ones.
    #[serde(default)]
    pub(super) path: String,
    /// How many are wanted.
    #[serde(default = "one")]
    pub(super) count: usize,
    /// Seeds to try, in order, until there are that many: some bases do not learn the skill.
    #[serde(default)]
    pub(super) seeds: Vec<u64>,
    /// Steps of the habit phase: the fewer, the more the policy is inclined to think.
    #[serde(default = "habit_steps")]
    pub(super) habit_steps: u64,
}

const fn one() -> usize {
    1
}

fn habit_steps() -> u64 {
    crate::base::BaseRecipe::default().habit_steps
}

/// Problems to train on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Set {
    pub(super) name: String,
    /// What it is, for the report.
    pub(super) about: String,
    /// Name of the policies to start from.
    pub(super) bases: String,
    /// Settings, on top of those of every run.
    #[serde(default)]
    pub(super) run: Table,
}

/// A method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Arm {
    /// Also a folder.
    pub(super) name: String,
    /// What it is, for the report.
    pub(super) label: String,
    /// The paper's average over six benchmarks for the same arm, in percent.
    #[serde(default)]
    pub(super) paper: Option<f64>,
    /// The arm whose learning rate it takes; its own where this is absent.
    #[serde(default)]
    pub(super) rate_of: Option<String>,
    /// The section `method` of its configuration.
    pub(super) method: Table,
}

/// Runs that are made before those of the next stage: seed by seed, set by set, arm by arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Stage {
    pub(super) arms: Vec<String>,
    pub(super) sets: Vec<String>,
    /// How many of the plan's seeds, from the first.
    pub(super) seeds: usize,
}

/// A figure of a run that a claim is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Measure {
    /// Share of right answers after training, mean over levels.
    Accuracy,
    /// First step whose on-policy reward on levels 3 and 4 is one half or more.
    TakeOff,
    /// Mean entropy of sampled tokens over a range of steps, nats.
    Entropy,
    /// Mean length of greedy answers after training, tokens.
    Length,
    /// Mean ROUGE-L of greedy answers and demonstrations on levels 3 and 4 after training.
    Similarity,
    /// Mean probability of demonstrated tokens over a range of steps.
    DemonstrationProbability,
}

/// Something the paper, or an earlier measurement, found: `more` has more of `measure` than `less`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Claim {
    /// In words.
    pub(super) text: String,
    /// What was found there, with figures.
    pub(super) paper: String,
    pub(super) measure: Measure,
    pub(super) more: String,
    pub(super) less: String,
    /// Levels that accuracy is meant on; all where it is empty.
    #[serde(default)]
    pub(super) levels: Vec<u32>,
    /// First and last step of a mean over steps; all where it is absent.
    #[serde(default)]
    pub(super) steps: Option<(u64, u64)>,
    /// Sets it is looked for on; all where it is empty.
    #[serde(default)]
    pub(super) sets: Vec<String>,
}

impl Plan {
    /// Reads and checks a plan.
    ///
    /// # Errors
    /// If it does not parse, names what is not there, or a run of it would be refused.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let plan: Self = toml::from_str(text).context("cannot read the plan")?;
        plan.check()?;
        Ok(plan)
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.rates.is_empty(), "`rates` is empty");
        ensure!(
            self.rates.is_sorted_by(|a, b| a < b),
            "`rates` must ascend: of equally good ones the first is taken"
        );
        ensure!(
            !self.seeds.contains(&self.tuning_seed),
            "`tuning-seed` {} is one of `seeds`: rates would be chosen on a run that counts",
            self.tuning_seed
        );
        let seeds: BTreeSet<u64> = self.seeds.iter().copied().collect();
        ensure!(seeds.len() == self.seeds.len(), "`seeds` holds one twice");
        for bases in &self.bases {
            ensure!(
                !bases.path.is_empty() || bases.count <= bases.seeds.len(),
                "bases `{}` want {} of {} seeds",
                bases.name,
                bases.count,
                bases.seeds.len()
            );
            ensure!(bases.count > 0, "bases `{}` want none", bases.name);
        }
        for set in &self.sets {
            self.bases(&set.bases)?;
        }
        for arm in &self.arms {
            self.tuner(arm)?;
            for set in &self.sets {
                let config =
                    self.config(arm, set, self.rates[0], self.tuning_seed, Path::new("base"));
                let config = config.with_context(|| format!("arm `{}`", arm.name))?;
                run::validate(&config)
                    .with_context(|| format!("arm `{}` on set `{}`", arm.name, set.name))?;
            }
        }
        self.arm(&self.main_arm)?;
        self.drawn.iter().try_for_each(|arm| self.arm(arm).map(|_| ()))?;
        self.tuning_sets.iter().try_for_each(|set| self.set(set).map(|_| ()))?;
        for stage in &self.stages {
            stage.arms.iter().try_for_each(|arm| self.arm(arm).map(|_| ()))?;
            stage.sets.iter().try_for_each(|set| self.set(set).map(|_| ()))?;
            ensure!(
                stage.seeds <= self.seeds.len(),
                "a stage asks for {} seeds, the plan has {}",
                stage.seeds,
                self.seeds.len()
            );
        }
        for claim in &self.claims {
            self.arm(&claim.more)?;
            self.arm(&claim.less)?;
            claim.sets.iter().try_for_each(|set| self.set(set).map(|_| ()))?;
        }
        Ok(())
    }

    /// The arm of that name.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn arm(&self, name: &str) -> anyhow::Result<&Arm> {
        let arm = self.arms.iter().find(|arm| arm.name == name);
        arm.with_context(|| format!("the plan has no arm `{name}`"))
    }

    /// The set of that name.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn set(&self, name: &str) -> anyhow::Result<&Set> {
        let set = self.sets.iter().find(|set| set.name == name);
        set.with_context(|| format!("the plan has no set `{name}`"))
    }

    /// The policies of that name.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn bases(&self, name: &str) -> anyhow::Result<&Bases> {
        let bases = self.bases.iter().find(|bases| bases.name == name);
        bases.with_context(|| format!("the plan has no bases `{name}`"))
    }

    /// The arm whose runs choose the learning rate of `arm`.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn tuner<'a>(&'a self, arm: &'a Arm) -> anyhow::Result<&'a Arm> {
        let Some(name) = &arm.rate_of else { return Ok(arm) };
        let tuner = self.arm(name)?;
        if tuner.rate_of.is_some() {
            bail!("arm `{}` takes the rate of `{name}`, which has none of its own", arm.name);
        }
        Ok(tuner)
    }

    /// The configuration of one run. The problems to train on differ from seed to seed.
    ///
    /// # Errors
    /// If the settings make no run.
    pub(super) fn config(
        &self,
        arm: &Arm,
        set: &Set,
        rate: f64,
        seed: u64,
        base: &Path,
    ) -> anyhow::Result<RunConfig> {
        let mut method = Table::new();
        method.insert("method".to_owned(), arm.method.clone().into());
        let tables = [&self.run, &set.run, &method];
        let mut config = config::load_tables("addition", "plan", &tables)?;
        config.seed = seed;
        config.addition.seed = seed;
        config.optimizer.lr = rate;
        config.model.path = base.display().to_string();
        config.parallel.replicas = 1;
        Ok(config)
    }
}
