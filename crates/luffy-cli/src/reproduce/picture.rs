//! The curves of a set.

use super::plan::Plan;
use super::results::{Curves, Series};
use super::tables::Found;
use crate::report::{Panel, grid};

/// Title, unit, whether it is a share, and which curve.
type Drawn = (&'static str, &'static str, bool, fn(&Curves) -> &Series);

const DRAWN: [Drawn; 6] = [
    ("Reward on levels 3 and 4", "reward", true, |c| &c.hard_reward),
    ("Greedy accuracy on levels 3 and 4", "share", true, |c| &c.hard_accuracy),
    ("Entropy of sampled tokens", "nats", false, |c| &c.entropy),
    ("Length of samples", "tokens", false, |c| &c.length),
    ("Probability of demonstrated tokens", "probability", true, |c| &c.demonstration_probability),
    ("Similarity to demonstrations, levels 3 and 4", "ROUGE-L", true, |c| &c.similarity),
];

/// The arms that the plan draws, as one SVG.
pub(super) fn curves(plan: &Plan, found: &Found<'_>) -> String {
    let panels: Vec<Panel> = DRAWN
        .iter()
        .map(|(title, unit, is_share, of)| Panel {
            title,
            unit,
            is_share: *is_share,
            arms: plan
                .drawn
                .iter()
                .filter_map(|name| Some((name.clone(), found.arm(name)?)))
                .map(|(name, arm)| {
                    (name, arm.runs.iter().map(|run| of(&run.curves).clone()).collect())
                })
                .collect(),
        })
        .collect();
    grid(&panels)
}
