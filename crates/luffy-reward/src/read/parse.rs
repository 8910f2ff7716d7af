//! Tokens to an expression, by precedence climbing.
//!
//! From loose to tight: lists, relations, unions, ratios, sums, products, powers and what follows a
//! value, and single values (in [`values`]).

mod mixed;
mod units;
mod values;

use super::ast::{Ast, Node, NodeId};
use super::token::{Bracket, Func, Rel, Tok, Token};
use super::words::is_plain_unit;
use crate::budget::{Budget, Stop};

/// How deeply brackets may be nested.
const MAX_NESTING: u32 = 60;

/// The expression of `tokens`, built in `ast`.
///
/// # Errors
///
/// [`Stop::Unknown`] if they make no expression, [`Stop::OverBudget`] if the steps ran out.
pub(crate) fn parse(
    tokens: &[Token<'_>],
    ast: &mut Ast,
    budget: &mut Budget,
) -> Result<NodeId, Stop> {
    let tokens = split_runs(tokens);
    let mut tokens = &tokens[..];
    while let [Token { tok: Tok::Rel(Rel::Eq) | Tok::Colon, .. }, rest @ ..] = tokens {
        tokens = rest;
    }
    while let [rest @ .., Token { tok: Tok::Dot | Tok::Comma | Tok::Semicolon | Tok::Colon, .. }] =
        tokens
    {
        tokens = rest;
    }
    if tokens.is_empty() {
        return Err(Stop::Unknown);
    }
    let groups = groups(tokens);
    let mut items = Vec::new();
    for group in &groups {
        let elements = all_elements(group, ast, budget)?;
        match elements[..] {
            [single] => items.push(single),
            _ if groups.len() > 1 => {
                let kids = ast.list_of(&elements);
                items.push(ast.push(Node::Brackets(Bracket::Round, kids, Bracket::Round))?);
            }
            _ => items.extend(elements),
        }
    }
    // `k \pi, k \in \mathbb{Z}`: where a name may lie says nothing that is compared.
    if items.len() > 1 && !items.iter().all(|item| is_domain(ast, *item)) {
        items.retain(|item| !is_domain(ast, *item));
    }
    if let [single] = items[..] {
        return Ok(single);
    }
    let kids = ast.list_of(&items);
    ast.push(Node::List(kids))
}

/// Whether an element says that a name lies in a set of numbers.
fn is_domain(ast: &Ast, item: NodeId) -> bool {
    let Node::In(name, set) = ast.node(item) else { return false };
    let is_number_set =
        matches!(ast.node(*set), Node::Sym(set) if super::words::is_number_set(ast.name(*set)));
    is_number_set && matches!(ast.node(*name), Node::Sym(_))
}

fn all_elements(
    tokens: &[Token<'_>],
    ast: &mut Ast,
    budget: &mut Budget,
) -> Result<Vec<NodeId>, Stop> {
    let mut parser = Parser {
        tokens,
        at: 0,
        ast,
        budget,
        takes_lower_sign: false,
        saw_sign: false,
        bars: 0,
        nesting: 0,
    };
    let items = parser.elements()?;
    if parser.at < tokens.len() { Err(Stop::Unknown) } else { Ok(items) }
}

/// `p=5, q=2; p=7, q=2` is a list of tuples: where both signs stand outside of brackets, semicolons
/// divide the list and commas the tuples.
fn groups<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0_i32;
    let mut has_comma = false;
    let mut semicolons = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.tok {
            Tok::Open(_) | Tok::Matrix => depth += 1,
            Tok::Close(_) | Tok::EndMatrix => depth -= 1,
            Tok::Comma if depth == 0 => has_comma = true,
            Tok::Semicolon if depth == 0 => semicolons.push(at),
            _ => {}
        }
    }
    if !has_comma || semicolons.is_empty() {
        return vec![tokens];
    }
    let mut groups = Vec::with_capacity(semicolons.len() + 1);
    let mut start = 0;
    for at in semicolons {
        groups.push(&tokens[start..at]);
        start = at + 1;
    }
    groups.push(&tokens[start..]);
    groups
}

/// Letters that stand together are a unit behind a value and a product anywhere else.
fn split_runs<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut split: Vec<Token<'a>> = Vec::with_capacity(tokens.len() + 8);
    for token in tokens {
        let Tok::Run(run) = token.tok else {
            split.push(token.clone());
            continue;
        };
        let follows_value = matches!(
            split.last().map(|token| &token.tok),
            Some(Tok::Num(_) | Tok::Close(_) | Tok::Word(_) | Tok::Sym(_) | Tok::Percent)
        );
        if follows_value && is_plain_unit(run) {
            split.push(Token { tok: Tok::Word(run), spaced: token.spaced });
            continue;
        }
        for at in 0..run.len() {
            let tok = Tok::Sym(run.get(at..=at).unwrap_or("?"));
            split.push(Token { tok, spaced: at == 0 && token.spaced });
        }
    }
    split
}

/// Whether a text consists of several words.
fn is_remark(text: &str) -> bool {
    text.contains(char::is_whitespace)
}

struct Parser<'t, 'a, 'x> {
    tokens: &'t [Token<'a>],
    at: usize,
    ast: &'x mut Ast,
    budget: &'x mut Budget,
    /// Whether `±` stands for its lower sign.
    takes_lower_sign: bool,
    /// Whether `±` or `∓` was met.
    saw_sign: bool,
    /// Bars that are open in the innermost brackets.
    bars: u32,
    nesting: u32,
}

impl<'a> Parser<'_, 'a, '_> {
    fn peek(&self) -> Option<&Tok<'a>> {
        self.tokens.get(self.at).map(|token| &token.tok)
    }

    fn peek_after(&self, n: usize) -> Option<&Tok<'a>> {
        self.tokens.get(self.at + n).map(|token| &token.tok)
    }

    fn advance(&mut self) -> Result<(), Stop> {
        self.at += 1;
        self.budget.charge(2)
    }

    fn accept(&mut self, tok: &Tok<'_>) -> Result<bool, Stop> {
        let is_there = self.peek() == Some(tok);
        if is_there {
            self.advance()?;
        }
        Ok(is_there)
    }

    fn expect(&mut self, tok: &Tok<'_>) -> Result<(), Stop> {
        if self.accept(tok)? { Ok(()) } else { Err(Stop::Unknown) }
    }

    /// Elements of a list or a set: `±` makes two of one.
    fn elements(&mut self) -> Result<Vec<NodeId>, Stop> {
        let outer = std::mem::replace(&mut self.saw_sign, false);
        let lower = std::mem::replace(&mut self.takes_lower_sign, false);
        let mut items = Vec::new();
        loop {
            let start = self.at;
            self.saw_sign = false;
            items.push(self.relation()?);
            if self.saw_sign {
                self.at = start;
                self.takes_lower_sign = true;
                items.push(self.relation()?);
                self.takes_lower_sign = false;
            }
            if !self.separator()? {
                break;
            }
        }
        self.saw_sign = outer;
        self.takes_lower_sign = lower;
        Ok(items)
    }

    /// Elements of a tuple or an interval.
    fn ordered_elements(&mut self) -> Result<Vec<NodeId>, Stop> {
        let mut items = vec![self.relation()?];
        while self.separator()? {
            items.push(self.relation()?);
        }
        Ok(items)
    }

    /// A comma, a semicolon, `and`, `or`, or a comma before one of them.
    fn separator(&mut self) -> Result<bool, Stop> {
        let comma = matches!(self.peek(), Some(Tok::Comma | Tok::Semicolon));
        if comma {
            self.advance()?;
        }
        let also = self.accept(&Tok::Also)?;
        Ok(comma || also)
    }

    fn relation(&mut self) -> Result<NodeId, Stop> {
        let first = self.set_expression()?;
        if self.accept(&Tok::In)? {
            let set = self.set_expression()?;
            return self.ast.push(Node::In(first, set));
        }
        let mut sides = vec![first];
        let mut rels = Vec::new();
        while let Some(Tok::Rel(rel)) = self.peek() {
            rels.push(*rel);
            self.advance()?;
            sides.push(self.set_expression()?);
        }
        // What something is about says less than what it is: `x = 1/3 \approx 0.33`.
        while rels.len() > 1 && rels.last() == Some(&Rel::Other("approx")) {
            rels.pop();
            sides.pop();
        }
        if rels == [Rel::Other("approx")] {
            rels[0] = Rel::Eq;
        }
        if rels.is_empty() { Ok(first) } else { self.ast.chain(&sides, &rels) }
    }

    fn set_expression(&mut self) -> Result<NodeId, Stop> {
        let mut left = self.ratio()?;
        loop {
            let Some(operator @ (Tok::Cup | Tok::Cap | Tok::SetMinus)) = self.peek() else {
                return Ok(left);
            };
            let operator = operator.clone();
            if operator == Tok::SetMinus {
                self.advance()?;
                let right = self.ratio()?;
                left = self.ast.push(Node::SetMinus(left, right))?;
                continue;
            }
            let mut parts = vec![left];
            while self.accept(&operator)? {
                parts.push(self.ratio()?);
            }
            let kids = self.ast.list_of(&parts);
            left = self.ast.push(if operator == Tok::Cup {
                Node::Union(kids)
            } else {
                Node::Inter(kids)
            })?;
        }
    }

    fn ratio(&mut self) -> Result<NodeId, Stop> {
        let first = self.sum()?;
        if self.peek() != Some(&Tok::Colon) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.accept(&Tok::Colon)? {
            parts.push(self.sum()?);
        }
        let kids = self.ast.list_of(&parts);
        self.ast.push(Node::Ratio(kids))
    }

    /// Whether an odd number of signs was taken that make the next value negative.
    fn signs(&mut self) -> Result<bool, Stop> {
        let mut is_negative = false;
        loop {
            match self.peek() {
                Some(Tok::Plus) => {}
                Some(Tok::Minus) => is_negative = !is_negative,
                Some(Tok::PlusMinus) => {
                    self.saw_sign = true;
                    is_negative ^= self.takes_lower_sign;
                }
                Some(Tok::MinusPlus) => {
                    self.saw_sign = true;
                    is_negative ^= !self.takes_lower_sign;
                }
                _ => return Ok(is_negative),
            }
            self.advance()?;
        }
    }

    fn negated(&mut self, node: NodeId, is_negative: bool) -> Result<NodeId, Stop> {
        if is_negative { self.ast.push(Node::Neg(node)) } else { Ok(node) }
    }

    fn sum(&mut self) -> Result<NodeId, Stop> {
        let mut terms = Vec::new();
        loop {
            let is_negative = self.signs()?;
            let term = self.term()?;
            terms.push(self.negated(term, is_negative)?);
            if !matches!(
                self.peek(),
                Some(Tok::Plus | Tok::Minus | Tok::PlusMinus | Tok::MinusPlus)
            ) {
                break;
            }
        }
        let sum = if let [single] = terms[..] {
            single
        } else {
            let kids = self.ast.list_of(&terms);
            self.ast.push(Node::Add(kids))?
        };
        self.unit(sum)
    }

    fn term(&mut self) -> Result<NodeId, Stop> {
        let starts_with_remark = matches!(self.peek(), Some(Tok::Word(text)) if is_remark(text));
        let mut factors = vec![self.factor()?];
        loop {
            match self.peek() {
                Some(Tok::Times) => {
                    self.advance()?;
                    let factor = self.signed_factor()?;
                    factors.push(factor);
                }
                Some(Tok::Slash) => {
                    self.advance()?;
                    let below = self.signed_factor()?;
                    let above = self.product(&factors)?;
                    factors.clear();
                    factors.push(self.ast.push(Node::Div(above, below))?);
                }
                Some(_) if self.is_mixed_number() => {
                    let whole = factors.pop().ok_or(Stop::Unknown)?;
                    let mixed = self.mixed_number(whole)?;
                    factors.push(self.marks(mixed)?);
                }
                Some(tok) if self.starts_factor(tok) => {
                    let factor = self.factor()?;
                    factors.push(factor);
                }
                _ if starts_with_remark && factors.len() > 1 => return Err(Stop::Unknown),
                _ => return self.product(&factors),
            }
        }
    }

    fn product(&mut self, factors: &[NodeId]) -> Result<NodeId, Stop> {
        if let [single] = factors {
            return Ok(*single);
        }
        self.ast.product(factors)
    }

    fn signed_factor(&mut self) -> Result<NodeId, Stop> {
        let is_negative = self.signs()?;
        let factor = self.factor()?;
        self.negated(factor, is_negative)
    }

    /// Whether `tok` can follow a factor without an operator.
    fn starts_factor(&self, tok: &Tok<'_>) -> bool {
        let after_number = matches!(
            self.tokens.get(self.at.wrapping_sub(1)),
            Some(Token { tok: Tok::Num(_), .. })
        );
        match tok {
            Tok::Num(_) => !after_number,
            Tok::Bar => self.bars == 0,
            // Several words are a remark and no factor: `0 \text{ (maybe 7)}` is not zero.
            Tok::Word(text) => !is_remark(text) && self.unit_end().is_none(),
            Tok::Open(_)
            | Tok::Sym(_)
            | Tok::Func(_)
            | Tok::Log
            | Tok::Infinity
            | Tok::Frac
            | Tok::Binom
            | Tok::Sqrt
            | Tok::Accent(_)
            | Tok::Overline
            | Tok::BigOp(_)
            | Tok::Matrix => true,
            _ => false,
        }
    }

    /// A value with what is written behind it: powers, primes, factorials, percent and degree signs.
    fn factor(&mut self) -> Result<NodeId, Stop> {
        let node = self.value()?;
        self.marks(node)
    }

    fn marks(&mut self, mut node: NodeId) -> Result<NodeId, Stop> {
        loop {
            node = match self.peek() {
                Some(Tok::Caret) => {
                    self.advance()?;
                    match self.exponent()? {
                        Exponent::Degree => self.ast.push(Node::Degree(node))?,
                        Exponent::None => node,
                        Exponent::Value(exponent) => self.ast.push(Node::Pow(node, exponent))?,
                    }
                }
                Some(Tok::Under) => {
                    self.advance()?;
                    self.base_literal(node)?
                }
                Some(Tok::Bang) => {
                    self.advance()?;
                    if self.peek() == Some(&Tok::Bang) {
                        return Err(Stop::Unknown);
                    }
                    self.ast.push(Node::Fact(node))?
                }
                Some(Tok::Percent) => {
                    self.advance()?;
                    self.ast.push(Node::Percent(node))?
                }
                Some(Tok::Degree) => {
                    self.advance()?;
                    self.ast.push(Node::Degree(node))?
                }
                _ => return Ok(node),
            }
        }
    }

    fn exponent(&mut self) -> Result<Exponent, Stop> {
        let brace = Tok::Open(Bracket::Brace);
        let close = Tok::Close(Bracket::Brace);
        if self.accept(&Tok::Degree)? {
            return Ok(Exponent::Degree);
        }
        if self.peek() == Some(&brace) {
            match (self.peek_after(1), self.peek_after(2)) {
                (Some(Tok::Close(Bracket::Brace)), _) => {
                    self.at += 2;
                    return Ok(Exponent::None);
                }
                (Some(Tok::Degree), Some(tok)) if *tok == close => {
                    self.at += 3;
                    return Ok(Exponent::Degree);
                }
                _ => {}
            }
        }
        let is_negative = self.signs()?;
        let mut value = self.value()?;
        if self.accept(&Tok::Caret)? {
            let Exponent::Value(exponent) = self.nested(Self::exponent)? else {
                return Err(Stop::Unknown);
            };
            value = self.ast.push(Node::Pow(value, exponent))?;
        }
        Ok(Exponent::Value(self.negated(value, is_negative)?))
    }

    /// Runs `parse` one level deeper, which takes a list on each level of precedence.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.nesting >= MAX_NESTING {
            return Err(Stop::Unknown);
        }
        self.budget.charge(20)?;
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }
}

enum Exponent {
    Value(NodeId),
    Degree,
    None,
}

/// Functions whose power of minus one is their inverse.
fn inverse(func: Func) -> Option<Func> {
    match func {
        Func::Sin => Some(Func::Asin),
        Func::Cos => Some(Func::Acos),
        Func::Tan => Some(Func::Atan),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
