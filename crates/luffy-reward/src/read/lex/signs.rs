//! Signs and letters outside of commands.

use super::super::token::{Bracket, Rel, Tok};
use super::super::words;
use super::numbers::digits;
use super::{Cursor, Lexer};

impl<'a> Lexer<'a> {
    /// A character outside of ASCII.
    pub(super) fn unicode(&mut self, cursor: &mut Cursor<'a>, spaced: bool) {
        let Some(letter) = cursor.rest().chars().next() else { return };
        let from = cursor.at;
        cursor.at += letter.len_utf8();
        if let Some(digit) = wide_digit(letter) {
            let mut value = digit;
            while let Some(letter) = cursor.rest().chars().next()
                && let Some(digit) = wide_digit(letter)
                && value < u64::MAX / 100
            {
                value = value * 10 + digit;
                cursor.at += letter.len_utf8();
            }
            return self.push(digits(value), spaced);
        }
        if let Some(digit) = superscript(letter) {
            self.push(Tok::Caret, spaced);
            self.push(Tok::Open(Bracket::Brace), false);
            self.push(digits(digit), false);
            return self.push(Tok::Close(Bracket::Brace), false);
        }
        if let Some((above, below)) = vulgar_fraction(letter) {
            self.push(Tok::Frac, spaced);
            self.push(digits(above), false);
            return self.push(digits(below), false);
        }
        let tok = match letter {
            '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{200a}' | '\u{2002}' | '\u{2003}'
            | '\u{3000}' | '\u{200b}' | '\u{feff}' | '\u{2061}' | '\u{2062}' | '\u{2060}' | '€'
            | '£' | '¥' => return,
            '−' | '–' | '—' | '﹣' | '－' => Tok::Minus,
            '×' | '·' | '⋅' | '∙' | '•' | '∗' => Tok::Times,
            '÷' | '∕' | '⁄' => Tok::Slash,
            '＋' => Tok::Plus,
            '±' => Tok::PlusMinus,
            '∓' => Tok::MinusPlus,
            '√' => Tok::Sqrt,
            '∞' => Tok::Infinity,
            '°' | 'º' | '∘' => Tok::Degree,
            '∪' => Tok::Cup,
            '∩' => Tok::Cap,
            '∖' => Tok::SetMinus,
            '∈' => Tok::In,
            '∅' | 'Ø' | 'ø' => Tok::EmptySet,
            '≤' | '⩽' | '≦' => Tok::Rel(Rel::Le),
            '≥' | '⩾' | '≧' => Tok::Rel(Rel::Ge),
            '≠' => Tok::Rel(Rel::Ne),
            '＝' => Tok::Rel(Rel::Eq),
            '≈' | '≃' => Tok::Rel(Rel::Other("approx")),
            '≡' => Tok::Rel(Rel::Other("equiv")),
            '→' => Tok::Rel(Rel::Other("to")),
            '′' | '’' => Tok::Prime,
            '，' | '、' => Tok::Comma,
            '；' => Tok::Semicolon,
            '：' | '∶' => Tok::Colon,
            '（' => Tok::Open(Bracket::Round),
            '）' => Tok::Close(Bracket::Round),
            '⌊' => Tok::Open(Bracket::Floor),
            '⌋' => Tok::Close(Bracket::Floor),
            '⌈' => Tok::Open(Bracket::Ceil),
            '⌉' => Tok::Close(Bracket::Ceil),
            '⟨' => Tok::Open(Bracket::Angle),
            '⟩' => Tok::Close(Bracket::Angle),
            '…' | '⋯' => Tok::Dots,
            '。' | '．' => Tok::Dot,
            '％' => Tok::Percent,
            _ => match words::greek_char(letter) {
                Some(name) => Tok::Sym(name),
                None if letter.is_alphabetic() => Tok::Sym(cursor.slice(from)),
                None => Tok::Bad,
            },
        };
        self.push(tok, spaced);
    }
}

/// The token of a single ASCII character.
pub(super) fn sign(byte: u8) -> Tok<'static> {
    match byte {
        b'+' => Tok::Plus,
        b'-' => Tok::Minus,
        b'*' => Tok::Times,
        b'/' => Tok::Slash,
        b'^' => Tok::Caret,
        b'_' => Tok::Under,
        b'!' => Tok::Bang,
        b'%' => Tok::Percent,
        b'\'' => Tok::Prime,
        b',' => Tok::Comma,
        b';' => Tok::Semicolon,
        b':' => Tok::Colon,
        b'(' => Tok::Open(Bracket::Round),
        b')' => Tok::Close(Bracket::Round),
        b'[' => Tok::Open(Bracket::Square),
        b']' => Tok::Close(Bracket::Square),
        b'{' => Tok::Open(Bracket::Brace),
        b'}' => Tok::Close(Bracket::Brace),
        b'|' => Tok::Bar,
        b'=' => Tok::Rel(Rel::Eq),
        b'<' => Tok::Rel(Rel::Lt),
        b'>' => Tok::Rel(Rel::Gt),
        b'&' => Tok::Cell,
        b'.' => Tok::Dot,
        _ => Tok::Bad,
    }
}

fn wide_digit(letter: char) -> Option<u64> {
    let code = letter as u64;
    [0xff10, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6]
        .into_iter()
        .find(|zero| (*zero..zero + 10).contains(&code))
        .map(|zero| code - zero)
}

fn superscript(letter: char) -> Option<u64> {
    "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|digit| digit == letter).map(|at| at as u64)
}

fn vulgar_fraction(letter: char) -> Option<(u64, u64)> {
    Some(match letter {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅚' => (5, 6),
        '⅛' => (1, 8),
        '⅜' => (3, 8),
        '⅝' => (5, 8),
        '⅞' => (7, 8),
        _ => return None,
    })
}
