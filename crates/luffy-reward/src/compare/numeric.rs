//! Evaluation at a point, with a bound on the error.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::exact::{bits, fold};
use super::point::Point;
use crate::ball::{Disc, Field, Scalar};
use crate::budget::{Budget, Stop};
use crate::read::{Ast, Const, Func, Node, NodeId};
use crate::seed::hash;

/// Binomials over a number up to this one are written as a product.
const MAX_BINOMIAL: i64 = 64;

/// Factorials of fractions are reduced by at most this many factors.
const MAX_SHIFT: i64 = 400;

/// Evaluates expressions in one field at one point.
pub(super) struct Evaluator<'a, S: Scalar> {
    pub(super) ast: &'a Ast,
    pub(super) field: &'a Field<S>,
    pub(super) point: Point,
}

impl<S: Scalar> Evaluator<'_, S> {
    /// A disc that holds the value.
    ///
    /// # Errors
    ///
    /// [`Stop::Undefined`] where there is no value, [`Stop::Unknown`] where none was found.
    pub(super) fn eval(&self, id: NodeId, budget: &mut Budget) -> Result<Disc<S>, Stop> {
        self.value(id, false, budget)
    }

    /// `in_angle` says that a degree is a number here, as in `\sin 30^\circ`.
    fn value(&self, id: NodeId, in_angle: bool, budget: &mut Budget) -> Result<Disc<S>, Stop> {
        budget.charge(2)?;
        let field = self.field;
        match self.ast.node(id) {
            Node::Num(value) => self.rational(value, budget),
            Node::Sci(value, exp10) => {
                let value = self.rational(value, budget)?;
                let power = field.powi(&field.integer(10), *exp10, budget)?;
                field.mul(&value, &power, budget)
            }
            Node::Sym(name) => {
                let (above, below) = self.point.fraction(self.ast.name(*name));
                field.rational(&IBig::from(above), &UBig::from(below), budget)
            }
            Node::Const(Const::E) => Ok(field.e()),
            Node::Const(Const::Pi) => Ok(field.pi()),
            Node::Const(Const::I) => Ok(field.i()),
            Node::Unit(a, _) => self.value(*a, in_angle, budget),
            Node::Neg(a) => {
                let value = self.value(*a, in_angle, budget)?;
                field.neg(&value, budget)
            }
            Node::Add(kids) => {
                let mut sum = field.integer(0);
                for kid in self.ast.kids(*kids) {
                    let term = self.value(*kid, in_angle, budget)?;
                    sum = field.add(&sum, &term, budget)?;
                }
                Ok(sum)
            }
            Node::Mul(kids) => {
                let mut product = field.integer(1);
                for kid in self.ast.kids(*kids) {
                    let factor = self.value(*kid, in_angle, budget)?;
                    product = field.mul(&product, &factor, budget)?;
                }
                Ok(product)
            }
            Node::Div(a, b) => {
                let (a, b) = (self.value(*a, in_angle, budget)?, self.value(*b, in_angle, budget)?);
                field.div(&a, &b, budget)
            }
            Node::Percent(a) => {
                let value = self.value(*a, false, budget)?;
                field.div(&value, &field.integer(100), budget)
            }
            Node::Degree(a) => {
                let value = self.value(*a, false, budget)?;
                if !in_angle {
                    return Ok(value);
                }
                let scaled = field.mul(&value, &field.pi(), budget)?;
                field.div(&scaled, &field.integer(180), budget)
            }
            Node::Pow(a, b) => self.power(*a, *b, budget),
            Node::Root(a, degree) => self.root(*a, *degree, budget),
            Node::Abs(a) => field.abs(&self.value(*a, false, budget)?, budget),
            Node::Log(base, a) => {
                let base = field.ln(&self.value(*base, false, budget)?, budget)?;
                let value = field.ln(&self.value(*a, false, budget)?, budget)?;
                field.div(&value, &base, budget)
            }
            Node::Fact(a) => {
                let value = Self::gamma(&fold(self.ast, *a, Some(self.point), budget)?, budget)?;
                self.rational(&value, budget)
            }
            Node::Fn(func, kids) => self.function(*func, self.ast.kids(*kids), budget),
            Node::Infinity => Err(Stop::Undefined),
            _ => Err(Stop::Unknown),
        }
    }

    fn rational(&self, value: &RBig, budget: &mut Budget) -> Result<Disc<S>, Stop> {
        self.field.rational(value.numerator(), value.denominator(), budget)
    }

    fn power(&self, base: NodeId, exponent: NodeId, budget: &mut Budget) -> Result<Disc<S>, Stop> {
        let field = self.field;
        if matches!(self.ast.node(base), Node::Const(Const::E)) {
            let exponent = self.value(exponent, false, budget)?;
            return field.exp(&exponent, budget);
        }
        // Whole and fractional powers first: odd roots of negative numbers are real here.
        if let Ok(power) = fold(self.ast, exponent, None, budget)
            && let Ok(above) = i64::try_from(power.numerator().clone())
            && let Ok(below) = u32::try_from(power.denominator().clone())
            && below < 1 << 16
        {
            let root = self.root(base, below, budget)?;
            return field.powi(&root, above, budget);
        }
        let base = self.value(base, false, budget)?;
        let exponent = self.value(exponent, false, budget)?;
        field.pow(&base, &exponent, budget)
    }

    fn root(&self, a: NodeId, degree: u32, budget: &mut Budget) -> Result<Disc<S>, Stop> {
        let field = self.field;
        let value = self.value(a, false, budget)?;
        if degree == 1 {
            return Ok(value);
        }
        if degree == 2 {
            return field.sqrt(&value, budget);
        }
        if degree.is_multiple_of(2) || !field.is_negative(&value) {
            return field.root(&value, degree, budget);
        }
        let positive = field.neg(&value, budget)?;
        let root = field.root(&positive, degree, budget)?;
        field.neg(&root, budget)
    }

    fn function(&self, func: Func, kids: &[NodeId], budget: &mut Budget) -> Result<Disc<S>, Stop> {
        let field = self.field;
        let [first, rest @ ..] = kids else { return Err(Stop::Unknown) };
        if let (Func::Binom, [k]) = (func, rest) {
            return self.binomial(*first, *k, budget);
        }
        if let Func::Gcd | Func::Lcm | Func::Floor | Func::Ceil = func {
            let mut exact = kids.iter().map(|kid| fold(self.ast, *kid, Some(self.point), budget));
            if let Some(Ok(value)) = exact.next()
                && kids.len() == 1
            {
                let whole = if func == Func::Floor { value.floor() } else { value.ceil() };
                return self.rational(&RBig::from(whole), budget);
            }
            if let Func::Gcd | Func::Lcm = func {
                return Err(Stop::Unknown);
            }
        }
        let x = &self.value(*first, true, budget)?;
        let one = &field.integer(1);
        match func {
            Func::Sin => field.sin(x, budget),
            Func::Cos => field.cos(x, budget),
            Func::Tan => field.tan(x, budget),
            Func::Cot => {
                let (sin, cos) = (field.sin(x, budget)?, field.cos(x, budget)?);
                field.div(&cos, &sin, budget)
            }
            Func::Sec => {
                let cos = field.cos(x, budget)?;
                field.div(one, &cos, budget)
            }
            Func::Csc => {
                let sin = field.sin(x, budget)?;
                field.div(one, &sin, budget)
            }
            Func::Sinh => field.sinh(x, budget),
            Func::Cosh => field.cosh(x, budget),
            Func::Tanh => field.tanh(x, budget),
            Func::Asin => field.asin(x, budget).or_else(|stop| self.complex_asin(x, stop, budget)),
            Func::Acos => field.acos(x, budget).or_else(|stop| {
                let asin = self.complex_asin(x, stop, budget)?;
                let quarter = field.div(&field.pi(), &field.integer(2), budget)?;
                field.sub(&quarter, &asin, budget)
            }),
            Func::Atan => field.atan(x, budget),
            Func::Ln => field.ln(x, budget),
            Func::Exp => field.exp(x, budget),
            Func::Abs => field.abs(x, budget),
            Func::Floor => field.floor(x, budget),
            Func::Ceil => field.ceil(x, budget),
            Func::Max | Func::Min => {
                let mut best = x.clone();
                for kid in rest {
                    let next = self.value(*kid, false, budget)?;
                    best = if func == Func::Max {
                        field.max(&best, &next, budget)?
                    } else {
                        field.min(&best, &next, budget)?
                    };
                }
                Ok(best)
            }
            Func::Arg => field.arg(x, budget),
            Func::Re if field.is_real(x) => Ok(x.clone()),
            _ => Err(Stop::Unknown),
        }
    }

    /// The arc sine where it is not real: -i ln(i x + sqrt(1 - x^2)).
    fn complex_asin(&self, x: &Disc<S>, stop: Stop, budget: &mut Budget) -> Result<Disc<S>, Stop> {
        if stop == Stop::OverBudget {
            return Err(stop);
        }
        let field = self.field;
        let square = field.mul(x, x, budget)?;
        let root = field.sub(&field.integer(1), &square, budget)?;
        let root = field.sqrt(&root, budget)?;
        let turned = field.mul(&field.i(), x, budget)?;
        let sum = field.add(&turned, &root, budget)?;
        let ln = field.ln(&sum, budget)?;
        let minus_i = field.neg(&field.i(), budget)?;
        field.mul(&minus_i, &ln, budget)
    }

    fn binomial(&self, n: NodeId, k: NodeId, budget: &mut Budget) -> Result<Disc<S>, Stop> {
        let field = self.field;
        let top = fold(self.ast, n, Some(self.point), budget)?;
        if let Ok(number) = fold(self.ast, k, None, budget)
            && number.is_int()
            && let Ok(k) = i64::try_from(number.numerator().clone())
            && (0..=MAX_BINOMIAL).contains(&k)
        {
            let mut product = field.integer(1);
            for at in 0..k {
                let factor = (top.clone() - RBig::from(at)) / RBig::from(at + 1);
                let factor = self.rational(&factor, budget)?;
                product = field.mul(&product, &factor, budget)?;
            }
            return Ok(product);
        }
        let bottom = fold(self.ast, k, Some(self.point), budget)?;
        let rest = top.clone() - bottom.clone();
        let below = Self::gamma(&bottom, budget)? * Self::gamma(&rest, budget)?;
        let value = Self::gamma(&top, budget)? / below;
        self.rational(&value, budget)
    }

    /// A function with x! = x (x - 1)! that is 1 at 0: the factorial of whole numbers, and one of the
    /// many functions of its kind elsewhere, so that quotients of factorials cancel as they should.
    fn gamma(x: &RBig, budget: &mut Budget) -> Result<RBig, Stop> {
        let whole = x.floor();
        let shift = i64::try_from(whole.clone()).map_err(|_| Stop::Unknown)?;
        if !(-MAX_SHIFT..=MAX_SHIFT).contains(&shift) {
            return Err(Stop::Unknown);
        }
        let part = x.clone() - RBig::from(whole);
        if part.is_zero() && shift < 0 {
            return Err(Stop::Undefined);
        }
        let size = shift.unsigned_abs();
        let limbs = size * (1 + bits(&part) / 64);
        budget.charge(4 + limbs + limbs * limbs / 2)?;
        let value = if part.is_zero() {
            RBig::ONE
        } else {
            RBig::from_parts(
                IBig::from(1 + hash(&part.to_string(), 7) % 99_991),
                UBig::from(1_009_u32),
            )
        };
        // The product of part + at, over one common denominator.
        let (above, below) = part.into_parts();
        let unit = IBig::from(below.clone());
        let factors = if shift > 0 { 1..=shift } else { shift + 1..=0 };
        let product = factors.fold(IBig::ONE, |product, at| product * (&above + &unit * at));
        let product = RBig::from_parts(product, below.pow(size as usize));
        Ok(if shift > 0 { value * product } else { value / product })
    }
}

#[cfg(test)]
mod tests;
