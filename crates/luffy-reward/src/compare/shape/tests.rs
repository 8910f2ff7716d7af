use super::super::fixtures::{EXACT, IDENTICAL, check, differ, same};
use super::*;

#[test]
fn a_list_has_no_order() {
    for answer in ["3, 1, 2", r"\{2, 3, 1\}", r"1, 2 \text{ and } 3", "1; 2; 3", "x=1, x=2, x=3"] {
        same("1, 2, 3", answer);
    }
    same("(1, 2), (3, 4)", "(3, 4), (1, 2)");
    same(r"\sqrt2, -\sqrt2", r"\pm \sqrt{2}");
}

#[test]
fn every_element_must_be_there_and_no_further_one() {
    differ("1, 2, 3", "1, 2");
    differ("1, 2, 3", "1, 2, 4");
    differ("1, 2", "1");
    differ("(1, 2), (3, 4)", "(1, 2), (4, 3)");
}

#[test]
fn an_answer_may_repeat_an_element_and_not_replace_one() {
    check("1, 2", "1, 2, 2", IDENTICAL);
    check("1, 1+1", "1, 2, 2", EXACT);
    check("1, 1, 2", "1, 2, 2", Decision::Different);
    check("1, 2, 3", "1, 2, 2", Decision::Different);
}

#[test]
fn partners_are_found_wherever_they_are() {
    same("1/2, 0.25, 4, 2^5", "32, 4.0, 1/4, 0.5");
    same(r"1, 100000000!, 2", r"2, 1, 100000000!");
    // One pair is left that nobody can decide.
    check("1, 100000000!", "1, 100000000!+1", Decision::Undecided);
    check("1, 100000000!", "2, 100000000!+1", Decision::Undecided);
    check("1, 2", "1, 100000000!", Decision::Undecided);
}

#[test]
fn a_list_of_more_than_512_is_undecided() {
    let list = |len: usize| (0..len).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let other = |len: usize| list(len).replacen("0, 1, ", "1, 0.0, ", 1);
    same(&list(512), &other(512));
    check(&list(513), &other(513), Decision::Undecided);
}

#[test]
fn a_tuple_has_an_order() {
    same("(1, 2)", r"\left( \frac{2}{2}, 2 \right)");
    same("(1, 2)", r"\langle 1, 2 \rangle");
    same("(1, 2)", "1, 2");
    differ("(1, 2)", "(2, 1)");
    differ("(1, 2)", "2, 1");
    differ("(1, 2)", r"\{1, 2\}");
    differ("(1, 2)", "(1, 2, 3)");
}

#[test]
fn the_brackets_of_an_interval_count() {
    differ("[1, 2]", "(1, 2)");
    differ("[1, 2)", "[1, 2]");
    differ("[1, 2)", "(1, 2]");
    for interval in ["[1, 2]", "[1, 2)", "(1, 2]"] {
        same(interval, interval);
        differ(interval, "1, 2");
        differ(interval, r"\{1, 2\}");
    }
    same(r"(-\infty, 2]", r"(-\infty, \frac{4}{2}]");
    differ(r"(-\infty, 2)", r"(\infty, 2)");
}

#[test]
fn unions_have_no_order_and_intersections_and_differences_are_compared_by_part() {
    same(r"(0, 1) \cup (2, 3) \cup [4, 5]", r"[4, 5] \cup (0, 1) \cup (2, 3)");
    differ(r"(0, 1) \cup (2, 3)", r"(0, 1) \cup (2, 4)");
    differ(r"(0, 1) \cup (2, 3)", r"(0, 1)");
    differ(r"(0, 1) \cup (2, 3)", r"(0, 1) \cap (2, 3)");
    same(r"A \cap B", r"B \cap A");
    same(r"A \setminus B", r"A \setminus B");
    differ(r"A \setminus B", r"B \setminus A");
}

#[test]
fn the_empty_set_has_two_signs() {
    same(r"\emptyset", r"\varnothing");
    same(r"\emptyset", r"\{\}");
    differ(r"\emptyset", "0");
    differ(r"\emptyset", r"\{0\}");
}

#[test]
fn ratios_are_reduced_and_times_are_not() {
    same("1:2", "3:6");
    same("1:2:3", "2:4:6");
    same(r"\sqrt2 : 2", r"1 : \sqrt2");
    differ("1:2", "2:1");
    differ("1:2:3", "1:2:4");
    differ("12:00", "1:00");
    differ("1:30", "2:60");
}

#[test]
fn a_base_belongs_to_the_number() {
    same("52_8", "52_{8}");
    same("101_2", "(101)_{2}");
    differ("52_8", "52_9");
    differ("52_8", "53_8");
    // 5 * 8 + 2.
    differ("52_8", "42");
}

#[test]
fn shapes_of_different_kinds_differ() {
    let shapes = [
        "1",
        "1, 2",
        "[1, 2]",
        r"(1, 2) \cup (3, 4)",
        "1:2",
        "12_3",
        r"\begin{pmatrix}1&2\end{pmatrix}",
    ];
    for (at, one) in shapes.iter().enumerate() {
        for other in &shapes[at + 1..] {
            differ(one, other);
        }
    }
}
