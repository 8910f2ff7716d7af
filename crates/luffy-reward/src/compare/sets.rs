//! Sets of real numbers in their different spellings.

use dashu_ratio::RBig;

use super::Comparer;
use crate::budget::Stop;
use crate::read::{Bracket, Node, NodeId, REALS, Rel};

impl Comparer<'_> {
    /// Compares sets of real numbers of which at least one is written as something else than intervals;
    /// `None` if they are no such sets.
    pub(super) fn real_sets(
        &mut self,
        gold: NodeId,
        answer: NodeId,
    ) -> Result<Option<super::Decision>, Stop> {
        let gold_set = self.as_intervals(gold, true)?;
        let answer_set = self.as_intervals(answer, self.rules.inequality_for_interval)?;
        match (gold_set, answer_set) {
            (Some(set), None) if self.is_intervals(answer) => self.shapes(set, answer).map(Some),
            (None, Some(set)) if self.is_intervals(gold) => self.shapes(gold, set).map(Some),
            (Some(gold), Some(answer)) => self.shapes(gold, answer).map(Some),
            _ => Ok(None),
        }
    }

    fn is_intervals(&self, id: NodeId) -> bool {
        matches!(self.ast.node(id), Node::Union(_) | Node::Brackets(..))
    }

    fn is_reals(&self, id: NodeId) -> bool {
        matches!(self.ast.node(id), Node::Sym(name) if self.ast.name(*name) == REALS)
    }

    /// The reals, the reals without some points, and (if `with_relations`) what inequalities describe,
    /// as intervals.
    fn as_intervals(&mut self, id: NodeId, with_relations: bool) -> Result<Option<NodeId>, Stop> {
        match self.ast.node(id).clone() {
            Node::Sym(_) if self.is_reals(id) => self.without(&[]).map(Some),
            Node::SetMinus(all, part) if self.is_reals(all) => {
                let Node::Set(points) = *self.ast.node(part) else { return Ok(None) };
                let points = self.ast.kids(points).to_vec();
                self.without_points(&points)
            }
            Node::Chain(..) if with_relations => {
                let Some((sides, rels)) = self.chain(id) else { return Ok(None) };
                match (&sides[..], &rels[..]) {
                    ([name, point], [Rel::Ne]) if self.is_name(*name) => {
                        self.without_points(&[*point])
                    }
                    _ => Ok(None),
                }
            }
            Node::List(kids) if with_relations => {
                let mut parts = Vec::new();
                for kid in self.ast.kids(kids).to_vec() {
                    match self.solution(kid)? {
                        Some(part) => parts.push(part),
                        None => return Ok(None),
                    }
                }
                let kids = self.ast.list_of(&parts);
                self.ast.push(Node::Union(kids)).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn without_points(&mut self, points: &[NodeId]) -> Result<Option<NodeId>, Stop> {
        let mut values: Vec<(RBig, NodeId)> = Vec::new();
        for point in points {
            match self.exact(*point)? {
                Ok(value) => values.push((value, *point)),
                // One point needs no order.
                Err(_) if points.len() == 1 => values.push((RBig::ZERO, *point)),
                Err(_) => return Ok(None),
            }
        }
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        let points: Vec<NodeId> = values.into_iter().map(|(_, point)| point).collect();
        self.without(&points).map(Some)
    }

    /// The reals without these points, which are in order.
    fn without(&mut self, points: &[NodeId]) -> Result<NodeId, Stop> {
        let infinity = self.ast.push(Node::Infinity)?;
        let mut low = self.ast.push(Node::Neg(infinity))?;
        let mut parts = Vec::with_capacity(points.len() + 1);
        for high in points.iter().chain([&infinity]) {
            let kids = self.ast.list_of(&[low, *high]);
            parts.push(self.ast.push(Node::Brackets(Bracket::Round, kids, Bracket::Round))?);
            low = *high;
        }
        if let [single] = parts[..] {
            return Ok(single);
        }
        let kids = self.ast.list_of(&parts);
        self.ast.push(Node::Union(kids))
    }
}

#[cfg(test)]
mod tests {
    use crate::Equality;
    use crate::compare::Decision;
    use crate::compare::fixtures::{check, decide, differ, same};

    #[test]
    fn the_reals_are_an_interval() {
        same(r"\mathbb{R}", r"(-\infty, \infty)");
        same(r"x \in \mathbb{R}", r"(-\infty, \infty)");
        differ(r"\mathbb{R}", r"(0, \infty)");
    }

    #[test]
    fn the_reals_without_points_are_intervals_between_them() {
        same(r"\mathbb{R} \setminus \{1\}", r"(-\infty, 1) \cup (1, \infty)");
        same(r"\mathbb{R} \setminus \{3, -2\}", r"(-\infty, -2) \cup (-2, 3) \cup (3, \infty)");
        differ(r"\mathbb{R} \setminus \{1\}", r"(-\infty, 2) \cup (2, \infty)");
        differ(r"\mathbb{R} \setminus \{1\}", r"\mathbb{R}");
    }

    #[test]
    fn several_inequalities_are_a_union_of_intervals_where_the_gold_has_them() {
        let gold = r"x < -2 \text{ or } x > 2";
        let intervals = r"(2, \infty) \cup (-\infty, -2)";
        assert!(decide(gold, intervals, Equality::default()).is_equal());
        check(intervals, gold, Decision::Different);
        check(gold, r"(2, \infty) \cup (-\infty, -3)", Decision::Different);
        check(r"x \ne 1", r"(-\infty, 2) \cup (2, \infty)", Decision::Different);
        assert!(
            decide(r"x \ne 1", r"(-\infty, 1) \cup (1, \infty)", Equality::default()).is_equal()
        );
    }
}
