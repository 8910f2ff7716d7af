//! What of a paper shows: rules that turn figures into verdicts, so that no sentence says more than they do.

use super::plan::{Claim, Measure, Plan, Set};
use super::results::{ArmRuns, Run, Series, mean_between};
use crate::paired::{Difference, accuracy_difference, figure_difference, sign_test};

/// Keys the resampling, so that the same runs give the same report.
const BOOTSTRAP_SEED: u64 = 0;

/// A p-value of the sign test below this counts.
const SIGNIFICANT: f64 = 0.05;

/// Fewest seeds on which a difference in accuracy counts: the interval of one seed knows no other.
const FEWEST_SEEDS: usize = 3;

/// Whether a claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is nothing to judge by.
    Untested,
    /// The difference has the sign that was claimed, and it is certain enough.
    Appears,
    /// The sign that was claimed, on too few seeds.
    Leans,
    /// 0 is not excluded.
    NotSeen,
    /// The other sign, on too few seeds.
    LeansBack,
    /// The difference has the other sign, and it is certain enough.
    Reversed,
}

impl Verdict {
    /// Of a difference, which has the claimed sign where it is above 0.
    fn of(difference: Option<Difference>, is_certain: bool) -> Self {
        match difference {
            None => Self::Untested,
            Some(found) if !found.excludes_zero() => Self::NotSeen,
            Some(found) => Self::signed(found.mean > 0.0, is_certain),
        }
    }

    const fn signed(is_claimed: bool, is_certain: bool) -> Self {
        match (is_claimed, is_certain) {
            (true, true) => Self::Appears,
            (true, false) => Self::Leans,
            (false, true) => Self::Reversed,
            (false, false) => Self::LeansBack,
        }
    }
}

/// A claim judged on one set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// Means of the two arms over the common seeds; for take-off the medians, where a run that never takes
    /// off counts as later than any.
    pub(super) more: Option<f64>,
    pub(super) less: Option<f64>,
    /// The difference, except for take-off.
    pub(super) difference: Option<Difference>,
    /// Seeds in which the first arm has more, seeds in which it has less.
    pub(super) signs: (u64, u64),
}

impl Finding {
    /// Of the sign test over seeds.
    pub(super) fn p_value(&self) -> f64 {
        sign_test(self.signs.0, self.signs.1)
    }
}

/// The runs of two arms that have the same seed.
pub(super) fn pairs<'a>(more: &'a ArmRuns, less: &'a ArmRuns) -> Vec<(&'a Run, &'a Run)> {
    more.runs.iter().filter_map(|run| Some((run, less.seed(run.seed)?))).collect()
}

/// Whether a claim is looked for on a set.
pub(super) fn concerns(claim: &Claim, set: &Set) -> bool {
    claim.sets.is_empty() || claim.sets.contains(&set.name)
}

/// Judges a claim by the runs that both arms have.
///
/// Accuracy: the interval over seeds and problems excludes 0, and there are three seeds or more. Anything
/// else: the interval over seeds excludes 0 and the two-sided sign test over seeds is below 0.05, for which
/// six seeds are needed. With fewer it can only lean. Take-off has the sign test alone: it leans where
/// every seed that differs has the same sign.
pub(super) fn judge(claim: &Claim, pairs: &[(&Run, &Run)]) -> Finding {
    match claim.measure {
        Measure::Accuracy => {
            let (more, less): (Vec<_>, Vec<_>) = pairs
                .iter()
                .map(|(a, b)| (a.outcomes(&claim.levels), b.outcomes(&claim.levels)))
                .unzip();
            let of = |run: &Run| share(&run.outcomes(&claim.levels));
            let signs = signs(pairs.iter().filter_map(|(a, b)| Some(of(a)? - of(b)?)));
            let difference = accuracy_difference(&more, &less, BOOTSTRAP_SEED);
            let verdict = Verdict::of(difference, pairs.len() >= FEWEST_SEEDS);
            let mean = |of_arm: &[crate::paired::Outcomes]| {
                crate::stats::mean(&of_arm.iter().filter_map(share).collect::<Vec<_>>())
            };
            Finding { verdict, more: mean(&more), less: mean(&less), difference, signs }
        }
        Measure::TakeOff => take_off(pairs),
        Measure::Entropy
        | Measure::Length
        | Measure::Similarity
        | Measure::DemonstrationProbability => {
            let values: Vec<(f64, f64)> = pairs
                .iter()
                .filter_map(|(a, b)| Some((figure(claim, a)?, figure(claim, b)?)))
                .collect();
            let signs = signs(values.iter().map(|(a, b)| a - b));
            let difference = figure_difference(&values, BOOTSTRAP_SEED);
            let is_certain = sign_test(signs.0, signs.1) < SIGNIFICANT;
            let verdict = Verdict::of(difference, is_certain);
            let mean = |of: fn(&(f64, f64)) -> f64| {
                crate::stats::mean(&values.iter().map(of).collect::<Vec<_>>())
            };
            Finding { verdict, more: mean(|v| v.0), less: mean(|v| v.1), difference, signs }
        }
    }
}

/// The figure of a run that a claim is about, other than accuracy and take-off.
fn figure(claim: &Claim, run: &Run) -> Option<f64> {
    let (first, last) = claim.steps.unwrap_or((1, u64::MAX));
    let curves = &run.curves;
    let end = |series: &Series| series.last().map(|(_, value)| *value);
    match claim.measure {
        Measure::Entropy => mean_between(&curves.entropy, first, last),
        Measure::DemonstrationProbability => {
            mean_between(&curves.demonstration_probability, first, last)
        }
        Measure::Length => end(&curves.greedy_length),
        Measure::Similarity => end(&curves.similarity),
        Measure::Accuracy | Measure::TakeOff => None,
    }
}

/// `more` means later: a claim that shaping takes off earlier names the unshaped arm first.
fn take_off(pairs: &[(&Run, &Run)]) -> Finding {
    let step = |run: &Run| run.summary.hard_takeoff_step.map_or(f64::INFINITY, |step| step as f64);
    let values: Vec<(f64, f64)> = pairs.iter().map(|(a, b)| (step(a), step(b))).collect();
    let n = |of: fn(&(f64, f64)) -> bool| values.iter().filter(|pair| of(pair)).count() as u64;
    let signs = (n(|(a, b)| a > b), n(|(a, b)| a < b));
    let is_certain = sign_test(signs.0, signs.1) < SIGNIFICANT;
    let verdict = match signs {
        _ if values.is_empty() => Verdict::Untested,
        (later, earlier) if is_certain => Verdict::signed(later > earlier, true),
        (later, 0) if later > 0 => Verdict::Leans,
        (0, earlier) if earlier > 0 => Verdict::LeansBack,
        _ => Verdict::NotSeen,
    };
    let median = |of: fn(&(f64, f64)) -> f64| median(values.iter().map(of).collect());
    Finding { verdict, more: median(|v| v.0), less: median(|v| v.1), difference: None, signs }
}

/// The middle value, the upper of two.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn signs(differences: impl Iterator<Item = f64>) -> (u64, u64) {
    differences.fold((0, 0), |(above, below), difference| {
        (above + u64::from(difference > 0.0), below + u64::from(difference < 0.0))
    })
}

/// Mean over levels of the share solved.
fn share(outcomes: &crate::paired::Outcomes) -> Option<f64> {
    let shares = outcomes.iter().map(|solved| {
        let n_solved = solved.iter().filter(|solved| **solved).count();
        n_solved as f64 / solved.len().max(1) as f64
    });
    crate::stats::mean(&shares.collect::<Vec<_>>())
}

/// The claims of the plan that concern a set, in order.
pub(super) fn of_set<'a>(plan: &'a Plan, set: &'a Set) -> impl Iterator<Item = &'a Claim> {
    plan.claims.iter().filter(move |claim| concerns(claim, set))
}

/// Difference in accuracy over all levels between two arms.
pub(super) fn against(pairs: &[(&Run, &Run)]) -> Option<Difference> {
    let (a, b): (Vec<_>, Vec<_>) =
        pairs.iter().map(|(a, b)| (a.outcomes(&[]), b.outcomes(&[]))).unzip();
    accuracy_difference(&a, &b, BOOTSTRAP_SEED)
}
