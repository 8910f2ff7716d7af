//! What the figures of a comparison say, in sentences, whoever looks good or bad in them.

use super::{ArmReport, Count, hard_levels, pooled};
use crate::stats::mean;

/// A share that another arm must come within to count as equal: two points.
const CLOSE: f64 = 0.02;

/// What an arm reached and what it cost, as means over its runs.
struct Figures<'a> {
    name: &'a str,
    accuracy: f64,
    hard: f64,
    seconds: f64,
    generated: f64,
    trained: f64,
}

/// Sentences on the best arm, on cheaper arms that do as well, on arms that fail and on seeds that differ.
pub(super) fn notes(arms: &[ArmReport]) -> Vec<String> {
    let figures: Vec<Figures<'_>> = arms.iter().filter_map(figures).collect();
    let mut notes = Vec::new();
    // Of equal ones the first.
    let Some(best) = figures.iter().rev().max_by(|a, b| a.hard.total_cmp(&b.hard)) else {
        return notes;
    };
    let hard = hard_name(arms);
    let close: Vec<String> = figures
        .iter()
        .filter(|arm| arm.name != best.name && arm.hard >= best.hard - CLOSE)
        .map(|arm| format!("`{}` ({:.3})", arm.name, arm.hard))
        .collect();
    let close = if close.is_empty() {
        String::new()
    } else {
        format!("; within two points of it: {}", close.join(", "))
    };
    notes.push(format!(
        "`{}` has the highest mean accuracy on {hard}: {:.3}{close}.",
        best.name, best.hard
    ));
    for arm in &figures {
        for other in &figures {
            let as_good = other.hard >= arm.hard - CLOSE && other.accuracy >= arm.accuracy - CLOSE;
            let cheaper = other.seconds < arm.seconds / 1.5;
            if arm.name == "luffy" && other.name != arm.name && as_good && cheaper {
                notes.push(format!(
                    "`{}` does as well as `luffy` here ({:.3} against {:.3} on {hard}) in 1/{:.1} of the time, with {} tokens generated against {} and {} trained on against {}.{}",
                    other.name,
                    other.hard,
                    arm.hard,
                    arm.seconds / other.seconds.max(1e-9),
                    thousands(other.generated),
                    thousands(arm.generated),
                    thousands(other.trained),
                    thousands(arm.trained),
                    if other.name == "sft-filtered" {
                        " Here the demonstrations, once filtered by the verifier, are enough."
                    } else {
                        ""
                    },
                ));
            }
        }
    }
    for (arm, figures) in arms.iter().zip(&figures) {
        let of_seed: Vec<f64> = arm.runs.iter().filter_map(hard_accuracy).collect();
        let low = of_seed.iter().copied().fold(f64::INFINITY, f64::min);
        let high = of_seed.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if high <= 0.05 {
            notes.push(format!(
                "`{}` never learns {hard}: at most {high:.3} in {} seeds.",
                arm.name,
                of_seed.len()
            ));
        } else if high - low > 0.3 {
            notes.push(format!(
                "`{}` depends on the seed: from {low:.3} to {high:.3} on {hard}; its mean of {:.3} describes no run.",
                arm.name, figures.hard
            ));
        }
        let base: Vec<f64> =
            arm.runs.iter().filter_map(|run| overall(&run.summary.base_counts)).collect();
        if let Some(base) = mean(&base).filter(|base| figures.accuracy < base - CLOSE) {
            notes.push(format!(
                "`{}` ends below its base: {:.3} from {base:.3} over all levels.",
                arm.name, figures.accuracy
            ));
        }
    }
    notes
}

fn figures(arm: &ArmReport) -> Option<Figures<'_>> {
    let of = |value: fn(&super::Summary) -> f64| -> Option<f64> {
        mean(&arm.runs.iter().map(|run| value(&run.summary)).collect::<Vec<_>>())
    };
    let accuracies: Vec<f64> =
        arm.runs.iter().filter_map(|run| overall(&run.summary.counts)).collect();
    let hard: Vec<f64> = arm.runs.iter().filter_map(hard_accuracy).collect();
    Some(Figures {
        name: &arm.name,
        accuracy: mean(&accuracies)?,
        hard: mean(&hard)?,
        seconds: of(|summary| summary.seconds)?,
        generated: of(|summary| summary.tokens_generated)?,
        trained: of(|summary| summary.tokens_trained)?,
    })
}

/// Accuracy on the hard levels, or on all where levels have no order.
pub(super) fn hard_accuracy(run: &super::ArmRun) -> Option<f64> {
    let counts = &run.summary.counts;
    let hard = hard_levels(counts.keys());
    let levels: Vec<String> = if hard.is_empty() { counts.keys().cloned().collect() } else { hard };
    pooled(counts, levels.iter()).map(|count| count.accuracy())
}

/// What [`hard_accuracy`] is measured on.
pub(super) fn hard_name(arms: &[ArmReport]) -> String {
    let counts = arms.iter().flat_map(|arm| &arm.runs).flat_map(|run| run.summary.counts.keys());
    let hard = hard_levels(counts);
    if hard.is_empty() {
        "all problems".to_owned()
    } else {
        format!("the hard levels ({})", hard.join(", "))
    }
}

pub(super) fn overall(counts: &std::collections::BTreeMap<String, Count>) -> Option<f64> {
    pooled(counts, counts.keys()).map(|count| count.accuracy())
}

/// A count of tokens in thousands.
pub(super) fn thousands(tokens: f64) -> String {
    if tokens < 1000.0 { format!("{tokens:.0}") } else { format!("{:.0}k", tokens / 1000.0) }
}
