//! What is shown while a run goes on: a bar on a terminal, plain lines elsewhere.
#![allow(clippy::print_stderr, reason = "progress is shown on stderr, so that stdout can be piped")]

use std::collections::VecDeque;
use std::fmt::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Steps over which the speed is averaged for the ETA.
const WINDOW: usize = 20;

/// The figures of one step. What a step does not have, such as the reward of demonstrations in an
/// on-policy method, is left out of the line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLine {
    /// Steps done, this one included.
    pub done: u64,
    /// Seconds since the session began.
    pub elapsed: f64,
    /// Mean reward of sampled responses.
    pub on_reward: Option<f64>,
    /// Mean reward of demonstrations.
    pub off_reward: Option<f64>,
    /// Mean entropy in nats per token.
    pub entropy: Option<f64>,
    /// Mean response length in tokens.
    pub response_len: Option<f64>,
    /// Tokens generated and trained per second of the step.
    pub tokens_per_second: f64,
    /// Whether nothing was learned because no group had spread.
    pub skipped: bool,
}

/// How a run shows where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// A bar. Only where stderr is a terminal and no CI is watching.
    Bar,
    /// A line for each step.
    Lines,
    /// Not at all: several runs go on side by side.
    Nothing,
}

/// Shows steps and notes on stderr.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    show: Show,
    bar: Option<ProgressBar>,
    /// `(done, elapsed)` of the newest steps, the oldest first.
    recent: VecDeque<(u64, f64)>,
}

impl Progress {
    /// For a run of `total` steps of which `done` are behind it.
    pub fn new(total: u64, done: u64, show: Show) -> Self {
        let bar = (show == Show::Bar).then(|| {
            let style = ProgressStyle::with_template("{bar:24} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
                .with_style(style.progress_chars("=> "));
            bar.set_position(done);
            bar
        });
        Self { total, show, bar, recent: VecDeque::new() }
    }

    /// Shows a step.
    pub fn step(&mut self, line: &StepLine) {
        let text = self.line(line);
        if let Some(bar) = &self.bar {
            bar.set_position(line.done);
            bar.set_message(text);
        } else if self.show == Show::Lines {
            eprintln!("{text}");
        }
    }

    /// Shows a text of one or more lines that stays.
    pub fn note(&self, text: &str) {
        for line in text.lines() {
            match &self.bar {
                Some(bar) => bar.println(line),
                None if self.show == Show::Lines => eprintln!("{line}"),
                None => {}
            }
        }
    }

    /// Ends the bar and leaves its last state on the screen.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    /// The text of a step.
    fn line(&mut self, line: &StepLine) -> String {
        let eta = self.eta(line.done, line.elapsed);
        let width = self.total.to_string().len();
        let mut text = format!("step {:>width$}/{}  eta {}", line.done, self.total, eta);
        let mut add = |name: &str, value: Option<f64>, decimals: usize| {
            if let Some(value) = value {
                let _ = write!(text, "  {name} {value:.decimals$}");
            }
        };
        add("on", line.on_reward, 3);
        add("off", line.off_reward, 3);
        add("entropy", line.entropy, 3);
        add("len", line.response_len, 1);
        let _ = write!(text, "  {} tok/s", rate(line.tokens_per_second));
        if line.skipped {
            text.push_str("  skipped: no spread");
        }
        text
    }

    /// Time left at the speed of the newest steps. The first step of a session has nothing to compare
    /// with but the session's start, which includes loading.
    fn eta(&mut self, done: u64, elapsed: f64) -> String {
        self.recent.push_back((done, elapsed));
        if self.recent.len() > WINDOW + 1 {
            self.recent.pop_front();
        }
        let left = self.total.saturating_sub(done) as f64;
        let (first_done, first_elapsed) = self.recent[0];
        if first_done == done {
            return duration(left * elapsed);
        }
        duration(left * (elapsed - first_elapsed) / (done - first_done) as f64)
    }
}

/// Seconds as `7s`, `3m05s` or `2h03m`.
#[expect(clippy::cast_sign_loss, reason = "negative seconds are taken as none")]
pub(crate) fn duration(seconds: f64) -> String {
    let seconds =
        if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { return "-".into() };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A count per second in at most four characters and a unit.
pub(crate) fn rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        "-".to_owned()
    } else if per_second < 9_999.5 {
        format!("{per_second:.0}")
    } else if per_second < 999_500.0 {
        format!("{:.0}k", per_second / 1e3)
    } else {
        format!("{:.1}M", per_second / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(done: u64, elapsed: f64) -> StepLine {
        StepLine {
            done,
            elapsed,
            on_reward: Some(0.5),
            off_reward: Some(0.25),
            entropy: Some(0.1234),
            response_len: Some(17.06),
            tokens_per_second: 15_320.0,
            skipped: false,
        }
    }

    #[test]
    fn a_step_is_one_line_with_every_figure() {
        let mut progress = Progress::new(120, 0, Show::Lines);
        let line = progress.line(&step(1, 2.0));
        // 119 steps at 2 s.
        assert_eq!(
            line,
            "step   1/120  eta 3m58s  on 0.500  off 0.250  entropy 0.123  len 17.1  15k tok/s"
        );
    }

    #[test]
    fn what_a_method_does_not_measure_is_left_out() {
        let mut progress = Progress::new(9, 0, Show::Lines);
        let line = StepLine {
            on_reward: None,
            off_reward: None,
            response_len: None,
            tokens_per_second: 99.5,
            skipped: true,
            ..step(9, 3.0)
        };
        assert_eq!(
            progress.line(&line),
            "step 9/9  eta 0s  entropy 0.123  100 tok/s  skipped: no spread"
        );
    }

    #[test]
    fn the_eta_forgets_a_slow_start() {
        let mut progress = Progress::new(100, 0, Show::Lines);
        // The first nine steps take 100 s each, later ones 1 s: after step 30, 70 s are left.
        for done in 1..30 {
            let elapsed = if done < 10 { 100.0 * done as f64 } else { 891.0 + done as f64 };
            progress.line(&step(done, elapsed));
        }
        assert!(progress.line(&step(30, 921.0)).contains("eta 1m10s"));
    }

    #[test]
    fn a_resumed_run_counts_its_own_steps_only() {
        let mut progress = Progress::new(100, 90, Show::Lines);
        progress.line(&step(91, 5.0));
        assert!(progress.line(&step(92, 8.0)).contains("eta 24s"));
    }

    #[test]
    fn durations_and_rates_stay_short() {
        for (seconds, text) in [
            (0.4, "0s"),
            (59.4, "59s"),
            (60.0, "1m00s"),
            (3599.0, "59m59s"),
            (7380.0, "2h03m"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        for (value, text) in [(7.0, "7"), (9_999.0, "9999"), (10_000.0, "10k"), (2.54e6, "2.5M")] {
            assert_eq!(rate(value), text);
        }
    }
}
