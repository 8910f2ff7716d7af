//! The second precision: as many bits as asked for, and exponents far beyond those of f64.

use std::cmp::Ordering;

use dashu_base::{BitTest, DivRem, Sign, SquareRootRem};
use dashu_int::{IBig, UBig};

use super::elementary;
use super::precision::{GUARD, Precision, signed, unsigned};
use super::radius::{Mag, Radius};
use super::real::{Point, Scalar, Work};
use crate::budget::Stop;

/// ± mantissa * 2^exponent.
///
/// The mantissa has at most the bits of the [`Precision`] it was computed with.
#[derive(Debug, Clone)]
pub(crate) struct Big {
    pub(super) negative: bool,
    pub(super) mantissa: UBig,
    pub(super) exponent: i64,
}

/// Numbers beyond 2^±2^40 are not computed with.
const LARGEST: i64 = 1 << 40;
impl Big {
    /// Of any number of bits.
    pub(super) fn exact(negative: bool, mantissa: UBig, exponent: i64) -> Self {
        if mantissa.is_zero() {
            Self { negative: false, mantissa, exponent: 0 }
        } else {
            Self { negative, mantissa, exponent }
        }
    }

    /// Cut to the precision; the error is what was cut off, and `error`.
    pub(super) fn rounded(self, error: Mag, setting: &Precision) -> Point<Self> {
        let excess = self.mantissa.bit_len().saturating_sub(setting.bits);
        if excess == 0 {
            return (self, error);
        }
        let whole = self.mantissa.trailing_zeros().is_some_and(|zeros| zeros >= excess);
        let exponent = self.exponent + signed(excess);
        let cut = if whole { Mag::ZERO } else { Mag::power_of_two(exponent) };
        (Self { mantissa: self.mantissa >> excess, exponent, ..self }, error.plus(cut))
    }

    /// The quotient of integers.
    pub(super) fn quotient(
        negative: bool,
        numerator: &UBig,
        denominator: &UBig,
        setting: &Precision,
    ) -> Point<Self> {
        // Two bits more than asked for; bits of the numerator that cannot matter are dropped first,
        // which moves the quotient by less than one unit.
        let shift =
            signed(setting.bits) + 2 + signed(denominator.bit_len()) - signed(numerator.bit_len());
        let (value, inexact) = if shift >= 0 {
            let (value, rest) = (numerator << unsigned(shift)).div_rem(denominator);
            (value, !rest.is_zero())
        } else {
            let zeros = numerator.trailing_zeros().unwrap_or(0);
            let (value, rest) = (numerator >> unsigned(-shift)).div_rem(denominator);
            (value, !rest.is_zero() || signed(zeros) < -shift)
        };
        let error = if inexact { Mag::power_of_two(1 - shift) } else { Mag::ZERO };
        Self::exact(negative, value, -shift).rounded(error, setting)
    }

    /// A fixed-point result and log2 of its error in units of 2^-w.
    pub(super) fn from_fixed(
        negative: bool,
        value: UBig,
        w: usize,
        error: i64,
        setting: &Precision,
    ) -> Point<Self> {
        let error = Mag::power_of_two(error - signed(w));
        Self::exact(negative, value, -signed(w)).rounded(error, setting)
    }

    /// The least `n` with |x| < 2^n; not for zero.
    pub(super) fn top(&self) -> i64 {
        self.exponent + signed(self.mantissa.bit_len())
    }

    /// |x| in units of 2^-w, cut; for x of moderate size.
    pub(super) fn to_fixed(&self, w: usize) -> UBig {
        let shift = self.exponent + signed(w);
        if shift >= 0 {
            &self.mantissa << unsigned(shift)
        } else if -shift >= signed(self.mantissa.bit_len()) {
            UBig::ZERO
        } else {
            &self.mantissa >> unsigned(-shift)
        }
    }

    /// The nearest number of f64, within a unit in the last place.
    pub(super) fn estimate(&self) -> f64 {
        let bits = self.mantissa.bit_len();
        let excess = bits.saturating_sub(60);
        let top = u64::try_from(&self.mantissa >> excess).unwrap_or(u64::MAX) as f64;
        let exponent = (self.exponent + signed(excess)).clamp(-2000, 2000);
        let size = libm::ldexp(top, i32::try_from(exponent).unwrap_or(0));
        if self.negative { -size } else { size }
    }
}

impl Scalar for Big {
    type Radius = Mag;
    type Setting = Precision;

    fn zero() -> Self {
        Self::exact(false, UBig::ZERO, 0)
    }

    fn bits(setting: &Precision) -> usize {
        setting.bits
    }

    fn integer(n: i64, _: &Precision) -> Point<Self> {
        (Self::exact(n < 0, UBig::from(n.unsigned_abs()), 0), Mag::ZERO)
    }

    fn rational(n: &IBig, d: &UBig, setting: &Precision) -> Point<Self> {
        let (sign, n) = n.clone().into_parts();
        Self::quotient(sign == Sign::Negative, &n, d, setting)
    }

    #[cfg(test)]
    fn from_radius(radius: Mag) -> Self {
        if radius.is_zero() {
            return Self::zero();
        }
        let (mantissa, exponent) = radius.parts();
        Self::exact(false, UBig::from(mantissa), exponent)
    }

    fn is_zero(&self) -> bool {
        self.mantissa.is_zero()
    }

    fn is_negative(&self) -> bool {
        self.negative
    }

    fn above(&self) -> Mag {
        let excess = self.mantissa.bit_len().saturating_sub(53);
        if excess == 0 {
            return self.below();
        }
        let top = u64::try_from(&self.mantissa >> excess).unwrap_or(u64::MAX);
        Mag::new((top + 1) as f64, self.exponent + signed(excess))
    }

    fn below(&self) -> Mag {
        let excess = self.mantissa.bit_len().saturating_sub(53);
        let top = u64::try_from(&self.mantissa >> excess).unwrap_or(0);
        Mag::new(top as f64, self.exponent + signed(excess))
    }

    fn usable(&self, radius: Mag) -> bool {
        (self.is_zero() || self.top().abs() <= LARGEST) && radius.log2() <= LARGEST
    }

    fn negated(&self) -> Self {
        Self::exact(!self.negative, self.mantissa.clone(), self.exponent)
    }

    fn halved(&self) -> Point<Self> {
        (Self::exact(self.negative, self.mantissa.clone(), self.exponent - 1), Mag::ZERO)
    }

    fn plus(&self, other: &Self, setting: &Precision) -> Point<Self> {
        if self.is_zero() || other.is_zero() {
            let sum = if self.is_zero() { other } else { self };
            return sum.clone().rounded(Mag::ZERO, setting);
        }
        let (large, small) = if self.top() >= other.top() { (self, other) } else { (other, self) };
        if large.top() - small.top() > signed(setting.bits) + 2 {
            return large.clone().rounded(Mag::power_of_two(small.top()), setting);
        }
        let exponent = large.exponent.min(small.exponent);
        let a = &large.mantissa << unsigned(large.exponent - exponent);
        let b = &small.mantissa << unsigned(small.exponent - exponent);
        let (negative, sum) = if large.negative == small.negative {
            (large.negative, a + b)
        } else {
            match a.cmp(&b) {
                Ordering::Less => (small.negative, b - a),
                _ => (large.negative, a - b),
            }
        };
        Self::exact(negative, sum, exponent).rounded(Mag::ZERO, setting)
    }

    fn times(&self, other: &Self, setting: &Precision) -> Point<Self> {
        let negative = self.negative != other.negative;
        let product = &self.mantissa * &other.mantissa;
        Self::exact(negative, product, self.exponent + other.exponent).rounded(Mag::ZERO, setting)
    }

    fn over(&self, other: &Self, setting: &Precision) -> Point<Self> {
        let negative = self.negative != other.negative;
        let (mut value, error) = Self::quotient(negative, &self.mantissa, &other.mantissa, setting);
        let shift = self.exponent - other.exponent;
        value.exponent += shift;
        (value, error.times(Mag::power_of_two(shift)))
    }

    fn root(&self, setting: &Precision) -> Point<Self> {
        let wanted = 2 * setting.bits + 2;
        let mut shift = signed(wanted) - signed(self.mantissa.bit_len());
        shift = shift.max(0);
        shift += (self.exponent - shift).rem_euclid(2);
        let (root, rest) = (&self.mantissa << unsigned(shift)).sqrt_rem();
        let exponent = (self.exponent - shift) / 2;
        let error = if rest.is_zero() { Mag::ZERO } else { Mag::power_of_two(exponent) };
        Self::exact(false, root, exponent).rounded(error, setting)
    }

    fn exp(&self, setting: &Precision) -> Result<Point<Self>, Stop> {
        elementary::exp(self, setting)
    }

    fn ln(&self, setting: &Precision) -> Point<Self> {
        elementary::ln(self, setting)
    }

    fn sin_cos(&self, setting: &Precision) -> Result<(Point<Self>, Point<Self>), Stop> {
        elementary::sin_cos(self, setting)
    }

    fn sinh_cosh(&self, setting: &Precision) -> Result<(Point<Self>, Point<Self>), Stop> {
        elementary::sinh_cosh(self, setting)
    }

    fn atan(&self, setting: &Precision) -> Point<Self> {
        elementary::atan(self, setting)
    }

    fn pi(setting: &Precision) -> Point<Self> {
        let w = setting.bits + GUARD;
        Self::from_fixed(false, setting.pi(w), w, 1, setting)
    }

    fn e(setting: &Precision) -> Point<Self> {
        let w = setting.bits + GUARD;
        Self::from_fixed(false, setting.e().clone(), w, 1, setting)
    }

    fn floor(&self) -> Self {
        if self.exponent >= 0 {
            return self.clone();
        }
        let drop = unsigned(-self.exponent);
        let zeros = self.mantissa.trailing_zeros().unwrap_or(usize::MAX);
        let inside = drop < self.mantissa.bit_len();
        let whole = if inside { &self.mantissa >> drop } else { UBig::ZERO };
        let step = self.negative && zeros < drop;
        Self::exact(self.negative, if step { whole + UBig::ONE } else { whole }, 0)
    }

    fn to_i64(&self) -> Option<i64> {
        if self.is_zero() {
            return Some(0);
        }
        if self.top() > 63 || self.exponent < -signed(self.mantissa.trailing_zeros()?) {
            return None;
        }
        let size = i64::try_from(self.to_fixed(0)).ok()?;
        Some(if self.negative { -size } else { size })
    }

    fn price(work: Work, setting: &Precision) -> u64 {
        // Fitted to times in ns on one core, at 128, 256, 512 and 1024 bits: plus 150, 180, 190,
        // 210; times 170, 210, 260, 420; over 300, 400, 600, 880; exp 3700, 5000, 10000, 22000;
        // ln 4200, 7300, 17000, 34000; sin and cos 5600, 9000, 16000, 36000; atan 8000, 12000,
        // 24000, 55000.
        let limbs = setting.bits.div_ceil(64) as u64;
        match work {
            Work::Add => 10 + limbs,
            Work::Mul => 12 + limbs * limbs / 4 + limbs,
            Work::Div => 30 + limbs * limbs / 2 + 2 * limbs,
            Work::Exp => 200 + 90 * limbs + 5 * limbs * limbs,
            Work::Ln => 300 + 140 * limbs + 8 * limbs * limbs,
            Work::SinCos => 400 + 140 * limbs + 7 * limbs * limbs,
            Work::Atan => 500 + 200 * limbs + 10 * limbs * limbs,
        }
    }
}

#[cfg(test)]
mod tests {
    use dashu_float::round::mode::HalfEven;
    use dashu_float::{Context, Repr};
    use proptest::prelude::*;

    use super::*;

    type Value = dashu_float::FBig<HalfEven, 2>;

    fn big(negative: bool, words: &[u64], top: i64, setting: &Precision) -> Big {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mantissa = UBig::from_le_bytes(&bytes);
        let bits = signed(mantissa.bit_len());
        Big::exact(negative, mantissa, top - bits).rounded(Mag::ZERO, setting).0
    }

    fn repr(x: &Big) -> Repr<2> {
        let size = IBig::from(x.mantissa.clone());
        let exponent = isize::try_from(x.exponent).expect("small in these tests");
        Repr::new(if x.negative { -size } else { size }, exponent)
    }

    fn wide() -> Context<HalfEven> {
        Context::new(2000)
    }

    /// The value is within the bound of the true one, and the bound within 2^-`bits` of its size.
    fn check(name: &str, got: Point<Big>, expected: dashu_float::math::FpResult<Value>, bits: i64) {
        let expected = expected.expect("inside the domain").value();
        let off = wide().sub(&repr(&got.0), expected.repr()).expect("finite").value();
        let off = Big::exact(
            false,
            off.repr().significand().clone().into_parts().1,
            off.repr().exponent() as i64,
        );
        assert!(off.below() <= got.1, "{name}: off by {off:?}, bound {:?}", got.1);
        let limit = got.0.above().times(Mag::power_of_two(-bits));
        assert!(got.1 <= limit, "{name}: bound {:?} of {:?}", got.1, got.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn every_function_is_within_its_bound(
            a in proptest::collection::vec(any::<u64>(), 16),
            b in proptest::collection::vec(1_u64.., 1..16),
            signs in any::<(bool, bool)>(),
            tops in (-150_i64..40, -40_i64..40),
            bits in 64_usize..800,
        ) {
            let setting = Precision::new(bits);
            let (x, y) = (big(signs.0, &a, tops.0, &setting), big(signs.1, &b, tops.1, &setting));
            prop_assume!(!x.is_zero() && !y.is_zero());
            let size = big(false, &a, tops.0, &setting);
            let (rx, ry, rs) = (repr(&x), repr(&y), repr(&size));
            let w = wide();
            let p = signed(bits);
            let sum = x.plus(&y, &setting);
            if sum.0.top() >= x.top() {
                check("plus", sum, w.add(&rx, &ry), p - 2);
            }
            check("times", x.times(&y, &setting), w.mul(&rx, &ry), p - 2);
            check("over", x.over(&y, &setting), w.div(&rx, &ry), p - 2);
            check("root", size.root(&setting), w.sqrt(&rs), p - 2);
            check("ln", size.ln(&setting), w.ln(&rs, None), p - 2);
            check("atan", x.atan(&setting), w.atan(&rx, None), p - 2);
            if let Ok(value) = x.exp(&setting) {
                check("exp", value, w.exp(&rx, None), p - 2);
            }
            let (sin, cos) = x.sin_cos(&setting).expect("moderate");
            // Near a zero the relative bound is the distance from it worse.
            check("sin", sin, w.sin(&rx, None), p / 2);
            check("cos", cos, w.cos(&rx, None), p / 2);
            if x.top() < 20 {
                let (sinh, cosh) = x.sinh_cosh(&setting).expect("moderate");
                check("sinh", sinh, w.sinh(&rx, None), p - 3);
                check("cosh", cosh, w.cosh(&rx, None), p - 3);
            }
            let floor = x.floor();
            let gap = x.plus(&floor.negated(), &Precision::new(2000)).0;
            prop_assert!(!gap.is_negative() && gap.above() <= Mag::ONE);
        }
    }

    #[test]
    fn numbers_next_to_one_keep_their_logarithm() {
        let setting = Precision::new(128);
        let tiny = Big::exact(false, UBig::ONE, -120);
        let one = Big::exact(false, UBig::ONE, 0);
        for x in [one.plus(&tiny, &setting).0, one.plus(&tiny.negated(), &setting).0] {
            check("ln", x.ln(&setting), wide().ln(&repr(&x), None), 126);
        }
        assert!(one.ln(&setting).0.is_zero());
    }

    #[test]
    fn quotients_of_long_integers_are_rounded() {
        let setting = Precision::new(64);
        let n = (UBig::ONE << 5000) + UBig::ONE;
        let d = (UBig::ONE << 3000) - UBig::ONE;
        let got = Big::quotient(false, &n, &d, &setting);
        let expected = wide().div(&Repr::new(n.into(), 0), &Repr::new(d.into(), 0));
        check("quotient", got, expected, 61);
        let exact = Big::quotient(true, &(UBig::ONE << 5000), &UBig::from(8_u8), &setting);
        assert!(exact.1.is_zero() && exact.0.is_negative() && exact.0.top() == 4998);
        assert!(Big::quotient(false, &UBig::ZERO, &UBig::from(8_u8), &setting).0.is_zero());
    }
}
