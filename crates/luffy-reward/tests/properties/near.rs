use luffy_reward::equal;
use proptest::prelude::*;

use crate::expression::{
    Add, Div, Int, Mul, Name, PLAIN, Pi, Pow, Sin, Sqrt, Sub, Tree, constant, formula, style,
};
use crate::{apart, config};

/// What a slip of the pen makes of a tree.
fn slips(tree: &Tree) -> Vec<Tree> {
    match tree {
        Int(n) => vec![Int(n + 1), Int(n * 10), Int(n * 2)],
        Name(letter) => vec![Name(if *letter == 'x' { 'y' } else { 'x' }), Name('X'), Int(1)],
        Pi => vec![Int(3), Int(1)],
        Add(a, b) => {
            vec![Sub(a.clone(), b.clone()), (**a).clone(), (**b).clone(), Mul(a.clone(), b.clone())]
        }
        Sub(a, b) => vec![Add(a.clone(), b.clone()), Sub(b.clone(), a.clone()), (**a).clone()],
        Mul(a, b) => vec![(**a).clone(), (**b).clone(), Add(a.clone(), b.clone())],
        Div(a, b) => vec![(**a).clone(), Mul(a.clone(), b.clone())],
        Pow(a, n) => vec![Pow(a.clone(), n + 1), (**a).clone()],
        Sqrt(a) | Sin(a) => vec![(**a).clone()],
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_slip_of_the_pen_is_wrong(tree in formula(), style in style(), which in any::<prop::sample::Index>()) {
        let near = tree.with_one_change(&slips);
        let near = &near[which.index(near.len())];
        prop_assume!(tree.differs(near));
        apart(&PLAIN.write(&tree), &style.write(near))?;
    }

    #[test]
    fn a_slip_in_a_constant_is_wrong(tree in constant(), style in style(), which in any::<prop::sample::Index>()) {
        let near = tree.with_one_change(&slips);
        let near = &near[which.index(near.len())];
        prop_assume!(tree.differs(near));
        apart(&PLAIN.write(&tree), &style.write(near))?;
    }

    #[test]
    fn formulas_that_have_other_values_are_wrong(one in formula(), other in formula(), style in style()) {
        prop_assume!(one.differs(&other));
        apart(&PLAIN.write(&one), &style.write(&other))?;
    }

    #[test]
    fn equality_of_scalars_is_symmetric(one in formula(), other in formula(), style in style(), is_slip in any::<bool>()) {
        let others = if is_slip { one.with_one_change(&slips) } else { vec![other] };
        for other in others.iter().take(4) {
            let (a, b) = (PLAIN.write(&one), style.write(other));
            prop_assert_eq!(equal(&a, &b), equal(&b, &a), "{} | {}", a, b);
        }
    }

    #[test]
    fn the_last_digit_counts(digits in "[1-9][0-9]{0,40}", at in any::<prop::sample::Index>()) {
        let at = at.index(digits.len());
        let changed: String = digits
            .char_indices()
            .map(|(index, digit)| match digit {
                '9' if index == at => '8',
                digit if index == at => char::from(digit as u8 + 1),
                digit => digit,
            })
            .collect();
        for (one, other) in [
            (digits.clone(), changed.clone()),
            (format!("0.{digits}"), format!("0.{changed}")),
            (format!("{digits}e-30"), format!("{changed}e-30")),
            (format!(r"\frac{{1}}{{{digits}}}"), format!(r"\frac{{1}}{{{changed}}}")),
            (format!(r"\sqrt{{{digits}}}"), format!(r"\sqrt{{{changed}}}")),
            (format!(r"{digits}+\pi"), format!(r"{changed}+\pi")),
        ] {
            apart(&one, &other)?;
        }
    }

    #[test]
    fn a_second_answer_or_a_doubt_is_wrong(tree in constant(), other in constant(), which in 0..9_usize) {
        prop_assume!(tree.differs(&other));
        let (gold, other) = (PLAIN.write(&tree), PLAIN.write(&other));
        let hedge = [
            format!(r"{gold} \text{{ or }} {other}"),
            format!("{gold} or {other}"),
            format!(r"{gold} \text{{ (maybe {other})}}"),
            format!(r"{gold} \text{{ not sure}}"),
            format!("{gold}, {other}"),
            format!("{gold} = {other}"),
            format!(r"{other} \text{{ or }} {gold}"),
            format!("{other} + 0 = {gold}"),
            format!(r"\text{{not sure, }} {gold}"),
        ];
        prop_assert!(!equal(&gold, &hedge[which]), "{} | {}", gold, hedge[which]);
    }
}
