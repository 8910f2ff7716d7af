//! Exact arithmetic: what is a rational number, with certainty.

use dashu_base::{Abs, BitTest, Gcd, Signed, UnsignedAbs};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::point::Point;
use crate::budget::{Budget, Stop};
use crate::read::{Ast, Func, Node, NodeId};

/// The largest exponent of an exact power.
const MAX_EXPONENT: u64 = 10_000;

/// The largest exact number, in bits.
const MAX_BITS: u64 = 1 << 16;

/// The largest factorial that is multiplied out.
const MAX_FACTORIAL: u64 = 2_000;

/// The value of a constant expression, or of any expression at a point.
///
/// # Errors
///
/// [`Stop::Unknown`] if it has names in it that have no value, is irrational or too large; [`Stop::Undefined`] for `1/0`.
pub(super) fn fold(
    ast: &Ast,
    id: NodeId,
    at: Option<Point>,
    budget: &mut Budget,
) -> Result<RBig, Stop> {
    budget.charge(2)?;
    match ast.node(id) {
        Node::Num(value) => Ok(value.clone()),
        Node::Neg(a) => Ok(-fold(ast, *a, at, budget)?),
        Node::Unit(a, _) | Node::Degree(a) => fold(ast, *a, at, budget),
        Node::Sym(name) => at.map(|at| at.value(ast.name(*name))).ok_or(Stop::Unknown),
        Node::Add(kids) => {
            let mut sum = RBig::ZERO;
            for kid in ast.kids(*kids) {
                let term = fold(ast, *kid, at, budget)?;
                charge(&sum, &term, budget)?;
                sum += term;
            }
            Ok(sum)
        }
        Node::Mul(kids) => {
            let mut product = RBig::ONE;
            for kid in ast.kids(*kids) {
                let factor = fold(ast, *kid, at, budget)?;
                charge(&product, &factor, budget)?;
                product *= factor;
            }
            Ok(product)
        }
        Node::Div(a, b) => {
            let (a, b) = (fold(ast, *a, at, budget)?, fold(ast, *b, at, budget)?);
            charge(&a, &b, budget)?;
            if b.is_zero() { Err(Stop::Undefined) } else { Ok(a / b) }
        }
        Node::Percent(a) => Ok(fold(ast, *a, at, budget)? / RBig::from(100)),
        Node::Pow(a, b) => power(&fold(ast, *a, at, budget)?, &fold(ast, *b, at, budget)?, budget),
        Node::Root(a, degree) => root(&fold(ast, *a, at, budget)?, *degree, budget),
        Node::Abs(a) => Ok(fold(ast, *a, at, budget)?.abs()),
        Node::Fact(a) => factorial(&fold(ast, *a, at, budget)?, budget),
        Node::Log(base, a) => {
            logarithm(&fold(ast, *base, at, budget)?, &fold(ast, *a, at, budget)?, budget)
        }
        Node::Fn(func, kids) => {
            let values: Result<Vec<RBig>, Stop> =
                ast.kids(*kids).iter().map(|kid| fold(ast, *kid, at, budget)).collect();
            function(*func, &values?, budget)
        }
        _ => Err(Stop::Unknown),
    }
}

/// Length of a number in bits, above and below the line.
pub(super) fn bits(value: &RBig) -> u64 {
    (value.numerator().bit_len() + value.denominator().bit_len()) as u64
}

/// Pays for an operation on two numbers, which ends in taking out common factors.
fn charge(a: &RBig, b: &RBig, budget: &mut Budget) -> Result<(), Stop> {
    let limbs = (bits(a) + bits(b)) / 64 + 1;
    if limbs > 2 * MAX_BITS / 64 {
        return Err(Stop::Unknown);
    }
    budget.charge(1 + limbs * limbs / 4)
}

/// The integer a rational number is, if it is one and fits.
fn small(value: &RBig) -> Option<i64> {
    value.is_int().then(|| i64::try_from(value.numerator().clone()).ok())?
}

fn power(base: &RBig, exponent: &RBig, budget: &mut Budget) -> Result<RBig, Stop> {
    if !exponent.is_int() {
        // A perfect power under a root of small degree.
        let degree = u32::try_from(exponent.denominator().clone()).map_err(|_| Stop::Unknown)?;
        let inner = root(base, degree, budget)?;
        return power(&inner, &RBig::from(exponent.numerator().clone()), budget);
    }
    let one = RBig::ONE;
    if *base == one || *base == -one.clone() || base.is_zero() {
        let is_odd = exponent.numerator().bit(0);
        return match (base.is_zero(), exponent.is_zero(), exponent.is_negative()) {
            (true, true, _) | (true, _, true) => Err(Stop::Undefined),
            (true, false, false) => Ok(RBig::ZERO),
            (false, ..) if is_odd => Ok(base.clone()),
            (false, ..) => Ok(one),
        };
    }
    let exponent = small(exponent).ok_or(Stop::Unknown)?;
    let size = exponent.unsigned_abs();
    if size > MAX_EXPONENT || size.saturating_mul(bits(base)) > MAX_BITS {
        return Err(Stop::Unknown);
    }
    let limbs = size * bits(base) / 64 + 1;
    budget.charge(limbs * limbs)?;
    let result = base.pow(size as isize);
    Ok(if exponent < 0 { one / result } else { result })
}

/// The real root, where it is rational.
fn root(value: &RBig, degree: u32, budget: &mut Budget) -> Result<RBig, Stop> {
    if degree == 0 {
        return Err(Stop::Undefined);
    }
    if degree == 1 || value.is_zero() {
        return Ok(value.clone());
    }
    if value.is_negative() && degree.is_multiple_of(2) {
        return Err(Stop::Unknown);
    }
    let limbs = bits(value) / 64 + 1;
    budget.charge(limbs * limbs * 8)?;
    let above = integer_root(&value.numerator().clone().unsigned_abs(), degree)?;
    let below = integer_root(value.denominator(), degree)?;
    let root = RBig::from_parts(IBig::from(above), below);
    Ok(if value.is_negative() { -root } else { root })
}

fn integer_root(value: &UBig, degree: u32) -> Result<UBig, Stop> {
    if degree as usize > value.bit_len() {
        return if *value == UBig::ONE { Ok(UBig::ONE) } else { Err(Stop::Unknown) };
    }
    let root = value.nth_root(degree as usize);
    if root.pow(degree as usize) == *value { Ok(root) } else { Err(Stop::Unknown) }
}

fn factorial(value: &RBig, budget: &mut Budget) -> Result<RBig, Stop> {
    let n = small(value).ok_or(Stop::Unknown)?;
    let n = u64::try_from(n).map_err(|_| Stop::Undefined)?;
    if n > MAX_FACTORIAL {
        return Err(Stop::Unknown);
    }
    budget.charge(n * (n / 10 + 1) / 8)?;
    let product = (2..=n).fold(UBig::ONE, |product, factor| product * UBig::from(factor));
    Ok(RBig::from(IBig::from(product)))
}

/// The logarithm where it is an integer, or the quotient of two small ones.
fn logarithm(base: &RBig, value: &RBig, budget: &mut Budget) -> Result<RBig, Stop> {
    if !(base.is_int() && *base > RBig::ONE && *value > RBig::ZERO) || bits(value) > 256 {
        return Err(Stop::Unknown);
    }
    let is_below = *value < RBig::ONE;
    let target = if is_below { RBig::ONE / value } else { value.clone() };
    let mut product = RBig::ONE;
    let mut exponent = 0_i64;
    while product < target {
        budget.charge(4)?;
        product *= base;
        exponent += 1;
    }
    if product != target {
        return Err(Stop::Unknown);
    }
    Ok(RBig::from(if is_below { -exponent } else { exponent }))
}

fn function(func: Func, values: &[RBig], budget: &mut Budget) -> Result<RBig, Stop> {
    match (func, values) {
        (Func::Floor, [value]) => Ok(RBig::from(value.floor())),
        (Func::Ceil, [value]) => Ok(RBig::from(value.ceil())),
        (Func::Max, [first, rest @ ..]) => Ok(rest.iter().fold(first, Ord::max).clone()),
        (Func::Min, [first, rest @ ..]) => Ok(rest.iter().fold(first, Ord::min).clone()),
        (Func::Gcd | Func::Lcm, [_, _, ..]) => {
            let mut result = None;
            for value in values {
                let value = value.is_int().then(|| value.numerator().clone().unsigned_abs());
                let value = value.filter(|value| *value > UBig::ZERO).ok_or(Stop::Unknown)?;
                let limbs = value.bit_len() as u64 / 64 + 1;
                budget.charge(limbs * limbs)?;
                result = Some(match result {
                    None => value,
                    Some(known) if func == Func::Gcd => UBig::gcd(known, value),
                    Some(known) => {
                        let common = UBig::gcd(known.clone(), value.clone());
                        known / common * value
                    }
                });
            }
            Ok(RBig::from(IBig::from(result.ok_or(Stop::Unknown)?)))
        }
        (Func::Binom, [n, k]) => binomial(n, k, budget),
        (Func::Re, [value]) => Ok(value.clone()),
        (Func::Im, [_]) => Ok(RBig::ZERO),
        _ => Err(Stop::Unknown),
    }
}

fn binomial(n: &RBig, k: &RBig, budget: &mut Budget) -> Result<RBig, Stop> {
    let natural =
        |value| small(value).and_then(|value| u64::try_from(value).ok()).ok_or(Stop::Unknown);
    let (n, k) = (natural(n)?, natural(k)?);
    if k > n {
        return Ok(RBig::ZERO);
    }
    let k = k.min(n - k);
    if k > MAX_FACTORIAL || n > 1 << 40 {
        return Err(Stop::Unknown);
    }
    budget.charge(k * (k / 4 + 2))?;
    let mut result = UBig::ONE;
    for at in 1..=k {
        result = result * UBig::from(n - k + at) / UBig::from(at);
    }
    Ok(RBig::from(IBig::from(result)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::fixtures::{budget, read};

    fn value(text: &str) -> Result<String, Stop> {
        let mut ast = Ast::default();
        let id = read(text, &mut ast);
        fold(&ast, id, None, &mut budget()).map(|value| value.to_string())
    }

    fn check(text: &str, expected: &str) {
        assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
    }

    fn stops(text: &str, expected: Stop) {
        assert_eq!(value(text), Err(expected), "{text}");
    }

    #[test]
    fn arithmetic_is_that_of_fractions() {
        check(r"\frac12+\frac13", "5/6");
        check("0.1+0.2", "3/10");
        check("2-3-4", "-5");
        check("12/3/2", "2");
        check(r"1\frac45", "9/5");
        check(r"-1\frac45", "-9/5");
        check(r"25\%", "1/4");
        check(r"0.1\overline{6}", "1/6");
        check("|2-5|", "3");
        stops("1/0", Stop::Undefined);
        stops(r"\frac{5}{1-1}", Stop::Undefined);
        stops("x", Stop::Unknown);
        stops(r"\pi", Stop::Unknown);
    }

    #[test]
    fn powers_and_roots_are_exact_or_unknown() {
        check("2^{10}", "1024");
        check("2^{-2}", "1/4");
        check("2^{3^2}", "512");
        check("-2^2", "-4");
        check("(-2)^2", "4");
        check("8^{2/3}", "4");
        check("(-8)^{1/3}", "-2");
        check(r"\sqrt{\frac{49}{4}}", "7/2");
        check(r"\sqrt[3]{-27}", "-3");
        check("0^5", "0");
        check("(-1)^{10^{30}+1}", "-1");
        stops("0^0", Stop::Undefined);
        stops("0^{-1}", Stop::Undefined);
        stops(r"\sqrt{2}", Stop::Unknown);
        stops(r"\sqrt{-4}", Stop::Unknown);
        // 2^10000 has 10,001 bits and fits, 2^10001 has an exponent too many, 10^10000 too many bits.
        assert_eq!(value("2^{10000}").map(|digits| digits.len()), Ok(3011));
        stops("2^{10001}", Stop::Unknown);
        stops("(10^4)^{10000}", Stop::Unknown);
        stops("9^{9^{9^9}}", Stop::Unknown);
    }

    #[test]
    fn factorials_binomials_and_logarithms_are_whole_or_unknown() {
        check("5!", "120");
        check("0!", "1");
        check(r"\frac{10!}{8!}", "90");
        stops("(-1)!", Stop::Undefined);
        stops(r"(\frac12)!", Stop::Unknown);
        stops("2001!", Stop::Unknown);
        check(r"\binom{5}{2}", "10");
        check(r"\binom{5}{5}", "1");
        check(r"\binom{2}{5}", "0");
        // 100!/(50! 50!) by Python's math.comb.
        check(r"\binom{100}{50}", "100891344545564193334812497256");
        check(r"\log_2 8", "3");
        check(r"\log_2 \frac18", "-3");
        check(r"\log_7 1", "0");
        stops(r"\log_2 3", Stop::Unknown);
    }

    #[test]
    fn steps_and_comparisons_are_exact() {
        check(r"\lfloor -2.5 \rfloor", "-3");
        check(r"\lceil -2.5 \rceil", "-2");
        check(r"\lfloor 3 \rfloor", "3");
        check(r"\max(2, \frac{7}{3}, -9)", "7/3");
        check(r"\min(2, \frac{7}{3}, -9)", "-9");
        check(r"\gcd(12, 18, 27)", "3");
        check("lcm(4, 6)", "12");
        stops(r"\gcd(12, \frac12)", Stop::Unknown);
    }

    #[test]
    fn what_is_dear_is_paid_for() {
        let mut ast = Ast::default();
        for text in ["2000!", "3^{10000}", r"\binom{1000}{500}", r"\sqrt{9^{2000}}"] {
            let id = read(text, &mut ast);
            let mut small = Budget::new(1_000);
            assert_eq!(fold(&ast, id, None, &mut small), Err(Stop::OverBudget), "{text}");
            assert!(fold(&ast, id, None, &mut budget()).is_ok(), "{text}");
        }
    }
}
