//! The first precision: f64, with functions that give the same bits on every machine.

use dashu_base::Sign;
use dashu_int::{IBig, UBig};

use super::big::Big;
use super::precision::Precision;
use super::radius::{Radius, TINY};
use super::real::{Point, Scalar, Work};
use crate::budget::Stop;

/// Half a unit in the last place, relative.
const HALF_ULP: f64 = 0.5 * f64::EPSILON;

/// libm promises less than one unit for most functions and about two for the hyperbolic ones.
#[inline]
fn function(value: f64) -> Point<f64> {
    (value, value.abs() * (4.0 * f64::EPSILON) + TINY)
}

/// Whether the number has at most 24 significant bits, so that products of two such are exact.
#[inline]
#[expect(clippy::float_cmp, reason = "exactness is the question")]
fn is_short(x: f64) -> bool {
    f64::from(x as f32) == x
}

impl Scalar for f64 {
    type Radius = Self;
    type Setting = ();

    #[inline]
    fn zero() -> Self {
        0.0
    }

    fn bits((): &()) -> usize {
        53
    }

    #[inline]
    fn integer(n: i64, (): &()) -> Point<Self> {
        let value = n as Self;
        (value, if n.unsigned_abs() <= 1 << 53 { 0.0 } else { value.abs() * HALF_ULP })
    }

    fn rational(n: &IBig, d: &UBig, (): &()) -> Point<Self> {
        if let (Ok(n), Ok(d)) = (i64::try_from(n), i64::try_from(d))
            && n.unsigned_abs() <= 1 << 53
            && d <= 1 << 53
        {
            return Scalar::over(&(n as Self), &(d as Self), &());
        }
        // A quotient of 64 bits, of which the float keeps 53.
        let (sign, n) = n.clone().into_parts();
        let (quotient, error) = Big::quotient(false, &n, d, &Precision::new(64));
        let value = quotient.estimate();
        if value < 1e-290 {
            // Too small for the bounds here.
            return (Self::NAN, 0.0);
        }
        let integer = error.is_zero() && quotient.to_i64().is_some_and(|n| n <= 1 << 53);
        let rad = if integer { 0.0 } else { value * Self::EPSILON };
        (if sign == Sign::Negative { -value } else { value }, rad)
    }

    #[cfg(test)]
    fn from_radius(radius: Self) -> Self {
        radius
    }

    #[inline]
    fn is_zero(&self) -> bool {
        *self == 0.0
    }

    #[inline]
    fn is_negative(&self) -> bool {
        *self < 0.0
    }

    #[inline]
    fn above(&self) -> Self {
        self.abs()
    }

    #[inline]
    fn below(&self) -> Self {
        self.abs()
    }

    #[inline]
    fn usable(&self, radius: Self) -> bool {
        // A sum of finite numbers is finite or an overflow; anything else is caught as well.
        (self.abs() + radius).is_finite()
    }

    #[inline]
    fn negated(&self) -> Self {
        -self
    }

    #[inline]
    fn halved(&self) -> Point<Self> {
        let small = self.abs() < 4.0 * TINY;
        (self * 0.5, if small && *self != 0.0 { TINY } else { 0.0 })
    }

    #[inline]
    fn plus(&self, other: &Self, (): &()) -> Point<Self> {
        let (a, b) = (*self, *other);
        let sum = a + b;
        // Knuth's TwoSum: the error of a sum is itself a number, and this is it.
        let virtual_b = sum - a;
        let error = (a - (sum - virtual_b)) + (b - virtual_b);
        (sum, error.abs())
    }

    #[inline]
    #[expect(clippy::float_cmp, reason = "exactness is the question")]
    fn times(&self, other: &Self, (): &()) -> Point<Self> {
        let product = self * other;
        let exact = (is_short(*self) && is_short(*other)) || *self == 1.0 || *other == 1.0;
        (product, if exact { 0.0 } else { product.abs() * HALF_ULP + TINY })
    }

    #[inline]
    #[expect(clippy::float_cmp, reason = "exactness is the question")]
    fn over(&self, other: &Self, (): &()) -> Point<Self> {
        let quotient = self / other;
        let exact = is_short(quotient) && is_short(*other) && quotient * other == *self;
        (quotient, if exact { 0.0 } else { quotient.abs() * HALF_ULP + TINY })
    }

    #[inline]
    #[expect(clippy::float_cmp, reason = "exactness is the question")]
    fn root(&self, (): &()) -> Point<Self> {
        // The square root of IEEE 754 is the same on every machine.
        let root = self.sqrt();
        let exact = is_short(root) && root * root == *self;
        (root, if exact { 0.0 } else { root * HALF_ULP + TINY })
    }

    fn exp(&self, (): &()) -> Result<Point<Self>, Stop> {
        if *self == 0.0 { Ok((1.0, 0.0)) } else { Ok(function(libm::exp(*self))) }
    }

    #[expect(clippy::float_cmp, reason = "exactness is the question")]
    fn ln(&self, (): &()) -> Point<Self> {
        if *self == 1.0 { (0.0, 0.0) } else { function(libm::log(*self)) }
    }

    fn sin_cos(&self, (): &()) -> Result<(Point<Self>, Point<Self>), Stop> {
        if *self == 0.0 {
            return Ok(((0.0, 0.0), (1.0, 0.0)));
        }
        let (sin, cos) = libm::sincos(*self);
        Ok((function(sin), function(cos)))
    }

    fn sinh_cosh(&self, (): &()) -> Result<(Point<Self>, Point<Self>), Stop> {
        if *self == 0.0 {
            return Ok(((0.0, 0.0), (1.0, 0.0)));
        }
        Ok((function(libm::sinh(*self)), function(libm::cosh(*self))))
    }

    fn atan(&self, (): &()) -> Point<Self> {
        if *self == 0.0 { (0.0, 0.0) } else { function(libm::atan(*self)) }
    }

    fn pi((): &()) -> Point<Self> {
        (std::f64::consts::PI, Self::EPSILON)
    }

    fn e((): &()) -> Point<Self> {
        (std::f64::consts::E, Self::EPSILON)
    }

    fn floor(&self) -> Self {
        libm::floor(*self)
    }

    #[expect(clippy::float_cmp, reason = "exactness is the question")]
    fn to_i64(&self) -> Option<i64> {
        let n = *self as i64;
        (n as Self == *self && n.unsigned_abs() <= 1 << 53).then_some(n)
    }

    #[inline]
    fn price(work: Work, (): &()) -> u64 {
        match work {
            Work::Add | Work::Mul | Work::Div => 0,
            Work::Exp | Work::Ln | Work::SinCos | Work::Atan => 2,
        }
    }
}
