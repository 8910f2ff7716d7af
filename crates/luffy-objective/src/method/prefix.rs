//! How much of a demonstration a member begins with.

use luffy_core::Progress;
use serde::{Deserialize, Serialize};

/// Windows of the schedules that narrow or widen a range, as in the reference.
const N_WINDOWS: u64 = 10;

/// First and last chance of a slice in UFT's code.
const HINT_CHANCE: (f64, f64) = (0.95, 0.05);

/// The share of a demonstration's tokens that is given to the policy, which goes on from there. A share of
/// 1 is the whole demonstration, end token included; a share of 0 is a plain sample.
///
/// `random`, `linear`, `linear-max`, `reverse-linear` and `fixed` are the strategies of LUFFY's reference
/// implementation; its main runs use the whole demonstration.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PrefixSchedule {
    /// All of it: LUFFY.
    #[default]
    Whole,
    /// Uniform in `[min, max]`, drawn for each member.
    Random {
        /// In `[0, 1]`.
        min: f64,
        /// In `[min, 1]`.
        max: f64,
    },
    /// Falls from `max` to 0 in a straight line over `steps`: `max * (1 - min(step / steps, 1))`.
    Linear {
        /// In `[0, 1]`.
        max: f64,
        /// At least 1.
        steps: u64,
    },
    /// Uniform in `[0, u]`, where `u` falls from `max` to `max / 10` in ten windows over `steps`.
    LinearMax {
        /// In `[0, 1]`.
        max: f64,
        /// At least 1.
        steps: u64,
    },
    /// Uniform in `[0, u]`, where `u` rises from `max / 10` to `max` in ten windows over `steps`.
    ReverseLinear {
        /// In `[0, 1]`.
        max: f64,
        /// At least 1.
        steps: u64,
    },
    /// Evenly spaced from `min` to `max` over the members that begin with a demonstration; a single one
    /// takes `min`, where the reference divides by zero.
    Fixed {
        /// In `[0, 1]`.
        min: f64,
        /// In `[min, 1]`.
        max: f64,
    },
    /// From `from` to `to` along half a cosine over the whole run: Prefix-RFT,
    /// <https://arxiv.org/abs/2507.01679>, 0.95 to 0.05.
    Cosine {
        /// In `[0, 1]`.
        from: f64,
        /// In `[0, 1]`.
        to: f64,
    },
    /// `Binomial(slices, q) / slices`, where `q` falls from 0.95 to 0.05 along half a cosine over `steps`, as
    /// in the code of UFT, <https://arxiv.org/abs/2505.16984>, with 5 slices; nothing from then on.
    Slices {
        /// 1 to 100.
        slices: u32,
        /// At least 1.
        steps: u64,
    },
}

impl PrefixSchedule {
    /// The share for member `member` of the `n_members` that begin with a demonstration; `draw` in `[0, 1)`.
    pub fn share(&self, progress: Progress, member: u32, n_members: u32, draw: f64) -> f64 {
        let step = progress.step;
        match *self {
            Self::Whole => 1.0,
            Self::Random { min, max } => min + (max - min) * draw,
            Self::Linear { max, steps } => max * (1.0 - fraction(step, steps)),
            Self::LinearMax { max, steps } => {
                draw * max * (N_WINDOWS - window(step, steps)) as f64 / N_WINDOWS as f64
            }
            Self::ReverseLinear { max, steps } => {
                draw * max * (window(step, steps) + 1) as f64 / N_WINDOWS as f64
            }
            Self::Fixed { min, max } => {
                min + (max - min) * fraction(member.into(), n_members.saturating_sub(1).into())
            }
            Self::Cosine { from, to } => {
                to + (from - to) * half_cosine(fraction(step, progress.n_steps.saturating_sub(1)))
            }
            Self::Slices { slices, steps } => {
                if step >= steps {
                    return 0.0;
                }
                let (from, to) = HINT_CHANCE;
                let chance = to + (from - to) * half_cosine(fraction(step, steps));
                f64::from(binomial(slices, chance, draw)) / f64::from(slices.max(1))
            }
        }
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<&'static str> {
        let is_share = |value: f64| (0.0..=1.0).contains(&value);
        match *self {
            Self::Whole => None,
            Self::Random { min, max } | Self::Fixed { min, max } => {
                (!is_share(min) || !is_share(max) || min > max)
                    .then_some("min and max must lie within 0 and 1, min not above max")
            }
            Self::Linear { max, steps }
            | Self::LinearMax { max, steps }
            | Self::ReverseLinear { max, steps } => (!is_share(max) || steps == 0)
                .then_some("max must lie within 0 and 1 and steps must be at least 1"),
            Self::Cosine { from, to } => {
                (!is_share(from) || !is_share(to)).then_some("from and to must lie within 0 and 1")
            }
            Self::Slices { slices, steps } => (!(1..=100).contains(&slices) || steps == 0)
                .then_some("slices must lie within 1 and 100 and steps must be at least 1"),
        }
    }
}

/// `position / last` within 0 and 1; 0 where there is no way to go.
fn fraction(position: u64, last: u64) -> f64 {
    if last == 0 { 0.0 } else { position.min(last) as f64 / last as f64 }
}

/// 1 at 0, 0 at 1.
pub(super) fn half_cosine(fraction: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * fraction).cos())
}

/// The window of ten that a step lies in; a border belongs to the earlier one, what lies beyond to the last.
fn window(step: u64, steps: u64) -> u64 {
    let reaches = |i: &u64| step * N_WINDOWS <= (i + 1) * steps;
    (0..N_WINDOWS).find(reaches).unwrap_or(N_WINDOWS - 1)
}

/// The number of successes in `n` trials at which the distribution function first exceeds `draw`.
fn binomial(n: u32, chance: f64, draw: f64) -> u32 {
    let mut probability = (1.0 - chance).powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut reached = probability;
    let mut successes = 0;
    while successes < n && reached <= draw {
        probability *=
            f64::from(n - successes) / f64::from(successes + 1) * chance / (1.0 - chance);
        reached += probability;
        successes += 1;
    }
    successes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(schedule: PrefixSchedule, step: u64, draw: f64) -> f64 {
        schedule.share(Progress { step, n_steps: 101 }, 0, 1, draw)
    }

    fn check(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-12, "{got} is not {expected}");
    }

    #[test]
    fn the_reference_strategies_follow_their_formulas() {
        // luffy.md 2.3.
        check(at(PrefixSchedule::Whole, 7, 0.3), 1.0);
        check(at(PrefixSchedule::Random { min: 0.2, max: 0.6 }, 7, 0.5), 0.4);
        let linear = PrefixSchedule::Linear { max: 0.8, steps: 1000 };
        check(at(linear, 0, 0.9), 0.8);
        check(at(linear, 250, 0.9), 0.6);
        check(at(linear, 5000, 0.9), 0.0);
        let narrowing = PrefixSchedule::LinearMax { max: 0.8, steps: 1000 };
        let widening = PrefixSchedule::ReverseLinear { max: 0.8, steps: 1000 };
        // A border belongs to the earlier window.
        for (step, k) in [(0, 0), (100, 0), (101, 1), (450, 4), (999, 9), (1000, 9), (9999, 9)] {
            check(at(narrowing, step, 0.5), 0.5 * 0.8 * f64::from(10 - k) / 10.0);
            check(at(widening, step, 0.5), 0.5 * 0.8 * f64::from(k + 1) / 10.0);
        }
    }

    #[test]
    fn fixed_shares_are_evenly_spaced() {
        let fixed = PrefixSchedule::Fixed { min: 0.2, max: 0.8 };
        for (member, expected) in [(0, 0.2), (1, 0.4), (2, 0.6), (3, 0.8)] {
            check(fixed.share(Progress::default(), member, 4, 0.9), expected);
        }
        check(fixed.share(Progress::default(), 0, 1, 0.9), 0.2);
    }

    #[test]
    fn a_cosine_runs_over_the_whole_run() {
        let cosine = PrefixSchedule::Cosine { from: 0.95, to: 0.05 };
        check(at(cosine, 0, 0.5), 0.95);
        check(at(cosine, 50, 0.5), 0.5);
        check(at(cosine, 100, 0.5), 0.05);
    }

    #[test]
    fn slices_are_binomial() {
        let slices = PrefixSchedule::Slices { slices: 5, steps: 300 };
        // At first all five have 0.95^5 = 0.7738, four and more 0.9774.
        check(at(slices, 0, 0.23), 1.0);
        check(at(slices, 0, 0.22), 0.8);
        check(at(slices, 0, 0.0), 0.0);
        check(at(slices, 300, 0.999), 0.0);
        // At half the steps the chance is 1/2: P(0) = 1/32, P(0 or 1) = 6/32, P(up to 4) = 31/32.
        for (draw, successes) in
            [(0.0, 0), (0.0312, 0), (0.0313, 1), (0.187, 1), (0.188, 2), (0.968, 4), (0.97, 5)]
        {
            check(at(slices, 150, draw), f64::from(successes) / 5.0);
        }
    }

    #[test]
    fn shares_outside_zero_and_one_are_refused() {
        assert!(PrefixSchedule::Whole.fault().is_none());
        assert!(PrefixSchedule::Random { min: 0.0, max: 1.0 }.fault().is_none());
        assert!(PrefixSchedule::Random { min: 1.0, max: 1.0 }.fault().is_none());
        assert!(PrefixSchedule::Fixed { min: 0.5, max: 0.5 }.fault().is_none());
        for schedule in [
            PrefixSchedule::Random { min: 0.6, max: 0.5 },
            PrefixSchedule::Fixed { min: -0.1, max: 0.5 },
            PrefixSchedule::Linear { max: 1.1, steps: 1 },
            PrefixSchedule::LinearMax { max: 0.5, steps: 0 },
            PrefixSchedule::ReverseLinear { max: f64::NAN, steps: 3 },
            PrefixSchedule::Cosine { from: 0.95, to: -0.05 },
            PrefixSchedule::Slices { slices: 0, steps: 3 },
            PrefixSchedule::Slices { slices: 101, steps: 3 },
            PrefixSchedule::Slices { slices: 5, steps: 0 },
        ] {
            assert!(schedule.fault().is_some(), "{schedule:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_share_lies_within_zero_and_one(
            step in 0_u64..2000, steps in 1_u64..1500, max in 0.0_f64..=1.0, draw in 0.0_f64..1.0,
            member in 0_u32..8,
        ) {
            let progress = Progress { step, n_steps: 1500 };
            for schedule in [
                PrefixSchedule::Random { min: max / 2.0, max },
                PrefixSchedule::Linear { max, steps },
                PrefixSchedule::LinearMax { max, steps },
                PrefixSchedule::ReverseLinear { max, steps },
                PrefixSchedule::Fixed { min: max / 2.0, max },
                PrefixSchedule::Cosine { from: max, to: 0.0 },
                PrefixSchedule::Slices { slices: 5, steps },
            ] {
                let share = schedule.share(progress, member, 8, draw);
                prop_assert!((0.0..=1.0).contains(&share), "{:?}: {}", schedule, share);
            }
        }
    }
}
