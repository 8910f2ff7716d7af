//! Values of closed-form expressions, with a bound on how far off they are.
//!
//! A [`Disc`] stands for every complex number near a computed one. Every operation returns a disc that
//! holds the true result, whatever the true arguments in their discs are, or says [`Stop`]. So two
//! expressions differ for certain when the disc of their difference does not hold zero, in f64 as well
//! as with a thousand bits.
//!
//! Discs are kept as a rectangle: a real number and a radius for either part. An imaginary part that is
//! zero with radius zero is what "exactly real" means, and arithmetic keeps it so.

mod arithmetic;
mod big;
mod elementary;
mod fixed;
mod functions;
mod machine;
mod precision;
mod radius;
mod real;

use dashu_base::BitTest;
use dashu_int::{IBig, UBig};

pub(crate) use self::big::Big;
use self::precision::Precision;
use self::radius::Radius;
pub(crate) use self::real::Scalar;
use self::real::{Real, Work};
use crate::budget::{Budget, Stop};

/// Every complex number of which both parts are near enough to those of one number.
#[derive(Debug, Clone)]
pub(crate) struct Disc<S: Scalar> {
    re: Real<S>,
    im: Real<S>,
}

/// The operations of one precision.
///
/// All functions are the principal branches. [`Stop::Undefined`] means that there is no value,
/// [`Stop::Unknown`] that this precision cannot say, or that no precision will.
#[derive(Debug)]
pub(crate) struct Field<S: Scalar> {
    setting: S::Setting,
}

impl Field<f64> {
    /// 53 bits.
    pub(crate) fn machine() -> Self {
        Self { setting: () }
    }
}

impl Field<Big> {
    /// Any number of bits from 64 to 16384.
    pub(crate) fn with_precision(bits: usize) -> Self {
        Self { setting: Precision::new(bits) }
    }
}

impl<S: Scalar> Disc<S> {
    fn real(re: Real<S>) -> Self {
        Self { re, im: Real::zero() }
    }

    fn is_exact_zero(&self) -> bool {
        self.re.is_exact_zero() && self.im.is_exact_zero()
    }
}

#[expect(clippy::unused_self, reason = "a question is put to the field, as every operation is")]
impl<S: Scalar> Field<S> {
    /// n.
    pub(crate) fn integer(&self, n: i64) -> Disc<S> {
        Disc::real(Real::from_point(S::integer(n, &self.setting)))
    }

    /// n / d; [`Stop::Undefined`] for d = 0, [`Stop::Unknown`] where f64 has no such number.
    pub(crate) fn rational(
        &self,
        n: &IBig,
        d: &UBig,
        budget: &mut Budget,
    ) -> Result<Disc<S>, Stop> {
        let limbs = (n.bit_len() + d.bit_len()) / 64;
        let rows = self.bits() / 64 + 1;
        budget.charge(1 + S::price(Work::Div, &self.setting) + (limbs * rows) as u64 / 4)?;
        if d.is_zero() {
            return Err(Stop::Undefined);
        }
        let (mid, rad) = S::rational(n, d, &self.setting);
        if mid.usable(rad) {
            Ok(Disc::real(Real::from_point((mid, rad))))
        } else {
            Err(Stop::Unknown)
        }
    }

    /// The circle constant.
    pub(crate) fn pi(&self) -> Disc<S> {
        Disc::real(Real::pi(&self.setting))
    }

    /// The base of the natural logarithm.
    pub(crate) fn e(&self) -> Disc<S> {
        Disc::real(Real::from_point(S::e(&self.setting)))
    }

    /// The imaginary unit.
    pub(crate) fn i(&self) -> Disc<S> {
        Disc { re: Real::zero(), im: self.integer(1).re }
    }

    /// Bits of a number.
    pub(crate) fn bits(&self) -> usize {
        S::bits(&self.setting)
    }

    /// Whether the disc does not exclude zero.
    pub(crate) fn contains_zero(&self, x: &Disc<S>) -> bool {
        x.re.contains_zero() && x.im.contains_zero()
    }

    /// Whether every number of the disc is real.
    #[inline]
    pub(crate) fn is_real(&self, x: &Disc<S>) -> bool {
        x.im.is_exact_zero()
    }

    /// Whether the number is real and negative.
    pub(crate) fn is_negative(&self, x: &Disc<S>) -> bool {
        self.is_real(x) && x.re.is_negative()
    }

    /// Whether anything that is not zero was, at some operation on the way here, too small to change
    /// the result at this precision: e^-1000 in 5 + e^-1000, or x^2 in cos x = 1 - x^2/2 + ..
    ///
    /// A difference of such a disc that holds zero says nothing about the true difference.
    pub(crate) fn absorbed(&self, x: &Disc<S>) -> bool {
        x.re.absorbed || x.im.absorbed
    }

    /// An upper bound of log2 |x|; `i64::MIN` for zero.
    pub(crate) fn log2_abs(&self, x: &Disc<S>) -> i64 {
        x.re.high().plus(x.im.high()).log2()
    }

    /// An upper bound of log2 of the distance between two numbers of the disc, halved; `i64::MIN` for
    /// an exact number.
    pub(crate) fn log2_radius(&self, x: &Disc<S>) -> i64 {
        x.re.rad.plus(x.im.rad).log2()
    }
}

#[cfg(test)]
mod enclosure_tests;
#[cfg(test)]
mod tests;
