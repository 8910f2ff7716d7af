//! Single values: numbers, names, brackets, fractions, roots, functions, matrices.

use std::fmt::Write as _;

use dashu_int::UBig;
use dashu_ratio::RBig;

use super::super::ast::{Const, Node, NodeId};
use super::super::token::{Bracket, Func, Numeral, Tok, Token};
use super::{Exponent, Parser, inverse};
use crate::budget::Stop;

/// Powers of ten up to this one are written out.
const MAX_EXP10: i64 = 2000;

impl<'a> Parser<'_, 'a, '_> {
    /// One value, without anything behind it.
    pub(super) fn value(&mut self) -> Result<NodeId, Stop> {
        let tok = self.peek().ok_or(Stop::Unknown)?.clone();
        match tok {
            Tok::Num(number) => {
                self.advance()?;
                self.number(number)
            }
            Tok::Sym(name) => {
                self.advance()?;
                self.symbol(name)
            }
            Tok::Word(name) => {
                self.advance()?;
                self.word(name)
            }
            Tok::Accent(name) => {
                self.advance()?;
                self.accented(name)
            }
            Tok::Overline => {
                self.advance()?;
                self.accented("overline")
            }
            Tok::Infinity => {
                self.advance()?;
                self.ast.push(Node::Infinity)
            }
            Tok::EmptySet => {
                self.advance()?;
                self.ast.push(Node::Empty)
            }
            Tok::Open(bracket) => {
                self.advance()?;
                self.nested(|parser| parser.group(bracket))
            }
            Tok::Bar | Tok::DoubleBar => {
                self.advance()?;
                self.nested(|parser| parser.bars(&tok))
            }
            Tok::Frac | Tok::Binom => {
                self.advance()?;
                self.nested(|parser| {
                    let above = parser.argument()?;
                    let below = parser.argument()?;
                    if tok == Tok::Frac {
                        parser.ast.push(Node::Div(above, below))
                    } else {
                        parser.function_of(Func::Binom, &[above, below])
                    }
                })
            }
            Tok::Sqrt => {
                self.advance()?;
                self.nested(Self::root)
            }
            Tok::Func(func) => {
                self.advance()?;
                self.nested(|parser| parser.function(func))
            }
            Tok::Log => {
                self.advance()?;
                self.nested(Self::logarithm)
            }
            Tok::BigOp(name) => {
                self.advance()?;
                self.big_operator(name)
            }
            Tok::Matrix => {
                self.advance()?;
                self.nested(Self::matrix)
            }
            _ => Err(Stop::Unknown),
        }
    }

    fn number(&mut self, number: Numeral) -> Result<NodeId, Stop> {
        let Numeral { value, exp10, .. } = number;
        if exp10 == 0 {
            return self.ast.push(Node::Num(value));
        }
        if exp10.abs() > MAX_EXP10 {
            return self.ast.push(Node::Sci(value, exp10));
        }
        self.budget.charge(exp10.unsigned_abs().pow(2) / 2_000)?;
        let power = RBig::from(UBig::from_word(10).pow(exp10.unsigned_abs() as usize));
        self.ast.push(Node::Num(if exp10 > 0 { value * power } else { value / power }))
    }

    /// A word is the product of its letters, as it would be outside of `\text{}`.
    fn word(&mut self, word: &'a str) -> Result<NodeId, Stop> {
        let is_plain = word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let has_marks = matches!(self.peek(), Some(Tok::Under | Tok::Prime));
        if word.len() == 1 || !is_plain || has_marks {
            return self.symbol(word);
        }
        let mut letters = Vec::with_capacity(word.len());
        for at in 0..word.len() {
            letters.push(self.constant_or_name(word.get(at..=at).unwrap_or("?"))?);
        }
        self.product(&letters)
    }

    fn constant_or_name(&mut self, name: &str) -> Result<NodeId, Stop> {
        match name {
            "e" => self.ast.push(Node::Const(Const::E)),
            "i" => self.ast.push(Node::Const(Const::I)),
            "pi" => self.ast.push(Node::Const(Const::Pi)),
            _ => self.ast.sym(name),
        }
    }

    /// A name with its subscript and its primes; `e`, `i` and `\pi` alone are constants.
    fn symbol(&mut self, name: &'a str) -> Result<NodeId, Stop> {
        let has_marks = matches!(self.peek(), Some(Tok::Under | Tok::Prime))
            || self.peek() == Some(&Tok::Caret) && self.prime_in_exponent().is_some();
        if let [
            Token { tok: Tok::Open(Bracket::Round), spaced: false },
            Token { tok: Tok::Num(number), .. },
            Token { tok: Tok::Close(Bracket::Round), .. },
            ..,
        ] = &self.tokens[self.at..]
            && name != "pi"
        {
            // A function at a number: `I(0)` is no product.
            let spelling = format!("{name}({})", number.value);
            self.at += 3;
            return self.ast.sym(&spelling);
        }
        if !has_marks {
            return self.constant_or_name(name);
        }
        self.marked(name.to_owned())
    }

    /// Subscripts and primes behind a name.
    fn marked(&mut self, mut spelling: String) -> Result<NodeId, Stop> {
        loop {
            match self.peek() {
                Some(Tok::Under) => {
                    self.advance()?;
                    spelling.push('_');
                    self.spell_argument(&mut spelling)?;
                }
                Some(Tok::Prime) => {
                    self.advance()?;
                    spelling.push('\'');
                }
                Some(Tok::Caret) => match self.prime_in_exponent() {
                    Some(len) => {
                        for _ in 0..len {
                            if self.peek() == Some(&Tok::Prime) {
                                spelling.push('\'');
                            }
                            self.advance()?;
                        }
                    }
                    None => break,
                },
                _ => break,
            }
        }
        self.ast.sym(&spelling)
    }

    /// The number of tokens of `^\prime`, `^{\prime}`, `^{\prime\prime}` if they stand here.
    fn prime_in_exponent(&self) -> Option<usize> {
        match self.peek_after(1)? {
            Tok::Prime => Some(2),
            Tok::Open(Bracket::Brace) => {
                let mut ahead = 2;
                while self.peek_after(ahead) == Some(&Tok::Prime) {
                    ahead += 1;
                }
                let closes = self.peek_after(ahead) == Some(&Tok::Close(Bracket::Brace));
                (ahead > 2 && closes).then_some(ahead + 1)
            }
            _ => None,
        }
    }

    fn accented(&mut self, accent: &str) -> Result<NodeId, Stop> {
        let mut spelling = format!("{accent}:");
        self.spell_argument(&mut spelling)?;
        self.marked(spelling)
    }

    /// Adds the next token, or what the braces hold that open here, to a spelling.
    fn spell_argument(&mut self, spelling: &mut String) -> Result<(), Stop> {
        let mut depth = 0_u32;
        loop {
            let tok = self.peek().ok_or(Stop::Unknown)?.clone();
            self.advance()?;
            match tok {
                Tok::Open(Bracket::Brace) => depth += 1,
                Tok::Close(Bracket::Brace) => depth = depth.checked_sub(1).ok_or(Stop::Unknown)?,
                Tok::Close(_) | Tok::Comma | Tok::Rel(_) if depth == 0 => {
                    return Err(Stop::Unknown);
                }
                tok => spell(&tok, spelling),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn group(&mut self, open: Bracket) -> Result<NodeId, Stop> {
        let bars = std::mem::replace(&mut self.bars, 0);
        let node = self.group_content(open)?;
        self.bars = bars;
        Ok(node)
    }

    fn group_content(&mut self, open: Bracket) -> Result<NodeId, Stop> {
        match open {
            Bracket::Set => {
                if self.accept(&Tok::Close(Bracket::Set))? {
                    return self.ast.push(Node::Empty);
                }
                let items = self.elements()?;
                if let ([_], Some(Tok::Mid | Tok::Bar)) = (&items[..], self.peek()) {
                    // Of `{x | x > 2}` the condition is what counts.
                    self.advance()?;
                    let condition = self.relation()?;
                    self.expect(&Tok::Close(Bracket::Set))?;
                    return match self.ast.node(condition) {
                        Node::Chain(..) | Node::In(..) => Ok(condition),
                        _ => Err(Stop::Unknown),
                    };
                }
                self.expect(&Tok::Close(Bracket::Set))?;
                let kids = self.ast.list_of(&items);
                self.ast.push(Node::Set(kids))
            }
            Bracket::Brace => {
                let items = self.ordered_elements()?;
                if let ([above], Some(infix @ (Tok::Over | Tok::Choose))) =
                    (&items[..], self.peek())
                {
                    let (above, is_over) = (*above, *infix == Tok::Over);
                    self.advance()?;
                    let below = self.sum()?;
                    self.expect(&Tok::Close(Bracket::Brace))?;
                    return if is_over {
                        self.ast.push(Node::Div(above, below))
                    } else {
                        self.function_of(Func::Binom, &[above, below])
                    };
                }
                self.expect(&Tok::Close(Bracket::Brace))?;
                if let [single] = items[..] {
                    return Ok(single);
                }
                let kids = self.ast.list_of(&items);
                self.ast.push(Node::List(kids))
            }
            Bracket::Floor | Bracket::Ceil => {
                let inner = self.sum()?;
                self.expect(&Tok::Close(open))?;
                let func = if open == Bracket::Floor { Func::Floor } else { Func::Ceil };
                self.function_of(func, &[inner])
            }
            Bracket::Angle => {
                let items = self.ordered_elements()?;
                self.expect(&Tok::Close(Bracket::Angle))?;
                let kids = self.ast.list_of(&items);
                self.ast.push(Node::Brackets(Bracket::Round, kids, Bracket::Round))
            }
            Bracket::Round | Bracket::Square => {
                let items = self.ordered_elements()?;
                let Some(Tok::Close(close @ (Bracket::Round | Bracket::Square))) = self.peek()
                else {
                    return Err(Stop::Unknown);
                };
                let close = *close;
                self.advance()?;
                if let [single] = items[..] {
                    return if open == close { Ok(single) } else { Err(Stop::Unknown) };
                }
                let kids = self.ast.list_of(&items);
                self.ast.push(Node::Brackets(open, kids, close))
            }
        }
    }

    fn bars(&mut self, bar: &Tok<'a>) -> Result<NodeId, Stop> {
        self.bars += 1;
        let inner = self.sum()?;
        self.expect(bar)?;
        self.bars -= 1;
        self.ast.push(Node::Abs(inner))
    }

    /// The argument of `\frac` and its kind: braces, or a single value.
    fn argument(&mut self) -> Result<NodeId, Stop> {
        let is_negative = self.accept(&Tok::Minus)?;
        let value = self.value()?;
        self.negated(value, is_negative)
    }

    fn root(&mut self) -> Result<NodeId, Stop> {
        let mut index = None;
        if self.accept(&Tok::Open(Bracket::Square))? {
            index = Some(self.sum()?);
            self.expect(&Tok::Close(Bracket::Square))?;
        }
        let inner = self.argument()?;
        let Some(index) = index else {
            return self.ast.push(Node::Root(inner, 2));
        };
        if let Node::Num(number) = self.ast.node(index)
            && let Ok(degree) = i64::try_from(number.numerator().clone())
            && number.is_int()
            && let Ok(degree) = u32::try_from(degree)
            && degree > 0
        {
            return self.ast.push(Node::Root(inner, degree));
        }
        let one = self.ast.int(1)?;
        let exponent = self.ast.push(Node::Div(one, index))?;
        self.ast.push(Node::Pow(inner, exponent))
    }

    pub(super) fn function_of(&mut self, func: Func, arguments: &[NodeId]) -> Result<NodeId, Stop> {
        let kids = self.ast.list_of(arguments);
        self.ast.push(Node::Fn(func, kids))
    }

    fn function(&mut self, func: Func) -> Result<NodeId, Stop> {
        let mut func = func;
        let exponent = self.function_exponent()?;
        let mut power = None;
        if let Some(exponent) = exponent {
            let is_inverse = match self.ast.node(exponent) {
                Node::Neg(one) => {
                    matches!(self.ast.node(*one), Node::Num(one) if *one == RBig::ONE)
                }
                _ => false,
            };
            match inverse(func) {
                Some(inverse) if is_inverse => func = inverse,
                _ => power = Some(exponent),
            }
        }
        let arguments = self.function_arguments()?;
        let many = matches!(func, Func::Max | Func::Min | Func::Gcd | Func::Lcm);
        let n_expected = if func == Func::Binom { 2 } else { 1 };
        if !many && arguments.len() != n_expected {
            return Err(Stop::Unknown);
        }
        let mut node = match (func, &arguments[..]) {
            (Func::Abs, [inner]) => self.ast.push(Node::Abs(*inner))?,
            (Func::Factorial, [inner]) => self.ast.push(Node::Fact(*inner))?,
            (Func::Lg, [inner]) => {
                let ten = self.ast.int(10)?;
                self.ast.push(Node::Log(ten, *inner))?
            }
            (Func::Exp, [inner]) => {
                let base = self.ast.push(Node::Const(Const::E))?;
                self.ast.push(Node::Pow(base, *inner))?
            }
            _ => self.function_of(func, &arguments)?,
        };
        if let Some(power) = power {
            node = self.ast.push(Node::Pow(node, power))?;
        }
        Ok(node)
    }

    fn function_exponent(&mut self) -> Result<Option<NodeId>, Stop> {
        if !self.accept(&Tok::Caret)? {
            return Ok(None);
        }
        match self.exponent()? {
            Exponent::Value(exponent) => Ok(Some(exponent)),
            _ => Err(Stop::Unknown),
        }
    }

    fn logarithm(&mut self) -> Result<NodeId, Stop> {
        let mut base = None;
        if self.accept(&Tok::Under)? {
            base = Some(self.argument()?);
        }
        let power = self.function_exponent()?;
        let arguments = self.function_arguments()?;
        let mut node = match (&arguments[..], base) {
            ([inner], None) => self.function_of(Func::Ln, &[*inner])?,
            ([inner], Some(base)) => self.ast.push(Node::Log(base, *inner))?,
            // log(x, base), as Python writes it.
            ([inner, base], None) => self.ast.push(Node::Log(*base, *inner))?,
            _ => return Err(Stop::Unknown),
        };
        if let Some(power) = power {
            node = self.ast.push(Node::Pow(node, power))?;
        }
        Ok(node)
    }

    /// What brackets hold behind a function, or the product up to the next function, sign or bracket.
    fn function_arguments(&mut self) -> Result<Vec<NodeId>, Stop> {
        if let Some(Tok::Open(open @ (Bracket::Round | Bracket::Square | Bracket::Brace))) =
            self.peek()
        {
            let open = *open;
            let node = {
                self.advance()?;
                self.nested(|parser| parser.group(open))?
            };
            if let Node::Brackets(_, kids, _) = self.ast.node(node) {
                return Ok(self.ast.kids(*kids).to_vec());
            }
            return Ok(vec![node]);
        }
        let is_negative = self.accept(&Tok::Minus)?;
        let mut factors = vec![self.factor()?];
        while let Some(
            Tok::Num(_)
            | Tok::Sym(_)
            | Tok::Frac
            | Tok::Sqrt
            | Tok::Accent(_)
            | Tok::Overline
            | Tok::Open(Bracket::Brace),
        ) = self.peek()
        {
            if matches!(self.peek(), Some(Tok::Num(_)))
                && matches!(self.tokens[self.at - 1].tok, Tok::Num(_))
            {
                return Err(Stop::Unknown);
            }
            factors.push(self.factor()?);
        }
        let product = self.product(&factors)?;
        Ok(vec![self.negated(product, is_negative)?])
    }

    /// A sum, an integral or a limit: a name made of everything up to the end of the element.
    fn big_operator(&mut self, name: &str) -> Result<NodeId, Stop> {
        let mut spelling = format!("{name}:");
        let mut depth = 0_u32;
        while let Some(tok) = self.peek() {
            match tok {
                Tok::Open(_) => depth += 1,
                Tok::Close(_) if depth == 0 => break,
                Tok::Close(_) => depth -= 1,
                Tok::Comma | Tok::Semicolon | Tok::Also | Tok::Rel(_) | Tok::Cell | Tok::Row
                    if depth == 0 =>
                {
                    break;
                }
                Tok::Bad => return Err(Stop::Unknown),
                _ => {}
            }
            spell(tok, &mut spelling);
            self.advance()?;
        }
        self.ast.sym(&spelling)
    }

    fn matrix(&mut self) -> Result<NodeId, Stop> {
        let mut cells = Vec::new();
        let mut n_columns = None;
        let mut in_row = 0_u32;
        loop {
            cells.push(self.relation()?);
            in_row += 1;
            if self.accept(&Tok::Cell)? {
                continue;
            }
            if *n_columns.get_or_insert(in_row) != in_row {
                return Err(Stop::Unknown);
            }
            in_row = 0;
            let mut ends_row = false;
            while self.accept(&Tok::Row)? {
                ends_row = true;
            }
            if self.accept(&Tok::EndMatrix)? {
                break;
            }
            if !ends_row {
                return Err(Stop::Unknown);
            }
        }
        let kids = self.ast.list_of(&cells);
        self.ast.push(Node::Matrix(kids, n_columns.unwrap_or(1)))
    }

    /// `52_8`: digits with the base they are written in.
    pub(super) fn base_literal(&mut self, node: NodeId) -> Result<NodeId, Stop> {
        let base = self.argument()?;
        let (Node::Num(digits), Node::Num(base)) = (self.ast.node(node), self.ast.node(base))
        else {
            return Err(Stop::Unknown);
        };
        let base =
            u32::try_from(base.numerator().clone()).ok().filter(|base| (2..=36).contains(base));
        let (true, Some(base)) = (digits.is_int(), base) else { return Err(Stop::Unknown) };
        let spelling = digits.numerator().to_string();
        self.budget.charge(spelling.len() as u64)?;
        if base == 10 {
            return Ok(node);
        }
        let value = UBig::from_str_radix(&spelling, base).map_err(|_| Stop::Unknown)?;
        self.ast.push(Node::Based(value, base))
    }
}

/// Adds the spelling of a token, white space and braces aside.
pub(super) fn spell(tok: &Tok<'_>, out: &mut String) {
    match tok {
        Tok::Num(number) => {
            out.push_str(&number.value.to_string());
            if number.exp10 != 0 {
                out.push('e');
                out.push_str(&number.exp10.to_string());
            }
        }
        Tok::Sym(name)
        | Tok::Word(name)
        | Tok::Run(name)
        | Tok::Accent(name)
        | Tok::BigOp(name) => {
            let letters: String = name.split_whitespace().collect();
            out.push_str(&letters);
            if letters.len() > 1 {
                out.push(' ');
            }
        }
        Tok::Open(Bracket::Brace) | Tok::Close(Bracket::Brace) => {}
        other => {
            write!(out, "{other:?} ").expect("writing to a string never fails");
        }
    }
}
