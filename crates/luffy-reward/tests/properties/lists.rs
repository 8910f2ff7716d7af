use std::collections::BTreeSet;

use luffy_reward::equal;
use proptest::prelude::*;

use crate::{apart, config, same};

/// Different numbers, as pairs of numerator and denominator in lowest terms with their sign.
fn numbers(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(i32, i32)>> {
    let number = (-60..60_i32, 1..7_i32).prop_map(|(above, below)| {
        let common = (1..=below).rev().find(|n| above % n == 0 && below % n == 0).unwrap_or(1);
        (above / common, below / common)
    });
    prop::collection::btree_set(number, len)
        .prop_map(|set: BTreeSet<(i32, i32)>| set.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

fn write(number: (i32, i32), style: usize) -> String {
    let (above, below) = number;
    match (below, style) {
        (1, 0) => above.to_string(),
        (1, _) => format!("{}/2", 2 * above),
        (_, 0) => format!(r"\frac{{{above}}}{{{below}}}"),
        _ => format!("{}/{}", 3 * above, 3 * below),
    }
}

fn join(numbers: &[(i32, i32)], style: usize, separator: &str) -> String {
    numbers.iter().map(|number| write(*number, style)).collect::<Vec<_>>().join(separator)
}

const SEPARATORS: [&str; 7] =
    [", ", " , ", "; ", r" \text{ and } ", r"\text{ or }", r", \text{ and } ", r",\;"];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_order_of_a_list_does_not_count(
        numbers in numbers(2..8),
        separator in prop::sample::select(&SEPARATORS[..]),
        turn in 0..8_usize,
        style in 0..2_usize,
    ) {
        let gold = join(&numbers, 0, ", ");
        let mut turned = numbers.clone();
        turned.rotate_left(turn % numbers.len());
        let answer = join(&turned, style, separator);
        for answer in [answer.clone(), format!(r"\{{{answer}\}}"), format!(r"\left\{{{answer}\right\}}")] {
            same(&gold, &answer)?;
        }
        let named: Vec<String> = turned.iter().map(|number| format!("x = {}", write(*number, style))).collect();
        same(&gold, &named.join(", "))?;
    }

    #[test]
    fn a_further_or_a_missing_element_never_stays_right(
        numbers in numbers(2..8),
        at in any::<prop::sample::Index>(),
        style in 0..2_usize,
    ) {
        let mut fewer = numbers.clone();
        fewer.remove(at.index(numbers.len()));
        let (all, fewer) = (join(&numbers, 0, ", "), join(&fewer, style, ", "));
        apart(&all, &fewer)?;
        apart(&format!(r"\{{{all}\}}"), &fewer)?;
        apart(&all, &format!(r"\{{{fewer}\}}"))?;
        apart(&format!("({all})"), &format!("({fewer})"))?;
    }

    #[test]
    fn a_changed_element_never_stays_right(
        numbers in numbers(2..8),
        at in any::<prop::sample::Index>(),
        step in prop::sample::select(&[-1, 1, 100][..]),
    ) {
        let mut changed = numbers.clone();
        let at = at.index(numbers.len());
        changed[at].0 += step * changed[at].1;
        let (gold, answer) = (join(&numbers, 0, ", "), join(&changed, 0, ", "));
        apart(&gold, &answer)?;
    }

    #[test]
    fn the_order_of_a_tuple_counts(numbers in numbers(2..6), turn in 1..6_usize) {
        let gold = format!("({})", join(&numbers, 0, ", "));
        same(&gold, &format!(r"\left( {} \right)", join(&numbers, 1, " , ")))?;
        let mut turned = numbers.clone();
        turned.rotate_left(turn % numbers.len());
        let answer = format!("({})", join(&turned, 0, ", "));
        prop_assert_eq!(equal(&gold, &answer), turned == numbers, "{} | {}", gold, answer);
    }

    #[test]
    fn the_ends_of_an_interval_count(numbers in numbers(2..3), ends in (0..4_usize, 0..4_usize)) {
        let write = |ends: usize| {
            let (open, close) = [("(", ")"), ("[", "]"), ("(", "]"), ("[", ")")][ends];
            format!("{open}{}{close}", join(&numbers, 0, ","))
        };
        let (gold, answer) = (write(ends.0), write(ends.1));
        prop_assert_eq!(equal(&gold, &answer), ends.0 == ends.1, "{} | {}", gold, answer);
        let bare = join(&numbers, 0, ",");
        prop_assert_eq!(equal(&gold, &bare), ends.0 == 0, "{} | {}", gold, bare);
        prop_assert_eq!(equal(&bare, &gold), ends.0 == 0, "{} | {}", bare, gold);
    }
}
