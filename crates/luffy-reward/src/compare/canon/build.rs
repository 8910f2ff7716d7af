//! Expressions to canonical form.

use dashu_base::Signed;
use dashu_ratio::RBig;

use super::poly::{self, Exponent, Monomial, Poly};
use super::{Atom, Base, Canon};
use crate::budget::{Budget, Stop};
use crate::compare::exact::fold;
use crate::read::{Ast, Const, Func, Node, NodeId};

impl Canon {
    /// The canonical form of an expression.
    pub(super) fn build(
        &mut self,
        ast: &Ast,
        id: NodeId,
        budget: &mut Budget,
    ) -> Result<Poly, Stop> {
        budget.charge(10)?;
        match ast.node(id) {
            Node::Num(value) => Ok(Poly::constant(value.clone())),
            Node::Sym(name) => Ok(self.single(Atom::Name(*name))),
            Node::Const(Const::I) => Ok(self.single(Atom::I)),
            Node::Const(Const::E) => Ok(self.single(Atom::E)),
            Node::Const(Const::Pi) => Ok(self.single(Atom::Pi)),
            Node::Unit(a, _) | Node::Degree(a) => self.build(ast, *a, budget),
            Node::Percent(a) => {
                let value = self.build(ast, *a, budget)?;
                let mut percent = Poly::default();
                percent.add_scaled(&value, &(RBig::ONE / RBig::from(100)), budget)?;
                Ok(percent)
            }
            Node::Neg(a) => {
                let mut value = self.build(ast, *a, budget)?;
                value.negate();
                Ok(value)
            }
            Node::Add(kids) => {
                let mut sum = Poly::default();
                for kid in ast.kids(*kids) {
                    let term = self.build(ast, *kid, budget)?;
                    sum.add_scaled(&term, &RBig::ONE, budget)?;
                }
                Ok(sum)
            }
            Node::Mul(kids) => {
                let mut product = Poly::constant(RBig::ONE);
                for kid in ast.kids(*kids) {
                    let factor = self.build(ast, *kid, budget)?;
                    product = self.multiply(&product, &factor, budget)?;
                }
                Ok(product)
            }
            Node::Div(a, b) => {
                let above = self.build(ast, *a, budget)?;
                let below = self.build(ast, *b, budget)?;
                let inverse = self.inverse(below)?;
                self.multiply(&above, &inverse, budget)
            }
            Node::Root(a, degree) => {
                let value = self.build(ast, *a, budget)?;
                self.root(value, Exponent::new(1, i64::from(*degree))?, budget)
            }
            Node::Pow(a, b) => self.build_power(ast, *a, *b, budget),
            Node::Abs(a) => {
                let (_, value) = self.without_sign(ast, *a, budget)?;
                Ok(self.single(Atom::Abs(value)))
            }
            Node::Fact(a) => {
                let value = self.build(ast, *a, budget)?;
                Ok(self.factorial(value))
            }
            Node::Log(base, a) => {
                let base = self.build(ast, *base, budget)?;
                let base = self.logarithm(base, budget)?;
                let value = self.build(ast, *a, budget)?;
                let value = self.logarithm(value, budget)?;
                let inverse = self.inverse(base)?;
                self.multiply(&value, &inverse, budget)
            }
            Node::Fn(func, kids) => self.function(ast, *func, ast.kids(*kids), budget),
            _ => Err(Stop::Unknown),
        }
    }

    fn build_power(
        &mut self,
        ast: &Ast,
        base: NodeId,
        exponent: NodeId,
        budget: &mut Budget,
    ) -> Result<Poly, Stop> {
        let base = self.build(ast, base, budget)?;
        if let Ok(power) = fold(ast, exponent, None, budget) {
            let exponent = Exponent::from_rational(&power)?;
            let Some(whole) = exponent.whole() else { return self.root(base, exponent, budget) };
            if base.is_zero() && whole <= 0 {
                return Err(Stop::Undefined);
            }
            let positive = self.power(&base, whole.abs(), budget)?;
            return if whole < 0 { self.inverse(positive) } else { Ok(positive) };
        }
        let exponent = self.build(ast, exponent, budget)?;
        // The base in parts that each have powers of their own.
        let Some((monomial, factor)) = base.only_term() else { return Err(Stop::Unknown) };
        let mut bases: Vec<(Base, i64)> = Vec::new();
        if *factor != RBig::ONE {
            if factor.is_negative() {
                return Err(Stop::Unknown);
            }
            let primes = poly::factorise(factor, budget)?;
            bases.extend(primes.into_iter().map(|(prime, power)| (Base::Prime(prime), power)));
        }
        for (atom, exponent) in monomial.factors() {
            let base = match self.atoms[*atom as usize] {
                Atom::E => Base::E,
                Atom::Name(name) => Base::Name(name),
                _ => return Err(Stop::Unknown),
            };
            bases.push((base, exponent.whole().ok_or(Stop::Unknown)?));
        }
        // Of names only one may stand alone below an exponent, as below a root.
        let n_names = bases.iter().filter(|(base, _)| matches!(base, Base::Name(_))).count();
        if n_names > 0 && (bases.len() > 1 || bases[0].1 != 1) {
            return Err(Stop::Unknown);
        }
        let mut result = Poly::constant(RBig::ONE);
        for (base, power) in bases {
            for (monomial, factor) in &exponent.terms {
                let exponent = Exponent::from_rational(&(factor * RBig::from(power)))?;
                let atom = if monomial.len() == 0 {
                    match base {
                        Base::E => Atom::E,
                        Base::Prime(prime) => Atom::Prime(prime),
                        Base::Name(name) => Atom::Name(name),
                    }
                } else {
                    Atom::Power(base, monomial.clone())
                };
                let atom = self.atom(atom);
                let mut part = Poly::default();
                self.add_reduced(&mut part, Monomial::of(atom, exponent), RBig::ONE, budget)?;
                result = self.multiply(&result, &part, budget)?;
            }
        }
        Ok(result)
    }

    /// An argument whose first coefficient is positive, and whether its sign was changed for that.
    fn without_sign(
        &mut self,
        ast: &Ast,
        id: NodeId,
        budget: &mut Budget,
    ) -> Result<(bool, Poly), Stop> {
        let mut value = self.build(ast, id, budget)?;
        let is_negative = value.terms.values().next().is_some_and(Signed::is_negative);
        if is_negative {
            value.negate();
        }
        Ok((is_negative, value))
    }

    fn factorial(&mut self, value: Poly) -> Poly {
        match value.as_number() {
            Some(number) if number.is_zero() || number == RBig::ONE => Poly::constant(RBig::ONE),
            _ => self.single(Atom::Factorial(value)),
        }
    }

    fn logarithm(&mut self, value: Poly, budget: &mut Budget) -> Result<Poly, Stop> {
        let Some(number) = value.as_number() else {
            return Ok(self.single(Atom::Function(Func::Ln, vec![value])));
        };
        if number <= RBig::ZERO {
            return Err(Stop::Unknown);
        }
        let mut sum = Poly::default();
        for (prime, power) in poly::factorise(&number, budget)? {
            let ln = self.single(Atom::Function(Func::Ln, vec![Poly::constant(RBig::from(prime))]));
            sum.add_scaled(&ln, &RBig::from(power), budget)?;
        }
        Ok(sum)
    }

    fn function(
        &mut self,
        ast: &Ast,
        func: Func,
        kids: &[NodeId],
        budget: &mut Budget,
    ) -> Result<Poly, Stop> {
        if has_degree(ast, kids) {
            return Err(Stop::Unknown);
        }
        match (func, kids) {
            (Func::Ln, [a]) => {
                let value = self.build(ast, *a, budget)?;
                self.logarithm(value, budget)
            }
            (Func::Tan, [a]) => self.quotient(ast, Func::Sin, Func::Cos, *a, budget),
            (Func::Cot, [a]) => self.quotient(ast, Func::Cos, Func::Sin, *a, budget),
            (Func::Tanh, [a]) => self.quotient(ast, Func::Sinh, Func::Cosh, *a, budget),
            (Func::Sec | Func::Csc, [_]) => {
                let below = if func == Func::Sec { Func::Cos } else { Func::Sin };
                let below = self.function(ast, below, kids, budget)?;
                self.inverse(below)
            }
            (Func::Sin | Func::Sinh | Func::Asin | Func::Atan | Func::Cos | Func::Cosh, [a]) => {
                let (is_negative, value) = self.without_sign(ast, *a, budget)?;
                let mut result = self.single(Atom::Function(func, vec![value]));
                if is_negative && !matches!(func, Func::Cos | Func::Cosh) {
                    result.negate();
                }
                Ok(result)
            }
            (Func::Binom, [n, k]) => {
                let n = self.build(ast, *n, budget)?;
                let k = self.build(ast, *k, budget)?;
                let mut rest = n.clone();
                rest.add_scaled(&k, &-RBig::ONE, budget)?;
                let (n, k, rest) = (self.factorial(n), self.factorial(k), self.factorial(rest));
                let below = self.multiply(&k, &rest, budget)?;
                let inverse = self.inverse(below)?;
                self.multiply(&n, &inverse, budget)
            }
            (Func::Acos | Func::Floor | Func::Ceil | Func::Arg | Func::Re | Func::Im, [a]) => {
                let value = self.build(ast, *a, budget)?;
                Ok(self.single(Atom::Function(func, vec![value])))
            }
            _ => Err(Stop::Unknown),
        }
    }

    /// An odd function that is the quotient of two functions. The argument is built once: twice on each
    /// level would take a time that doubles with every function inside a function.
    fn quotient(
        &mut self,
        ast: &Ast,
        above: Func,
        below: Func,
        argument: NodeId,
        budget: &mut Budget,
    ) -> Result<Poly, Stop> {
        let (is_negative, value) = self.without_sign(ast, argument, budget)?;
        let above = self.single(Atom::Function(above, vec![value.clone()]));
        let below = self.single(Atom::Function(below, vec![value]));
        let inverse = self.inverse(below)?;
        let mut quotient = self.multiply(&above, &inverse, budget)?;
        if is_negative {
            quotient.negate();
        }
        Ok(quotient)
    }
}

/// Whether one of the arguments is in degrees, which this form does not know.
fn has_degree(ast: &Ast, ids: &[NodeId]) -> bool {
    ids.iter().any(|id| match ast.node(*id) {
        Node::Degree(_) => true,
        Node::Neg(a) | Node::Unit(a, _) => has_degree(ast, &[*a]),
        Node::Add(kids) | Node::Mul(kids) => has_degree(ast, ast.kids(*kids)),
        Node::Div(a, b) => has_degree(ast, &[*a, *b]),
        _ => false,
    })
}
