//! Mixed numbers.

use dashu_ratio::RBig;

use super::super::ast::{Node, NodeId};
use super::super::token::{Bracket, Tok, Token};
use super::Parser;
use crate::budget::Stop;

impl Parser<'_, '_, '_> {
    /// Whether a fraction of two numbers follows a whole number directly.
    pub(super) fn is_mixed_number(&self) -> bool {
        let Some(Token { tok: Tok::Num(whole), .. }) = self.tokens.get(self.at.wrapping_sub(1))
        else {
            return false;
        };
        // A digit behind a power or a base is no whole part.
        let before = self.at.checked_sub(2).map(|at| &self.tokens[at].tok);
        if !whole.value.is_int()
            || whole.exp10 != 0
            || matches!(before, Some(Tok::Caret | Tok::Under))
        {
            return false;
        }
        let number = |ahead: usize| match self.peek_after(ahead) {
            Some(Tok::Num(number)) if number.is_digits => Some(&number.value),
            _ => None,
        };
        match self.peek() {
            Some(Tok::Frac) => {
                let mut ahead = 1;
                let above = self.braced_number(&mut ahead);
                let below = self.braced_number(&mut ahead);
                above.is_some() && below.is_some()
            }
            Some(Tok::Num(_)) => {
                self.tokens[self.at].spaced
                    && self.peek_after(1) == Some(&Tok::Slash)
                    && number(0).is_some()
                    && number(2).is_some()
            }
            _ => false,
        }
    }

    fn braced_number(&self, ahead: &mut usize) -> Option<&RBig> {
        let braced = self.peek_after(*ahead) == Some(&Tok::Open(Bracket::Brace));
        let at = *ahead + usize::from(braced);
        if braced && self.peek_after(at + 1) != Some(&Tok::Close(Bracket::Brace)) {
            return None;
        }
        *ahead = at + 1 + usize::from(braced);
        match self.peek_after(at) {
            Some(Tok::Num(number)) if number.is_digits => Some(&number.value),
            _ => None,
        }
    }

    pub(super) fn mixed_number(&mut self, whole: NodeId) -> Result<NodeId, Stop> {
        let mut part = self.value()?;
        if self.accept(&Tok::Slash)? {
            let below = self.value()?;
            part = self.ast.push(Node::Div(part, below))?;
        }
        let kids = self.ast.list_of(&[whole, part]);
        self.ast.push(Node::Add(kids))
    }
}
