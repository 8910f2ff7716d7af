//! Lists, sets, tuples, intervals, matrices: what answers are made of above single values.

use dashu_ratio::RBig;

use super::exact::fold;
use super::modular::FIELDS;
use super::point::Point;
use super::{Comparer, Decision, Means};
use crate::budget::{Stop, known};
use crate::read::{Bracket, Node, NodeId};

/// The longest list that is compared.
const MAX_ITEMS: usize = 512;

impl Comparer<'_> {
    /// Compares two answers of any shape.
    pub(super) fn shapes(&mut self, gold: NodeId, answer: NodeId) -> Result<Decision, Stop> {
        self.budget.charge(4)?;
        if self.ast.has_matrix()
            && let Some(decision) = self.matrices(gold, answer)?
        {
            return Ok(decision);
        }
        if let (Some(gold), Some(answer)) = (self.items(gold), self.items(answer)) {
            return self.multisets(&gold, &answer);
        }
        if (self.is_set_like(gold) || self.is_set_like(answer))
            && let Some(decision) = self.real_sets(gold, answer)?
        {
            return Ok(decision);
        }
        match (self.ast.node(gold).clone(), self.ast.node(answer).clone()) {
            (Node::List(gold), Node::Brackets(open, answer, close))
            | (Node::Brackets(open, gold, close), Node::List(answer)) => {
                let (gold, answer) = (self.ast.kids(gold).to_vec(), self.ast.kids(answer).to_vec());
                // `(3, 4)` may be a pair, `[3, 4]` and `(3, 4]` are intervals.
                let is_tuple = (open, close) == (Bracket::Round, Bracket::Round);
                if gold.len() == 2 && !is_tuple {
                    return Ok(Decision::Different);
                }
                self.in_order(&gold, &answer)
            }
            (Node::Chain(..), Node::Chain(..)) => self.chains(gold, answer),
            (Node::In(gold_name, gold_set), Node::In(name, set)) => {
                if self.is_name(gold_name) && self.is_name(name) {
                    return self.shapes(gold_set, set);
                }
                self.shapes(gold_name, name)?.and(|| self.shapes(gold_set, set))
            }
            (Node::Chain(..) | Node::In(..), _) => self.gold_relation(gold, answer),
            (_, Node::Chain(..) | Node::In(..)) => self.answer_relation(gold, answer),
            (Node::List(items) | Node::Set(items), _) if self.ast.kids(items).len() == 1 => {
                let only = self.ast.kids(items)[0];
                self.shapes(only, answer)
            }
            (_, Node::List(items) | Node::Set(items)) if self.ast.kids(items).len() == 1 => {
                let only = self.ast.kids(items)[0];
                self.shapes(gold, only)
            }
            (Node::Brackets(gold_open, gold, gold_close), Node::Brackets(open, answer, close)) => {
                let (gold, answer) = (self.ast.kids(gold).to_vec(), self.ast.kids(answer).to_vec());
                let same_ends = gold_open == open && gold_close == close;
                if !same_ends && (gold.len() == 2 || answer.len() == 2) {
                    return Ok(Decision::Different);
                }
                self.in_order(&gold, &answer)
            }
            (Node::Empty, Node::Empty) => Ok(Decision::Equal(Means::Exact)),
            (Node::Union(gold), Node::Union(answer)) => {
                let (gold, answer) = (self.union_parts(gold), self.union_parts(answer));
                self.multisets(&gold, &answer)
            }
            (Node::Inter(gold), Node::Inter(answer)) => {
                let (gold, answer) = (self.ast.kids(gold).to_vec(), self.ast.kids(answer).to_vec());
                self.multisets(&gold, &answer)
            }
            (Node::SetMinus(gold_all, gold_part), Node::SetMinus(all, part)) => {
                self.shapes(gold_all, all)?.and(|| self.shapes(gold_part, part))
            }
            (Node::Ratio(gold), Node::Ratio(answer)) => {
                let (gold, answer) = (self.ast.kids(gold).to_vec(), self.ast.kids(answer).to_vec());
                self.ratios(&gold, &answer)
            }
            (Node::Based(gold, gold_base), Node::Based(answer, base)) => {
                let is_same = gold == answer && gold_base == base;
                Ok(if is_same { Decision::Equal(Means::Exact) } else { Decision::Different })
            }
            _ => {
                if self.is_scalar(gold) && self.is_scalar(answer) {
                    return self.scalars(gold, answer);
                }
                Ok(Decision::Different)
            }
        }
    }

    /// Whether an expression can be a set of numbers that is not listed.
    fn is_set_like(&self, id: NodeId) -> bool {
        matches!(self.ast.node(id), Node::Union(_) | Node::Brackets(..) | Node::SetMinus(..))
    }

    /// Whether an expression is a number or a formula.
    pub(super) fn is_scalar(&self, id: NodeId) -> bool {
        !matches!(
            self.ast.node(id),
            Node::List(_)
                | Node::Set(_)
                | Node::Brackets(..)
                | Node::Empty
                | Node::Union(_)
                | Node::Inter(_)
                | Node::SetMinus(..)
                | Node::In(..)
                | Node::Chain(..)
                | Node::Ratio(_)
                | Node::Matrix(..)
                | Node::Based(..)
        )
    }

    /// The elements of a list or a set.
    fn items(&self, id: NodeId) -> Option<Vec<NodeId>> {
        match self.ast.node(id) {
            Node::List(kids) | Node::Set(kids) => Some(self.ast.kids(*kids).to_vec()),
            _ => None,
        }
    }

    fn union_parts(&self, kids: crate::read::Kids) -> Vec<NodeId> {
        let mut parts = Vec::new();
        for kid in self.ast.kids(kids) {
            match self.ast.node(*kid) {
                Node::Union(inner) => parts.extend(self.union_parts(*inner)),
                _ => parts.push(*kid),
            }
        }
        parts
    }

    pub(super) fn in_order(
        &mut self,
        gold: &[NodeId],
        answer: &[NodeId],
    ) -> Result<Decision, Stop> {
        if gold.len() != answer.len() {
            return Ok(Decision::Different);
        }
        let mut decision = Decision::Equal(Means::Identical);
        for (gold, answer) in gold.iter().zip(answer) {
            decision = decision.and(|| self.shapes(*gold, *answer))?;
            if decision == Decision::Different {
                break;
            }
        }
        Ok(decision)
    }

    /// Each element of one side must have its own partner on the other. Equality is transitive, so the
    /// first partner that fits is as good as any.
    fn multisets(&mut self, gold: &[NodeId], answer: &[NodeId]) -> Result<Decision, Stop> {
        if gold.len() > MAX_ITEMS || answer.len() > MAX_ITEMS {
            return Ok(Decision::Undecided);
        }
        if answer.len() > gold.len() {
            // The same element named twice is no further element.
            let distinct = self.without_repeats(answer)?;
            if distinct.len() == answer.len() {
                return Ok(Decision::Different);
            }
            return self.multisets(gold, &distinct);
        }
        if gold.len() != answer.len() {
            return Ok(Decision::Different);
        }
        let mut free: Vec<NodeId> = answer.to_vec();
        let mut means = Means::Identical;
        for gold in gold {
            let mut is_open = false;
            let mut partner = None;
            for (at, answer) in free.iter().enumerate() {
                match self.shapes(*gold, *answer)? {
                    Decision::Equal(how) => {
                        means = means.max(how);
                        partner = Some(at);
                        break;
                    }
                    Decision::Different => {}
                    Decision::Undecided => is_open = true,
                }
            }
            match partner {
                Some(at) => {
                    free.remove(at);
                }
                None if is_open => return Ok(Decision::Undecided),
                None => return Ok(Decision::Different),
            }
        }
        Ok(Decision::Equal(means))
    }

    fn without_repeats(&mut self, items: &[NodeId]) -> Result<Vec<NodeId>, Stop> {
        let mut distinct: Vec<NodeId> = Vec::new();
        for item in items {
            let mut is_known = false;
            for known in &distinct {
                if self.shapes(*known, *item)?.is_equal() {
                    is_known = true;
                    break;
                }
            }
            if !is_known {
                distinct.push(*item);
            }
        }
        Ok(distinct)
    }

    /// The gold relates something, the answer does not.
    fn gold_relation(&mut self, gold: NodeId, answer: NodeId) -> Result<Decision, Stop> {
        if let Some(value) = self.named_value(gold) {
            return self.shapes(value, answer);
        }
        match self.solution(gold)? {
            Some(set) => self.shapes(set, answer),
            None => Ok(Decision::Different),
        }
    }

    /// The answer relates something, the gold does not.
    fn answer_relation(&mut self, gold: NodeId, answer: NodeId) -> Result<Decision, Stop> {
        if let Some(value) = self.named_value(answer) {
            return self.shapes(gold, value);
        }
        if self.rules.inequality_for_interval
            && let Some(set) = self.solution(answer)?
        {
            return self.shapes(gold, set);
        }
        Ok(Decision::Different)
    }

    fn ratios(&mut self, gold: &[NodeId], answer: &[NodeId]) -> Result<Decision, Stop> {
        if gold.len() != answer.len() {
            return Ok(Decision::Different);
        }
        let as_written = self.in_order(gold, answer)?;
        if as_written.is_equal() || self.is_time(gold)? || self.is_time(answer)? {
            return Ok(as_written);
        }
        let mut decision = Decision::Equal(Means::Identical);
        for at in 1..gold.len() {
            let left = self.ast.product(&[gold[0], answer[at]])?;
            let right = self.ast.product(&[gold[at], answer[0]])?;
            decision = decision.and(|| self.values(left, right))?;
        }
        Ok(decision)
    }

    /// A rational k with a = k b at some point, where both have a value that is not zero.
    pub(super) fn factor_between(&mut self, a: NodeId, b: NodeId) -> Result<Option<RBig>, Stop> {
        for point in 0..3 {
            let mut value = |id| known(fold(self.ast, id, Some(Point(point)), self.budget));
            if let (Some(a), Some(b)) = (value(a)?, value(b)?)
                && !a.is_zero()
                && !b.is_zero()
            {
                return Ok(Some(a / b));
            }
        }
        for field in &FIELDS[..1] {
            let mut value = |id| known(field.eval(self.ast, id, self.budget));
            if let (Some(a), Some(b)) = (value(a)?, value(b)?)
                && let Some(factor) = field.fraction(a, b)
            {
                return Ok(Some(factor));
            }
        }
        // Formulas without values that can be divided: try the factors that people multiply with.
        for factor in [1, -1, 2, -2] {
            let number = RBig::from(factor);
            let node = self.ast.push(Node::Num(number.clone()))?;
            let scaled = self.ast.product(&[node, b])?;
            if self.values(a, scaled)?.is_equal() {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Whether a ratio may be a time of day, or has a zero in it: such are not reduced.
    fn is_time(&mut self, parts: &[NodeId]) -> Result<bool, Stop> {
        for part in &parts[1..] {
            let Ok(value) = self.exact(*part)? else { return Ok(false) };
            let minutes = RBig::from(10)..=RBig::from(59);
            if !value.is_zero() && !minutes.contains(&value) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
