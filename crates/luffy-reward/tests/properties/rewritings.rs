use proptest::prelude::*;

use crate::expression::{Add, Int, Mul, PLAIN, Pow, Sub, Tree, constant, formula, style};
use crate::{apart, config, same};

fn boxed(tree: &Tree) -> Box<Tree> {
    Box::new(tree.clone())
}

/// 1234567 with a separator before every third digit from the end.
fn grouped(number: u64, separator: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push_str(separator);
        }
        text.push(digit);
    }
    text
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_formula_equals_itself_in_every_spelling(tree in formula(), style in style()) {
        same(&PLAIN.write(&tree), &style.write(&tree))?;
    }

    #[test]
    fn a_constant_equals_itself_in_every_spelling(tree in constant(), style in style()) {
        same(&PLAIN.write(&tree), &style.write(&tree))?;
    }

    #[test]
    fn what_algebra_rewrites_stays_equal(
        (a, b, c) in (formula(), formula(), formula()),
        style in style(),
        rule in 0..6_usize,
    ) {
        let (left, right) = match rule {
            0 => (Add(boxed(&a), boxed(&b)), Add(boxed(&b), boxed(&a))),
            1 => (Mul(boxed(&a), boxed(&b)), Mul(boxed(&b), boxed(&a))),
            2 => (
                Mul(boxed(&a), Box::new(Add(boxed(&b), boxed(&c)))),
                Add(Box::new(Mul(boxed(&a), boxed(&b))), Box::new(Mul(boxed(&a), boxed(&c)))),
            ),
            3 => (Sub(boxed(&a), boxed(&b)), Sub(Box::new(Int(0)), Box::new(Sub(boxed(&b), boxed(&a))))),
            4 => (Pow(boxed(&a), 2), Mul(boxed(&a), boxed(&a))),
            _ => (Add(boxed(&a), Box::new(Int(0))), Mul(boxed(&a), Box::new(Int(1)))),
        };
        same(&PLAIN.write(&left), &style.write(&right))?;
    }

    #[test]
    fn a_name_on_the_left_changes_nothing(tree in constant(), style in style()) {
        let gold = PLAIN.write(&tree);
        let written = style.write(&tree).trim().trim_matches('*').to_owned();
        same(&gold, &format!("x = {}", written.trim_matches('$')))?;
        same(&format!("x_1={gold}"), &gold)?;
    }

    #[test]
    fn separators_of_thousands_do_not_count(number in any::<u64>()) {
        for separator in [",", r"\,", "{,}", r",\!", r",\! "] {
            same(&number.to_string(), &grouped(number, separator))?;
            same(&format!("-{number}"), &format!("-{}", grouped(number, separator)))?;
        }
    }

    #[test]
    fn scientific_forms_are_the_same_number(
        digits in 1..1_000_000_u64,
        places in 0..6_usize,
        exponent in -40..40_i32,
    ) {
        let mut mantissa = digits.to_string();
        if places > 0 {
            let zeros = (places + 1).saturating_sub(mantissa.len());
            mantissa = "0".repeat(zeros) + &mantissa;
            mantissa.insert(mantissa.len() - places, '.');
        }
        let forms = [
            format!("{mantissa}e{exponent}"),
            format!("{mantissa}E{exponent:+}"),
            format!(r"{mantissa} \times 10^{{{exponent}}}"),
            format!(r"{mantissa} \cdot 10^{{{exponent}}}"),
            format!("{mantissa}*10**({exponent})"),
            format!("{mantissa} × 10^{{{exponent}}}"),
        ];
        for form in &forms[1..] {
            same(&forms[0], form)?;
        }
    }

    #[test]
    fn decimals_and_their_fractions_are_the_same(number in 0..1_000_000_u64, places in 1..6_usize) {
        let scale = 10_u64.pow(places as u32);
        let decimal = format!("{}.{:0places$}", number / scale, number % scale);
        same(&decimal, &format!(r"\frac{{{number}}}{{{scale}}}"))?;
        same(&decimal, &format!("{decimal}000"))?;
        same(&format!("{decimal}\\%"), &format!("{number}/{}", scale * 100))?;
    }

    #[test]
    fn mixed_numbers_are_sums((whole, above, below) in (1..50_u32, 1..20_u32, 1..20_u32)) {
        let improper = format!(r"\frac{{{}}}{{{below}}}", whole * below + above);
        same(&improper, &format!(r"{whole}\frac{{{above}}}{{{below}}}"))?;
        same(&improper, &format!("{whole} {above}/{below}"))?;
        same(&format!("-{improper}"), &format!(r"-{whole}\frac{{{above}}}{{{below}}}"))?;
    }

    #[test]
    fn plus_or_minus_is_two_values(a in constant(), b in constant()) {
        let (a, b) = (PLAIN.write(&a), PLAIN.write(&b));
        let list = format!("({a})-({b}), ({a})+({b})");
        same(&list, &format!(r"({a}) \pm ({b})"))?;
        same(&list, &format!("({a})±({b})"))?;
        same(&list, &format!(r"({a}) \mp ({b})"))?;
    }

    #[test]
    fn sides_of_an_equation_are_swapped_moved_and_multiplied(
        tree in formula(),
        factor in 2..20_u32,
        style in style(),
    ) {
        let gold = format!("z = {}", PLAIN.write(&tree));
        let other = style.write(&tree);
        let other = other.trim().trim_matches(['$', '*']).trim_end_matches('.');
        let other = other.strip_prefix(r"\(").and_then(|rest| rest.strip_suffix(r"\)")).unwrap_or(other);
        same(&gold, &format!("{other} = z"))?;
        same(&gold, &format!("z - ({other}) = 0"))?;
        same(&gold, &format!("-z = -({other})"))?;
        // Of formulas with roots or sines only a few multiples are found.
        if tree.is_rational() {
            same(&gold, &format!("{factor}z = {factor}({other})"))?;
        }
    }

    #[test]
    fn inequalities_turn_with_their_sign(bound in -50..50_i32, factor in 2..20_i32) {
        for (rel, flipped) in [("<", ">"), (r"\le", r"\geq"), (">", "<"), (r"\ge", "≤")] {
            let gold = format!("x {rel} {bound}");
            same(&gold, &format!("{bound} {flipped} x"))?;
            same(&gold, &format!("{factor}x {rel} {}", factor * bound))?;
            same(&gold, &format!("-{factor}x {flipped} {}", -factor * bound))?;
            apart(&gold, &format!("x {flipped} {bound}"))?;
            apart(&gold, &format!("-{factor}x {rel} {}", -factor * bound))?;
        }
    }

    #[test]
    fn a_unit_may_be_left_out_and_not_exchanged(number in 1..100_000_u32) {
        let forms =
            [r"\text{ cm}", r" \text{ cm}", r"\,\mathrm{cm}", " cm", r"\mbox{ cm}", r" \text{ centimeters}"];
        for form in forms {
            same(&number.to_string(), &format!("{number}{form}"))?;
            same(&format!(r"{number}\text{{ cm}}"), &format!("{number}{form}"))?;
            apart(&format!(r"{number} \text{{ inches}}"), &format!("{number}{form}"))?;
            apart(&(number + 1).to_string(), &format!("{number}{form}"))?;
        }
        same(&format!("{number}^\\circ"), &format!("{number}°"))?;
        same(&format!("{number}^{{\\circ}}"), &number.to_string())?;
        same(&format!(r"\${number}"), &format!("{number}.00"))?;
    }
}
