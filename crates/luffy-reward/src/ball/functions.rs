//! Exponentials, logarithms, powers and circular functions of complex discs, on principal branches.

use super::arithmetic::Evaluated;
use super::radius::Radius;
use super::real::{Real, Scalar, Work};
use super::{Disc, Field};
use crate::budget::{Budget, Stop};

impl<S: Scalar> Field<S> {
    /// e^x.
    pub(crate) fn exp(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let setting = &self.setting;
        self.enter(budget, Work::Exp, 1)?;
        let size = x.re.exp(setting)?;
        if self.is_real(x) {
            return Self::finish_real(size, x);
        }
        self.pay_for_angle(&x.im, budget)?;
        self.pay(budget, Work::Mul, 2)?;
        let (sin, cos) = x.im.sin_cos(setting)?;
        Self::finish(size.mul(&cos, setting), size.mul(&sin, setting))
    }

    /// Sines of large numbers need as many more bits.
    fn pay_for_angle(&self, x: &Real<S>, budget: &mut Budget) -> Result<(), Stop> {
        let bits = i64::try_from(self.bits()).unwrap_or(i64::MAX);
        let extra = (x.high().log2().max(0) / bits.max(1)).clamp(0, 4);
        self.pay(budget, Work::SinCos, 1 + u64::try_from(2 * extra).unwrap_or(0))
    }

    /// The principal logarithm, with an imaginary part in (-pi, pi].
    pub(crate) fn ln(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let setting = &self.setting;
        self.enter(budget, Work::Ln, 1)?;
        if x.is_exact_zero() {
            return Err(Stop::Undefined);
        }
        if self.contains_zero(x) {
            return Err(Stop::Unknown);
        }
        if self.is_real(x) {
            let size = x.re.abs().ln(setting)?;
            let mut im = if x.re.is_negative() { Real::pi(setting) } else { Real::zero() };
            im.absorbed |= x.im.absorbed;
            return Self::finish(size, im);
        }
        let angle = self.arg(x, budget)?;
        self.pay(budget, Work::Mul, 2)?;
        self.pay(budget, Work::Add, 1)?;
        Self::finish(self.norm(x).ln(setting)?.halved(), angle.re)
    }

    /// The angle of x in (-pi, pi].
    pub(crate) fn arg(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        self.enter(budget, Work::Atan, 1)?;
        self.pay(budget, Work::Div, 1)?;
        if x.is_exact_zero() {
            return Err(Stop::Undefined);
        }
        if self.contains_zero(x) {
            return Err(Stop::Unknown);
        }
        Self::finish_real(Real::angle(&x.re, &x.im, &self.setting)?, x)
    }

    /// The principal power, exp(exponent ln base); for integer exponents the product.
    pub(crate) fn pow(
        &self,
        base: &Disc<S>,
        exponent: &Disc<S>,
        budget: &mut Budget,
    ) -> Evaluated<S> {
        budget.charge(1)?;
        let lost = self.absorbed(exponent);
        let mark = |mut power: Disc<S>| {
            power.re.absorbed |= lost;
            power
        };
        if self.is_real(exponent) {
            if let Some(n) = exponent.re.to_i64() {
                return Ok(mark(self.powi(base, n, budget)?));
            }
            if base.is_exact_zero() {
                return if exponent.re.is_positive() {
                    Ok(mark(base.clone()))
                } else if exponent.re.is_negative() {
                    Err(Stop::Undefined)
                } else {
                    Err(Stop::Unknown)
                };
            }
            // Halves are frequent, and roots of squares come out exact this way.
            let twice = exponent.re.add(&exponent.re, &self.setting);
            if let Some(n) = twice.to_i64().filter(|n| n.unsigned_abs() <= 1 << 10) {
                let root = self.sqrt(base, budget)?;
                return Ok(mark(self.powi(&root, n, budget)?));
            }
        }
        if base.is_exact_zero() && exponent.re.is_positive() {
            return Ok(mark(base.clone()));
        }
        if self.contains_zero(base) {
            return Err(Stop::Unknown);
        }
        let log = self.ln(base, budget)?;
        self.exp(&self.mul(exponent, &log, budget)?, budget)
    }

    /// sin x and cos x.
    fn sin_cos(&self, x: &Disc<S>, budget: &mut Budget) -> Result<(Disc<S>, Disc<S>), Stop> {
        let setting = &self.setting;
        budget.charge(1)?;
        self.pay_for_angle(&x.re, budget)?;
        let (sin, cos) = x.re.sin_cos(setting)?;
        if self.is_real(x) {
            return Ok((Self::finish_real(sin, x)?, Self::finish_real(cos, x)?));
        }
        self.pay(budget, Work::Exp, 1)?;
        self.pay(budget, Work::Mul, 4)?;
        let (sinh, cosh) = x.im.sinh_cosh(setting)?;
        Ok((
            Self::finish(sin.mul(&cosh, setting), cos.mul(&sinh, setting))?,
            Self::finish(cos.mul(&cosh, setting), sin.mul(&sinh, setting).neg())?,
        ))
    }

    /// sin x.
    pub(crate) fn sin(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        Ok(self.sin_cos(x, budget)?.0)
    }

    /// cos x.
    pub(crate) fn cos(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        Ok(self.sin_cos(x, budget)?.1)
    }

    /// tan x.
    pub(crate) fn tan(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let (sin, cos) = self.sin_cos(x, budget)?;
        self.div(&sin, &cos, budget)
    }

    /// sinh x and cosh x.
    fn sinh_cosh(&self, x: &Disc<S>, budget: &mut Budget) -> Result<(Disc<S>, Disc<S>), Stop> {
        let setting = &self.setting;
        self.enter(budget, Work::Exp, 1)?;
        let (sinh, cosh) = x.re.sinh_cosh(setting)?;
        if self.is_real(x) {
            return Ok((Self::finish_real(sinh, x)?, Self::finish_real(cosh, x)?));
        }
        self.pay_for_angle(&x.im, budget)?;
        self.pay(budget, Work::Mul, 4)?;
        let (sin, cos) = x.im.sin_cos(setting)?;
        Ok((
            Self::finish(sinh.mul(&cos, setting), cosh.mul(&sin, setting))?,
            Self::finish(cosh.mul(&cos, setting), sinh.mul(&sin, setting))?,
        ))
    }

    /// sinh x.
    pub(crate) fn sinh(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        Ok(self.sinh_cosh(x, budget)?.0)
    }

    /// cosh x.
    pub(crate) fn cosh(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        Ok(self.sinh_cosh(x, budget)?.1)
    }

    /// tanh x.
    pub(crate) fn tanh(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let (sinh, cosh) = self.sinh_cosh(x, budget)?;
        self.div(&sinh, &cosh, budget)
    }

    /// The real number and sqrt(1 - x^2), for a real x known to be in [-1, 1].
    fn on_circle(&self, x: &Disc<S>, budget: &mut Budget) -> Result<Real<S>, Stop> {
        self.enter(budget, Work::Atan, 1)?;
        self.pay(budget, Work::Div, 2)?;
        self.pay(budget, Work::Mul, 2)?;
        if !self.is_real(x) {
            return Err(Stop::Unknown);
        }
        let one = self.integer(1).re;
        let above = one.add(&x.re, &self.setting);
        let below = one.sub(&x.re, &self.setting);
        let inside = |side: &Real<S>| side.is_positive() || side.is_exact_zero();
        if !inside(&above) || !inside(&below) {
            return Err(Stop::Unknown);
        }
        Ok(above.mul(&below, &self.setting).sqrt(&self.setting))
    }

    /// arcsin x for real x in [-1, 1].
    pub(crate) fn asin(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let other = self.on_circle(x, budget)?;
        Self::finish_real(Real::angle(&other, &x.re, &self.setting)?, x)
    }

    /// arccos x for real x in [-1, 1].
    pub(crate) fn acos(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let other = self.on_circle(x, budget)?;
        Self::finish_real(Real::angle(&x.re, &other, &self.setting)?, x)
    }

    /// arctan x for real x.
    pub(crate) fn atan(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        self.enter(budget, Work::Atan, 1)?;
        if !self.is_real(x) {
            return Err(Stop::Unknown);
        }
        Self::finish_real(x.re.atan(&self.setting), x)
    }
}
