use luffy_core::Outcome;

use super::*;

fn reason(gold: &str, answer: &str, equality: Equality) -> Reason {
    compare(gold, answer, equality, &mut Budget::new(crate::DEFAULT_MAX_STEPS))
}

fn check(gold: &str, answer: &str, expected: Reason) {
    assert_eq!(reason(gold, answer, Equality::default()), expected, "{gold} | {answer}");
}

/// Whether each answer is right for the gold.
fn right(gold: &str, answers: &[&str]) {
    for answer in answers {
        let reason = reason(gold, answer, Equality::default());
        assert_eq!(reason.outcome(), Outcome::Correct, "{reason:?}: {gold} | {answer}");
    }
}

fn wrong(gold: &str, answers: &[&str]) {
    for answer in answers {
        let reason = reason(gold, answer, Equality::default());
        assert_eq!(reason.outcome(), Outcome::Incorrect, "{reason:?}: {gold} | {answer}");
    }
}

#[test]
fn the_same_text_is_right_whatever_it_is() {
    for text in ["10^{10^{10}}", "#$@", "((((", "5 +", &"x".repeat(10_000)] {
        check(text, &format!(" {text}\n"), Reason::Identical);
    }
}

#[test]
fn an_empty_answer_is_none() {
    check("5", "", Reason::NoAnswer);
    check("5", " \n", Reason::NoAnswer);
    assert!(!equal("", ""));
    assert!(!equal("$$", "$$"));
}

#[test]
fn what_cannot_be_read_is_wrong() {
    check("5", "5 +", Reason::Unreadable);
    check("5 +", "5", Reason::Unreadable);
    check("42", "#$@", Reason::Unreadable);
    // A sign that is not known makes no two answers the same.
    check("☃", "☂", Reason::Unreadable);
}

#[test]
fn an_answer_of_more_than_4096_bytes_is_not_read() {
    let zeros = |len: usize| format!("{}1", "0".repeat(len - 1));
    check("1", &zeros(4_096), Reason::Identical);
    check("1", &zeros(4_097), Reason::Unreadable);
    check(&zeros(4_097), "1", Reason::Unreadable);
}

#[test]
fn a_spent_budget_is_wrong_and_says_so() {
    let gold = "(x+y+z+w)^{20}";
    let answer = "(w+z+y+x)^{20}";
    right(gold, &[answer]);
    for steps in [0, 1, 10, 100] {
        let mut budget = Budget::new(steps);
        let reason = compare(gold, answer, Equality::default(), &mut budget);
        assert_eq!(reason, Reason::OverBudget, "{steps} steps");
        assert!(budget.used() <= steps);
    }
}

#[test]
fn a_number_with_a_comma_is_a_number_or_a_list() {
    right("1234", &["1,234", r"1\,234", "1{,}234"]);
    right("1,234", &["1234", "1, 234", "234, 1", "1,234.0"]);
    right("(1,234)", &["(1, 234)"]);
    right("1,234,567", &["1234567"]);
    wrong("1234", &["12,34", "(1,234)", "1, 23", "1,2345"]);
    wrong("1,234", &["1235", "1, 235"]);
}

#[test]
fn a_decimal_comma_is_one_where_it_is_asked_for() {
    let rules = Equality { decimal_comma: true, ..Equality::default() };
    for (gold, answer, expected) in [
        ("2.74", "2,74", true),
        ("-2.74", "$-2,74$", true),
        ("0,5", "0.5", true),
        ("2.74", "2,75", false),
        // Two numbers, where the gold does not show that it is one.
        ("2,74", "2.74", false),
        ("2,74", "74,2", true),
    ] {
        let reason = reason(gold, answer, rules);
        assert_eq!(reason.outcome() == Outcome::Correct, expected, "{gold} | {answer}: {reason:?}");
    }
    wrong("2.74", &["2,74"]);
    wrong("0,5", &["0.5"]);
}

#[test]
fn words_are_compared_without_case_and_letters_with_it() {
    right(r"\text{Evelyn}", &["Evelyn", "evelyn", r"\text{EVELYN}", r"\mathrm{Evelyn}", "Evelyn."]);
    right(r"\text{(C)}", &["(C)", "C", r"\text{C}"]);
    right(r"\text{no real roots}", &["No real roots"]);
    wrong(r"\text{Evelyn}", &["Briana", "Eve", r"\text{Evelyn or Briana}"]);
    wrong("C", &["c", "B", "C, D"]);
    wrong("x", &["X", "{X}"]);
    wrong("{X}", &["x", "{x}"]);
}

#[test]
fn words_for_nothing_are_the_empty_set() {
    right(r"\emptyset", &[r"\varnothing", r"\text{no solution}", "No real solutions", "∅"]);
    wrong(r"\emptyset", &["0", r"\text{none}"]);
}

#[test]
fn stars_dollars_and_full_stops_around_an_answer_are_taken_off() {
    right("73", &["**73**", "$73$", "$$73$$", "73.", "73,", r"\(73\)", r"\[73\]", r"{73}", "=73"]);
    right(
        r"\begin{pmatrix}1\\2\end{pmatrix}",
        &[r"\\begin{pmatrix}1\\\\2\\end{pmatrix}", r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}"],
    );
    right(r"\frac12", &[r"\\frac{1}{2}"]);
}

#[test]
fn a_gold_with_nothing_in_it_is_unusable() {
    for gold in ["", " ", "$$", "{}", r"\ ", "."] {
        assert_eq!(usable(gold), None, "{gold}");
    }
    for gold in ["0", " x ", "-", "?"] {
        assert_eq!(usable(gold), Some(gold.trim()), "{gold}");
    }
}

// LUFFY's vectors were run with math-verify 0.6.0. Where a gold or an answer is read wrongly there, the
// comment says what it does.
#[test]
fn the_vectors_of_luffy_version_3_hold_where_they_are_right() {
    right(r"\frac{1}{2}", &["0.5"]);
    right("0.5", &[r"\frac{1}{2}", r"50\%"]);
    right("142.0", &["142"]);
    right("5", &["x=5"]);
    right("x=5", &["5"]);
    right("2,1", &["1,2"]);
    right("1000", &["1,000"]);
    right("10", &[r"10 \text{ cm}"]);
    right(r"\left( 3, \frac{\pi}{2} \right)", &[r"(3,\frac{\pi}{2})"]);
    right("[1,2)", &["[1,2)"]);
    right("C", &["C", r"\text{C}"]);
    wrong(r"\frac{1}{3}", &["0.3333"]);
    wrong("[1,2]", &["(1,2)"]);
    wrong("C", &["C: days"]);
    wrong(r"(2, \infty)", &["x > 2"]);
    // Right there: both are rounded to six places.
    wrong(r"\frac{1}{3}", &["0.333333"]);
    // Wrong there: the gold is 4.5 times e times 33, and a percentage needs its sign.
    right("4.5e33", &[r"4.5\times 10^{33}"]);
    right(r"50\%", &["50"]);
}

#[test]
fn pi_is_a_number_and_names_nothing() {
    wrong("2", &[r"\pi^2 = 2", r"\pi = 2"]);
    right("2", &[r"f(\pi) = 2", "e = 2", "x^2 = 2"]);
}

// Disagreements and public failures of math-verify, oat, PRM800K, Hendrycks, Qwen and PRIME.
#[test]
fn no_known_false_positive_of_another_grader_is_repeated() {
    // Everything behind `\text{ ` as a unit; any box; anything in it.
    wrong("42", &[r"42 \text{ or } 43", r"42 \text{ (not sure, maybe 7)}", "42 or 43"]);
    wrong("1331 \\text{ and } 1728", &["1728", "1331"]);
    wrong("840", &["840840", "840, 840, 841"]);
    wrong("4", &["004,004", r"4\sqrt{2}", r"4\sqrt(2)"]);
    // Rounding, x100, f64 integers, small numbers.
    wrong(r"\pi", &["3.14", "3.14159265"]);
    wrong("9007199254740992", &["9007199254740993"]);
    wrong(r"3\times10^{-20}", &[r"4\times10^{-20}"]);
    wrong("10^{-30}", &["10^{-31}"]);
    wrong(r"\frac{1}{2004!}", &[r"\frac{1}{2006!}"]);
    wrong("1/2^{99}", &["1/2^{98}"]);
    wrong(r"\frac{2^{2005}+1}{3\cdot2^{2006}}", &[r"\frac{1}{3\cdot2^{2006}}"]);
    wrong(r"1-\frac{1}{e}", &[r"1+\frac{1}{e}"]);
    wrong("0.28", &["28"]);
    // Case, bases, brackets, names, units, times.
    wrong("2n", &["2N"]);
    wrong("52_8", &["52_9", "52"]);
    wrong("(3,4)", &["[3,4]", "(4,3)"]);
    wrong("x=3", &["y=3"]);
    wrong("5 \\text{ inches}", &[r"5 \text{ feet}"]);
    wrong(r"90^\circ", &[r"\pi/2"]);
    wrong("12:00", &["1:00"]);
    wrong("n=1,2", &["n=1,3"]);
    wrong("3x-y+13=0", &["3x+4y+14=0", "0"]);
    // Symbols read as functions, last numbers, letters as units, text that is evaluated.
    wrong(
        r"m_p c^2(\gamma^2-1)\sin^2\theta",
        &[r"m_p c^2(\gamma^2-3)\sin^2\theta", r"m_p c^2(\gamma^2-1)\sin^3\theta"],
    );
    wrong(
        r"\hbar\omega(v+1/2)-\hbar\omega x(v+1/2)^2",
        &[r"\hbar\omega(v+1/2)-\hbar\omega x(v+1/2)^3", "2"],
    );
    wrong(r"\frac{1}{m} t", &[r"\frac{1}{m}"]);
    wrong(r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", &["[open('x','w').write('y'), 2]"]);
    wrong(r"1, 2, 3, \ldots", &[r"1, 2, 4, \ldots", "1, 2, 3"]);
    wrong("1234", &["12,34"]);
    wrong("(C)", &["(C) 42", "(C) (D)"]);
}

#[test]
fn no_known_false_negative_of_another_grader_is_repeated() {
    right("1/2", &[r"\frac{2}{4}"]);
    right("42", &[r"\frac{84}{2}", r"6\cdot 7", "42.", "42.0", "x = 42"]);
    right("3,4", &["4,3"]);
    right("f(x)=2x", &["2x"]);
    right("1.8", &["1 4/5"]);
    right("1000", &["1e3", "10^3"]);
    right("4.5e33", &[r"4.5\times10^{33}", r"4.5 \cdot 10^{33}"]);
    right("6-5i", &["6-5 i", "-5i+6"]);
    right(r"\tan^2y+1", &[r"\sec^2 y"]);
    right("28800", &[r"28\,800", "28,800"]);
    right(r"\varnothing", &[r"\emptyset"]);
    right(r"28\%", &["28", "0.28", "28 percent"]);
    right("73", &["**73**"]);
    right(r"\frac{\pi}{2}", &["pi/2", "π/2", "np.pi/2"]);
    right("e^{16}", &["exp(16)"]);
    right("1,-2", &[r"1 \text{ and } -2", r"\{-2, 1\}"]);
    right("-2", &[r"\sqrt[3]{-8}"]);
    right(r"\sqrt{2}", &["√2", "sqrt(2)", "2**(1/2)"]);
}

// Inputs on which math-verify, oat or PRM800K never came back.
#[test]
fn no_known_hanging_input_hangs() {
    let deep = "(".repeat(2_000) + "1" + &")".repeat(2_000);
    let roots = r"\sqrt{".repeat(500) + "2" + &"}".repeat(500);
    let sum = "1+".repeat(2_000) + "1";
    let minus = "-".repeat(4_000) + "1";
    for answer in [
        r"\dfrac{5^{(5^{(5^{(5^5)})}-4)}-5}{16}",
        "9**9**9**9",
        "2^{10^{11}}",
        "100000000!",
        "((10!)!)!",
        r"\binom{1000000000}{500000000}",
        "(x+y+z+w)^{500}",
        "(x+1)^{100000}",
        r"\sqrt{2}^{99999999999}",
        r"\Gamma(10^{20})",
        &deep,
        &roots,
        &sum,
        &minus,
    ] {
        for gold in ["7", r"\frac{1}{2}", r"\sqrt{2}", "x"] {
            let mut budget = Budget::new(crate::DEFAULT_MAX_STEPS);
            let reason = compare(gold, answer, Equality::default(), &mut budget);
            assert_eq!(reason.outcome(), Outcome::Incorrect, "{gold} | {answer}");
            assert!(budget.used() <= crate::DEFAULT_MAX_STEPS);
        }
    }
}
