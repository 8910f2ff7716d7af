//! Polynomials with rational exponents.

use std::collections::BTreeMap;
use std::ops::Neg;

use dashu_base::{BitTest, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::MAX_TERMS;
use crate::budget::{Budget, Stop};

/// The largest numerator or denominator of an exponent.
const MAX_EXPONENT: i64 = 1 << 20;

/// A rational exponent in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exponent {
    above: i64,
    below: i64,
}

impl From<i64> for Exponent {
    fn from(above: i64) -> Self {
        Self { above, below: 1 }
    }
}

impl Neg for Exponent {
    type Output = Self;

    fn neg(self) -> Self {
        Self { above: -self.above, below: self.below }
    }
}

impl PartialOrd for Exponent {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Exponent {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.above * other.below).cmp(&(other.above * self.below))
    }
}

impl Exponent {
    pub(super) fn new(above: i64, below: i64) -> Result<Self, Stop> {
        let mut divisor = (above.unsigned_abs(), below.unsigned_abs());
        while divisor.1 > 0 {
            divisor = (divisor.1, divisor.0 % divisor.1);
        }
        let common = (divisor.0 as i64).max(1);
        let (above, below) = (above / common, below / common);
        if above.abs() > MAX_EXPONENT || !(1..=MAX_EXPONENT).contains(&below) {
            return Err(Stop::Unknown);
        }
        Ok(Self { above, below })
    }

    pub(super) fn from_rational(value: &RBig) -> Result<Self, Stop> {
        let above = i64::try_from(value.numerator().clone()).map_err(|_| Stop::Unknown)?;
        let below = i64::try_from(value.denominator().clone()).map_err(|_| Stop::Unknown)?;
        let is_large = !(-MAX_EXPONENT..=MAX_EXPONENT).contains(&above);
        if is_large { Err(Stop::Unknown) } else { Self::new(above, below) }
    }

    pub(super) fn numerator(self) -> i64 {
        self.above
    }

    pub(super) fn denominator(self) -> i64 {
        self.below
    }

    pub(super) fn is_negative(self) -> bool {
        self.above < 0
    }

    /// The exponent as an integer, if it is one.
    pub(super) fn whole(self) -> Option<i64> {
        (self.below == 1).then_some(self.above)
    }

    /// The integer part and what is left, which lies between 0 and 1.
    pub(super) fn split(self) -> (i64, Self) {
        let whole = self.above.div_euclid(self.below);
        (whole, Self { above: self.above.rem_euclid(self.below), below: self.below })
    }

    /// One minus this, for exponents between 0 and 1.
    pub(super) fn below_one(self) -> Self {
        Self { above: self.below - self.above, below: self.below }
    }

    /// The least integer that makes this non-negative when added.
    pub(super) fn distance_up(self) -> i64 {
        -self.above.div_euclid(self.below)
    }

    fn plus(self, other: Self) -> Result<Self, Stop> {
        Self::new(self.above * other.below + other.above * self.below, self.below * other.below)
    }

    pub(super) fn times(self, factor: i64) -> Result<Self, Stop> {
        Self::new(self.above.checked_mul(factor).ok_or(Stop::Unknown)?, self.below)
    }

    fn product(self, other: Self) -> Result<Self, Stop> {
        Self::new(self.above * other.above, self.below * other.below)
    }
}

/// A product of powers of atoms, by the number of the atom.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Monomial(Vec<(u32, Exponent)>);

impl Monomial {
    pub(super) fn of(atom: u32, exponent: Exponent) -> Self {
        let mut monomial = Self::default();
        monomial.push(atom, exponent);
        monomial
    }

    /// Adds a power of an atom that comes after those that are there.
    pub(super) fn push(&mut self, atom: u32, exponent: Exponent) {
        if exponent.above != 0 {
            self.0.push((atom, exponent));
        }
    }

    pub(super) fn factors(&self) -> &[(u32, Exponent)] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn times(&self, other: &Self) -> Result<Self, Stop> {
        let mut product = Self(Vec::with_capacity(self.len() + other.len()));
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            match (left.peek(), right.peek()) {
                (Some((a, x)), Some((b, y))) if a == b => {
                    product.push(*a, x.plus(*y)?);
                    left.next();
                    right.next();
                }
                (Some((a, x)), other) if other.is_none_or(|(b, _)| a < b) => {
                    product.push(*a, *x);
                    left.next();
                }
                (_, Some((b, y))) => {
                    product.push(*b, *y);
                    right.next();
                }
                _ => return Ok(product),
            }
        }
    }

    /// Multiplies every exponent.
    pub(super) fn scale(&mut self, factor: Exponent) -> Result<(), Stop> {
        for (_, exponent) in &mut self.0 {
            *exponent = exponent.product(factor)?;
        }
        Ok(())
    }
}

/// A sum of terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Poly {
    pub(super) terms: BTreeMap<Monomial, RBig>,
}

impl Poly {
    pub(super) fn constant(value: RBig) -> Self {
        Self::term(Monomial::default(), value)
    }

    pub(super) fn term(monomial: Monomial, factor: RBig) -> Self {
        let mut poly = Self::default();
        if !factor.is_zero() {
            poly.terms.insert(monomial, factor);
        }
        poly
    }

    pub(super) fn is_zero(&self) -> bool {
        self.terms.is_empty()
    }

    pub(super) fn only_term(&self) -> Option<(&Monomial, &RBig)> {
        if self.terms.len() == 1 { self.terms.first_key_value() } else { None }
    }

    /// The number it is, if it has no atoms.
    pub(super) fn as_number(&self) -> Option<RBig> {
        match self.only_term() {
            None if self.is_zero() => Some(RBig::ZERO),
            Some((monomial, factor)) if monomial.len() == 0 => Some(factor.clone()),
            _ => None,
        }
    }

    pub(super) fn negate(&mut self) {
        for factor in self.terms.values_mut() {
            *factor = -factor.clone();
        }
    }

    pub(super) fn add(
        &mut self,
        monomial: Monomial,
        factor: RBig,
        budget: &mut Budget,
    ) -> Result<(), Stop> {
        let bits = factor.numerator().bit_len() + factor.denominator().bit_len();
        budget.charge(10 + (bits / 64) as u64 * 4)?;
        if bits > 1 << 13 {
            return Err(Stop::Unknown);
        }
        let entry = self.terms.entry(monomial);
        match entry {
            std::collections::btree_map::Entry::Vacant(entry) => {
                if !factor.is_zero() {
                    entry.insert(factor);
                }
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                *entry.get_mut() += factor;
                if entry.get().is_zero() {
                    entry.remove();
                }
            }
        }
        if self.terms.len() > MAX_TERMS { Err(Stop::Unknown) } else { Ok(()) }
    }

    pub(super) fn add_scaled(
        &mut self,
        other: &Self,
        factor: &RBig,
        budget: &mut Budget,
    ) -> Result<(), Stop> {
        for (monomial, inner) in &other.terms {
            self.add(monomial.clone(), inner * factor, budget)?;
        }
        Ok(())
    }
}

/// A power of a small integer.
pub(super) fn integer_power(base: u64, exponent: i64, budget: &mut Budget) -> Result<RBig, Stop> {
    let size = exponent.unsigned_abs();
    if size.saturating_mul(u64::from(64 - base.leading_zeros())) > 1 << 13 {
        return Err(Stop::Unknown);
    }
    budget.charge(4 + size / 8)?;
    let power = RBig::from(IBig::from(UBig::from(base).pow(size as usize)));
    Ok(if exponent < 0 { RBig::ONE / power } else { power })
}

/// The prime powers of a positive rational number; what trial division does not reach counts as prime
/// where it cannot be a square.
pub(super) fn factorise(number: &RBig, budget: &mut Budget) -> Result<Vec<(u64, i64)>, Stop> {
    let mut factors = Vec::new();
    for (part, sign) in
        [(number.numerator().clone().unsigned_abs(), 1), (number.denominator().clone(), -1)]
    {
        let mut rest = u64::try_from(part).map_err(|_| Stop::Unknown)?;
        if rest == 0 {
            return Err(Stop::Unknown);
        }
        let mut prime = 2;
        while prime * prime <= rest && prime < 4_096 {
            let mut power = 0;
            while rest.is_multiple_of(prime) {
                rest /= prime;
                power += sign;
            }
            if power != 0 {
                factors.push((prime, power));
            }
            prime += if prime == 2 { 1 } else { 2 };
        }
        budget.charge(prime / 4 + 8)?;
        if rest > 1 {
            if prime * prime <= rest && (prime < 4_096 || rest > 1 << 24) {
                return Err(Stop::Unknown);
            }
            factors.push((rest, sign));
        }
    }
    Ok(factors)
}
