//! Bounds on how far a computed number is from the true one, always rounded up.

use std::fmt::Debug;

/// A bound that is zero or positive. Sums, products, quotients and roots come out too large by at most
/// a few units in the last place, never too small.
pub(crate) trait Radius: Copy + PartialOrd + Debug {
    const ZERO: Self;
    const ONE: Self;
    /// No less than 2^`exponent`.
    fn power_of_two(exponent: i64) -> Self;
    fn is_zero(self) -> bool;
    fn plus(self, other: Self) -> Self;
    /// No more than the difference, and zero where that is negative.
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// `other` is a lower bound and not zero.
    fn over(self, other: Self) -> Self;
    fn root(self) -> Self;
    fn halved(self) -> Self;
    /// The least `n` known with `self` <= 2^n; `i64::MIN` for zero.
    fn log2(self) -> i64;
}

/// Twice the relative error of one rounding, and a bit: `x * UP` is above what `x` was rounded from.
const UP: f64 = 1.0 + 2.0 * f64::EPSILON;
const DOWN: f64 = 1.0 - 2.0 * f64::EPSILON;
/// Above everything that underflow can take away from a sum of a few products.
pub(super) const TINY: f64 = f64::MIN_POSITIVE;

impl Radius for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;

    fn power_of_two(exponent: i64) -> Self {
        if exponent > 1023 {
            Self::INFINITY
        } else if exponent < -1022 {
            TINY
        } else {
            Self::from_bits(u64::try_from(exponent + 1023).unwrap_or(0) << 52)
        }
    }

    #[inline]
    fn is_zero(self) -> bool {
        self == 0.0
    }

    #[inline]
    fn plus(self, other: Self) -> Self {
        (self + other) * UP
    }

    #[inline]
    fn minus(self, other: Self) -> Self {
        let difference = (self - other) * DOWN;
        if difference > 0.0 { difference } else { 0.0 }
    }

    #[inline]
    fn times(self, other: Self) -> Self {
        if self == 0.0 || other == 0.0 { 0.0 } else { self * other * UP + TINY }
    }

    #[inline]
    fn over(self, other: Self) -> Self {
        if self == 0.0 { 0.0 } else { self / other * UP + TINY }
    }

    #[inline]
    fn root(self) -> Self {
        // The square root of IEEE 754 is the same on every machine.
        self.sqrt() * UP
    }

    #[inline]
    fn halved(self) -> Self {
        if self == 0.0 { 0.0 } else { self * 0.5 + TINY }
    }

    fn log2(self) -> i64 {
        if self == 0.0 {
            return i64::MIN;
        }
        let mag = Mag::new(self, 0);
        mag.exponent + i64::from(mag.mantissa > 1.0)
    }
}

/// mantissa * 2^exponent, for radii far outside the range of f64.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Mag {
    // The order of the fields makes the derived comparison the numeric one.
    exponent: i64,
    /// In [1, 2), or zero.
    mantissa: f64,
}

/// Exponents further out are moved here: up, so that the bound stays one.
const SMALLEST: i64 = -(1 << 44);

impl Mag {
    /// `mantissa` is finite and not negative.
    pub(super) fn new(mantissa: f64, exponent: i64) -> Self {
        if mantissa == 0.0 {
            return Self::ZERO;
        }
        let (mantissa, exponent) = if mantissa < f64::MIN_POSITIVE {
            (mantissa * (1_u64 << 60) as f64, exponent.saturating_sub(60))
        } else {
            (mantissa, exponent)
        };
        let bits = mantissa.to_bits();
        let exponent = exponent.saturating_add((bits >> 52).cast_signed() - 1023);
        if exponent < SMALLEST {
            return Self { exponent: SMALLEST, mantissa: 1.0 };
        }
        let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
        Self { exponent, mantissa }
    }

    #[cfg(test)]
    /// The value as an integer of 53 bits times a power of two.
    #[expect(clippy::cast_sign_loss, reason = "a mantissa is not negative")]
    pub(super) fn parts(self) -> (u64, i64) {
        ((self.mantissa * (1_u64 << 52) as f64) as u64, self.exponent.saturating_sub(52))
    }

    fn ordered(self, other: Self) -> (Self, Self) {
        if self < other { (other, self) } else { (self, other) }
    }
}

/// 2^-`n` as f64, zero from 1000 on.
fn shrink(n: i64) -> f64 {
    if n >= 1000 { 0.0 } else { f64::power_of_two(-n) }
}

impl Radius for Mag {
    const ZERO: Self = Self { exponent: i64::MIN, mantissa: 0.0 };
    const ONE: Self = Self { exponent: 0, mantissa: 1.0 };

    fn power_of_two(exponent: i64) -> Self {
        Self { exponent: exponent.max(SMALLEST), mantissa: 1.0 }
    }

    fn is_zero(self) -> bool {
        self.mantissa == 0.0
    }

    fn plus(self, other: Self) -> Self {
        let (large, small) = self.ordered(other);
        if small.is_zero() {
            return large;
        }
        let gap = large.exponent - small.exponent;
        // Past 60 bits the smaller one is less than what UP adds.
        let shifted = if gap > 60 { 0.0 } else { small.mantissa * shrink(gap) };
        Self::new((large.mantissa + shifted) * UP, large.exponent)
    }

    fn minus(self, other: Self) -> Self {
        if self <= other {
            return Self::ZERO;
        }
        if other.is_zero() {
            return self;
        }
        let gap = self.exponent - other.exponent;
        let shifted = if gap > 60 { shrink(52) } else { other.mantissa * shrink(gap) };
        Self::new((self.mantissa - shifted).max(0.0) * DOWN, self.exponent)
    }

    fn times(self, other: Self) -> Self {
        if self.is_zero() || other.is_zero() {
            return Self::ZERO;
        }
        let exponent = self.exponent.saturating_add(other.exponent);
        Self::new(self.mantissa * other.mantissa * UP, exponent)
    }

    fn over(self, other: Self) -> Self {
        if self.is_zero() {
            return Self::ZERO;
        }
        let exponent = self.exponent.saturating_sub(other.exponent);
        Self::new(self.mantissa / other.mantissa * UP, exponent)
    }

    fn root(self) -> Self {
        if self.is_zero() {
            return Self::ZERO;
        }
        let odd = self.exponent.rem_euclid(2);
        let mantissa = if odd == 1 { self.mantissa * 2.0 } else { self.mantissa };
        Self::new(mantissa.sqrt() * UP, (self.exponent - odd) / 2)
    }

    fn halved(self) -> Self {
        if self.is_zero() { self } else { Self::new(self.mantissa, self.exponent - 1) }
    }

    fn log2(self) -> i64 {
        if self.is_zero() { i64::MIN } else { self.exponent + i64::from(self.mantissa > 1.0) }
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the numbers are exact")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value of a bound that f64 can hold.
    fn value(mag: Mag) -> f64 {
        let (mantissa, exponent) = mag.parts();
        libm::ldexp(mantissa as f64, i32::try_from(exponent).unwrap_or(-2000))
    }

    #[test]
    fn bounds_far_outside_f64_keep_their_size() {
        let small = Mag::power_of_two(-1_000_000);
        assert_eq!(small.times(small).log2(), -1_999_999);
        assert_eq!(small.over(Mag::power_of_two(1_000_000)).log2(), -1_999_999);
        assert_eq!(Mag::power_of_two(2_000_001).root().log2(), 1_000_001);
        assert!(small.plus(Mag::ONE) > Mag::ONE);
        assert!(Mag::ONE.minus(small) < Mag::ONE);
        assert_eq!(Mag::ONE.minus(Mag::ONE), Mag::ZERO);
        assert_eq!(Mag::power_of_two(i64::MIN).log2(), SMALLEST);
        assert_eq!(Mag::ZERO.log2(), i64::MIN);
        assert_eq!(f64::power_of_two(5), 32.0);
        assert_eq!(Radius::log2(32.0), 5);
        assert_eq!(Radius::log2(33.0), 6);
    }

    proptest! {
        #[test]
        fn every_operation_rounds_outward(a in 0.0..1e12_f64, b in 1e-12..1e12_f64) {
            let (x, y) = (Mag::new(a, 0), Mag::new(b, 0));
            prop_assert_eq!(value(x), a);
            prop_assert!(value(x.plus(y)) >= a + b && a.plus(b) >= a + b);
            prop_assert!(value(x.times(y)) >= a * b && a.times(b) >= a * b);
            prop_assert!(value(x.over(y)) >= a / b && a.over(b) >= a / b);
            prop_assert!(value(x.root()) >= a.sqrt() && a.root() >= a.sqrt());
            prop_assert!(value(x.minus(y)) <= (a - b).max(0.0) && a.minus(b) <= (a - b).max(0.0));
            prop_assert_eq!(x < y, a < b);
        }
    }
}
