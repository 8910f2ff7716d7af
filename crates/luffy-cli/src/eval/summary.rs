//! The figures of an evaluation.

use std::collections::BTreeMap;

use luffy_core::{Outcome, Reason};
use luffy_reward::Profile;
use rayon::prelude::*;
use serde::Serialize;

use super::grading::same;
use super::record::{Answered, DataCounts, Finish, Results};
use crate::stats::{self, Vote, bootstrap_macro_mean, majority, mean, pass_at_k, wilson};

/// Keys the resamples: the same responses give the same interval.
const BOOTSTRAP_SEED: u64 = 0;

/// What came of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Summary {
    schema: u32,
    /// What was read; absent where saved responses were graded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<DataCounts>,
    /// Problems that were asked.
    pub(super) problems: u64,
    pub(super) responses: u64,
    /// In the order of the data.
    pub(super) sources: Vec<Source>,
    /// Mean over the sources, each counting the same.
    pub(super) macro_mean: Figures,
    /// The k that were asked for; none for the number of responses to each problem.
    #[serde(skip)]
    pub(super) pass_at: Vec<u64>,
}

/// The figures that sources have and their mean has too.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    /// Mean over problems of the share of right responses: avg@k, which is pass@1 as well.
    pub(super) avg: f64,
    /// 95 % interval of it; none where the data show no spread: one problem, or problems that all agree.
    pub(super) interval: Option<Interval>,
    /// pass@k by k.
    pub(super) pass_at: BTreeMap<u64, f64>,
    /// maj@k: mean over problems of whether the most frequent answer is right.
    pub(super) majority: f64,
}

/// Where a mean may lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
    /// `wilson` for one response to each problem, `bootstrap` over problems otherwise.
    method: &'static str,
}

/// The figures of one source.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Source {
    #[serde(rename = "source")]
    pub(super) name: String,
    pub(super) problems: u64,
    pub(super) responses: u64,
    /// Fewest and most responses to a problem.
    pub(super) samples: [u64; 2],
    #[serde(flatten)]
    pub(super) figures: Figures,
    /// Right responses.
    pub(super) correct: u64,
    /// Problems whose prompt leaves no room in the context; their responses count as wrong.
    pub(super) too_long_problems: u64,
    /// Responses that the token limit or the end of the context cut.
    pub(super) cut: u64,
    /// Responses without an answer in the asked-for format, cut ones included.
    pub(super) malformed: u64,
    /// Responses that cannot be right, as their gold is unusable; they count as wrong.
    pub(super) bad_gold: u64,
    /// Mean over the responses that were generated.
    pub(super) mean_tokens: f64,
}

impl Summary {
    /// The figures of graded responses.
    pub(super) fn new(results: &Results, pass_at: &[u64]) -> Self {
        let mut names: Vec<&str> = Vec::new();
        for problem in &results.problems {
            if !names.contains(&problem.source.as_str()) {
                names.push(&problem.source);
            }
        }
        let mut sources = Vec::new();
        let mut averages: Vec<Vec<f64>> = Vec::new();
        for name in names {
            let problems: Vec<&Answered> =
                results.problems.iter().filter(|problem| problem.source == name).collect();
            averages.push(problems.iter().map(|problem| average(problem)).collect());
            sources.push(source(name, &problems, results.profile, pass_at));
        }
        Self {
            schema: 1,
            data: results.data,
            problems: results.problems.len() as u64,
            responses: sources.iter().map(|source| source.responses).sum(),
            macro_mean: macro_mean(&sources, &averages),
            sources,
            pass_at: pass_at.to_vec(),
        }
    }
}

fn source(name: &str, problems: &[&Answered], profile: Profile, pass_at: &[u64]) -> Source {
    let records = || problems.iter().flat_map(|problem| &problem.records);
    let number = |what: &dyn Fn(&super::record::Record) -> bool| {
        records().filter(|record| what(record)).count() as u64
    };
    let lens = || problems.iter().map(|problem| problem.records.len() as u64);
    let samples = [lens().min().unwrap_or(0), lens().max().unwrap_or(0)];
    let correct = number(&|record| record.correct);
    let averages: Vec<f64> = problems.iter().map(|problem| average(problem)).collect();
    let interval = if samples == [1, 1] {
        let stats::Interval { low, high } = wilson(correct, problems.len() as u64);
        Some(Interval { low, high, method: "wilson" })
    } else {
        bootstrap(&[&averages])
    };
    let asked = if pass_at.is_empty() { vec![samples[0]] } else { pass_at.to_vec() };
    let pass_at = asked.into_iter().filter_map(|k| Some((k, mean_pass_at(problems, k)?))).collect();
    let majorities: Vec<f64> =
        problems.par_iter().map(|problem| majority(&votes(problem, profile))).collect();
    let generated: Vec<f64> = records()
        .filter(|record| record.finish != Finish::TooLong)
        .map(|record| record.n_tokens as f64)
        .collect();
    Source {
        name: name.to_owned(),
        problems: problems.len() as u64,
        responses: lens().sum(),
        samples,
        figures: Figures {
            avg: mean(&averages).unwrap_or(0.0),
            interval,
            pass_at,
            majority: mean(&majorities).unwrap_or(0.0),
        },
        correct,
        too_long_problems: problems
            .iter()
            .filter(|problem| problem.records.iter().any(|r| r.finish == Finish::TooLong))
            .count() as u64,
        cut: number(&|record| record.finish == Finish::Length),
        malformed: number(&|record| record.reason.outcome() == Outcome::Malformed),
        bad_gold: number(&|record| record.reason == Reason::BadGold),
        mean_tokens: mean(&generated).unwrap_or(0.0),
    }
}

/// The share of right responses to a problem.
fn average(problem: &Answered) -> f64 {
    let correct = problem.records.iter().filter(|record| record.correct).count();
    correct as f64 / (problem.records.len() as f64).max(1.0)
}

/// Mean of pass@k over problems; `None` if one has fewer than `k` responses.
fn mean_pass_at(problems: &[&Answered], k: u64) -> Option<f64> {
    let of = |problem: &&Answered| {
        let correct = problem.records.iter().filter(|record| record.correct).count() as u64;
        pass_at_k(problem.records.len() as u64, correct, k)
    };
    mean(&problems.iter().map(of).collect::<Option<Vec<f64>>>()?)
}

/// The answers to a problem, equal ones by the eyes of its verifier under one number.
fn votes(problem: &Answered, profile: Profile) -> Vec<Vote> {
    let mut answers: Vec<&str> = Vec::new();
    let mut votes = Vec::new();
    for record in &problem.records {
        let Some(extracted) = &record.extracted else { continue };
        let is_known = |known: &&str| same(known, extracted, problem.verifier, profile);
        let answer = answers.iter().position(is_known).unwrap_or_else(|| {
            answers.push(extracted);
            answers.len() - 1
        });
        votes.push(Vote { answer, correct: record.correct });
    }
    votes
}

/// Resamples that are all the same say nothing of other problems.
fn bootstrap(sources: &[&[f64]]) -> Option<Interval> {
    let stats::Interval { low, high } = bootstrap_macro_mean(sources, BOOTSTRAP_SEED)?;
    (low < high).then_some(Interval { low, high, method: "bootstrap" })
}

/// Mean over sources. Of pass@k it has the k that all sources have.
fn macro_mean(sources: &[Source], averages: &[Vec<f64>]) -> Figures {
    let over = |value: &dyn Fn(&Figures) -> f64| {
        let values: Vec<f64> = sources.iter().map(|source| value(&source.figures)).collect();
        mean(&values).unwrap_or(0.0)
    };
    let k_of = |source: &Source| source.figures.pass_at.keys().copied().collect::<Vec<u64>>();
    let shared = sources
        .first()
        .map(k_of)
        .unwrap_or_default()
        .into_iter()
        .filter(|k| sources.iter().all(|source| source.figures.pass_at.contains_key(k)));
    let interval = match sources {
        [only] => only.figures.interval,
        _ => bootstrap(&averages.iter().map(Vec::as_slice).collect::<Vec<_>>()),
    };
    Figures {
        avg: over(&|figures| figures.avg),
        interval,
        pass_at: shared.map(|k| (k, over(&|figures| figures.pass_at[&k]))).collect(),
        majority: over(&|figures| figures.majority),
    }
}

#[cfg(test)]
pub(super) mod tests;
