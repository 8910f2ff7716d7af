//! Learning rate by step.

use serde::{Deserialize, Serialize};

/// What happens after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Decay {
    /// Nothing.
    Constant,
    /// Constant until step `from`, then a straight line to `floor * lr` at the last step.
    Linear {
        /// 0-based step at which it begins.
        from: u64,
        /// Share of the rate that is left at the end.
        floor: f64,
    },
    /// Half a cosine from the end of the warm-up to `floor * lr` at the last step.
    Cosine {
        /// Share of the rate that is left at the end.
        floor: f64,
    },
}

/// Linear warm-up, then a decay.
///
/// The reference's first step has rate 0 (its scheduler starts at factor 0 even without warm-up); here
/// step 0 of a warm-up over `w` steps has `lr / w`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Schedule {
    /// The full rate.
    pub lr: f64,
    /// Steps of the warm-up; 0 for none.
    #[serde(default)]
    pub warmup_steps: u64,
    /// What follows.
    #[serde(default = "constant")]
    pub decay: Decay,
}

const fn constant() -> Decay {
    Decay::Constant
}

impl Schedule {
    /// The rate of 0-based `step` in a run of `n_steps`.
    pub fn rate(&self, step: u64, n_steps: u64) -> f64 {
        let warmup = if step < self.warmup_steps {
            (step + 1) as f64 / self.warmup_steps as f64
        } else {
            1.0
        };
        let share = |from: u64| {
            let last = n_steps.saturating_sub(1);
            if step <= from || last <= from {
                0.0
            } else {
                ((step - from) as f64 / (last - from) as f64).min(1.0)
            }
        };
        let decay = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear { from, floor } => 1.0 - (1.0 - floor) * share(from),
            Decay::Cosine { floor } => {
                let cosine =
                    f64::midpoint(1.0, (std::f64::consts::PI * share(self.warmup_steps)).cos());
                floor + (1.0 - floor) * cosine
            }
        };
        self.lr * warmup * decay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schedule: Schedule, step: u64, n_steps: u64, expected: f64) {
        let rate = schedule.rate(step, n_steps);
        assert!((rate - expected).abs() < 1e-12, "step {step}: {rate} against {expected}");
    }

    #[test]
    fn warm_up_reaches_the_full_rate_at_its_last_step() {
        let schedule = Schedule { lr: 1.0, warmup_steps: 10, decay: Decay::Constant };
        check(schedule, 0, 100, 0.1);
        check(schedule, 9, 100, 1.0);
        check(schedule, 50, 100, 1.0);
    }

    #[test]
    fn a_line_ends_at_its_floor() {
        let schedule =
            Schedule { lr: 2.0, warmup_steps: 0, decay: Decay::Linear { from: 80, floor: 0.1 } };
        check(schedule, 80, 121, 2.0);
        check(schedule, 100, 121, 2.0 * (1.0 - 0.9 * 0.5));
        check(schedule, 120, 121, 0.2);
    }

    #[test]
    fn a_cosine_is_halfway_down_in_the_middle() {
        let schedule = Schedule { lr: 1.0, warmup_steps: 0, decay: Decay::Cosine { floor: 0.2 } };
        check(schedule, 0, 101, 1.0);
        check(schedule, 50, 101, 0.6);
        check(schedule, 100, 101, 0.2);
    }

    #[test]
    fn a_run_of_one_step_has_the_full_rate() {
        let schedule = Schedule { lr: 1.0, warmup_steps: 0, decay: Decay::Cosine { floor: 0.0 } };
        check(schedule, 0, 1, 1.0);
    }
}
