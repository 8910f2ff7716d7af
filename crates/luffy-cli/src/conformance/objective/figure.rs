//! Numbers that are compared, and how far apart they may be.

use burn::tensor::DType;
use serde::Deserialize;

use super::array::Array;

/// What a case is evaluated in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precision {
    F64,
    F32,
}

impl Precision {
    pub(super) const BOTH: [Self; 2] = [Self::F64, Self::F32];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::F64 => "f64",
            Self::F32 => "f32",
        }
    }

    pub(super) const fn dtype(self) -> DType {
        match self {
            Self::F64 => DType::F64,
            Self::F32 => DType::F32,
        }
    }

    /// How far a number may be from the wanted one: 1e-6 of it in f64, and in f32, whose numbers are rounded
    /// to 6e-8 of themselves before anything is computed, 1e-5 of it and 1e-6.
    ///
    /// In f64 the constant is for sums that cancel: a thousand terms of size ten are rounded to 1e-12
    /// together, whatever is left of them.
    pub(super) fn allowed(self, wanted: f64) -> f64 {
        match self {
            Self::F64 => 1e-12 + 1e-6 * wanted.abs(),
            Self::F32 => 1e-6 + 1e-5 * wanted.abs(),
        }
    }
}

/// A figure of a case: a number, or an array of them. A missing one is a mean over nothing.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Figure {
    Number(Option<f64>),
    Array(Vec<Vec<Option<f64>>>),
}

impl From<f64> for Figure {
    fn from(number: f64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<f64>> for Figure {
    fn from(number: Option<f64>) -> Self {
        Self::Number(number)
    }
}

impl From<Array> for Figure {
    fn from(array: Array) -> Self {
        let rows = array.values.chunks(array.tokens);
        Self::Array(rows.map(|row| row.iter().copied().map(Some).collect()).collect())
    }
}

/// One number that is not the wanted one.
#[derive(Debug)]
struct Miss {
    row: usize,
    token: usize,
    got: Option<f64>,
    wanted: Option<f64>,
    /// Distance in units of what is allowed.
    share: f64,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compared {
    /// The largest distance in units of what is allowed.
    pub(super) share: f64,
    /// What is wrong, if anything.
    pub(super) failure: Option<Failure>,
}

/// Something wrong with a figure.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Failure {
    /// Position of the worst number in an array, or nothing.
    pub(super) at: String,
    pub(super) what: String,
}

/// Compares a figure with the wanted one.
///
/// Where the reference has NaN over an empty selection, a figure must be absent, but if it is `optimised`, a
/// loss or a gradient, it must be zero.
pub(super) fn compare(
    got: &Figure,
    wanted: &Figure,
    precision: Precision,
    optimised: bool,
) -> Compared {
    let is_array = matches!(wanted, Figure::Array(_));
    let (got, wanted) = match (got, wanted) {
        (Figure::Number(got), Figure::Number(wanted)) => (vec![vec![*got]], vec![vec![*wanted]]),
        (Figure::Array(got), Figure::Array(wanted)) => (got.clone(), wanted.clone()),
        _ => return Compared::unlike(),
    };
    let lengths = |rows: &[Vec<Option<f64>>]| rows.iter().map(Vec::len).collect::<Vec<_>>();
    if lengths(&got) != lengths(&wanted) {
        return Compared::unlike();
    }
    let (mut most, mut misses) = (0.0_f64, Vec::new());
    for (row, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
        for (token, (&got, &wanted)) in got.iter().zip(wanted).enumerate() {
            let share = match (got, wanted) {
                (Some(got), Some(wanted)) => (got - wanted).abs() / precision.allowed(wanted),
                (None, None) if !optimised => 0.0,
                (Some(got), None) if optimised && got.abs() <= 0.0 => 0.0,
                _ => f64::INFINITY,
            };
            if share <= 1.0 {
                most = most.max(share);
            } else {
                misses.push(Miss { row, token, got, wanted, share });
            }
        }
    }
    Compared { share: most, failure: describe(misses, is_array) }
}

impl Compared {
    fn unlike() -> Self {
        let failure = Failure { at: String::new(), what: "not of the wanted shape".to_owned() };
        Self { share: 0.0, failure: Some(failure) }
    }
}

/// The worst of the numbers that are wrong, and how many others there are.
fn describe(mut misses: Vec<Miss>, is_array: bool) -> Option<Failure> {
    // NaN sorts behind infinity, so it is the worst.
    misses.sort_by(|a, b| b.share.total_cmp(&a.share));
    let Miss { row, token, got, wanted, .. } = misses.first()?;
    let number = |number: &Option<f64>| number.map_or("absent".to_owned(), |n| format!("{n:e}"));
    let others = match misses.len() - 1 {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    Some(Failure {
        at: if is_array { format!("[{row}][{token}]") } else { String::new() },
        what: format!("got {}, wanted {}{others}", number(got), number(wanted)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(got: impl Into<Figure>, wanted: impl Into<Figure>, precision: Precision, fits: bool) {
        let (got, wanted) = (got.into(), wanted.into());
        let found = compare(&got, &wanted, precision, false);
        assert_eq!(found.failure.is_none(), fits, "{got:?} for {wanted:?}: {found:?}");
    }

    #[test]
    fn a_number_may_be_as_far_off_as_its_precision_allows() {
        check(1.0 + 0.9e-6, 1.0, Precision::F64, true);
        check(1.0 + 1.1e-6, 1.0, Precision::F64, false);
        check(0.9e-12, 0.0, Precision::F64, true);
        check(1.1e-12, 0.0, Precision::F64, false);
        check(10.0 + 1.0e-4, 10.0, Precision::F32, true);
        check(10.0 + 1.1e-4, 10.0, Precision::F32, false);
        check(f64::NAN, 1.0, Precision::F32, false);
        check(f64::INFINITY, 1.0, Precision::F32, false);
    }

    #[test]
    fn over_nothing_a_logged_figure_is_absent_and_a_loss_is_zero() {
        let verdict = |got: Option<f64>, wanted: Option<f64>, optimised: bool| {
            compare(&got.into(), &wanted.into(), Precision::F64, optimised).failure.is_none()
        };
        assert!(verdict(None, None, false));
        assert!(!verdict(Some(0.0), None, false));
        assert!(!verdict(None, Some(0.0), false));
        assert!(verdict(Some(0.0), None, true));
        assert!(!verdict(None, None, true));
        assert!(!verdict(Some(1e-13), None, true));
        assert!(!verdict(Some(f64::NAN), None, true));
    }

    #[test]
    fn the_worst_number_of_an_array_is_named() {
        let array = |rows: &[&[f64]]| {
            Figure::from(
                Array::try_from(rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>()).unwrap(),
            )
        };
        let wanted = array(&[&[1.0, 2.0], &[3.0, 4.0]]);
        let found =
            compare(&array(&[&[1.0, 2.1], &[f64::NAN, 4.2]]), &wanted, Precision::F64, true);
        let failure = found.failure.expect("three numbers are wrong");
        assert_eq!(failure.at, "[1][0]");
        assert_eq!(failure.what, "got NaN, wanted 3e0, and 2 more");
        assert!(compare(&array(&[&[1.0, 2.0]]), &wanted, Precision::F64, true).failure.is_some());
        assert!(compare(&1.0.into(), &wanted, Precision::F64, true).failure.is_some());
    }
}
