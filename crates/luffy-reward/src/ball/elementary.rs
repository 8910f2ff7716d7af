//! Elementary functions of [`Big`] numbers: arguments are reduced until fixed point will do.

use dashu_base::{BitTest, DivRem, Sign};
use dashu_int::{IBig, UBig};

use super::big::Big;
use super::fixed;
use super::precision::{GUARD, Precision, REDUCTION, signed, unsigned};
use super::radius::{Mag, Radius};
use super::real::{Point, Scalar};
use crate::budget::Stop;

/// Bits after the point so that a number of the size of x has the precision and [`GUARD`].
fn width(x: &Big, setting: &Precision) -> usize {
    setting.bits + GUARD + unsigned(-x.top())
}

/// Whether x^2 is below the precision relative to 1.
fn is_small(x: &Big, setting: &Precision) -> bool {
    x.top() < -(signed(setting.bits) / 2 + 2)
}

/// x itself as the value of an odd function with x^3 the bound of what follows.
fn linear(x: &Big) -> Point<Big> {
    (x.clone(), Mag::power_of_two(3 * x.top()))
}

/// 1 as the value of an even function with x^2 the bound of what follows.
fn flat(x: &Big) -> Point<Big> {
    (Big::exact(false, UBig::ONE, 0), Mag::power_of_two(2 * x.top()))
}

/// The quadrant of |x|, and the distance from its start in units of 2^-w, within one unit.
fn reduced(x: &Big, w: usize, setting: &Precision) -> (u8, UBig, UBig) {
    // The quotient has at most `top` bits and multiplies an error of one unit of the constant.
    let wide = w + unsigned(x.top()) + 4;
    let quarter = setting.pi(wide + 1) >> 2;
    let (quotient, rest) = x.to_fixed(wide).div_rem(&quarter);
    let quadrant = u8::try_from(quotient & UBig::from(3_u8)).unwrap_or(0);
    (quadrant, rest >> (wide - w), quarter >> (wide - w))
}

pub(super) fn exp(x: &Big, setting: &Precision) -> Result<Point<Big>, Stop> {
    if x.is_zero() {
        return Ok((Big::exact(false, UBig::ONE, 0), Mag::ZERO));
    }
    let top = x.top();
    if top > 40 {
        return Err(Stop::Unknown);
    }
    if top < -signed(setting.bits) - 2 {
        return Ok((Big::exact(false, UBig::ONE, 0), Mag::power_of_two(top + 1)));
    }
    let w = setting.bits + GUARD;
    let wide = w + REDUCTION;
    // n is off by at most one from the quotient of f64, and |n| < 2^42, so x - n ln 2 is within
    // 2^43 units of 2^-wide: far less than one of 2^-w.
    let mut n = libm::floor(x.estimate() * std::f64::consts::LOG2_E) as i64;
    let ln2 = IBig::from(setting.ln2().clone());
    let size = IBig::from(x.to_fixed(wide));
    let mut rest = if x.negative { -size } else { size } - &ln2 * n;
    while rest < IBig::ZERO {
        rest += &ln2;
        n -= 1;
    }
    while rest >= ln2 {
        rest -= &ln2;
        n += 1;
    }
    let (_, t) = rest.into_parts();
    // 2 units from the kernel, at most 2 * 1.1 from the argument.
    let (mut value, error) =
        Big::from_fixed(false, fixed::exp(&(t >> REDUCTION), w), w, 3, setting);
    value.exponent += n;
    Ok((value, error.times(Mag::power_of_two(n))))
}

pub(super) fn ln(x: &Big, setting: &Precision) -> Point<Big> {
    // x = m 2^e with m in [3/4, 3/2).
    let bits = x.mantissa.bit_len();
    let three_quarters = UBig::from(3_u8) << bits.saturating_sub(2);
    let low = if bits >= 2 { x.mantissa < three_quarters } else { true };
    let e = x.top() - i64::from(low);
    let m = Big::exact(false, x.mantissa.clone(), x.exponent - e);
    if e == 0 {
        let one = Big::exact(false, UBig::ONE, 0);
        let exact = Precision::new(2 * setting.bits);
        let (distance, _) = m.plus(&one.negated(), &exact);
        if distance.is_zero() {
            return (Big::zero(), Mag::ZERO);
        }
        let w = width(&distance, setting);
        let (value, error) = fixed::ln(&m.to_fixed(w), w);
        // The argument was cut by less than one unit, which moves the value by less than two.
        let (sign, value) = value.into_parts();
        return Big::from_fixed(sign == Sign::Negative, value, w, error + 1, setting);
    }
    let w = setting.bits + GUARD;
    let (value, error) = fixed::ln(&m.to_fixed(w), w);
    let sum = (value << REDUCTION) + IBig::from(setting.ln2().clone()) * e;
    let (sign, sum) = sum.into_parts();
    let error = error + 1 + signed(REDUCTION);
    Big::from_fixed(sign == Sign::Negative, sum, w + REDUCTION, error, setting)
}

pub(super) fn sin_cos(x: &Big, setting: &Precision) -> Result<(Point<Big>, Point<Big>), Stop> {
    if x.is_zero() {
        return Ok(((Big::zero(), Mag::ZERO), (Big::exact(false, UBig::ONE, 0), Mag::ZERO)));
    }
    if is_small(x, setting) {
        return Ok((linear(x), flat(x)));
    }
    if x.top() > 3 * signed(setting.bits) {
        return Err(Stop::Unknown);
    }
    let w = width(x, setting);
    let (quadrant, mut rest, quarter) = reduced(x, w, setting);
    // The kernel is for angles up to 1; the rest of the quadrant is seen from its end.
    let mirrored = &rest << 1 > quarter;
    if mirrored {
        rest = if rest > quarter { UBig::ZERO } else { quarter - rest };
    }
    let (near, far) = fixed::sin_cos(&rest, w);
    let (sin, cos) = if mirrored { (far, near) } else { (near, far) };
    let (sin, cos) = if quadrant % 2 == 0 { (sin, cos) } else { (cos, sin) };
    let sin_negative = (quadrant >= 2) != x.negative;
    let cos_negative = quadrant == 1 || quadrant == 2;
    // 2 units from the kernel, at most 3 from the argument.
    Ok((
        Big::from_fixed(sin_negative, sin, w, 3, setting),
        Big::from_fixed(cos_negative, cos, w, 3, setting),
    ))
}

pub(super) fn sinh_cosh(x: &Big, setting: &Precision) -> Result<(Point<Big>, Point<Big>), Stop> {
    if x.is_zero() {
        return Ok(((Big::zero(), Mag::ZERO), (Big::exact(false, UBig::ONE, 0), Mag::ZERO)));
    }
    if is_small(x, setting) {
        return Ok((linear(x), flat(x)));
    }
    if x.top() <= 0 {
        let w = width(x, setting);
        // Within 2 units and 2.72 for the cut argument; the inverse, which is less, within 6.
        let grown = fixed::exp(&x.to_fixed(w), w);
        let shrunk = (UBig::ONE << (2 * w)) / &grown;
        let sinh = if shrunk > grown { UBig::ZERO } else { &grown - &shrunk };
        return Ok((
            Big::from_fixed(x.negative, sinh, w + 1, 5, setting),
            Big::from_fixed(false, grown + shrunk, w + 1, 5, setting),
        ));
    }
    let size = Big::exact(false, x.mantissa.clone(), x.exponent);
    let (grown, error) = exp(&size, setting)?;
    // 1/A - 1/a = (a - A) / (aA), and both are above 1.
    let one = Big::exact(false, UBig::ONE, 0);
    let (shrunk, inverse_error) = one.over(&grown, setting);
    let relative = error.over(grown.below().minus(error)).over(grown.below());
    let error = error.plus(inverse_error).plus(relative);
    let (cosh, cosh_error) = grown.plus(&shrunk, setting);
    let (mut sinh, sinh_error) = grown.plus(&shrunk.negated(), setting);
    sinh.negative = x.negative;
    let half = |(value, error): Point<Big>| (value.halved().0, error.halved());
    Ok((half((sinh, sinh_error.plus(error))), half((cosh, cosh_error.plus(error)))))
}

pub(super) fn atan(x: &Big, setting: &Precision) -> Point<Big> {
    if x.is_zero() {
        return (Big::zero(), Mag::ZERO);
    }
    if is_small(x, setting) {
        return linear(x);
    }
    let w = width(x, setting);
    let one = UBig::ONE << w;
    let top = x.top();
    if top > 0 {
        // atan x = pi/2 - atan(1/x).
        let quarter = setting.pi(w + 1) >> 2;
        if top > signed(w) {
            return Big::from_fixed(x.negative, quarter, w, 2, setting);
        }
        let inverse = (UBig::ONE << (2 * w)) / x.to_fixed(w);
        let (value, error) = fixed::atan(&inverse.min(one), w);
        return Big::from_fixed(x.negative, quarter - value, w, error + 2, setting);
    }
    let (value, error) = fixed::atan(&x.to_fixed(w).min(one), w);
    Big::from_fixed(x.negative, value, w, error + 1, setting)
}
