//! Units behind values.

use super::super::ast::{Node, NodeId};
use super::super::token::{Bracket, Tok};
use super::{Parser, values};
use crate::budget::Stop;

impl Parser<'_, '_, '_> {
    /// The unit behind a value, if one stands there.
    pub(super) fn unit(&mut self, value: NodeId) -> Result<NodeId, Stop> {
        let Some(end) = self.unit_end() else { return Ok(value) };
        let mut spelling = String::new();
        while self.at < end {
            values::spell(&self.tokens[self.at].tok, &mut spelling);
            self.advance()?;
        }
        let name = self.ast.intern(&spelling);
        self.ast.push(Node::Unit(value, name))
    }

    /// Where the unit that starts here ends; `None` if none starts here, or if it is followed by
    /// something other than the end of an element.
    pub(super) fn unit_end(&self) -> Option<usize> {
        let Some(Tok::Word(first)) = self.peek() else { return None };
        let is_constant = matches!(*first, "i" | "e" | "j");
        if is_constant || !is_unit_text(first) {
            return None;
        }
        let mut at = self.at + 1;
        loop {
            match self.tokens.get(at).map(|token| &token.tok) {
                Some(Tok::Word(word)) if is_unit_text(word) => at += 1,
                Some(Tok::Sym(_)) if matches!(self.tokens[at - 1].tok, Tok::Slash) => at += 1,
                Some(Tok::Times | Tok::Slash)
                    if matches!(
                        self.tokens.get(at + 1).map(|token| &token.tok),
                        Some(Tok::Word(_) | Tok::Sym(_))
                    ) =>
                {
                    at += 1;
                }
                Some(Tok::Caret) => at = self.exponent_end(at + 1)?,
                Some(Tok::Dot) => at += 1,
                None
                | Some(
                    Tok::Comma
                    | Tok::Semicolon
                    | Tok::Also
                    | Tok::Close(_)
                    | Tok::Rel(_)
                    | Tok::Colon
                    | Tok::Cell
                    | Tok::Row
                    | Tok::EndMatrix,
                ) => return Some(at),
                _ => return None,
            }
        }
    }

    /// The end of a small integer exponent that starts at `at`.
    fn exponent_end(&self, at: usize) -> Option<usize> {
        let tok = |at: usize| self.tokens.get(at).map(|token| &token.tok);
        match tok(at)? {
            Tok::Num(_) => Some(at + 1),
            Tok::Open(Bracket::Brace) => {
                let number = if tok(at + 1)? == &Tok::Minus { at + 2 } else { at + 1 };
                matches!(tok(number)?, Tok::Num(_)).then_some(())?;
                (tok(number + 1)? == &Tok::Close(Bracket::Brace)).then_some(number + 2)
            }
            _ => None,
        }
    }
}

/// Words that may be a unit: short, without digits, and not a second answer or a doubt.
fn is_unit_text(text: &str) -> bool {
    const NOT_UNITS: &[&str] = &[
        "or",
        "and",
        "not",
        "maybe",
        "possibly",
        "else",
        "if",
        "unless",
        "except",
        "where",
        "when",
        "for",
        "with",
        "but",
        "no",
        "none",
        "nor",
        "otherwise",
        "is",
        "are",
        "about",
        "than",
        "wrong",
        "sure",
        "approximately",
        "negative",
        "minus",
        "plus",
        "over",
        "divided",
        "percent",
        "million",
        "billion",
        "trillion",
        "thousand",
        "hundred",
        "dozen",
        "squared",
        "cubed",
        "factorial",
        "half",
        "halves",
        "thirds",
        "quarters",
        "tenths",
        "hundredths",
        "mod",
        "modulo",
        "choose",
        "log",
        "root",
    ];
    text.len() <= 48
        && text.chars().all(|c| c.is_alphanumeric() || " ./-^·".contains(c))
        && !text.split_whitespace().any(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        && text.chars().any(char::is_alphabetic)
        && !text
            .split(|c: char| !c.is_alphabetic())
            .any(|word| NOT_UNITS.iter().any(|banned| word.eq_ignore_ascii_case(banned)))
}
