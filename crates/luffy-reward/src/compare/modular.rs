//! Evaluation in finite fields: the identity test of Schwartz and Zippel.
//!
//! Names become pseudo-random elements of a field of about 2^61 elements. Two rational expressions of
//! degree d that differ agree there with probability d / 2^61; both fields must agree. The fields are
//! chosen so that -1 and every prime up to 31 are squares in them, so that i and the square roots of
//! most numbers have a value, and roots multiply as they should.

use dashu_base::UnsignedAbs;
use dashu_int::UBig;
use dashu_ratio::RBig;

use super::exact::fold;
use crate::budget::{Budget, Stop};
use crate::read::{Ast, Const, Node, NodeId};
use crate::seed::hash;

const SMALL_PRIMES: [u64; 11] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31];

/// The largest factorial that is multiplied out.
const MAX_FACTORIAL: u64 = 20_000;

/// A prime, and the square roots of -1 and of the small primes modulo it.
pub(super) struct Field {
    prime: u64,
    root_of_minus_one: u64,
    roots: [u64; 11],
}

impl Field {
    fn add(&self, a: u64, b: u64) -> u64 {
        ((u128::from(a) + u128::from(b)) % u128::from(self.prime)) as u64
    }

    fn mul(&self, a: u64, b: u64) -> u64 {
        (u128::from(a) * u128::from(b) % u128::from(self.prime)) as u64
    }

    fn neg(&self, a: u64) -> u64 {
        if a == 0 { 0 } else { self.prime - a }
    }

    fn pow(&self, base: u64, mut exponent: u64) -> u64 {
        let (mut result, mut base) = (1, base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.mul(result, base);
            }
            base = self.mul(base, base);
            exponent >>= 1;
        }
        result
    }

    fn inverse(&self, a: u64) -> Result<u64, Stop> {
        if a == 0 { Err(Stop::Unknown) } else { Ok(self.pow(a, self.prime - 2)) }
    }

    fn natural(&self, value: &UBig) -> u64 {
        value % self.prime
    }

    fn rational(&self, value: &RBig) -> Result<u64, Stop> {
        let above = self.natural(&value.numerator().clone().unsigned_abs());
        let above =
            if value.numerator() < &dashu_int::IBig::ZERO { self.neg(above) } else { above };
        if value.is_int() {
            return Ok(above);
        }
        Ok(self.mul(above, self.inverse(self.natural(value.denominator()))?))
    }

    /// The fraction of numbers below 2^20 that is `a / b` in the field; there is one at most.
    pub(super) fn fraction(&self, a: u64, b: u64) -> Option<RBig> {
        const LIMIT: i64 = 1 << 20;
        // Euclid's algorithm on the prime and the quotient, stopped half way.
        let quotient = self.mul(a, self.inverse(b).ok()?);
        let (mut last, mut next) = ((self.prime.cast_signed(), 0), (quotient.cast_signed(), 1_i64));
        while next.0 >= LIMIT {
            let times = last.0 / next.0;
            (last, next) = (next, (last.0 - times * next.0, last.1 - times * next.1));
        }
        let is_small = next.0 > 0 && next.1 != 0 && next.1.abs() < LIMIT;
        is_small.then(|| RBig::from_parts_signed(next.0.into(), next.1.into()))
    }

    /// The square root of a rational number whose prime factors are small, apart from squares.
    fn square_root(&self, value: &RBig, budget: &mut Budget) -> Result<u64, Stop> {
        let above = self.root_of_natural(&value.numerator().clone().unsigned_abs(), budget)?;
        let below = self.root_of_natural(value.denominator(), budget)?;
        let root = self.mul(above, self.inverse(below)?);
        let is_negative = value.numerator() < &dashu_int::IBig::ZERO;
        Ok(if is_negative { self.mul(root, self.root_of_minus_one) } else { root })
    }

    fn root_of_natural(&self, value: &UBig, budget: &mut Budget) -> Result<u64, Stop> {
        budget.charge(20)?;
        let mut rest = u64::try_from(value.clone()).map_err(|_| Stop::Unknown)?;
        let mut root = 1;
        if rest == 0 {
            return Ok(0);
        }
        for (prime, its_root) in SMALL_PRIMES.iter().zip(self.roots) {
            while rest % prime == 0 {
                rest /= prime;
                root = self.mul(root, its_root);
            }
        }
        let square = rest.isqrt();
        if square * square == rest {
            Ok(self.mul(root, square % self.prime))
        } else {
            Err(Stop::Unknown)
        }
    }

    /// The value of an expression.
    ///
    /// # Errors
    ///
    /// [`Stop::Unknown`] where it leaves the field or divides by zero in it.
    pub(super) fn eval(&self, ast: &Ast, id: NodeId, budget: &mut Budget) -> Result<u64, Stop> {
        budget.charge(2)?;
        match ast.node(id) {
            Node::Num(value) => self.rational(value),
            Node::Sym(name) => Ok(hash(ast.name(*name), self.prime) % self.prime),
            Node::Const(Const::I) => Ok(self.root_of_minus_one),
            Node::Const(Const::Pi) => Ok(hash("\\pi", self.prime) % self.prime),
            Node::Const(Const::E) => Ok(hash("\\e", self.prime) % self.prime),
            Node::Unit(a, _) => self.eval(ast, *a, budget),
            Node::Neg(a) => Ok(self.neg(self.eval(ast, *a, budget)?)),
            Node::Add(kids) => {
                let mut sum = 0;
                for kid in ast.kids(*kids) {
                    sum = self.add(sum, self.eval(ast, *kid, budget)?);
                }
                Ok(sum)
            }
            Node::Mul(kids) => {
                let mut product = 1;
                for kid in ast.kids(*kids) {
                    product = self.mul(product, self.eval(ast, *kid, budget)?);
                }
                Ok(product)
            }
            Node::Div(a, b) => {
                let (a, b) = (self.eval(ast, *a, budget)?, self.eval(ast, *b, budget)?);
                budget.charge(20)?;
                Ok(self.mul(a, self.inverse(b)?))
            }
            Node::Percent(a) => {
                let value = self.eval(ast, *a, budget)?;
                Ok(self.mul(value, self.inverse(100)?))
            }
            Node::Pow(a, b) => {
                let exponent = fold(ast, *b, None, budget)?;
                budget.charge(20)?;
                if exponent.is_int() {
                    let base = self.eval(ast, *a, budget)?;
                    let size = exponent.numerator().clone().unsigned_abs();
                    if base == 0 {
                        return if exponent > RBig::ZERO { Ok(0) } else { Err(Stop::Unknown) };
                    }
                    let power = self.pow(base, &size % (self.prime - 1));
                    return if exponent < RBig::ZERO { self.inverse(power) } else { Ok(power) };
                }
                if *exponent.denominator() != UBig::from(2_u8) {
                    return Err(Stop::Unknown);
                }
                let root = self.square_root(&fold(ast, *a, None, budget)?, budget)?;
                let size = exponent.numerator().clone().unsigned_abs();
                let power = self.pow(root, &size % (self.prime - 1));
                if exponent < RBig::ZERO { self.inverse(power) } else { Ok(power) }
            }
            Node::Root(a, 2) => {
                let value = fold(ast, *a, None, budget)?;
                self.square_root(&value, budget)
            }
            Node::Fact(a) => {
                let value = fold(ast, *a, None, budget)?;
                let n =
                    value.is_int().then(|| u64::try_from(value.numerator().clone()).ok()).flatten();
                let n = n.filter(|n| *n <= MAX_FACTORIAL).ok_or(Stop::Unknown)?;
                budget.charge(n)?;
                Ok((2..=n).fold(1, |product, factor| self.mul(product, factor)))
            }
            _ => Err(Stop::Unknown),
        }
    }
}

/// Two fields, found by search downwards from 2^61.
pub(super) const FIELDS: [Field; 2] = [
    Field {
        prime: 2_305_843_009_213_391_209,
        root_of_minus_one: 2_173_869_349_767_070_378,
        roots: [
            401_669_066_558_493_514,
            79_172_343_854_009_919,
            701_691_435_335_481_914,
            1_587_896_734_790_168_762,
            1_296_881_093_171_564_394,
            533_632_559_094_872_536,
            1_386_476_357_038_096_202,
            445_900_834_789_750_529,
            936_761_948_571_529_799,
            242_496_342_204_426_565,
            530_861_099_281_773_968,
        ],
    },
    Field {
        prime: 2_305_843_009_213_304_401,
        root_of_minus_one: 1_175_970_905_833_937_880,
        roots: [
            1_917_407_934_319_514_528,
            2_188_367_057_533_421_195,
            1_890_094_870_210_845_995,
            226_741_148_141_542_286,
            1_219_667_025_181_070_307,
            2_212_671_636_276_840_730,
            947_974_373_539_845_690,
            1_037_243_118_780_823_695,
            2_055_446_219_955_705_081,
            160_398_237_638_103_557,
            53_149_867_885_188_212,
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::fixtures::{budget, read};

    /// Whether both texts have the same value in both fields; `None` where one has none.
    fn same(one: &str, other: &str) -> Option<bool> {
        let mut ast = Ast::default();
        let (one, other) = (read(one, &mut ast), read(other, &mut ast));
        let mut is_same = true;
        for field in &FIELDS {
            let one = field.eval(&ast, one, &mut budget()).ok()?;
            is_same &= one == field.eval(&ast, other, &mut budget()).ok()?;
        }
        Some(is_same)
    }

    fn check(one: &str, other: &str, expected: Option<bool>) {
        assert_eq!(same(one, other), expected, "{one} | {other}");
    }

    #[test]
    fn the_fields_are_fields_with_the_roots_they_name() {
        for field in &FIELDS {
            assert!((1 << 60..1 << 61).contains(&field.prime));
            // Miller and Rabin: these bases decide for every number of 64 bits.
            let odd = (field.prime - 1) >> (field.prime - 1).trailing_zeros();
            for base in [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37] {
                let mut power = field.pow(base, odd);
                let mut is_prime = power == 1 || power == field.prime - 1;
                for _ in 1..(field.prime - 1).trailing_zeros() {
                    power = field.mul(power, power);
                    is_prime |= power == field.prime - 1;
                }
                assert!(is_prime, "{} to base {base}", field.prime);
            }
            let root = field.root_of_minus_one;
            assert_eq!(field.mul(root, root), field.prime - 1);
            for (prime, root) in SMALL_PRIMES.iter().zip(field.roots) {
                assert_eq!(field.mul(root, root), *prime);
            }
        }
    }

    #[test]
    fn identities_hold_in_both_fields() {
        check("(x+1)^2", "x^2+2x+1", Some(true));
        check(r"\frac{x^2-1}{x-1}", "x+1", Some(true));
        check(r"\frac{1}{x}-\frac{1}{y}", r"\frac{y-x}{xy}", Some(true));
        check("(x+y+z)^{500}", "(z+y+x)^{500}", Some(true));
        check(r"\sqrt{72}", r"6\sqrt{2}", Some(true));
        check(r"\sqrt{-4}", "2i", Some(true));
        check(r"\frac{1}{1+i}", r"\frac{1-i}{2}", Some(true));
        check("2^{3/2}", r"2\sqrt2", Some(true));
        check(r"25\% \pi", r"\frac{\pi}{4}", Some(true));
        check("3001!", r"3001 \cdot 3000!", Some(true));
        check(r"(\pi-\pi)^2", "0", Some(true));
    }

    #[test]
    fn what_differs_differs_there() {
        check("(x+1)^2", "x^2+2x+2", Some(false));
        check("(x+1)^{500}", "(x+1)^{501}", Some(false));
        check("x", "X", Some(false));
        check("e", r"\pi", Some(false));
        check(r"\frac{1}{2004!}", r"\frac{1}{2006!}", Some(false));
    }

    #[test]
    fn fractions_are_recovered_from_the_field() {
        let field = &FIELDS[0];
        let value = |text: &str| {
            let mut ast = Ast::default();
            let id = read(text, &mut ast);
            field.eval(&ast, id, &mut budget()).expect("a value in the field")
        };
        let check = |a: &str, b: &str, expected: Option<&str>| {
            let found = field.fraction(value(a), value(b)).map(|factor| factor.to_string());
            assert_eq!(found.as_deref(), expected, "{a} | {b}");
        };
        check(r"z-\sqrt5", r"2z-2\sqrt5", Some("1/2"));
        check(r"\sqrt{18}", r"-7\sqrt{2}", Some("-3/7"));
        check("1048575", "1048573", Some("1048575/1048573"));
        check("x", "y", None);
        check("x", "0", None);
        check("0", "x", None);
    }

    #[test]
    fn what_leaves_the_field_is_unknown() {
        check(r"\frac{1}{x-x}", "1", None);
        check("(x-x)^0", "1", None);
        check("(x-x)^{-2}", "0", None);
        check(r"\sin x", "x", None);
        check("x^y", "x", None);
        check(r"\sqrt{37}", "6", None);
        check(r"\sqrt{x}", "x", None);
        check("20001!", "1", None);
    }
}
