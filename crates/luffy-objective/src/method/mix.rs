//! How the supervised term and the policy term of a loss are weighed over a run.

use luffy_core::Progress;
use serde::{Deserialize, Serialize};

use super::prefix::half_cosine;

/// The weight `mu` of CHORD's supervised term.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Mu {
    /// The same in all steps.
    Constant {
        /// In `[0, 1]`.
        value: f64,
    },
    /// From 0 to `peak` in a straight line over `warmup-steps`, then to `valley` along half a cosine over
    /// `decay-steps`.
    Decay {
        /// In `[0, 1]`.
        peak: f64,
        /// In `[0, 1]`.
        valley: f64,
        /// 0 begins at the peak.
        warmup_steps: u64,
        /// At least 1.
        decay_steps: u64,
    },
}

/// 0.9 to 0.05 in 200 steps, as reported of the paper's runs.
impl Default for Mu {
    fn default() -> Self {
        Self::Decay { peak: 0.9, valley: 0.05, warmup_steps: 0, decay_steps: 200 }
    }
}

impl Mu {
    /// Its value in a step.
    pub fn at(&self, step: u64) -> f64 {
        match *self {
            Self::Constant { value } => value,
            Self::Decay { peak, warmup_steps, .. } if step < warmup_steps => {
                peak * step as f64 / warmup_steps as f64
            }
            Self::Decay { peak, valley, warmup_steps, decay_steps } => {
                let gone = (step - warmup_steps).min(decay_steps) as f64 / decay_steps as f64;
                valley + (peak - valley) * half_cosine(gone)
            }
        }
    }

    pub(super) fn fault(&self) -> Option<&'static str> {
        let is_share = |value: f64| (0.0..=1.0).contains(&value);
        let is_valid = match *self {
            Self::Constant { value } => is_share(value),
            Self::Decay { peak, valley, decay_steps, .. } => {
                is_share(peak) && is_share(valley) && decay_steps > 0
            }
        };
        (!is_valid).then_some("weights must lie within 0 and 1 and decay-steps must be at least 1")
    }
}

/// The weights of both terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mix {
    /// A sum: the policy term and this many times the supervised one.
    Sum(f64),
    /// `mu` of the supervised term and `1 - mu` of the policy term.
    Blend(Mu),
}

impl Mix {
    pub(super) fn supervised(&self, progress: Progress) -> f64 {
        match self {
            Self::Sum(coefficient) => *coefficient,
            Self::Blend(mu) => mu.at(progress.step),
        }
    }

    pub(super) fn policy(&self, progress: Progress) -> f64 {
        match self {
            Self::Sum(_) => 1.0,
            Self::Blend(mu) => 1.0 - mu.at(progress.step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mu_warms_up_and_falls() {
        let mu = Mu::Decay { peak: 0.9, valley: 0.05, warmup_steps: 10, decay_steps: 200 };
        for (step, expected) in
            [(0, 0.0), (5, 0.45), (10, 0.9), (110, 0.475), (210, 0.05), (9999, 0.05)]
        {
            assert!((mu.at(step) - expected).abs() < 1e-12, "{step}: {}", mu.at(step));
        }
    }

    #[test]
    fn a_blend_shares_one_and_a_sum_does_not() {
        let progress = Progress { step: 3, n_steps: 9 };
        let blend = Mix::Blend(Mu::Constant { value: 0.3 });
        assert_eq!((blend.supervised(progress), blend.policy(progress)), (0.3, 0.7));
        assert_eq!(
            (Mix::Sum(2.0).supervised(progress), Mix::Sum(2.0).policy(progress)),
            (2.0, 1.0)
        );
    }

    #[test]
    fn weights_outside_zero_and_one_are_refused() {
        assert!(Mu::default().fault().is_none());
        assert!(Mu::Constant { value: 1.5 }.fault().is_some());
        let endless = Mu::Decay { peak: 0.9, valley: 0.1, warmup_steps: 0, decay_steps: 0 };
        assert!(endless.fault().is_some());
    }
}
