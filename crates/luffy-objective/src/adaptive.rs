//! An entropy coefficient that follows the entropy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// AdamW's constants, as LUFFY's code has them.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
const WEIGHT_DECAY: f64 = 0.01;

/// Names in the memory of a method.
const LOG_ALPHA: &str = "entropy.log-alpha";
const FIRST_MOMENT: &str = "entropy.first-moment";
const SECOND_MOMENT: &str = "entropy.second-moment";
const N_UPDATES: &str = "entropy.n-updates";
const MEAN_ENTROPY: &str = "entropy.mean";

/// How the coefficient of the entropy bonus follows the entropy `H` (nats, mean over learned tokens).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntropyRule {
    /// The coefficient is `alpha = exp(log_alpha)`, and `log_alpha` takes an AdamW step on
    /// `(H - target) * alpha` after each update: up while the entropy is below its target.
    #[default]
    Learned,
    /// The coefficient is `initial * target / H`, with `H` of the update before; `initial` in the first.
    Proportional,
}

/// An entropy coefficient that keeps the entropy near a target. Plain arithmetic on the host: its state is
/// numbers by name, kept by the method in its memory, and so part of every checkpoint. (LUFFY's code keeps
/// one per device and loses it over a restart.)
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdaptiveEntropy {
    /// How the coefficient moves.
    pub rule: EntropyRule,
    /// The first coefficient, above 0.
    pub initial: f64,
    /// Mean entropy to keep, in nats.
    pub target: f64,
    /// Learning rate of `log_alpha`; for `Learned`.
    pub lr: f64,
    /// The coefficient is at most this; infinity turns it off.
    pub max: f64,
}

impl Default for AdaptiveEntropy {
    fn default() -> Self {
        Self {
            rule: EntropyRule::Learned,
            initial: 0.001,
            target: 1.0,
            lr: 0.01,
            max: f64::INFINITY,
        }
    }
}

impl AdaptiveEntropy {
    /// The coefficient for the next update.
    pub fn coefficient(&self, scalars: &BTreeMap<String, f64>) -> f64 {
        let coefficient = match self.rule {
            EntropyRule::Learned => self.log_alpha(scalars).exp(),
            EntropyRule::Proportional => match scalars.get(MEAN_ENTROPY) {
                Some(entropy) if *entropy > 0.0 => self.initial * self.target / entropy,
                // The limit: an entropy of zero asks for all there is.
                Some(_) => self.max.min(f64::MAX),
                None => self.initial,
            },
        };
        coefficient.min(self.max)
    }

    /// Takes note of the mean entropy of an update, in nats. One that is not finite is left out: it says
    /// that the run has diverged, which the gradient reports.
    pub fn update(&self, scalars: &mut BTreeMap<String, f64>, mean_entropy: f64) {
        if !mean_entropy.is_finite() {
            return;
        }
        match self.rule {
            EntropyRule::Learned => self.step(scalars, mean_entropy),
            EntropyRule::Proportional => {
                scalars.insert(MEAN_ENTROPY.to_owned(), mean_entropy);
            }
        }
    }

    /// One AdamW step of `log_alpha` on `(H - target) * exp(log_alpha)`, whose gradient is the loss itself.
    fn step(&self, scalars: &mut BTreeMap<String, f64>, mean_entropy: f64) {
        let at = |name: &str| scalars.get(name).copied().unwrap_or(0.0);
        let log_alpha = self.log_alpha(scalars);
        let gradient = (mean_entropy - self.target) * log_alpha.exp();
        let n_updates = at(N_UPDATES) + 1.0;
        let first = BETA1 * at(FIRST_MOMENT) + (1.0 - BETA1) * gradient;
        let second = BETA2 * at(SECOND_MOMENT) + (1.0 - BETA2) * gradient * gradient;
        let unbiased_first = first / (1.0 - BETA1.powf(n_updates));
        let unbiased_second = second / (1.0 - BETA2.powf(n_updates));
        let decayed = log_alpha * (1.0 - self.lr * WEIGHT_DECAY);
        let log_alpha = decayed - self.lr * unbiased_first / (unbiased_second.sqrt() + EPSILON);
        for (name, value) in [
            (LOG_ALPHA, log_alpha),
            (FIRST_MOMENT, first),
            (SECOND_MOMENT, second),
            (N_UPDATES, n_updates),
        ] {
            scalars.insert(name.to_owned(), value);
        }
    }

    fn log_alpha(&self, scalars: &BTreeMap<String, f64>) -> f64 {
        scalars.get(LOG_ALPHA).copied().unwrap_or_else(|| self.initial.ln())
    }
}
