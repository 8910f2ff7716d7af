//! The canonical symbolic form: sums of products of powers of atoms.
//!
//! An expression becomes a polynomial with rational coefficients over atoms: names, roots of primes,
//! exponentials, functions of canonical arguments, and sums that stand below a line or under a root.
//! Exponents are rational. Two expressions are equal if their difference, multiplied by the sums below
//! its lines, is the empty sum; if it is not, nothing is known.

mod build;
mod poly;

use std::collections::BTreeMap;

use dashu_base::Signed;
use dashu_ratio::RBig;

use crate::budget::{Budget, Stop};
use crate::read::{Ast, Func, NodeId};
use poly::{Exponent, Monomial, Poly};

/// The most terms of a polynomial.
const MAX_TERMS: usize = 500;

/// The largest power of a sum that is multiplied out.
const MAX_DEGREE: i64 = 64;

/// What powers are taken of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom {
    /// The square root of minus one; its exponent is 0 or 1.
    I,
    E,
    Pi,
    Name(u32),
    /// A prime under a root; its exponent lies between 0 and 1.
    Prime(u64),
    /// e, a prime or a name to the power of a monomial.
    Power(Base, Monomial),
    Function(Func, Vec<Poly>),
    Abs(Poly),
    Factorial(Poly),
    /// A sum whose first coefficient is one; its exponent is less than one.
    Sum(Poly),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    E,
    Prime(u64),
    Name(u32),
}

/// Atoms by number, so that monomials are short.
#[derive(Debug, Default)]
struct Canon {
    atoms: Vec<Atom>,
}

/// Whether the canonical forms show that two expressions are equal.
///
/// # Errors
///
/// [`Stop::Unknown`] if one has no canonical form or too large a one.
pub(super) fn are_equal(
    ast: &Ast,
    a: NodeId,
    b: NodeId,
    budget: &mut Budget,
) -> Result<bool, Stop> {
    let mut canon = Canon::default();
    let mut difference = canon.build(ast, a, budget)?;
    let b = canon.build(ast, b, budget)?;
    difference.add_scaled(&b, &-RBig::ONE, budget)?;
    canon.vanishes(difference, budget)
}

impl Canon {
    fn atom(&mut self, atom: Atom) -> u32 {
        let known = self.atoms.iter().position(|known| *known == atom);
        known.unwrap_or_else(|| {
            self.atoms.push(atom);
            self.atoms.len() - 1
        }) as u32
    }

    fn single(&mut self, atom: Atom) -> Poly {
        let atom = self.atom(atom);
        Poly::term(Monomial::of(atom, Exponent::from(1)), RBig::ONE)
    }

    /// Whether a polynomial is zero once it is multiplied by the sums below its lines.
    fn vanishes(&mut self, mut poly: Poly, budget: &mut Budget) -> Result<bool, Stop> {
        // Each round takes one sum out of the denominators.
        for _ in 0..16 {
            if poly.is_zero() {
                return Ok(true);
            }
            let mut lowest: Option<(u32, Exponent)> = None;
            for monomial in poly.terms.keys() {
                for (atom, exponent) in monomial.factors() {
                    let is_sum = matches!(self.atoms[*atom as usize], Atom::Sum(_));
                    let is_lower =
                        lowest.is_none_or(|(known, low)| known == *atom && *exponent < low);
                    if is_sum && exponent.is_negative() && is_lower {
                        lowest = Some((*atom, *exponent));
                    }
                }
            }
            let Some((atom, exponent)) = lowest else { return Ok(false) };
            let up = Monomial::of(atom, Exponent::from(exponent.distance_up()));
            poly = self.multiply(&poly, &Poly::term(up, RBig::ONE), budget)?;
        }
        Ok(false)
    }

    /// The product, with whole powers of sums multiplied out and whole powers of roots taken.
    fn multiply(&mut self, a: &Poly, b: &Poly, budget: &mut Budget) -> Result<Poly, Stop> {
        let mut product = Poly::default();
        for (left, left_factor) in &a.terms {
            for (right, right_factor) in &b.terms {
                budget.charge(20 + 4 * (left.len() + right.len()) as u64)?;
                let monomial = left.times(right)?;
                let factor = left_factor * right_factor;
                self.add_reduced(&mut product, monomial, factor, budget)?;
            }
        }
        Ok(product)
    }

    /// Adds a term after reducing its exponents to their ranges.
    fn add_reduced(
        &mut self,
        sum: &mut Poly,
        monomial: Monomial,
        factor: RBig,
        budget: &mut Budget,
    ) -> Result<(), Stop> {
        let mut factor = factor;
        let mut kept = Monomial::default();
        let mut expanded: Option<Poly> = None;
        for (atom, exponent) in monomial.factors() {
            match &self.atoms[*atom as usize] {
                Atom::I => {
                    let power = exponent.whole().ok_or(Stop::Unknown)?.rem_euclid(4);
                    if power >= 2 {
                        factor = -factor;
                    }
                    if power % 2 == 1 {
                        kept.push(*atom, Exponent::from(1));
                    }
                }
                Atom::Prime(prime) => {
                    let (whole, part) = exponent.split();
                    factor *= poly::integer_power(*prime, whole, budget)?;
                    kept.push(*atom, part);
                }
                Atom::Sum(inner) if *exponent >= Exponent::from(1) => {
                    let (whole, part) = exponent.split();
                    let inner = inner.clone();
                    kept.push(*atom, part);
                    let power = self.power(&inner, whole, budget)?;
                    expanded = Some(match expanded {
                        None => power,
                        Some(known) => self.multiply(&known, &power, budget)?,
                    });
                }
                _ => kept.push(*atom, *exponent),
            }
        }
        match expanded {
            None => sum.add(kept, factor, budget),
            Some(expanded) => {
                for (monomial, inner) in &expanded.terms {
                    let monomial = kept.times(monomial)?;
                    self.add_reduced(sum, monomial, inner * &factor, budget)?;
                }
                Ok(())
            }
        }
    }

    /// A whole power that is not negative.
    fn power(&mut self, base: &Poly, exponent: i64, budget: &mut Budget) -> Result<Poly, Stop> {
        if !(0..=MAX_DEGREE).contains(&exponent) && base.terms.len() > 1 || exponent < 0 {
            return Err(Stop::Unknown);
        }
        let mut result = Poly::constant(RBig::ONE);
        let mut square = base.clone();
        let mut rest = exponent;
        while rest > 0 {
            if rest & 1 == 1 {
                result = self.multiply(&result, &square, budget)?;
            }
            rest >>= 1;
            if rest > 0 {
                square = self.multiply(&square, &square, budget)?;
            }
        }
        Ok(result)
    }

    /// A sum as its first coefficient times a sum that starts with one.
    fn monic(sum: Poly) -> (RBig, Poly) {
        let Some(first) = sum.terms.values().next().cloned() else { return (RBig::ZERO, sum) };
        let terms: BTreeMap<Monomial, RBig> =
            sum.terms.into_iter().map(|(monomial, factor)| (monomial, factor / &first)).collect();
        (first, Poly { terms })
    }

    /// One over a polynomial.
    fn inverse(&mut self, poly: Poly) -> Result<Poly, Stop> {
        if poly.is_zero() {
            return Err(Stop::Undefined);
        }
        if let Some((monomial, factor)) = poly.only_term() {
            let mut inverse = Monomial::default();
            let mut sign = RBig::ONE;
            for (atom, exponent) in monomial.factors() {
                match self.atoms[*atom as usize] {
                    // 1/i = -i.
                    Atom::I => {
                        sign = -sign;
                        inverse.push(*atom, *exponent);
                    }
                    // 1/sqrt(2) = sqrt(2)/2.
                    Atom::Prime(prime) => {
                        sign /= RBig::from(prime);
                        inverse.push(*atom, exponent.below_one());
                    }
                    _ => inverse.push(*atom, -*exponent),
                }
            }
            return Ok(Poly::term(inverse, sign / factor));
        }
        let (factor, sum) = Self::monic(poly);
        let atom = self.atom(Atom::Sum(sum));
        Ok(Poly::term(Monomial::of(atom, Exponent::from(-1)), RBig::ONE / factor))
    }

    /// A root of a polynomial, on its principal branch.
    fn root(&mut self, poly: Poly, exponent: Exponent, budget: &mut Budget) -> Result<Poly, Stop> {
        let (mut factor, rest) = match poly.only_term() {
            None => Self::monic(poly),
            Some((monomial, factor)) => {
                // Positive factors may leave a root one by one; of names only a single one, once.
                let is_plain = |(atom, exponent): &(u32, Exponent)| {
                    !matches!(self.atoms[*atom as usize], Atom::I) && *exponent == Exponent::from(1)
                };
                let n_names =
                    monomial.factors().iter().filter(|(atom, _)| !self.is_positive(*atom)).count();
                let mut rest = monomial.clone();
                if n_names > 1 || n_names == 1 && !monomial.factors().iter().all(is_plain) {
                    return Err(Stop::Unknown);
                }
                rest.scale(exponent)?;
                let mut powered = Poly::default();
                let outside = self.number_root(factor.clone(), exponent, budget)?;
                self.add_reduced(&mut powered, rest, RBig::ONE, budget)?;
                return self.multiply(&powered, &outside, budget);
            }
        };
        let mut rest = rest;
        if factor.is_negative() {
            // The sign stays under the root.
            factor = -factor;
            rest.negate();
        }
        let outside = self.number_root(factor, exponent, budget)?;
        let atom = self.atom(Atom::Sum(rest));
        let mut powered = Poly::default();
        self.add_reduced(&mut powered, Monomial::of(atom, exponent), RBig::ONE, budget)?;
        self.multiply(&powered, &outside, budget)
    }

    /// Whether an atom is a positive number.
    fn is_positive(&self, atom: u32) -> bool {
        matches!(
            self.atoms[atom as usize],
            Atom::E | Atom::Pi | Atom::Prime(_) | Atom::Function(Func::Ln, _)
        )
    }

    /// A power of a rational number.
    fn number_root(
        &mut self,
        number: RBig,
        exponent: Exponent,
        budget: &mut Budget,
    ) -> Result<Poly, Stop> {
        let mut monomial = Monomial::default();
        let mut factor = RBig::ONE;
        let mut number = number;
        if number.is_negative() {
            number = -number;
            if exponent.denominator() == 2 {
                let i = self.atom(Atom::I);
                monomial.push(i, Exponent::from(exponent.numerator()));
            } else if exponent.denominator() % 2 == 1 {
                // Odd roots of negative numbers are real here.
                if exponent.numerator() % 2 != 0 {
                    factor = -factor;
                }
            } else {
                return Err(Stop::Unknown);
            }
        }
        for (prime, power) in poly::factorise(&number, budget)? {
            let atom = self.atom(Atom::Prime(prime));
            monomial = monomial.times(&Monomial::of(atom, exponent.times(power)?))?;
        }
        let mut result = Poly::default();
        self.add_reduced(&mut result, monomial, factor, budget)?;
        Ok(result)
    }
}
