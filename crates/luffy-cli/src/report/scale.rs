//! Ranges, ticks, number formats and smoothing.

use std::fmt::Write;

/// What a vertical axis must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// Shares: 0 to 1, whatever the values.
    Unit,
    /// From zero to the largest value.
    FromZero,
    /// From the smallest to the largest value.
    Free,
}

impl Axis {
    /// A range of positive width.
    pub(super) fn range(self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        match self {
            Self::Unit => (low, high) = (low.min(0.0), high.max(1.0)),
            Self::FromZero => (low, high) = (low.min(0.0), high.max(0.0)),
            Self::Free => {}
        }
        let width = high - low;
        // A width lost in rounding is none.
        if width <= high.abs().max(low.abs()) * 1e-9 {
            let pad = if high.abs() > 0.0 { high.abs() * 0.1 } else { 1.0 };
            return if self == Self::FromZero { (low, low + pad) } else { (low - pad, high + pad) };
        }
        (low, high)
    }
}

/// Round values across a range.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticks {
    pub(super) values: Vec<f64>,
    pub(super) labels: Vec<String>,
    /// From the first tick to the last; contains the range asked for.
    pub(super) range: (f64, f64),
}

/// About `n` ticks at multiples of 1, 2 or 5 times a power of ten, around a range.
#[expect(clippy::cast_sign_loss, reason = "counts of ticks and decimals are clamped at zero")]
pub(super) fn ticks((low, high): (f64, f64), n: usize) -> Ticks {
    let rough = (high - low) / n as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let (first, last) = ((low / step + 1e-6).floor(), (high / step - 1e-6).ceil());
    let n_steps = (last - first).max(1.0) as usize;
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let values: Vec<f64> = (0..=n_steps).map(|i| (first + i as f64) * step).collect();
    let labels = values.iter().map(|value| tick_label(*value, step, decimals)).collect();
    Ticks { range: (values[0], values[n_steps]), values, labels }
}

fn tick_label(value: f64, step: f64, decimals: usize) -> String {
    if value.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    if decimals > 5 || value.abs() >= 1e7 {
        return format!("{value:.0e}");
    }
    if step >= 1000.0 {
        return format!("{}k", value / 1000.0);
    }
    format!("{value:.decimals$}")
}

/// A number in three or four significant figures.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "not finite".to_owned()
    } else if size <= 0.0 {
        "0".to_owned()
    } else if size < 1e-4 {
        format!("{value:.2e}")
    } else if size < 0.01 {
        format!("{value:.5}")
    } else if size < 10.0 {
        format!("{value:.3}")
    } else if size < 1000.0 {
        format!("{value:.1}")
    } else if size < 1e15 {
        grouped(value)
    } else {
        format!("{value:.3e}")
    }
}

/// A whole number with thousands apart.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Bytes in binary units.
pub(super) fn bytes(n_bytes: f64) -> String {
    let mut text = String::new();
    let mib = n_bytes / f64::from(1 << 20);
    let _ = if mib < 1024.0 {
        write!(text, "{mib:.0} MiB")
    } else {
        write!(text, "{:.1} GiB", mib / 1024.0)
    };
    text
}

/// Steps that a smoothed line averages over: a twenty-fourth of them, odd, at most 25.
pub(super) fn window(n_points: usize) -> usize {
    let window = (n_points / 24).min(25);
    if window < 2 { 1 } else { window | 1 }
}

/// Mean over the `window` points around each; fewer at the ends.
pub(super) fn smooth(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let half = window / 2;
    (0..points.len())
        .map(|i| {
            let near = &points[i.saturating_sub(half)..points.len().min(i + half + 1)];
            let mean = near.iter().map(|point| point.1).sum::<f64>() / near.len() as f64;
            (points[i].0, mean)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: (f64, f64), labels: &[&str]) {
        assert_eq!(ticks(range, 5).labels, labels, "{range:?}");
    }

    #[test]
    fn ticks_are_round_and_contain_the_range() {
        check((0.0, 1.0), &["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        check((0.0, 120.0), &["0", "50", "100", "150"]);
        check((-0.013, 0.021), &["-0.02", "-0.01", "0", "0.01", "0.02", "0.03"]);
        check((0.0, 24_000.0), &["0", "5k", "10k", "15k", "20k", "25k"]);
        check((17.0, 17.5), &["17.0", "17.1", "17.2", "17.3", "17.4", "17.5"]);
    }

    #[test]
    fn a_range_has_width_whatever_it_is_made_of() {
        for values in [vec![], vec![0.0], vec![5.0, 5.0], vec![f64::NAN, -3.0], vec![1e-300]] {
            for axis in [Axis::Unit, Axis::FromZero, Axis::Free] {
                let (low, high) = axis.range(values.iter().copied());
                assert!(low < high, "{values:?} {axis:?}");
                assert!(ticks((low, high), 5).values.len() < 20);
            }
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.234_56e-7, "1.23e-7"),
            (0.001_234_5, "0.00123"),
            (0.98765, "0.988"),
            (42.24, "42.2"),
            (1_234_567.0, "1\u{202f}234\u{202f}567"),
            (-1000.0, "-1\u{202f}000"),
            (f64::NAN, "not finite"),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!(bytes(3.0 * 1024.0 * 1024.0 * 1024.0), "3.0 GiB");
    }

    #[test]
    fn smoothing_keeps_a_line_and_averages_noise() {
        let noisy: Vec<(f64, f64)> = (0..9).map(|i| (f64::from(i), f64::from(i % 3))).collect();
        let smooth = smooth(&noisy, 3);
        // Any three neighbours in the middle are 0, 1 and 2; at the ends only two remain.
        assert!(smooth[1..8].iter().all(|point| (point.1 - 1.0).abs() < 1e-12));
        assert!((smooth[0].1 - 0.5).abs() < 1e-12 && (smooth[8].1 - 1.5).abs() < 1e-12);
        assert_eq!([window(10), window(120), window(2000)], [1, 5, 25]);
    }
}
