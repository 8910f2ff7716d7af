//! How far a command is: a bar for a person, a plain line now and then otherwise.
#![allow(clippy::print_stderr, reason = "progress goes to stderr, so that stdout can be piped")]

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::Stopwatch;
use crate::progress::{duration, rate};

/// Seconds between two plain lines.
const PAUSE: f64 = 10.0;

/// Counts items and tokens and shows them on stderr.
pub(crate) struct Meter {
    /// What is counted, `rows` say.
    what: &'static str,
    watch: Stopwatch,
    /// When the last plain line was shown.
    shown: f64,
    n_items: u64,
    n_tokens: u64,
    /// How much of the work is done, in whatever unit the total has.
    done: u64,
    total: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Meter {
    /// A meter of work of size `total`, if that is known. `bar` asks for a bar.
    pub(crate) fn new(what: &'static str, total: Option<u64>, bar: bool) -> Self {
        let bar = bar.then(|| {
            let style = ProgressStyle::with_template("{bar:24} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr())
                .with_style(style.progress_chars("=> "))
        });
        let watch = Stopwatch::start();
        Self { what, watch, shown: 0.0, n_items: 0, n_tokens: 0, done: 0, total, bar }
    }

    /// Adds items, their size in the unit of the total, and the tokens they took.
    pub(crate) fn add(&mut self, n_items: u64, size: u64, n_tokens: u64) {
        self.n_items += n_items;
        self.n_tokens += n_tokens;
        self.done += size;
        let seconds = self.watch.seconds();
        if let Some(bar) = &self.bar {
            bar.set_position(self.done);
            bar.set_message(self.line(seconds));
        } else if seconds - self.shown >= PAUSE {
            self.shown = seconds;
            eprintln!("{}", self.line(seconds));
        }
    }

    /// Shows a line that stays.
    pub(crate) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Ends the bar and says what was done.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let seconds = self.watch.seconds();
        let mut text = format!("{} {} in {seconds:.1} s", self.n_items, self.what);
        if self.n_tokens > 0 {
            let _ = write!(text, ", {} tokens", self.n_tokens);
        }
        eprintln!("{text}");
    }

    fn line(&self, seconds: f64) -> String {
        let mut text = format!("{} {}", self.n_items, self.what);
        if self.n_tokens > 0 {
            let per_second = rate(self.n_tokens as f64 / seconds);
            let _ = write!(text, "  {} tokens  {per_second} tok/s", self.n_tokens);
        }
        if let Some(total) = self.total.filter(|total| self.done > 0 && self.done < *total) {
            let left = seconds * (total - self.done) as f64 / self.done as f64;
            let _ = write!(text, "  eta {}", duration(left));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_counts_speed_and_the_time_left() {
        let mut meter = Meter::new("rows", Some(400), false);
        meter.add(2, 100, 500);
        assert_eq!(meter.line(5.0), "2 rows  500 tokens  100 tok/s  eta 15s");
        meter.add(1, 300, 0);
        assert_eq!(meter.line(5.0), "3 rows  500 tokens  100 tok/s");
        assert_eq!(Meter::new("problems", None, false).line(1.0), "0 problems");
    }
}
