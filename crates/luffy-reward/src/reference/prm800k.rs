//! Equality expression by expression: the grader of PRM800K, as versions 0 to 2 use it second.

use super::mathd::unwrapped_text;

mod text;

use text::normalized;

/// Most different letters in both answers for the reference to compare them as expressions.
const MAX_LETTERS: usize = 2;

/// Whether two answers are the same: as normalised text, or entry by entry of a tuple.
///
/// Where the reference asks sympy whether a difference is zero, [`crate::equal`] is asked here.
pub(super) fn equal(gold: &str, answer: &str) -> bool {
    let (gold, answer) = (normalized(gold), normalized(answer));
    if gold == answer {
        return true;
    }
    if answer.is_empty() || gold.is_empty() {
        return false;
    }
    let (golds, answers) = (entries(&gold), entries(&answer));
    let ends = |text: &str| (text.chars().next(), text.chars().next_back());
    if golds.len() != answers.len() || golds.len() > 1 && ends(&gold) != ends(&answer) {
        return false;
    }
    golds.iter().zip(&answers).all(|(gold, answer)| entry_equal(gold, answer))
}

fn entry_equal(gold: &str, answer: &str) -> bool {
    if is_fraction(gold) && is_fraction(answer) {
        // A fraction that is not reduced is wrong.
        return gold == answer;
    }
    if as_integer(gold).is_some() != as_integer(answer).is_some() {
        return false;
    }
    may_be_compared(gold, answer) && crate::equal(gold, answer)
}

/// Whether the reference dares to give two texts to sympy, and sympy could read them.
fn may_be_compared(gold: &str, answer: &str) -> bool {
    let mut letters: Vec<char> = Vec::new();
    for text in [gold, answer] {
        for letter in text.replace("sqrt", "").replace("frac", "").chars() {
            if letter.is_alphabetic() && !letters.contains(&letter) {
                letters.push(letter);
            }
            if letters.len() > MAX_LETTERS {
                return false;
            }
        }
    }
    [gold, answer].iter().all(|text| is_expression(text) && !has_large_power(text))
}

/// Whether a text may be a Python expression of numbers and symbols: no list, no relation, and no full
/// stop that is not a decimal point.
fn is_expression(text: &str) -> bool {
    let mut before = ' ';
    text.chars().all(|c| {
        let is_fine = match c {
            '.' => before.is_ascii_digit(),
            c => c.is_alphanumeric() || "+-*/^()!_ ".contains(c),
        };
        before = c;
        is_fine
    })
}

/// `^(`, `^{`, or an exponent of two digits or with an exponent of its own.
fn has_large_power(text: &str) -> bool {
    text.split('^').skip(1).enumerate().any(|(n, exponent)| {
        let digits = exponent.bytes().take_while(u8::is_ascii_digit).count();
        let is_tower = digits == exponent.len() && text.split('^').count() > n + 2;
        exponent.starts_with(['(', '{']) || digits >= 2 || digits == 1 && is_tower
    })
}

/// The entries of a tuple or interval without brackets inside; anything else is one entry.
fn entries(text: &str) -> Vec<String> {
    let text = without_thousands(text);
    let brackets = ['(', ')', '[', ']'];
    let inner = text
        .strip_prefix(brackets)
        .and_then(|text| text.strip_suffix(brackets))
        .filter(|inner| !inner.is_empty() && !inner.contains(brackets));
    match inner {
        Some(inner) => inner.split(',').map(|entry| entry.trim().to_owned()).collect(),
        None => vec![text],
    }
}

/// `-1/2` and the like, a point behind either number allowed.
fn is_fraction(text: &str) -> bool {
    let is_digits = |text: &str| {
        let text = text.strip_suffix('.').unwrap_or(text);
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split_once('/').is_some_and(|(above, below)| {
        is_digits(above.strip_prefix('-').unwrap_or(above))
            && is_digits(below)
            && below.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
    })
}

/// The integer that `text` is as a float, separators and a zero fraction allowed.
fn as_integer(text: &str) -> Option<f64> {
    let value: f64 = without_thousands(text).parse().ok()?;
    (value.is_finite() && (value - value.round()).abs() <= 1e-7).then(|| value.round())
}

/// Passes over a text to take commas out of it.
const MAX_PASSES: usize = 8;

/// `1,234` as `1234`: takes out a comma between a digit and three digits that end there, as long as it
/// finds one. Of `1,234,567,890` the first pass takes the first and the last comma, and the second pass
/// finds six digits behind the other: the reference does not read this number, so it stays.
fn without_thousands(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..MAX_PASSES {
        let kept = without_some_thousands(&text);
        if kept.len() == text.len() {
            break;
        }
        text = kept;
    }
    text
}

fn without_some_thousands(text: &str) -> String {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    // Where the search goes on: behind whatever ended the three digits.
    let mut from = 0;
    let mut separates = |at: usize| {
        let found =
            at > from && is_digit(at - 1) && (1..=3).all(|n| is_digit(at + n)) && !is_digit(at + 4);
        if found {
            from = at + 5;
        }
        found
    };
    text.char_indices().filter(|(at, c)| *c != ',' || !separates(*at)).map(|(_, c)| c).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(gold: &str, answer: &str, expected: bool) {
        assert_eq!(equal(gold, answer), expected, "{gold} = {answer}");
    }

    #[test]
    fn spelling_that_carries_no_meaning_is_taken_off() {
        check("1,234", "1234", true);
        check("12 inches", "12", true);
        check("1 or 2", "1,2", true);
        check(r"90^\circ", "90 degrees", true);
        check("3 million", "3*10^6", true);
        check(r"7\frac{3}{4}", "7 3/4", true);
        check(r"\text{Blue}", "blue", true);
        check("2.0", "2", true);
        check(r"\sqrt{2}", "sqrt(2)", true);
        check(r"x \cdot y", "x*y", true);
        check(r"50\%", "50", true);
    }

    // Section 2.3 of the notes on graders names these three.
    #[test]
    fn fractions_integers_and_brackets_must_agree() {
        check("1/2", "2/4", false);
        check("-1./3", "-1/3", false);
        check("42", r"\frac{84}{2}", false);
        check("(1,2)", "[1,2]", false);
    }

    #[test]
    fn tuples_are_compared_entry_by_entry() {
        check("(1, 2.50)", "(1,2.5)", true);
        check("(1,2)", "(2,1)", false);
        check("(1,2)", "(1,2,3)", false);
        check("1,2.50", "1,2.5", false);
        // Thousands go first, so this is a tuple of one entry.
        check("(1,234)", "1234", true);
    }

    #[test]
    fn what_the_reference_does_not_dare_to_parse_is_wrong() {
        assert!(may_be_compared("x+y", "y+x"));
        assert!(!may_be_compared("x+y+z", "z+y+x"));
        assert!(may_be_compared("sqrt(x)", "x^2"));
        assert!(!may_be_compared("1÷2", "1/2"));
        assert!(may_be_compared("τ", "2τ"));
        for text in ["1,2", "x=2", "x<2", "x.", "|x|"] {
            assert!(!may_be_compared(text, "1"), "{text}");
        }
        for text in ["2^(x)", "2^{x}", "2^10", "2^3^4"] {
            assert!(!may_be_compared(text, "1"), "{text}");
        }
        assert!(may_be_compared("2^3+1^2", "1"));
    }

    #[test]
    fn thousands_are_told_from_lists() {
        for (text, expected) in [
            ("1,234", "1234"),
            ("1,234,567", "1234567"),
            ("1,234,567,890", "1234,567890"),
            ("1,23", "1,23"),
            ("1,2345", "1,2345"),
            (",123", ",123"),
            ("x,123", "x,123"),
            ("(1,234)", "(1234)"),
        ] {
            assert_eq!(without_thousands(text), expected, "{text}");
        }
    }
}
