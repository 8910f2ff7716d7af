//! Equality of answers, exact: no float is involved.

/// Most digits an exponent may have. A longer one is compared as text.
const MAX_EXPONENT_DIGITS: usize = 9;

/// Whether two answers are the same: as numbers if both are, as trimmed text if not.
///
/// A number is an integer or a decimal with an optional sign, thousands separators in groups of three
/// and an exponent of up to nine digits. Leading and trailing zeros do not matter and no digit is
/// ever rounded away. Linear in the two texts.
///
/// ```
/// use luffy_reward::equal;
///
/// assert!(equal("1,000", "+1000.0"));
/// assert!(equal("4.5e33", "45E+32"));
/// assert!(!equal("0.3333", "0.33333"));
/// assert!(equal(r" \frac{1}{2}", r"\frac{1}{2}"));
/// ```
pub fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    match (Number::parse(a), Number::parse(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// `(-1)^negative * 0.digits * 10^exponent`, without zeros at either end of `digits`; zero has none.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Number {
    /// Reads the whole of `text`, or says that it is not a number.
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = sign(text);
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = ungroup(whole)?;
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let n_whole = digits.len();
        digits.extend_from_slice(fraction.as_bytes());
        if digits.is_empty() {
            return None;
        }
        let n_leading = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..n_leading);
        let n_kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        digits.truncate(n_kept);
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        // A text in memory and nine digits stay far from overflow, so neither cut loses a number.
        let (n_whole, n_leading) = (i64::try_from(n_whole).ok()?, i64::try_from(n_leading).ok()?);
        let exponent = exponent + n_whole - n_leading;
        Some(Self { negative, digits, exponent })
    }
}

/// Takes one sign off the front, the Unicode minus included.
fn sign(text: &str) -> (bool, &str) {
    if let Some(rest) = text.strip_prefix(['-', '\u{2212}']) {
        (true, rest)
    } else {
        (false, text.strip_prefix('+').unwrap_or(text))
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let (negative, digits) = sign(text);
    let is_bounded = (1..=MAX_EXPONENT_DIGITS).contains(&digits.len());
    if !is_bounded || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i64 = digits.parse().ok()?;
    Some(if negative { -value } else { value })
}

/// The digits of a whole number without its separators: `1,234,567` but neither `1,2` nor `0,123`.
fn ungroup(whole: &str) -> Option<Vec<u8>> {
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or("");
    let mut digits = first.as_bytes().to_vec();
    let mut is_grouped = false;
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        digits.extend_from_slice(group.as_bytes());
        is_grouped = true;
    }
    let starts_well = (1..=3).contains(&first.len()) && !first.starts_with('0');
    let is_whole = digits.iter().all(u8::is_ascii_digit) && (!is_grouped || starts_well);
    is_whole.then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(a: &str, b: &str, expected: bool) {
        assert_eq!(equal(a, b), expected, "{a} = {b}");
        assert_eq!(equal(b, a), expected, "{b} = {a}");
    }

    #[test]
    fn equal_numbers_in_other_clothes_are_equal() {
        check("57", "57.", true);
        check("57", " +057.000 ", true);
        check("142", "142.0", true);
        check(".5", "0.50", true);
        check("-3", "\u{2212}3", true);
        check("0", "-0.0", true);
        check("0", "0e5", true);
        check("1,234,567.25", "1234567.25", true);
        check("1,000", "1e3", true);
        check("4.5e33", "45E32", true);
        check("0.0001", "1e-4", true);
    }

    #[test]
    fn different_numbers_are_different_to_the_last_digit() {
        check("57", "-57", false);
        check("0.333333", "0.3333333", false);
        // Both round to the same f64.
        check("9007199254740992", "9007199254740993", false);
        check("1e999999999", "1e999999998", false);
        check("10", "1", false);
    }

    #[test]
    fn what_is_not_a_number_is_compared_as_text() {
        check("x", " x\n", true);
        check("C", "c", false);
        check("1,2", "12", false);
        check("0,123", "123", false);
        check("1,2345", "12345", false);
        check("1/2", "0.5", false);
        check(".", "0", false);
        check("", "0", false);
        check("-", "0", false);
        check("e5", "0", false);
        check("--5", "5", false);
        check("1e0000000001", "10", false);
        check("1.2.3", "1.23", false);
        check("\u{0665}", "5", false);
    }

    proptest! {
        #[test]
        fn everything_equals_itself(text in any::<String>()) {
            prop_assert!(equal(&text, &text));
        }

        #[test]
        fn an_altered_digit_is_never_equal(
            text in r"-?[0-9]{1,25}(\.[0-9]{1,25})?",
            place in any::<prop::sample::Index>(),
            shift in 1_u8..10,
        ) {
            let mut bytes = text.clone().into_bytes();
            let places: Vec<usize> =
                (0..bytes.len()).filter(|place| bytes[*place].is_ascii_digit()).collect();
            let at = places[place.index(places.len())];
            bytes[at] = b'0' + (bytes[at] - b'0' + shift) % 10;
            let altered = String::from_utf8(bytes).expect("digits are ASCII");
            prop_assert!(!equal(&text, &altered), "{text} = {altered}");
        }

        #[test]
        fn integers_are_equal_exactly_when_their_values_are(a in -50_i64..50, b in -50_i64..50) {
            prop_assert_eq!(equal(&format!("{a}.0"), &format!("{b:+}")), a == b);
        }
    }
}
