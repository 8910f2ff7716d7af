//! Arithmetic of complex discs, roots, and what compares real numbers.

use super::radius::Radius;
use super::real::{Real, Scalar, Work};
use super::{Disc, Field};
use crate::budget::{Budget, Stop};

/// What an operation returns.
pub(super) type Evaluated<S> = Result<Disc<S>, Stop>;

impl<S: Scalar> Field<S> {
    pub(super) fn pay(&self, budget: &mut Budget, work: Work, times: u64) -> Result<(), Stop> {
        budget.charge(S::price(work, &self.setting).saturating_mul(times))
    }

    /// Takes a step, and what the parts that are not zero cost on top.
    #[inline]
    pub(super) fn enter(&self, budget: &mut Budget, work: Work, times: u64) -> Result<(), Stop> {
        budget.charge(1 + S::price(work, &self.setting).saturating_mul(times))
    }

    #[inline]
    pub(super) fn finish(re: Real<S>, im: Real<S>) -> Evaluated<S> {
        if re.mid.usable(re.rad) && im.mid.usable(im.rad) {
            Ok(Disc { re, im })
        } else {
            Err(Stop::Unknown)
        }
    }

    /// A real result, with what was lost in the part of the argument that is zero.
    #[inline]
    pub(super) fn finish_real(mut re: Real<S>, from: &Disc<S>) -> Evaluated<S> {
        re.absorbed |= from.im.absorbed;
        Self::finish(re, Real::zero())
    }

    /// The imaginary part of what two real numbers make.
    #[inline]
    fn no_part(x: &Disc<S>, y: &Disc<S>) -> Real<S> {
        Real { absorbed: x.im.absorbed | y.im.absorbed, ..Real::zero() }
    }

    /// -x.
    pub(crate) fn neg(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        self.enter(budget, Work::Add, 0)?;
        Ok(Disc { re: x.re.neg(), im: x.im.neg() })
    }

    /// x + y.
    pub(crate) fn add(&self, x: &Disc<S>, y: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let setting = &self.setting;
        if self.is_real(x) && self.is_real(y) {
            self.enter(budget, Work::Add, 1)?;
            return Self::finish(x.re.add(&y.re, setting), Self::no_part(x, y));
        }
        self.enter(budget, Work::Add, 2)?;
        Self::finish(x.re.add(&y.re, setting), x.im.add(&y.im, setting))
    }

    /// x - y.
    pub(crate) fn sub(&self, x: &Disc<S>, y: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let setting = &self.setting;
        if self.is_real(x) && self.is_real(y) {
            self.enter(budget, Work::Add, 1)?;
            return Self::finish(x.re.sub(&y.re, setting), Self::no_part(x, y));
        }
        self.enter(budget, Work::Add, 2)?;
        Self::finish(x.re.sub(&y.re, setting), x.im.sub(&y.im, setting))
    }

    /// x y.
    pub(crate) fn mul(&self, x: &Disc<S>, y: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let setting = &self.setting;
        if self.is_real(x) && self.is_real(y) {
            self.enter(budget, Work::Mul, 1)?;
            return Self::finish(x.re.mul(&y.re, setting), Self::no_part(x, y));
        }
        self.enter(budget, Work::Mul, 4)?;
        self.pay(budget, Work::Add, 2)?;
        Self::finish(
            x.re.mul(&y.re, setting).sub(&x.im.mul(&y.im, setting), setting),
            x.re.mul(&y.im, setting).add(&x.im.mul(&y.re, setting), setting),
        )
    }

    /// x / y; [`Stop::Undefined`] for y = 0.
    pub(crate) fn div(&self, x: &Disc<S>, y: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let setting = &self.setting;
        if self.is_real(y) {
            self.enter(budget, Work::Div, if self.is_real(x) { 1 } else { 2 })?;
            let mut re = x.re.div(&y.re, setting)?;
            re.absorbed |= y.im.absorbed;
            return Self::finish(re, x.im.div(&y.re, setting)?);
        }
        if self.contains_zero(y) {
            return Err(Stop::Unknown);
        }
        self.enter(budget, Work::Mul, 6)?;
        self.pay(budget, Work::Add, 3)?;
        self.pay(budget, Work::Div, 2)?;
        let size = self.norm(y);
        let re = x.re.mul(&y.re, setting).add(&x.im.mul(&y.im, setting), setting);
        let im = x.im.mul(&y.re, setting).sub(&x.re.mul(&y.im, setting), setting);
        Self::finish(re.div(&size, setting)?, im.div(&size, setting)?)
    }

    /// |x|^2.
    pub(super) fn norm(&self, x: &Disc<S>) -> Real<S> {
        x.re.square(&self.setting).add(&x.im.square(&self.setting), &self.setting)
    }

    /// x^n for an integer n; [`Stop::Undefined`] for 0 to the power of zero or less.
    pub(crate) fn powi(&self, x: &Disc<S>, n: i64, budget: &mut Budget) -> Evaluated<S> {
        budget.charge(1)?;
        if n <= 0 && self.contains_zero(x) {
            return Err(if x.is_exact_zero() { Stop::Undefined } else { Stop::Unknown });
        }
        if n == 0 {
            let mut one = self.integer(1);
            one.re.absorbed = x.re.absorbed | x.im.absorbed;
            return Ok(one);
        }
        let mut rest = n.unsigned_abs();
        let mut square = x.clone();
        let mut power: Option<Disc<S>> = None;
        loop {
            if rest & 1 == 1 {
                power = Some(match power {
                    Some(power) => self.mul(&power, &square, budget)?,
                    None => square.clone(),
                });
            }
            rest >>= 1;
            if rest == 0 {
                break;
            }
            square = self.mul(&square, &square, budget)?;
        }
        let power = power.unwrap_or(square);
        if n < 0 { self.div(&self.integer(1), &power, budget) } else { Ok(power) }
    }

    /// The square root with a real part that is not negative.
    pub(crate) fn sqrt(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let setting = &self.setting;
        self.enter(budget, Work::Div, 1)?;
        if self.is_real(x) {
            if x.re.is_exact_zero() {
                return Ok(x.clone());
            }
            if x.re.is_positive() {
                return Self::finish_real(x.re.sqrt(setting), x);
            }
            if x.re.is_negative() {
                let im = x.re.neg().sqrt(setting);
                return Self::finish(Real { absorbed: x.im.absorbed, ..Real::zero() }, im);
            }
        }
        if self.contains_zero(x) {
            let absorbed = self.absorbed(x);
            let bound = x.re.high().plus(x.im.high()).root();
            return Self::finish(Real::within(bound, absorbed), Real::within(bound, absorbed));
        }
        self.pay(budget, Work::Mul, 2)?;
        self.pay(budget, Work::Add, 2)?;
        self.pay(budget, Work::Div, 3)?;
        let size = self.norm(x).sqrt(setting);
        // With u = sqrt((|x| + |re|) / 2) the root is u + i im/2u, or with re < 0 its mirror image.
        if x.re.mid.is_negative() {
            if x.im.contains_zero() {
                return Err(Stop::Unknown);
            }
            let u = size.sub(&x.re, setting).halved().sqrt(setting);
            let v = x.im.halved().div(&u, setting)?;
            return if x.im.is_negative() {
                Self::finish(v.neg(), u.neg())
            } else {
                Self::finish(v, u)
            };
        }
        let u = size.add(&x.re, setting).halved().sqrt(setting);
        let v = x.im.halved().div(&u, setting)?;
        Self::finish(u, v)
    }

    /// The principal n-th root, exp(ln(x) / n): of -8 and 3 it is 1 + i sqrt 3.
    pub(crate) fn root(&self, x: &Disc<S>, n: u32, budget: &mut Budget) -> Evaluated<S> {
        budget.charge(1)?;
        match n {
            0 => return Err(Stop::Undefined),
            1 => return Ok(x.clone()),
            2 => return self.sqrt(x, budget),
            _ => {}
        }
        if x.is_exact_zero() {
            return Ok(x.clone());
        }
        if self.contains_zero(x) {
            let absorbed = self.absorbed(x);
            // |x| <= 2^k gives |root| <= 2^ceil(k/n).
            let log2 = self.log2_abs(x);
            let bound = S::Radius::power_of_two(log2.div_euclid(i64::from(n)).saturating_add(1));
            return Self::finish(Real::within(bound, absorbed), Real::within(bound, absorbed));
        }
        let log = self.ln(x, budget)?;
        let root = self.exp(&self.div(&log, &self.integer(i64::from(n)), budget)?, budget)?;
        if self.is_real(x) && x.re.rad.is_zero() && self.is_real(&root) {
            // An integer to the power of n is recognized.
            let half = self.integer(1).re.halved();
            let near = root.re.add(&half, &self.setting).mid.floor();
            let near = Disc { re: Real { mid: near, ..x.re.clone() }, im: x.im.clone() };
            if near.re.to_i64().is_some_and(|n| n != 0) {
                let power = self.powi(&near, i64::from(n), budget)?;
                let gap = power.re.sub(&x.re, &self.setting);
                if gap.is_exact_zero() {
                    return Ok(near);
                }
            }
        }
        Ok(root)
    }

    /// |x|.
    pub(crate) fn abs(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        if self.is_real(x) {
            budget.charge(1)?;
            return Self::finish_real(x.re.abs(), x);
        }
        self.enter(budget, Work::Mul, 2)?;
        self.pay(budget, Work::Add, 1)?;
        self.pay(budget, Work::Div, 1)?;
        let size = if x.re.is_exact_zero() { x.im.abs() } else { self.norm(x).sqrt(&self.setting) };
        Self::finish_real(size, x)
    }

    /// The largest integer up to a real x.
    pub(crate) fn floor(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        self.enter(budget, Work::Add, 2)?;
        if !self.is_real(x) {
            return Err(Stop::Unknown);
        }
        Self::finish_real(x.re.floor(&self.setting)?, x)
    }

    /// The smallest integer from a real x on.
    pub(crate) fn ceil(&self, x: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let floor = self.floor(&Disc { re: x.re.neg(), im: x.im.clone() }, budget)?;
        Ok(Disc { re: floor.re.neg(), im: floor.im })
    }

    /// The larger of two real numbers.
    pub(crate) fn max(&self, x: &Disc<S>, y: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        self.enter(budget, Work::Add, 4)?;
        if !self.is_real(x) || !self.is_real(y) {
            return Err(Stop::Unknown);
        }
        let setting = &self.setting;
        let gap = x.re.sub(&y.re, setting);
        let larger = if gap.is_positive() || gap.is_exact_zero() {
            x.re.clone()
        } else if gap.is_negative() {
            y.re.clone()
        } else {
            x.re.add(&y.re, setting).add(&gap.abs(), setting).halved()
        };
        let absorbed = self.absorbed(x) || self.absorbed(y) || larger.absorbed;
        Self::finish(Real { absorbed, ..larger }, Real::zero())
    }

    /// The smaller of two real numbers.
    pub(crate) fn min(&self, x: &Disc<S>, y: &Disc<S>, budget: &mut Budget) -> Evaluated<S> {
        let negated = |z: &Disc<S>| Disc { re: z.re.neg(), im: z.im.clone() };
        let larger = self.max(&negated(x), &negated(y), budget)?;
        Ok(negated(&larger))
    }
}
