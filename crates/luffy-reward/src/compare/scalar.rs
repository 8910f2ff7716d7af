//! Numbers and formulas.

use dashu_ratio::RBig;

use super::canon;
use super::exact::fold;
use super::modular::FIELDS;
use super::numeric::Evaluator;
use super::point::{N_POINTS, Point};
use super::{Comparer, Decision, Means};
use crate::ball::{Field, Scalar};
use crate::budget::{Stop, known};
use crate::read::{Const, Func, Node, NodeId};

/// Points of the last look, which is dear.
const N_LAST: u32 = 5;

/// Of the points of a look one in two must show agreement, up to this many.
const ENOUGH_POINTS: u32 = 4;

/// Bits of the first and of the last look.
const FIRST_BITS: usize = 128;
const LAST_BITS: usize = 1024;

/// What one point says.
enum Sight {
    Same,
    Apart,
    Nothing,
}

impl Comparer<'_> {
    /// Compares two values, percent signs, degrees and units included.
    pub(super) fn scalars(&mut self, gold: NodeId, answer: NodeId) -> Result<Decision, Stop> {
        if self.rules.units_must_agree && self.units_clash(gold, answer) {
            return Ok(Decision::Different);
        }
        let mut decision = self.values(gold, answer)?;
        if self.rules.rounded_from_digits > 0
            && !decision.is_equal()
            && self.is_rounded(gold, answer)?
        {
            decision = Decision::Equal(Means::Numeric);
        }
        if !self.rules.percent_without_sign {
            return Ok(decision);
        }
        // A number of percent without its sign on one side; a gold without it must be a whole number,
        // for one half is not one half of a percent.
        let (percentage, number) = match (self.is_percentage(gold), self.is_percentage(answer)) {
            (true, false) => (gold, answer),
            (false, true) if self.is_whole(gold)? => (answer, gold),
            _ => return Ok(decision),
        };
        decision.or(|| {
            let hundred = self.ast.int(100)?;
            let scaled = self.ast.product(&[hundred, percentage])?;
            self.values(scaled, number)
        })
    }

    /// Whether one side is a decimal with enough digits, and the other differs from it by at most one
    /// unit of its last place.
    fn is_rounded(&mut self, gold: NodeId, answer: NodeId) -> Result<bool, Stop> {
        if self.has_names(gold) || self.has_names(answer) {
            return Ok(false);
        }
        let places =
            |value: Result<RBig, Stop>| value.ok().and_then(|value| decimal_places(&value));
        let (gold_places, answer_places) = (places(self.exact(gold)?), places(self.exact(answer)?));
        let enough = |found: Option<(u32, u32)>| {
            found.filter(|(_, digits)| *digits >= self.rules.rounded_from_digits)
        };
        let places = match (enough(gold_places), enough(answer_places)) {
            (Some((gold, _)), Some((answer, _))) => gold.min(answer),
            (Some((places, _)), None) | (None, Some((places, _))) => places,
            (None, None) => return Ok(false),
        };
        let difference = self.difference(gold, answer)?;
        let field = Field::with_precision(4 * LAST_BITS / 8);
        let evaluator = Evaluator { ast: self.ast, field: &field, point: Point(0) };
        let difference = known(evaluator.eval(difference, self.budget))?;
        // 3.33 > log2(10).
        let limit = -3.33 * f64::from(places);
        Ok(difference.is_some_and(|difference| (field.log2_abs(&difference) as f64) <= limit))
    }

    fn is_whole(&mut self, id: NodeId) -> Result<bool, Stop> {
        Ok(self.exact(id)?.is_ok_and(|value| value.is_int()))
    }

    fn is_percentage(&self, id: NodeId) -> bool {
        match self.ast.node(id) {
            Node::Percent(_) => true,
            Node::Neg(a) | Node::Unit(a, _) => self.is_percentage(*a),
            _ => false,
        }
    }

    /// Infinity and its sign.
    fn infinite(&self, id: NodeId) -> Option<bool> {
        match self.ast.node(id) {
            Node::Infinity => Some(true),
            Node::Neg(a) => self.infinite(*a).map(|is_positive| !is_positive),
            _ => None,
        }
    }

    pub(super) fn values(&mut self, gold: NodeId, answer: NodeId) -> Result<Decision, Stop> {
        if self.ast.is_same(gold, answer) {
            return Ok(Decision::Equal(Means::Identical));
        }
        match (self.infinite(gold), self.infinite(answer)) {
            (None, None) => {}
            (a, b) if a == b => return Ok(Decision::Equal(Means::Exact)),
            _ => return Ok(Decision::Different),
        }
        let exact_gold = self.exact(gold)?;
        let exact_answer = self.exact(answer)?;
        match (&exact_gold, &exact_answer) {
            (Ok(gold), Ok(answer)) if gold == answer => return Ok(Decision::Equal(Means::Exact)),
            (Ok(_), Ok(_) | Err(Stop::Undefined)) => return Ok(Decision::Different),
            _ => {}
        }
        // One point tells most formulas apart; only then is it worth the trouble to prove them equal.
        let machine = Field::machine();
        if self.look::<f64>(&machine, gold, answer, 1)? == Decision::Different {
            return Ok(Decision::Different);
        }
        if known(canon::are_equal(self.ast, gold, answer, self.budget))? == Some(true) {
            return Ok(Decision::Equal(Means::Symbolic));
        }
        if self.look::<f64>(&machine, gold, answer, N_POINTS)? == Decision::Different {
            return Ok(Decision::Different);
        }
        if let Some(is_same) = self.same_in_fields(gold, answer)? {
            if is_same {
                return Ok(Decision::Equal(Means::Symbolic));
            }
            if self.is_algebraic_constant(gold) && self.is_algebraic_constant(answer) {
                return Ok(Decision::Different);
            }
        }
        let first = Field::with_precision(FIRST_BITS);
        match self.look(&first, gold, answer, N_POINTS)? {
            Decision::Equal(_) => {}
            other => return Ok(other),
        }
        self.look(&Field::with_precision(LAST_BITS), gold, answer, N_LAST)
    }

    /// The rational value, if there is one; the outer error is a spent budget.
    pub(super) fn exact(&mut self, id: NodeId) -> Result<Result<RBig, Stop>, Stop> {
        match fold(self.ast, id, None, self.budget) {
            Err(Stop::OverBudget) => Err(Stop::OverBudget),
            result => Ok(result),
        }
    }

    /// Whether both have the same value in both finite fields; `None` where one has no value there.
    fn same_in_fields(&mut self, gold: NodeId, answer: NodeId) -> Result<Option<bool>, Stop> {
        for field in &FIELDS {
            let mut value = |id| known(field.eval(self.ast, id, self.budget));
            match (value(gold)?, value(answer)?) {
                (Some(gold), Some(answer)) if gold == answer => {}
                (Some(_), Some(_)) => return Ok(Some(false)),
                _ => return Ok(None),
            }
        }
        Ok(Some(true))
    }

    /// Whether an expression has neither names nor transcendental constants: then what differs in a
    /// finite field differs.
    fn is_algebraic_constant(&self, id: NodeId) -> bool {
        match self.ast.node(id) {
            Node::Num(_) | Node::Const(Const::I) => true,
            Node::Neg(a)
            | Node::Root(a, _)
            | Node::Percent(a)
            | Node::Fact(a)
            | Node::Unit(a, _) => self.is_algebraic_constant(*a),
            Node::Div(a, b) | Node::Pow(a, b) => {
                self.is_algebraic_constant(*a) && self.is_algebraic_constant(*b)
            }
            Node::Add(kids) | Node::Mul(kids) => {
                self.ast.kids(*kids).iter().all(|kid| self.is_algebraic_constant(*kid))
            }
            _ => false,
        }
    }

    /// Compares at up to `n_points` points.
    fn look<S: Scalar>(
        &mut self,
        field: &Field<S>,
        gold: NodeId,
        answer: NodeId,
        n_points: u32,
    ) -> Result<Decision, Stop> {
        let is_constant = !self.has_names(gold) && !self.has_names(answer);
        let n_points = if is_constant { 1 } else { n_points };
        let mut n_same = 0;
        for point in 0..n_points {
            match self.look_at(field, gold, answer, Point(point))? {
                Sight::Apart => return Ok(Decision::Different),
                Sight::Same if Point(point).is_positive() => n_same += 1,
                Sight::Same | Sight::Nothing => {}
            }
        }
        if !is_constant && (self.has_steps(gold) || self.has_steps(answer)) {
            // Floors and ceilings may agree everywhere but at their steps.
            for point in Point::whole() {
                if let Sight::Apart = self.look_at(field, gold, answer, point)? {
                    return Ok(Decision::Different);
                }
            }
        }
        let is_enough = n_same >= ENOUGH_POINTS.min(n_points.div_ceil(2));
        Ok(if is_enough { Decision::Equal(Means::Numeric) } else { Decision::Undecided })
    }

    fn look_at<S: Scalar>(
        &mut self,
        field: &Field<S>,
        gold: NodeId,
        answer: NodeId,
        point: Point,
    ) -> Result<Sight, Stop> {
        let evaluator = Evaluator { ast: self.ast, field, point };
        let mut value = |id| known(evaluator.eval(id, self.budget));
        let (Some(gold), Some(answer)) = (value(gold)?, value(answer)?) else {
            return Ok(Sight::Nothing);
        };
        // Where names are negative, even roots leave the real line: such a point says nothing.
        let are_real = field.is_real(&gold) && field.is_real(&answer);
        if !point.is_positive() && !are_real {
            return Ok(Sight::Nothing);
        }
        let Some(difference) = known(field.sub(&gold, &answer, self.budget))? else {
            return Ok(Sight::Nothing);
        };
        if !field.contains_zero(&difference) {
            return Ok(Sight::Apart);
        }
        let scale = field.log2_abs(&gold).max(field.log2_abs(&answer)).max(0);
        let is_sharp =
            field.log2_radius(&difference) < scale.saturating_sub(field.bits() as i64 / 2);
        // What was rounded away on the way may be the difference; the last look decides.
        let is_last = field.bits() >= LAST_BITS;
        let is_whole = !is_last || !field.absorbed(&gold) && !field.absorbed(&answer);
        Ok(if is_sharp && is_whole { Sight::Same } else { Sight::Nothing })
    }

    /// Whether there is a floor or a ceiling in an expression.
    fn has_steps(&self, id: NodeId) -> bool {
        match self.ast.node(id) {
            Node::Fn(Func::Floor | Func::Ceil, _) => true,
            Node::Add(kids) | Node::Mul(kids) | Node::Fn(_, kids) => {
                self.ast.kids(*kids).iter().any(|kid| self.has_steps(*kid))
            }
            Node::Neg(a) | Node::Root(a, _) | Node::Abs(a) | Node::Fact(a) | Node::Unit(a, _) => {
                self.has_steps(*a)
            }
            Node::Div(a, b) | Node::Pow(a, b) | Node::Log(a, b) => {
                self.has_steps(*a) || self.has_steps(*b)
            }
            _ => false,
        }
    }

    pub(super) fn has_names(&self, id: NodeId) -> bool {
        match self.ast.node(id) {
            Node::Sym(_) => true,
            Node::Add(kids) | Node::Mul(kids) | Node::Fn(_, kids) => {
                self.ast.kids(*kids).iter().any(|kid| self.has_names(*kid))
            }
            Node::Neg(a)
            | Node::Root(a, _)
            | Node::Abs(a)
            | Node::Fact(a)
            | Node::Percent(a)
            | Node::Degree(a)
            | Node::Unit(a, _) => self.has_names(*a),
            Node::Div(a, b) | Node::Pow(a, b) | Node::Log(a, b) => {
                self.has_names(*a) || self.has_names(*b)
            }
            _ => false,
        }
    }
}

/// Digits behind the point, and significant digits, of a number that is a decimal and not whole.
fn decimal_places(value: &RBig) -> Option<(u32, u32)> {
    const MAX_PLACES: u32 = 60;
    if value.is_int() {
        return None;
    }
    let mut scaled = value.clone();
    for places in 1..=MAX_PLACES {
        scaled *= RBig::from(10);
        if scaled.is_int() {
            let digits = scaled.numerator().to_string().trim_start_matches('-').len();
            return Some((places, digits as u32));
        }
    }
    None
}

#[cfg(test)]
mod tests;
