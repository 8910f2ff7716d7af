//! Text to tokens: LaTeX, plain text and the Python spelling of formulas.

mod numbers;
mod signs;

use numbers::digits;
use signs::sign;

use super::token::{Bracket, Rel, Tok, Token};
use super::words::{self, Command};

/// How deeply `\text{}` may be nested.
const MAX_TEXT_DEPTH: u32 = 8;

/// The tokens of `text`.
///
/// `group_commas` reads `1,234` as one number where it stands outside of brackets; the flag in the
/// result says that the other reading exists.
pub(crate) fn lex(text: &str, group_commas: bool) -> (Vec<Token<'_>>, bool) {
    let mut lexer = Lexer {
        tokens: Vec::with_capacity(text.len() / 2 + 2),
        group_commas,
        has_groups: false,
        depth: 0,
        matrices: 0,
    };
    lexer.run(text, 0);
    (lexer.tokens, lexer.has_groups)
}

struct Lexer<'a> {
    tokens: Vec<Token<'a>>,
    group_commas: bool,
    has_groups: bool,
    /// Open brackets other than braces.
    depth: u32,
    matrices: u32,
}

/// Where the lexer stands.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn slice(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or("")
    }

    fn skip_spaces(&mut self) {
        while self.byte(0).is_ascii_whitespace() {
            self.at += 1;
        }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let from = self.at;
        while self.at < self.text.len() && accept(self.byte(0)) {
            self.at += 1;
        }
        self.slice(from)
    }

    /// The content of the braces that open here, and moves behind them.
    fn braces(&mut self) -> Option<&'a str> {
        self.skip_spaces();
        if self.byte(0) != b'{' {
            return None;
        }
        let bytes = self.text.as_bytes();
        let from = self.at + 1;
        let mut depth = 0_u32;
        let mut at = self.at;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' => at += 1,
                b'{' => depth += 1,
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at = at + 1;
                        return self.text.get(from..at);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

impl<'a> Lexer<'a> {
    fn push(&mut self, tok: Tok<'a>, spaced: bool) {
        match tok {
            Tok::Open(bracket) if bracket != Bracket::Brace => self.depth += 1,
            Tok::Close(bracket) if bracket != Bracket::Brace => {
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
        self.tokens.push(Token { tok, spaced });
    }

    fn run(&mut self, text: &'a str, text_depth: u32) {
        let mut cursor = Cursor { text, at: 0 };
        loop {
            let before = cursor.at;
            cursor.skip_spaces();
            let spaced = cursor.at > before;
            if cursor.at >= text.len() {
                return;
            }
            self.token(&mut cursor, spaced, text_depth);
        }
    }

    fn token(&mut self, cursor: &mut Cursor<'a>, spaced: bool, text_depth: u32) {
        let byte = cursor.byte(0);
        let next = cursor.byte(1);
        if byte.is_ascii_digit() || (byte == b'.' && next.is_ascii_digit()) {
            return self.number(cursor, spaced);
        }
        if byte.is_ascii_alphabetic() {
            return self.letters(cursor, spaced);
        }
        if byte == b'\\' {
            return self.backslash(cursor, spaced, text_depth);
        }
        if byte >= 0x80 {
            return self.unicode(cursor, spaced);
        }
        let (tok, len) = match (byte, next) {
            (b'$' | b'~', _) => {
                cursor.at += 1;
                return;
            }
            (b'{', b',') if cursor.byte(2) == b'}' => (Tok::Comma, 3),
            (b'*', b'*') => (Tok::Caret, 2),
            (b'<', b'=') | (b'=', b'<') => (Tok::Rel(Rel::Le), 2),
            (b'>', b'=') => (Tok::Rel(Rel::Ge), 2),
            (b'=', b'=') => (Tok::Rel(Rel::Eq), 2),
            (b'!', b'=') if spaced || !self.ends_in_value() => (Tok::Rel(Rel::Ne), 2),
            (b'-', b'>') => (Tok::Rel(Rel::Other("to")), 2),
            (b'.', b'.') => {
                cursor.take_while(|byte| byte == b'.');
                return self.push(Tok::Dots, spaced);
            }
            _ => (sign(byte), 1),
        };
        cursor.at += len;
        self.push(tok, spaced);
    }

    /// Whether the last token is a number or closes something, so that `!` is a factorial and text is
    /// a unit.
    fn ends_in_value(&self) -> bool {
        matches!(self.tokens.last().map(|t| &t.tok), Some(Tok::Num(_) | Tok::Close(_)))
    }

    fn letters(&mut self, cursor: &mut Cursor<'a>, spaced: bool) {
        let word = cursor.take_while(|byte| byte.is_ascii_alphabetic());
        let tok = match word {
            "np" | "math" | "numpy" | "sympy" | "cmath" if cursor.byte(0) == b'.' => {
                cursor.at += 1;
                return;
            }
            _ if word.len() == 1 => Tok::Sym(word),
            "sqrt" => Tok::Sqrt,
            "log" => Tok::Log,
            "frac" => Tok::Frac,
            "binomial" | "comb" | "binom" => Tok::Func(super::token::Func::Binom),
            "factorial" => Tok::Func(super::token::Func::Factorial),
            "and" | "or" => Tok::Also,
            "inf" | "infinity" | "oo" | "Infinity" => Tok::Infinity,
            "degrees" | "degree" | "deg" => Tok::Degree,
            "percent" | "percentage" | "pct" => Tok::Percent,
            _ => match words::func(word) {
                Some(func) => Tok::Func(func),
                None => match words::greek(word) {
                    Some(name) => Tok::Sym(name),
                    None => return self.run_of_letters(word, spaced),
                },
            },
        };
        self.push(tok, spaced);
    }

    /// `sinx` is the sine of x; any other run stays together for the parser to judge.
    fn run_of_letters(&mut self, word: &'a str, spaced: bool) {
        let split = word.len() - 1;
        if let (Some(head), Some(tail)) = (word.get(..split), word.get(split..))
            && matches!(head, "sin" | "cos" | "tan" | "cot" | "ln")
            && let Some(func) = words::func(head)
        {
            self.push(Tok::Func(func), spaced);
            return self.push(Tok::Sym(tail), false);
        }
        self.push(Tok::Run(word), spaced);
    }

    fn backslash(&mut self, cursor: &mut Cursor<'a>, spaced: bool, text_depth: u32) {
        let next = cursor.byte(1);
        if next == b'\\' {
            let after = cursor.byte(2);
            if self.matrices > 0 {
                cursor.at += 2;
                return self.push(Tok::Row, spaced);
            }
            // A backslash that was escaped once too often, or the end of a line.
            cursor.at += if after.is_ascii_alphabetic() || b"{},!;:()[]%$ ".contains(&after) {
                1
            } else {
                2
            };
            return;
        }
        if !next.is_ascii_alphabetic() {
            let sign = cursor.text.get(cursor.at + 1..).and_then(|rest| rest.chars().next());
            cursor.at += 1 + sign.map_or(0, char::len_utf8);
            if let Command::Token(tok) = words::control_symbol(sign.unwrap_or(' ')) {
                self.push(tok, spaced);
            }
            return;
        }
        cursor.at += 1;
        let from = cursor.at;
        let name = cursor.take_while(|byte| byte.is_ascii_alphabetic());
        // `\quadx` is `\quad` and x: the longest beginning that means something counts.
        let known = (1..=name.len()).rev().find_map(|len| {
            let head = name.get(..len)?;
            (len == name.len() || len >= 2).then_some(())?;
            is_known(head).then_some(head)
        });
        let name = known.unwrap_or(name);
        cursor.at = from + name.len();
        self.command(cursor, name, spaced, text_depth);
    }

    fn command(&mut self, cursor: &mut Cursor<'a>, name: &'a str, spaced: bool, text_depth: u32) {
        if words::is_big_op(name) {
            return self.push(Tok::BigOp(name), spaced);
        }
        if words::is_accent(name) {
            return self.push(Tok::Accent(name), spaced);
        }
        if name == "mathbb" {
            let before = cursor.at;
            if let Some(set) = cursor.braces().and_then(|letter| words::blackboard(letter.trim())) {
                return self.push(Tok::Sym(set), spaced);
            }
            cursor.at = before;
            return;
        }
        match words::command(name) {
            None => self.push(Tok::Sym(name), spaced),
            Some(Command::Skip) => {}
            Some(Command::SkipArgument) => {
                cursor.braces();
            }
            Some(Command::Delimiter) => {
                cursor.skip_spaces();
                if cursor.byte(0) == b'.' {
                    cursor.at += 1;
                }
            }
            Some(Command::Text) => match cursor.braces() {
                Some(content) => self.text(content, spaced, text_depth),
                None => {
                    if cursor.byte(0) == b'{' {
                        self.push(Tok::Bad, spaced);
                    }
                }
            },
            Some(Command::Begin) => {
                let environment = cursor.braces().unwrap_or("").trim_end_matches('*');
                if environment.ends_with("matrix") || environment == "array" {
                    if environment == "array" {
                        cursor.braces();
                    }
                    self.matrices += 1;
                    self.push(Tok::Matrix, spaced);
                }
            }
            Some(Command::End) => {
                let environment = cursor.braces().unwrap_or("").trim_end_matches('*');
                if environment.ends_with("matrix") || environment == "array" {
                    self.matrices = self.matrices.saturating_sub(1);
                    self.push(Tok::EndMatrix, spaced);
                }
            }
            Some(Command::Token(tok)) => {
                let takes_digits = matches!(tok, Tok::Frac | Tok::Binom);
                self.push(tok, spaced);
                if takes_digits {
                    self.single_digits(cursor);
                }
            }
        }
    }

    /// `\frac12`: without braces an argument is one digit.
    fn single_digits(&mut self, cursor: &mut Cursor<'a>) {
        for _ in 0..2 {
            cursor.skip_spaces();
            let byte = cursor.byte(0);
            if !byte.is_ascii_digit() {
                return;
            }
            cursor.at += 1;
            self.push(digits(u64::from(byte - b'0')), false);
        }
    }

    /// The content of `\text{}`: a word, a separator, or a formula that was set upright.
    fn text(&mut self, content: &'a str, spaced: bool, text_depth: u32) {
        let trimmed = content.trim_matches(|c: char| c.is_whitespace() || c == '~');
        let bare = trimmed.trim_matches([',', ';', '.']).trim();
        match bare {
            "" => {
                if trimmed.starts_with([',', ';']) {
                    self.push(Tok::Comma, spaced);
                }
                return;
            }
            "and" | "or" | "And" | "Or" | "AND" | "OR" => return self.push(Tok::Also, spaced),
            "degrees" | "degree" | "deg" | "°" | "º" => return self.push(Tok::Degree, spaced),
            "percent" | "percentage" | "pct" | "%" | "\\%" => {
                return self.push(Tok::Percent, spaced);
            }
            "pi" => return self.push(Tok::Sym("pi"), spaced),
            _ => {}
        }
        if let Some(func) = words::func(bare) {
            return self.push(Tok::Func(func), spaced);
        }
        let has_words =
            bare.split(|c: char| !c.is_alphabetic()).any(|word| word.chars().nth(1).is_some());
        let is_square =
            bare.split_once('^').is_some_and(|(name, _)| words::unit_name(name).is_some());
        let is_unit = (bare.contains('/') || is_square)
            && self.ends_in_value()
            && bare.chars().all(|c| c.is_alphanumeric() || " /^.·".contains(c))
            && bare.starts_with(char::is_alphabetic);
        let is_written = bare.chars().all(|c| c.is_alphabetic() || " .".contains(c));
        let is_formula = !is_unit && !has_words && !is_written
            || !is_unit && bare.contains(['\\', '=', '^']) && !bare.contains(' ');
        if !is_formula {
            return self.push(Tok::Word(bare), spaced);
        }
        if text_depth >= MAX_TEXT_DEPTH {
            return self.push(Tok::Bad, spaced);
        }
        self.push(Tok::Open(Bracket::Brace), spaced);
        self.run(content, text_depth + 1);
        self.push(Tok::Close(Bracket::Brace), false);
    }
}

fn is_known(name: &str) -> bool {
    name == "mathbb"
        || words::is_big_op(name)
        || words::is_accent(name)
        || words::command(name).is_some()
}

#[cfg(test)]
mod tests;
