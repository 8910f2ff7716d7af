//! Equations, inequalities and what they say of a single name.

use super::{Comparer, Decision};
use crate::budget::Stop;
use crate::read::{Bracket, Const, Node, NodeId, Rel};

impl Comparer<'_> {
    /// The sides and operators of a chain.
    pub(super) fn chain(&self, id: NodeId) -> Option<(Vec<NodeId>, Vec<Rel>)> {
        let Node::Chain(kids, first) = self.ast.node(id) else { return None };
        let sides = self.ast.kids(*kids).to_vec();
        let rels = self.ast.rels(*first, sides.len()).to_vec();
        Some((sides, rels))
    }

    /// What a name is said to be: the last side of `x = ... = 3`, the set of `x \in S`.
    pub(super) fn named_value(&self, id: NodeId) -> Option<NodeId> {
        match self.ast.node(id) {
            Node::In(name, set) => self.is_name(*name).then_some(*set),
            Node::Chain(kids, first) => {
                let sides = self.ast.kids(*kids);
                let are_equal =
                    self.ast.rels(*first, sides.len()).iter().all(|rel| *rel == Rel::Eq);
                (are_equal && self.is_name(sides[0])).then(|| sides[sides.len() - 1])
            }
            _ => None,
        }
    }

    /// Whether an expression names something: `x`, `x_1`, `f(x)`, `AB`, `|AB|`, `dM/dt`, `(x, y)`.
    pub(super) fn is_name(&self, id: NodeId) -> bool {
        match self.ast.node(id) {
            Node::Sym(_) => true,
            // `e` and `i` name quantities as often as numbers; nobody calls a quantity pi.
            Node::Const(constant) => *constant != Const::Pi,
            Node::Mul(kids) => {
                let kids = self.ast.kids(*kids);
                self.is_name(kids[0])
                    && kids[1..].iter().all(|kid| {
                        self.is_name(*kid)
                            || matches!(
                                self.ast.node(*kid),
                                Node::Num(_) | Node::Const(_) | Node::Brackets(..)
                            )
                    })
            }
            Node::Brackets(_, kids, _) | Node::Ratio(kids) => {
                self.ast.kids(*kids).iter().all(|kid| self.is_name(*kid))
            }
            Node::Abs(a) | Node::Degree(a) => self.is_name(*a),
            Node::Fn(_, kids) => self
                .ast
                .kids(*kids)
                .iter()
                .all(|kid| self.is_name(*kid) || matches!(self.ast.node(*kid), Node::Const(_))),
            Node::Div(a, b) => self.is_name(*a) && self.is_name(*b),
            Node::Pow(a, b) => self.is_name(*a) && matches!(self.ast.node(*b), Node::Num(_)),
            _ => false,
        }
    }

    /// Compares two chains of relations.
    pub(super) fn chains(&mut self, gold: NodeId, answer: NodeId) -> Result<Decision, Stop> {
        let (Some((gold_sides, gold_rels)), Some((mut sides, mut rels))) =
            (self.chain(gold), self.chain(answer))
        else {
            return Ok(Decision::Different);
        };
        // The value of the same name, whatever was written on the way to it.
        if let (Some(gold_value), Some(value)) = (self.named_value(gold), self.named_value(answer))
            && self.shapes(gold_sides[0], sides[0])?.is_equal()
        {
            return self.shapes(gold_value, value);
        }
        if gold_sides.len() != sides.len() {
            return Ok(Decision::Different);
        }
        if let ([gold_rel], [rel]) = (&gold_rels[..], &rels[..]) {
            return self.single_relations(&gold_sides, *gold_rel, &sides, *rel);
        }
        let as_written = self.sides(&gold_sides, &gold_rels, &sides, &rels)?;
        as_written.or(|| {
            sides.reverse();
            rels.reverse();
            let flipped: Vec<Rel> = rels.iter().map(|rel| rel.flipped()).collect();
            self.sides(&gold_sides, &gold_rels, &sides, &flipped)
        })
    }

    fn sides(
        &mut self,
        gold_sides: &[NodeId],
        gold_rels: &[Rel],
        sides: &[NodeId],
        rels: &[Rel],
    ) -> Result<Decision, Stop> {
        if gold_rels != rels {
            return Ok(Decision::Different);
        }
        self.in_order(gold_sides, sides)
    }

    /// `a < b` against `c < d`: one difference of sides must be a multiple of the other.
    fn single_relations(
        &mut self,
        gold_sides: &[NodeId],
        gold_rel: Rel,
        sides: &[NodeId],
        rel: Rel,
    ) -> Result<Decision, Stop> {
        let as_written = self.sides(gold_sides, &[gold_rel], sides, &[rel])?;
        if as_written.is_equal() || matches!(gold_rel, Rel::Other(_)) {
            return Ok(as_written);
        }
        let swapped = [sides[1], sides[0]];
        let flipped = self.sides(gold_sides, &[gold_rel], &swapped, &[rel.flipped()])?;
        if flipped.is_equal() {
            return Ok(flipped);
        }
        if !(gold_sides.iter().chain(sides).all(|side| self.is_scalar(*side))) {
            return Ok(Decision::Different);
        }
        let gold_difference = self.difference(gold_sides[0], gold_sides[1])?;
        let difference = self.difference(sides[0], sides[1])?;
        match gold_rel {
            Rel::Eq | Rel::Ne if rel == gold_rel => {
                self.multiples(gold_difference, difference, None)
            }
            Rel::Lt | Rel::Le | Rel::Gt | Rel::Ge if rel == gold_rel => {
                self.multiples(gold_difference, difference, Some(true))
            }
            Rel::Lt | Rel::Le | Rel::Gt | Rel::Ge if rel.flipped() == gold_rel => {
                self.multiples(gold_difference, difference, Some(false))
            }
            _ => Ok(Decision::Different),
        }
    }

    pub(super) fn difference(&mut self, a: NodeId, b: NodeId) -> Result<NodeId, Stop> {
        let minus = self.ast.push(Node::Neg(b))?;
        let kids = self.ast.list_of(&[a, minus]);
        self.ast.push(Node::Add(kids))
    }

    /// Whether one expression is a constant times the other; `is_positive` asks for the sign of it.
    fn multiples(
        &mut self,
        a: NodeId,
        b: NodeId,
        is_positive: Option<bool>,
    ) -> Result<Decision, Stop> {
        // The factor is what they are to each other where every name is one number, and a / b = k
        // there means that a - k b must vanish everywhere.
        let Some(factor) = self.factor_between(a, b)? else { return Ok(Decision::Undecided) };
        if is_positive.is_some_and(|is_positive| is_positive != (factor > dashu_ratio::RBig::ZERO))
        {
            return Ok(Decision::Different);
        }
        let factor = self.ast.push(Node::Num(factor))?;
        let scaled = self.ast.product(&[factor, b])?;
        self.values(a, scaled)
    }

    /// A chain that bounds one name, as the interval of its values.
    pub(super) fn solution(&mut self, id: NodeId) -> Result<Option<NodeId>, Stop> {
        let Some((sides, rels)) = self.chain(id) else { return Ok(None) };
        let is_below = |rel: Rel| matches!(rel, Rel::Lt | Rel::Le);
        let is_above = |rel: Rel| matches!(rel, Rel::Gt | Rel::Ge);
        let (low, high, name) = match (&sides[..], &rels[..]) {
            ([a, b], [rel]) if is_below(*rel) || is_above(*rel) => {
                let (left, right, rel) =
                    if is_below(*rel) { (*a, *b, *rel) } else { (*b, *a, rel.flipped()) };
                if self.is_bounded_name(left) {
                    (None, Some((right, rel)), left)
                } else {
                    (Some((left, rel)), None, right)
                }
            }
            ([a, b, c], [first, second]) if is_below(*first) && is_below(*second) => {
                (Some((*a, *first)), Some((*c, *second)), *b)
            }
            ([a, b, c], [first, second]) if is_above(*first) && is_above(*second) => {
                (Some((*c, second.flipped())), Some((*a, first.flipped())), *b)
            }
            _ => return Ok(None),
        };
        if !self.is_bounded_name(name) {
            return Ok(None);
        }
        if let Node::Abs(_) = self.ast.node(name) {
            return self.symmetric(low, high);
        }
        let interval = self.interval(low, high)?;
        Ok(Some(interval))
    }

    fn is_bounded_name(&self, id: NodeId) -> bool {
        self.is_name(id) && !matches!(self.ast.node(id), Node::Const(_))
    }

    fn interval(
        &mut self,
        low: Option<(NodeId, Rel)>,
        high: Option<(NodeId, Rel)>,
    ) -> Result<NodeId, Stop> {
        let bracket = |rel| if rel == Rel::Le { Bracket::Square } else { Bracket::Round };
        let (low, open) = if let Some((low, rel)) = low {
            (low, bracket(rel))
        } else {
            let infinity = self.ast.push(Node::Infinity)?;
            (self.ast.push(Node::Neg(infinity))?, Bracket::Round)
        };
        let (high, close) = match high {
            Some((high, rel)) => (high, bracket(rel)),
            None => (self.ast.push(Node::Infinity)?, Bracket::Round),
        };
        let kids = self.ast.list_of(&[low, high]);
        self.ast.push(Node::Brackets(open, kids, close))
    }

    /// The values with `low <= |x| <= high`.
    fn symmetric(
        &mut self,
        low: Option<(NodeId, Rel)>,
        high: Option<(NodeId, Rel)>,
    ) -> Result<Option<NodeId>, Stop> {
        let Some((low, low_rel)) = low else {
            let Some((high, rel)) = high else { return Ok(None) };
            let minus = self.ast.push(Node::Neg(high))?;
            return self.interval(Some((minus, rel)), Some((high, rel))).map(Some);
        };
        let minus_low = self.ast.push(Node::Neg(low))?;
        let below = match high {
            Some((high, rel)) => Some((self.ast.push(Node::Neg(high))?, rel)),
            None => None,
        };
        let left = self.interval(below, Some((minus_low, low_rel)))?;
        let right = self.interval(Some((low, low_rel)), high)?;
        let kids = self.ast.list_of(&[left, right]);
        self.ast.push(Node::Union(kids)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use crate::Equality;
    use crate::compare::Decision;
    use crate::compare::fixtures::{check, decide, differ, same};

    #[test]
    fn sides_are_swapped_moved_and_multiplied() {
        same("y = 2x + 1", "2x + 1 = y");
        same("y = 2x + 1", "y - 2x = 1");
        same("y = 2x + 1", "6y = 12x + 6");
        same("y = 2x + 1", "2x - y + 1 = 0");
        same("x^2 + y^2 = 1", "1 - x^2 = y^2");
        same(r"x \ne 2", r"2x \neq 4");
        same(r"z = (\pi - \pi)^2", "2z = 0");
        differ("y = 2x + 1", "y = 2x - 1");
        differ("3x - y + 13 = 0", "3x + 4y + 14 = 0");
        differ("x = 2", r"x \ne 2");
    }

    #[test]
    fn inequalities_turn_with_their_sign() {
        same("x < 2", "2 > x");
        same("x < 2", "-x > -2");
        same("x < 2", "3x < 6");
        same(r"1 \le x < 2", r"2 > x \ge 1");
        differ("x < 2", "x > 2");
        differ("x < 2", "-x < -2");
        differ("x < 2", r"x \le 2");
        differ("1 < x < 2", "1 < x < 3");
    }

    #[test]
    fn a_name_on_the_left_may_be_left_out() {
        for gold in ["x = 5", "x_1 = 5", "f(2) = 5", "AB = 5", "x = 2 + 3 = 5"] {
            same(gold, "5");
            differ(gold, "6");
        }
        same("f(x) = 2x", "2x");
        same("(x, y) = (1, 2)", "(1, 2)");
        same("y = 2x + 1", "2x + 1");
        differ("x + y = 5", "5");
    }

    #[test]
    fn two_names_must_be_the_same() {
        same("x = 5", "x = 2 + 3");
        same("x = 5", "x = 2 + 3 = 5");
        differ("x = 5", "y = 5");
        differ("x = 5", "x = 6");
    }

    #[test]
    fn an_interval_is_right_for_an_inequality_and_not_the_reverse() {
        for (inequality, interval) in [
            (r"1 \le x < 2", "[1, 2)"),
            (r"2 > x \ge 1", "[1, 2)"),
            ("x > 2", r"(2, \infty)"),
            (r"x \le 2", r"(-\infty, 2]"),
            ("2 < x", r"(2, \infty)"),
            ("|x| < 2", "(-2, 2)"),
            (r"|x| \ge 2", r"(-\infty, -2] \cup [2, \infty)"),
        ] {
            assert!(decide(inequality, interval, Equality::default()).is_equal(), "{inequality}");
            check(interval, inequality, Decision::Different);
            let rules = Equality { inequality_for_interval: true, ..Equality::default() };
            assert!(decide(interval, inequality, rules).is_equal(), "{inequality}");
        }
        check("x > 2", r"[2, \infty)", Decision::Different);
        check("x > 2", r"(3, \infty)", Decision::Different);
        check("x + y > 2", r"(2, \infty)", Decision::Different);
    }

    #[test]
    fn membership_is_a_name_and_a_set() {
        same(r"x \in [1, 2]", "[1, 2]");
        same(r"x \in [1, 2]", r"y \in [1, 2]");
        differ(r"x \in [1, 2]", "(1, 2)");
    }
}
