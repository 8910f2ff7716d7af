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
    /// The coefficient is `initial * target / H`, with `H` of the last update of the step before; `initial` in the
    /// first step.
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
    /// The coefficient is at most this; infinity turns it off. Infinity is written as the absence of the
    /// key: JSON has no number for it.
    #[serde(skip_serializing_if = "is_infinite")]
    pub max: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_infinite(value: &f64) -> bool {
    value.is_infinite()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run(adaptive: AdaptiveEntropy, entropies: &[f64]) -> Vec<f64> {
        let mut scalars = BTreeMap::new();
        let mut coefficients = vec![adaptive.coefficient(&scalars)];
        for entropy in entropies {
            adaptive.update(&mut scalars, *entropy);
            coefficients.push(adaptive.coefficient(&scalars));
        }
        coefficients
    }

    #[track_caller]
    fn check(adaptive: AdaptiveEntropy, entropies: &[f64], expected: &[f64]) {
        let got = run(adaptive, entropies);
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got / expected - 1.0).abs() < 1e-9, "{got} is not {expected}");
        }
    }

    #[test]
    fn the_first_step_of_the_logarithm_is_the_learning_rate() {
        // Adam's first step is lr * sign of the gradient (up to epsilon, here of the order of 1e-8 / 5e-4);
        // decay moves ln(0.001) by lr * 0.01 of itself towards 0.
        let adaptive = AdaptiveEntropy::default();
        let start = 0.001_f64.ln();
        let gradient: f64 = -0.5 * 0.001;
        let up = 0.01 * gradient.abs() / (gradient.abs() + 1e-8);
        check(adaptive, &[0.5], &[0.001, (start * (1.0 - 1e-4) + up).exp()]);
        let gradient = 2.0 * 0.001;
        let down = 0.01 * gradient / (gradient + 1e-8);
        check(adaptive, &[3.0], &[0.001, (start * (1.0 - 1e-4) - down).exp()]);
    }

    #[test]
    fn later_steps_average_over_gradients() {
        // Two gradients g1 = (0.5 - 1) * a0 and g2 = (1.2 - 1) * a1, AdamW written out.
        let adaptive = AdaptiveEntropy { initial: 0.1, lr: 0.05, ..AdaptiveEntropy::default() };
        let (a0, l0) = (0.1_f64, 0.1_f64.ln());
        let g1 = -0.5 * a0;
        let l1 = l0 * (1.0 - 0.05 * 0.01) - 0.05 * g1 / (g1.abs() + 1e-8);
        let g2 = 0.2 * l1.exp();
        let first = (0.9 * 0.1 * g1 + 0.1 * g2) / (1.0 - 0.81);
        let second = (0.999 * 0.001 * g1 * g1 + 0.001 * g2 * g2) / (1.0 - 0.998_001);
        let l2 = l1 * (1.0 - 0.05 * 0.01) - 0.05 * first / (second.sqrt() + 1e-8);
        check(adaptive, &[0.5, 1.2], &[a0, l1.exp(), l2.exp()]);
    }

    #[test]
    fn the_coefficient_rises_below_the_target_and_falls_above() {
        let low = run(AdaptiveEntropy::default(), &[0.3; 50]);
        assert!(low.windows(2).all(|pair| pair[1] > pair[0]), "{low:?}");
        let high = run(AdaptiveEntropy::default(), &[1.7; 50]);
        assert!(high.windows(2).all(|pair| pair[1] < pair[0]), "{high:?}");
    }

    #[test]
    fn the_proportional_rule_divides_by_the_entropy_of_the_update_before() {
        let adaptive = AdaptiveEntropy {
            rule: EntropyRule::Proportional,
            target: 1.5,
            ..AdaptiveEntropy::default()
        };
        check(adaptive, &[0.5, 3.0], &[0.001, 0.003, 0.0005]);
    }

    #[test]
    fn a_limit_holds_the_coefficient() {
        let learned = AdaptiveEntropy { max: 0.0011, ..AdaptiveEntropy::default() };
        assert!(run(learned, &[0.1; 200]).iter().all(|coefficient| *coefficient <= 0.0011));
        let rule = EntropyRule::Proportional;
        check(AdaptiveEntropy { rule, max: 0.002, ..learned }, &[0.1, 0.0], &[0.001, 0.002, 0.002]);
    }

    #[test]
    fn settings_read_back_from_toml_and_json() {
        let limited = AdaptiveEntropy { target: 2.0, max: 0.5, ..AdaptiveEntropy::default() };
        for adaptive in [AdaptiveEntropy::default(), limited] {
            let toml = toml::to_string(&adaptive).unwrap();
            assert_eq!(toml::from_str::<AdaptiveEntropy>(&toml).unwrap(), adaptive);
            let json = serde_json::to_string(&adaptive).unwrap();
            assert_eq!(serde_json::from_str::<AdaptiveEntropy>(&json).unwrap(), adaptive);
        }
        assert!(toml::from_str::<AdaptiveEntropy>("goal = 1.0").is_err());
    }

    #[test]
    fn a_diverged_entropy_leaves_no_trace() {
        let got = run(AdaptiveEntropy::default(), &[f64::NAN, f64::INFINITY]);
        assert!(got.iter().all(|coefficient| (coefficient / 0.001 - 1.0).abs() < 1e-12), "{got:?}");
    }
}
