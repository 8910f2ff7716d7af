//! Numbers as they are written.

use std::borrow::Cow;

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use super::super::token::{Numeral, Tok, Token};
use super::{Cursor, Lexer};

impl<'a> Lexer<'a> {
    pub(super) fn number(&mut self, cursor: &mut Cursor<'a>, spaced: bool) {
        let from = cursor.at;
        // `\log_28` is the logarithm of 8 to the base of 2.
        if let [.., Token { tok: Tok::Log, .. }, Token { tok: Tok::Under, .. }] = self.tokens[..]
            && cursor.byte(0).is_ascii_digit()
            && cursor.byte(1).is_ascii_digit()
        {
            cursor.at += 1;
            return self.push(digits(u64::from(cursor.text.as_bytes()[from] - b'0')), spaced);
        }
        cursor.take_while(|byte| byte.is_ascii_digit());
        let mut is_digits = true;
        let mut whole = Cow::Borrowed(cursor.slice(from));
        if (1..=3).contains(&whole.len()) {
            while let Some(skip) = self.group(cursor) {
                is_digits = false;
                cursor.at += skip;
                let from = cursor.at;
                cursor.at += 3;
                whole.to_mut().push_str(cursor.slice(from));
            }
        }
        let mut fraction = "";
        if cursor.byte(0) == b'.' && cursor.byte(1) != b'.' {
            is_digits = false;
            cursor.at += 1;
            fraction = cursor.take_while(|byte| byte.is_ascii_digit());
        }
        let period = if is_digits { None } else { repeating(cursor) };
        let mut exp10 = 0;
        if matches!(cursor.byte(0), b'e' | b'E') && period.is_none() {
            let signed = usize::from(matches!(cursor.byte(1), b'+' | b'-'));
            if cursor.byte(1 + signed).is_ascii_digit() {
                let sign = cursor.byte(1);
                cursor.at += 1 + signed;
                let exponent = cursor.take_while(|byte| byte.is_ascii_digit());
                let Ok(exponent) = exponent.parse::<i64>() else {
                    return self.push(Tok::Bad, spaced);
                };
                exp10 = if sign == b'-' { -exponent } else { exponent };
                is_digits = false;
            }
        }
        match numeral(&whole, fraction, period) {
            Some(value) => self.push(Tok::Num(Numeral { value, exp10, is_digits }), spaced),
            None => self.push(Tok::Bad, spaced),
        }
    }

    /// The length of a separator of thousands, if one stands here with three digits after it.
    fn group(&mut self, cursor: &Cursor<'a>) -> Option<usize> {
        let rest = cursor.rest();
        let skip = if let Some(after) = rest.strip_prefix(",\\!") {
            3 + (after.len() - after.trim_start().len())
        } else if let Some(skip) = braced_comma(rest) {
            skip
        } else if rest.starts_with("\\,") {
            2
        } else if rest.starts_with(',') && self.group_commas && self.depth == 0 {
            1
        } else {
            return None;
        };
        let digit = |at: usize| cursor.byte(skip + at).is_ascii_digit();
        if !(digit(0) && digit(1) && digit(2)) || digit(3) {
            return None;
        }
        self.has_groups |= skip == 1;
        Some(skip)
    }
}

/// The length of `{,}`, with white space or without.
fn braced_comma(text: &str) -> Option<usize> {
    let inside = text.trim_start().strip_prefix('{')?.trim_start().strip_prefix(',')?;
    let after = inside.trim_start().strip_prefix('}')?;
    Some(text.len() - after.len())
}

/// `\overline{3}` behind a decimal point: the digits that repeat.
fn repeating<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let name = ["\\overline", "\\bar", "\\dot"]
        .into_iter()
        .find(|name| cursor.rest().starts_with(name))?;
    let from = cursor.at;
    cursor.at += name.len();
    match cursor.braces().map(str::trim) {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits)
        }
        _ => {
            cursor.at = from;
            None
        }
    }
}

/// The value of a number in decimal.
fn numeral(whole: &str, fraction: &str, period: Option<&str>) -> Option<RBig> {
    let ten = |len: usize| UBig::from_word(10).pow(len);
    let parse = |digits: &str| -> Option<UBig> {
        match digits.len() {
            0 => Some(UBig::ZERO),
            1..=18 => digits.parse::<u64>().ok().map(UBig::from),
            _ => UBig::from_str_radix(digits, 10).ok(),
        }
    };
    let whole_value = parse(whole)?;
    if fraction.is_empty() && period.is_none() {
        return Some(RBig::from(IBig::from(whole_value)));
    }
    let scale = ten(fraction.len());
    let mut value = whole_value * &scale + parse(fraction)?;
    let mut below = scale;
    if let Some(period) = period {
        // 0.1(6) = (16 - 1) / 90.
        let nines = ten(period.len()) - UBig::ONE;
        value = value * &nines + parse(period)?;
        below *= nines;
    }
    Some(RBig::from_parts(IBig::from(value), below))
}

/// A token of a small whole number.
pub(super) fn digits(value: u64) -> Tok<'static> {
    Tok::Num(Numeral { value: RBig::from(IBig::from(value)), exp10: 0, is_digits: true })
}
