//! Real balls: a number, a bound on its error, and every operation written once over both precisions.

use std::cmp::Ordering;
use std::fmt::Debug;

use dashu_int::{IBig, UBig};

use super::radius::Radius;
use crate::budget::Stop;

/// A computed number and a bound on its distance from the true one.
pub(crate) type Point<S> = (S, <S as Scalar>::Radius);

/// What an operation costs, see [`Scalar::price`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Add,
    Mul,
    /// A quotient or a square root.
    Div,
    Exp,
    Ln,
    SinCos,
    Atan,
}

/// Numbers of one precision. Functions take exact arguments and bound the error of what they return.
pub(crate) trait Scalar: Clone + Debug {
    type Radius: Radius;
    /// The precision, and constants computed for it.
    type Setting: Debug;

    fn zero() -> Self;
    /// Bits of a number.
    fn bits(setting: &Self::Setting) -> usize;
    fn integer(n: i64, setting: &Self::Setting) -> Point<Self>;
    /// n / d for d > 0.
    fn rational(n: &IBig, d: &UBig, setting: &Self::Setting) -> Point<Self>;
    /// Exact.
    #[cfg(test)]
    fn from_radius(radius: Self::Radius) -> Self;
    fn is_zero(&self) -> bool;
    fn is_negative(&self) -> bool;
    /// No less than the absolute value.
    fn above(&self) -> Self::Radius;
    /// No more than the absolute value, and zero only for zero.
    fn below(&self) -> Self::Radius;
    /// Whether further operations on the number and its bound are safe and cheap.
    fn usable(&self, radius: Self::Radius) -> bool;
    fn negated(&self) -> Self;
    fn halved(&self) -> Point<Self>;
    fn plus(&self, other: &Self, setting: &Self::Setting) -> Point<Self>;
    fn times(&self, other: &Self, setting: &Self::Setting) -> Point<Self>;
    /// `other` is not zero.
    fn over(&self, other: &Self, setting: &Self::Setting) -> Point<Self>;
    /// Of a positive number.
    fn root(&self, setting: &Self::Setting) -> Point<Self>;
    fn exp(&self, setting: &Self::Setting) -> Result<Point<Self>, Stop>;
    /// Of a positive number.
    fn ln(&self, setting: &Self::Setting) -> Point<Self>;
    fn sin_cos(&self, setting: &Self::Setting) -> Result<(Point<Self>, Point<Self>), Stop>;
    fn sinh_cosh(&self, setting: &Self::Setting) -> Result<(Point<Self>, Point<Self>), Stop>;
    fn atan(&self, setting: &Self::Setting) -> Point<Self>;
    fn pi(setting: &Self::Setting) -> Point<Self>;
    fn e(setting: &Self::Setting) -> Point<Self>;
    /// Exact.
    fn floor(&self) -> Self;
    /// The number, if it is an integer of that range.
    fn to_i64(&self) -> Option<i64>;
    /// Steps, see [`crate::budget::Budget`].
    fn price(work: Work, setting: &Self::Setting) -> u64;
}

/// Every real number within `rad` of `mid`.
#[derive(Debug, Clone)]
pub(crate) struct Real<S: Scalar> {
    pub(super) mid: S,
    pub(super) rad: S::Radius,
    /// Something that is not zero was too small to matter at this precision.
    pub(super) absorbed: bool,
}

impl<S: Scalar> Real<S> {
    pub(super) fn zero() -> Self {
        Self::from_point((S::zero(), S::Radius::ZERO))
    }

    #[inline]
    pub(super) fn from_point((mid, rad): Point<S>) -> Self {
        Self { mid, rad, absorbed: false }
    }

    /// Every number of at most this size.
    pub(super) fn within(rad: S::Radius, absorbed: bool) -> Self {
        Self { mid: S::zero(), rad, absorbed }
    }

    #[inline]
    pub(super) fn is_exact_zero(&self) -> bool {
        self.rad.is_zero() && self.mid.is_zero()
    }

    /// The least absolute value in the ball; zero if the ball holds zero.
    #[inline]
    pub(super) fn low(&self) -> S::Radius {
        self.mid.below().minus(self.rad)
    }

    /// The largest absolute value in the ball.
    #[inline]
    pub(super) fn high(&self) -> S::Radius {
        self.mid.above().plus(self.rad)
    }

    #[inline]
    pub(super) fn contains_zero(&self) -> bool {
        // A number that is none, after an overflow, counts as zero.
        self.mid.below().partial_cmp(&self.rad) != Some(Ordering::Greater)
    }

    pub(super) fn is_positive(&self) -> bool {
        !self.contains_zero() && !self.mid.is_negative()
    }

    pub(super) fn is_negative(&self) -> bool {
        !self.contains_zero() && self.mid.is_negative()
    }

    /// The integer that the ball is, exactly.
    pub(super) fn to_i64(&self) -> Option<i64> {
        if self.rad.is_zero() { self.mid.to_i64() } else { None }
    }

    #[inline]
    pub(super) fn neg(&self) -> Self {
        Self { mid: self.mid.negated(), rad: self.rad, absorbed: self.absorbed }
    }

    pub(super) fn abs(&self) -> Self {
        if self.mid.is_negative() { self.neg() } else { self.clone() }
    }

    pub(super) fn halved(&self) -> Self {
        let (mid, error) = self.mid.halved();
        Self { mid, rad: self.rad.halved().plus(error), absorbed: self.absorbed }
    }

    /// Whether the ball is known not to be zero and yet cannot be told from zero within `rad`.
    #[inline]
    fn vanishes_in(&self, rad: S::Radius) -> bool {
        // Most terms are larger than the error: asked first.
        self.mid.below() <= rad && !rad.is_zero() && self.high() <= rad && !self.contains_zero()
    }

    /// Whether a term of the order of the ball to the power of `order` cannot be told from zero.
    fn power_vanishes_in(&self, order: u32, rad: S::Radius) -> bool {
        let high = self.high();
        let mut power = high;
        for _ in 1..order {
            power = power.times(high);
        }
        !rad.is_zero() && power <= rad.times(S::Radius::power_of_two(3)) && !self.contains_zero()
    }

    #[inline]
    pub(super) fn add(&self, other: &Self, setting: &S::Setting) -> Self {
        let absorbed = self.absorbed | other.absorbed;
        if other.is_exact_zero() {
            return Self { absorbed, ..self.clone() };
        }
        if self.is_exact_zero() {
            return Self { absorbed, ..other.clone() };
        }
        let (mid, error) = self.mid.plus(&other.mid, setting);
        let rad = self.rad.plus(other.rad).plus(error);
        let absorbed = absorbed || self.vanishes_in(rad) || other.vanishes_in(rad);
        Self { mid, rad, absorbed }
    }

    #[inline]
    pub(super) fn sub(&self, other: &Self, setting: &S::Setting) -> Self {
        self.add(&other.neg(), setting)
    }

    #[inline]
    pub(super) fn mul(&self, other: &Self, setting: &S::Setting) -> Self {
        let absorbed = self.absorbed | other.absorbed;
        if self.is_exact_zero() || other.is_exact_zero() {
            return Self { absorbed, ..Self::zero() };
        }
        let (mid, mut rad) = self.mid.times(&other.mid, setting);
        // |ab - AB| <= |a| rb + |B| ra with |B| <= |b| + rb.
        rad = rad.plus(self.mid.above().times(other.rad)).plus(other.high().times(self.rad));
        Self { mid, rad, absorbed }
    }

    pub(super) fn square(&self, setting: &S::Setting) -> Self {
        self.mul(self, setting)
    }

    pub(super) fn div(&self, other: &Self, setting: &S::Setting) -> Result<Self, Stop> {
        if other.is_exact_zero() {
            return Err(Stop::Undefined);
        }
        if other.contains_zero() {
            return Err(Stop::Unknown);
        }
        let absorbed = self.absorbed | other.absorbed;
        if self.is_exact_zero() {
            return Ok(Self { absorbed, ..Self::zero() });
        }
        let low = other.low();
        if low.is_zero() {
            return Err(Stop::Unknown);
        }
        let (mid, error) = self.mid.over(&other.mid, setting);
        // |A/B - a/b| <= (ra + |a/b| rb) / |B|.
        let quotient = mid.above().plus(error);
        let rad = self.rad.plus(quotient.times(other.rad)).over(low).plus(error);
        Ok(Self { mid, rad, absorbed })
    }

    /// The root of a number that is known not to be negative.
    pub(super) fn sqrt(&self, setting: &S::Setting) -> Self {
        if self.is_exact_zero() {
            return self.clone();
        }
        if !self.is_positive() {
            return Self::within(self.high().root(), self.absorbed);
        }
        let (mid, error) = self.mid.root(setting);
        // |sqrt(M) - sqrt(m)| <= |M - m| / sqrt(m).
        let low = mid.below().minus(error);
        let rad = if self.rad.is_zero() { self.rad } else { self.rad.over(low) };
        Self { mid, rad: rad.plus(error), absorbed: self.absorbed }
    }

    pub(super) fn exp(&self, setting: &S::Setting) -> Result<Self, Stop> {
        if self.rad > S::Radius::ONE {
            return Err(Stop::Unknown);
        }
        let (mid, error) = self.mid.exp(setting)?;
        // e^r - 1 <= r + r^2 for r <= 1.
        let growth = self.rad.plus(self.rad.times(self.rad));
        let rad = mid.above().plus(error).times(growth).plus(error);
        let absorbed = self.absorbed || self.power_vanishes_in(1, rad);
        Ok(Self { mid, rad, absorbed })
    }

    /// The logarithm of a number that is known to be positive.
    pub(super) fn ln(&self, setting: &S::Setting) -> Result<Self, Stop> {
        let low = self.low();
        if !self.is_positive() || low.is_zero() {
            return Err(Stop::Unknown);
        }
        let (mid, error) = self.mid.ln(setting);
        Ok(Self { mid, rad: self.rad.over(low).plus(error), absorbed: self.absorbed })
    }

    pub(super) fn sin_cos(&self, setting: &S::Setting) -> Result<(Self, Self), Stop> {
        if self.rad >= S::Radius::ONE {
            let all = Self::within(S::Radius::ONE, self.absorbed);
            return Ok((all.clone(), all));
        }
        let ((sin, sin_error), (cos, cos_error)) = self.mid.sin_cos(setting)?;
        let sin_rad = self.rad.plus(sin_error);
        // |cos(M) - cos(m)| <= |M - m| * the largest sine on the way.
        let slope = self.high();
        let slope = if slope < S::Radius::ONE { slope } else { S::Radius::ONE };
        let cos_rad = self.rad.times(slope).plus(cos_error);
        let sin_lost = self.absorbed || self.power_vanishes_in(3, sin_rad);
        let cos_lost = self.absorbed || self.power_vanishes_in(2, cos_rad);
        Ok((
            Self { mid: sin, rad: sin_rad, absorbed: sin_lost },
            Self { mid: cos, rad: cos_rad, absorbed: cos_lost },
        ))
    }

    pub(super) fn sinh_cosh(&self, setting: &S::Setting) -> Result<(Self, Self), Stop> {
        if self.rad > S::Radius::ONE {
            return Err(Stop::Unknown);
        }
        let ((sinh, sinh_error), (cosh, cosh_error)) = self.mid.sinh_cosh(setting)?;
        // Both slopes are at most cosh(|m| + r) <= cosh(m) e^r <= cosh(m) (1 + 2r) for r <= 1.
        let slope = cosh.above().plus(cosh_error);
        let slope = slope.times(S::Radius::ONE.plus(self.rad).plus(self.rad));
        let spread = self.rad.times(slope);
        let (sinh_rad, cosh_rad) = (spread.plus(sinh_error), spread.plus(cosh_error));
        // For large arguments the smaller exponential is what gets lost.
        let far = self.mid.below() > S::Radius::ONE
            && S::Radius::ONE.over(slope) <= sinh_rad.times(S::Radius::power_of_two(3));
        let sinh_lost = self.absorbed || far || self.power_vanishes_in(3, sinh_rad);
        let cosh_lost = self.absorbed || far || self.power_vanishes_in(2, cosh_rad);
        Ok((
            Self { mid: sinh, rad: sinh_rad, absorbed: sinh_lost },
            Self { mid: cosh, rad: cosh_rad, absorbed: cosh_lost },
        ))
    }

    pub(super) fn atan(&self, setting: &S::Setting) -> Self {
        if self.is_exact_zero() {
            return self.clone();
        }
        let (mid, error) = self.mid.atan(setting);
        // The slope is 1 / (1 + x^2).
        let low = self.low();
        let far = low > S::Radius::ONE;
        let spread = if far { self.rad.over(low).over(low) } else { self.rad };
        let rad = spread.plus(error);
        let lost_far = far && S::Radius::ONE.over(low) <= rad.times(S::Radius::power_of_two(3));
        let lost = lost_far || self.power_vanishes_in(3, rad);
        Self { mid, rad, absorbed: self.absorbed || lost }
    }

    pub(super) fn pi(setting: &S::Setting) -> Self {
        Self::from_point(S::pi(setting))
    }

    /// The angle of x + iy in (-pi, pi].
    pub(super) fn angle(x: &Self, y: &Self, setting: &S::Setting) -> Result<Self, Stop> {
        let absorbed = x.absorbed | y.absorbed;
        if y.is_exact_zero() {
            return if x.is_positive() {
                Ok(Self { absorbed, ..Self::zero() })
            } else if x.is_negative() {
                Ok(Self { absorbed, ..Self::pi(setting) })
            } else if x.is_exact_zero() {
                Err(Stop::Undefined)
            } else {
                Err(Stop::Unknown)
            };
        }
        if x.low() >= y.low() {
            if x.is_positive() {
                return Ok(y.div(x, setting)?.atan(setting));
            }
            if !x.is_negative() || y.contains_zero() {
                return Err(Stop::Unknown);
            }
            let turned = y.div(x, setting)?.atan(setting);
            let pi = Self::pi(setting);
            return Ok(turned.add(&if y.is_positive() { pi } else { pi.neg() }, setting));
        }
        let quarter = Self::pi(setting).halved();
        let quarter = if y.is_positive() { quarter } else { quarter.neg() };
        Ok(quarter.sub(&x.div(y, setting)?.atan(setting), setting))
    }

    /// The integer part of a ball that does not hold an integer except perhaps at its lower end.
    pub(super) fn floor(&self, setting: &S::Setting) -> Result<Self, Stop> {
        let floor = self.mid.floor();
        if self.rad.is_zero() {
            return Ok(Self { mid: floor, ..self.clone() });
        }
        let (fraction, error) = self.mid.plus(&floor.negated(), setting);
        let below = fraction.below().minus(error);
        let above = S::Radius::ONE.minus(fraction.above().plus(error));
        if below >= self.rad && above > self.rad {
            Ok(Self { mid: floor, rad: S::Radius::ZERO, absorbed: self.absorbed })
        } else {
            Err(Stop::Unknown)
        }
    }
}
