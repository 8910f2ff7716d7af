use super::super::fixtures::{EXACT, IDENTICAL, NUMERIC, SYMBOLIC, check, decide, differ, same};
use super::*;
use crate::Equality;

#[test]
fn the_surest_means_is_named() {
    check(r"\frac12", "1/2", IDENTICAL);
    check("5", "5.0", IDENTICAL);
    check("42", r"6 \cdot 7", EXACT);
    check("4.5e33", r"4.5 \times 10^{33}", EXACT);
    check("(x+1)^2", "x^2+2x+1", SYMBOLIC);
    check(r"\sqrt{8}", r"2\sqrt{2}", SYMBOLIC);
    check(r"\sin 30^\circ", r"\frac12", NUMERIC);
    check(r"\sqrt{x^2}", "|x|", NUMERIC);
}

#[test]
fn different_numbers_are_told_apart_by_any_number_of_digits() {
    differ("9007199254740992", "9007199254740993");
    differ(r"3\times 10^{-20}", r"4\times 10^{-20}");
    differ("10^{-400}", r"2\cdot 10^{-400}");
    differ("1e5000", "1e5001");
    differ(r"\frac{1}{2004!}", r"\frac{1}{2006!}");
    differ(r"\frac{2^{2005}+1}{3\cdot 2^{2006}}", r"\frac{1}{3\cdot 2^{2006}}");
    // Ramanujan's constant is 7.5e-13 less.
    differ(r"e^{\pi\sqrt{163}}", "262537412640768744");
    // 99/70 and 665857/470832 are good fractions for the root of two.
    differ(r"\sqrt2", r"\frac{99}{70}");
    differ(r"\sqrt2", r"\frac{665857}{470832}");
    differ(r"\pi", r"\frac{355}{113}");
}

#[test]
fn different_formulas_are_told_apart() {
    differ("x", "|x|");
    differ("x", r"\sqrt{x^2}");
    differ("(x+1)^{100}", "(x+1)^{101}");
    differ("x", r"\lfloor x \rfloor");
    differ("2n", "2N");
    differ("x_1", "x_2");
    differ(r"\sin x", "x");
    differ(r"m c^2(\gamma^2-1)", r"m c^2(\gamma^2-3)");
    differ("x", "x+10^{-30}");
}

#[test]
fn equal_formulas_are_found_equal_in_every_form() {
    same(r"\tan^2 y+1", r"\sec^2 y");
    same(r"\sin 2x", r"2\sin x\cos x");
    same(r"\ln 8", r"3\ln 2");
    same(r"\log_2 3", r"\frac{\ln 3}{\ln 2}");
    same(r"e^{i\pi}", "-1");
    same(r"\cos 36^\circ", r"\frac{1+\sqrt5}{4}");
    same(r"\sqrt{3+2\sqrt2}", r"1+\sqrt2");
    same(r"\sqrt[3]{2+\sqrt5}+\sqrt[3]{2-\sqrt5}", "1");
    same(r"\arctan\frac12+\arctan\frac13", r"\frac{\pi}{4}");
    same(r"\binom{n}{2}", r"\frac{n(n-1)}{2}");
    same(r"\frac{n!}{(n-1)!}", "n");
    same(r"\lfloor x \rfloor + 1", r"\lfloor x+1 \rfloor");
    same(r"a^{x+y}", "a^x a^y");
}

#[test]
fn what_cannot_be_computed_is_undecided() {
    check("100000000!", "1", Decision::Undecided);
    check(r"\frac{1}{0}", "2", Decision::Undecided);
    check("9**9**9**9", r"\frac12", Decision::Undecided);
    // The other way round it is shown: a number has a value.
    check("2", r"\frac{1}{0}", Decision::Different);
    // Written alike, it is equal nevertheless.
    check("100000000!", "100000000!", IDENTICAL);
}

#[test]
fn infinities_have_a_sign() {
    same(r"\infty", "oo");
    same(r"-\infty", r"-\infty");
    differ(r"\infty", r"-\infty");
    differ(r"\infty", "10^{100}");
}

#[test]
fn a_percentage_may_lose_its_sign() {
    for (gold, answer, expected) in [
        (r"28\%", "0.28", EXACT),
        (r"28\%", "28", EXACT),
        ("28", r"28\%", EXACT),
        ("0.28", r"28\%", EXACT),
        ("0.5", r"0.5\%", Decision::Different),
        (r"28\%", "2800", Decision::Different),
        (r"28\%", "29", Decision::Different),
    ] {
        check(gold, answer, expected);
    }
    let strict = Equality { percent_without_sign: false, ..Equality::default() };
    assert_eq!(decide(r"28\%", "28", strict), Decision::Different);
    assert_eq!(decide("28", r"28\%", strict), Decision::Different);
    assert_eq!(decide(r"28\%", "0.28", strict), EXACT);
}

#[test]
fn a_rounded_value_is_right_where_digits_are_asked_for() {
    let rules = |rounded_from_digits| Equality { rounded_from_digits, ..Equality::default() };
    let check = |gold: &str, answer: &str, digits: u32, expected: bool| {
        let decision = decide(gold, answer, rules(digits));
        assert_eq!(decision.is_equal(), expected, "{gold} | {answer} from {digits} digits");
    };
    check(r"\frac13", "0.333333", 6, true);
    check(r"\frac13", "0.333333", 7, false);
    check(r"\frac13", "0.333333", 0, false);
    check("0.333333", r"\frac13", 6, true);
    // pi = 3.14159265...
    check(r"\pi", "3.14159", 6, true);
    check(r"\pi", "3.14160", 5, true);
    check(r"\pi", "3.14161", 6, false);
    check(r"\pi", "3", 1, false);
    check("x", "0.333333", 1, false);
    // Two decimals are compared by the coarser one.
    check("2.71828", "2.718", 4, true);
    check("2.71828", "2.717", 4, false);
}

#[test]
fn decimals_have_places_and_digits() {
    let check = |text: &str, expected: Option<(u32, u32)>| {
        let value: RBig = text.parse().expect("a fraction");
        assert_eq!(decimal_places(&value), expected, "{text}");
    };
    check("1/3", None);
    check("7", None);
    check("1/4", Some((2, 2)));
    check("-5/4", Some((2, 3)));
    check("1/1000", Some((3, 1)));
}
