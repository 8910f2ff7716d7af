//! Elementary functions of fixed-point numbers: the integer `x` stands for x / 2^w.
//!
//! Every bound here counts units of 2^-w and is derived beside the loop it belongs to.

use dashu_base::{BitTest, Sign};
use dashu_int::{IBig, UBig};

/// How often an argument below 2^-`zeros` is halved before a series is summed at `w` bits, and the
/// guard bits that make up for it.
///
/// Each halving costs one squaring at the end, each term of the series a multiplication and a division
/// by a word; the square root of the precision balances them.
fn halvings(w: usize, zeros: usize) -> (usize, usize) {
    let halvings = w.isqrt().saturating_sub(zeros);
    (halvings, halvings + w.bit_len() + 6)
}

/// e^t for 0 <= t <= 1, within 2 units.
pub(super) fn exp(t: &UBig, w: usize) -> UBig {
    let (halvings, guard) = halvings(w, w.saturating_sub(t.bit_len()));
    let wide = w + guard;
    let u = t << (guard - halvings);
    // Each term carries at most 2 wide units of error and the rest after the last one at most 6, so
    // the sum is within 2w + 6 of them. Squaring doubles that each time, times e^t <= 2.72 in all:
    // 2.72 * 2^halvings * (2w + 7) wide units are less than one narrow unit.
    let mut term = u.clone();
    let mut sum = (UBig::ONE << wide) + &u;
    let mut n = 2_u64;
    loop {
        term = ((term * &u) >> wide) / n;
        if term.is_zero() {
            break;
        }
        sum += &term;
        n += 1;
    }
    for _ in 0..halvings {
        sum = sum.sqr() >> wide;
    }
    sum >> guard
}

/// The sine and the cosine of t for 0 <= t <= 1, both within 2 units.
pub(super) fn sin_cos(t: &UBig, w: usize) -> (UBig, UBig) {
    let (halvings, guard) = halvings(w, w.saturating_sub(t.bit_len()));
    let wide = w + guard;
    let one = UBig::ONE << wide;
    let u = t << (guard - halvings);
    // The terms of e^(iu), in turn for 1 - cos(u) and sin(u); errors as in `exp`.
    let mut term = u.clone();
    let mut sin = u.clone();
    let mut versine = UBig::ZERO;
    let mut n = 2_u64;
    loop {
        term = ((term * &u) >> wide) / n;
        if term.is_zero() {
            break;
        }
        match n % 4 {
            2 => versine += &term,
            3 => sin -= &term,
            0 => versine -= &term,
            _ => sin += &term,
        }
        n += 1;
    }
    // sin 2x = 2 sin x (1 - versine x), versine 2x = 2 sin^2 x: an error grows by at most
    // 2 (1 + sin x) each time, which is 2^halvings * e^t in all.
    for _ in 0..halvings {
        let doubled = (&sin * (&one - &versine)) >> (wide - 1);
        versine = sin.sqr() >> (wide - 1);
        sin = doubled;
    }
    let cos = if versine > one { UBig::ZERO } else { one - versine };
    (sin >> guard, cos >> guard)
}

/// Bits of the first guess of an iteration, from f64.
const GUESS: usize = 50;

/// The precisions of an iteration that triples the correct bits, the last of them `w`.
fn schedule(w: usize) -> Vec<usize> {
    let mut steps = vec![w];
    let mut next = w.div_ceil(3) + 4;
    while next > GUESS - 2 {
        steps.push(next);
        next = next.div_ceil(3) + 4;
    }
    steps.reverse();
    steps
}

/// x as f64, for x < 4.
fn approximate(x: &UBig, w: usize) -> f64 {
    let excess = x.bit_len().saturating_sub(60);
    let top = u64::try_from(x >> excess).unwrap_or(u64::MAX) as f64;
    let exponent = i64::try_from(excess).unwrap_or(0) - i64::try_from(w).unwrap_or(0);
    libm::ldexp(top, i32::try_from(exponent.max(-1100)).unwrap_or(-1100))
}

fn guess(value: f64) -> IBig {
    IBig::from((value * (1_u64 << GUESS) as f64) as i64)
}

fn rescale(x: IBig, from: usize, to: usize) -> IBig {
    if to >= from { x << (to - from) } else { x >> (from - to) }
}

/// log2 of a bound in units: `plain` for the arithmetic, and the cube of the last correction for the
/// terms of the series that were left out.
fn error_after(correction: &IBig, w: usize, plain: i64) -> i64 {
    let bits = i64::try_from(correction.bit_len()).unwrap_or(i64::MAX / 4);
    let cube = 3 * bits - 2 * i64::try_from(w).unwrap_or(i64::MAX / 4);
    if cube <= 0 { plain } else { cube.max(plain) + 1 }
}

/// ln m for 3/4 <= m <= 3/2, and log2 of a bound on the error in units.
pub(super) fn ln(m: &UBig, w: usize) -> (IBig, i64) {
    let mut y = guess(libm::log(approximate(m, w)));
    let mut at = GUESS;
    let mut error = 0;
    for step in schedule(w) {
        y = rescale(y, at, step);
        at = step;
        let m = m >> (w - step);
        // With E = e^y within 2 units, ln m = y + 2 artanh z for z = (m - E) / (m + E); for negative
        // y the same with m e^-y and 1. z is within 3 units, so 2z within 6, and artanh z - z < z^3/2.
        let (sign, size) = y.clone().into_parts();
        let e = exp(&size, step);
        let (a, b) = match sign {
            Sign::Positive => (m, e),
            Sign::Negative => ((m * e) >> step, UBig::ONE << step),
        };
        let sum = IBig::from(&a + &b);
        let z = ((IBig::from(a) - IBig::from(b)) << step) / sum;
        error = error_after(&z, step, 3);
        y += z << 1;
    }
    (y, error)
}

/// atan x for 0 <= x <= 1, and log2 of a bound on the error in units.
pub(super) fn atan(x: &UBig, w: usize) -> (UBig, i64) {
    let mut y = guess(libm::atan(approximate(x, w)));
    let mut at = GUESS;
    let mut error = 0;
    for step in schedule(w) {
        y = rescale(y, at, step);
        at = step;
        if y < IBig::ZERO {
            y = IBig::ZERO;
        }
        let x = x >> (w - step);
        // atan x = y + atan d for d = (x cos y - sin y) / (cos y + x sin y). The denominator is at
        // least 1, so d is within 5 units; atan d - d < d^3.
        let (_, size) = y.clone().into_parts();
        let (sin, cos) = sin_cos(&size, step);
        let numerator = IBig::from((&x * &cos) >> step) - IBig::from(sin.clone());
        let denominator = IBig::from(cos + ((x * sin) >> step));
        let d = (numerator << step) / denominator;
        error = error_after(&d, step, 3);
        y += d;
    }
    let (sign, size) = y.into_parts();
    (if sign == Sign::Negative { UBig::ZERO } else { size }, error)
}

#[cfg(test)]
mod tests {
    use dashu_float::round::mode::HalfEven;
    use dashu_float::{Context, Repr};
    use proptest::prelude::*;

    use super::*;

    type Value = dashu_float::FBig<HalfEven, 2>;

    /// `got` and the value that dashu rounds correctly at more bits differ by at most `units` of 2^-w.
    fn check(got: &IBig, expected: &Value, w: usize, units: i64) {
        let scaled = expected.clone() << isize::try_from(w).expect("small");
        let off = scaled - Value::from(got.clone());
        let bound = Value::from(units);
        assert!(off <= bound && off >= -bound, "off by {off} units at {w} bits");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn every_function_is_within_its_bound(
            words in proptest::collection::vec(any::<u64>(), 24),
            w in 64_usize..1300,
            shrink in 0_usize..200,
        ) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let x = UBig::from_le_bytes(&bytes) >> (24 * 64 - w);
            let context = Context::<HalfEven>::new(w + 64);
            let exponent = -isize::try_from(w).expect("small");
            let repr = |x: &UBig| Repr::<2>::new(IBig::from(x.clone()), exponent);
            let small = &x >> shrink.min(w - 1);
            for x in [&x, &small] {
                let expected = context.exp(&repr(x), None).expect("moderate").value();
                check(&exp(x, w).into(), &expected, w, 2);
                let (sin, cos) = sin_cos(x, w);
                check(&sin.into(), &context.sin(&repr(x), None).expect("moderate").value(), w, 2);
                check(&cos.into(), &context.cos(&repr(x), None).expect("moderate").value(), w, 2);
                let (value, error) = atan(x, w);
                prop_assert_eq!(error, 3);
                let expected = context.atan(&repr(x), None).expect("moderate").value();
                check(&value.into(), &expected, w, 8);
            }
            let one = UBig::ONE << w;
            // From 3/4 to 3/2, and close to 1 on either side.
            let spread = ((&x + &one) * 3_u8) >> 2;
            for m in [spread, &one + &small / 2_u8, &one - &small / 4_u8] {
                let (value, error) = ln(&m, w);
                prop_assert_eq!(error, 3);
                check(&value, &context.ln(&repr(&m), None).expect("positive").value(), w, 8);
            }
        }
    }

    #[test]
    fn the_ends_of_the_domains_are_covered() {
        let w = 200;
        let one = UBig::ONE << w;
        let context = Context::<HalfEven>::new(300);
        check(&exp(&one, w).into(), &context.e().value(), w, 2);
        assert_eq!(exp(&UBig::ZERO, w), one);
        assert_eq!(sin_cos(&UBig::ZERO, w), (UBig::ZERO, one.clone()));
        assert_eq!(atan(&UBig::ZERO, w).0, UBig::ZERO);
        assert_eq!(ln(&one, w).0, IBig::ZERO);
        let quarter = context.pi::<2>(None).value() / 4;
        check(&atan(&one, w).0.into(), &quarter, w, 8);
    }
}
