//! Units: left aside where one side has none, compared where both are known.

use super::Comparer;
use crate::read::{Node, NodeId, unit_name};

impl Comparer<'_> {
    /// Whether both sides have a unit that is known, and not the same one.
    pub(super) fn units_clash(&self, gold: NodeId, answer: NodeId) -> bool {
        match (self.unit_of(gold).and_then(known), self.unit_of(answer).and_then(known)) {
            (Some(gold), Some(answer)) => gold != answer,
            _ => false,
        }
    }

    fn unit_of(&self, id: NodeId) -> Option<&str> {
        match self.ast.node(id) {
            Node::Unit(_, name) => Some(self.ast.name(*name)),
            Node::Neg(a) => self.unit_of(*a),
            _ => None,
        }
    }
}

/// A unit in its parts, if every part is known: `\text{m/s}` in one piece has the same as
/// `\text{m}/\text{s}` in three.
fn known(spelling: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    for piece in spelling.split_whitespace() {
        let mut rest = piece;
        while let Some(at) = rest.find(['/', '^']) {
            let (name, sign) = (rest.get(..at)?, rest.get(at..=at)?);
            parts.extend((!name.is_empty()).then_some(name));
            parts.push(if sign == "/" { "Slash" } else { "Caret" });
            rest = rest.get(at + 1..)?;
        }
        parts.extend((!rest.is_empty()).then_some(rest));
    }
    parts
        .into_iter()
        .map(|part| {
            let is_operator = part.bytes().all(|byte| byte.is_ascii_digit())
                || matches!(part, "Caret" | "Slash" | "Times" | "Minus");
            if is_operator { Some(part) } else { unit_name(part) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::Equality;
    use crate::compare::fixtures::{decide, differ, same};

    #[test]
    fn a_unit_may_be_left_out() {
        same(r"5 \text{ cm}", "5");
        same(r"15\mbox{ cm}^2", "15");
        same("5 inches", "5");
        same(r"5 \text{ m/s}", "5");
        same(r"5 \text{ m^2}", "5");
        same(r"-5 \text{ cm}", "-5");
        differ(r"5 \text{ cm}", "6");
    }

    #[test]
    fn known_units_must_agree() {
        same(r"5 \text{ cm}", "5 centimeters");
        same(r"5 \text{ m/s}", r"5 \text{ m}/\text{s}");
        same(r"5 \text{ m^2}", r"5 \text{ m}^{2}");
        differ(r"5 \text{ inches}", r"5 \text{ feet}");
        differ(r"-5 \text{ inches}", r"-5 \text{ feet}");
        differ(r"5 \text{ cm}^2", r"5 \text{ cm}^3");
        differ(r"5 \text{ m/s}", r"5 \text{ km/h}");
        differ(r"5 \text{ cm}", r"50 \text{ mm}");
    }

    #[test]
    fn unknown_units_are_not_compared() {
        same(r"12 \text{ apples}", r"12 \text{ oranges}");
        same(r"60 \text{ mph}", r"60 \text{ miles per hour}");
    }

    #[test]
    fn the_flag_lets_units_disagree() {
        let rules = Equality { units_must_agree: false, ..Equality::default() };
        assert!(decide(r"5 \text{ inches}", r"5 \text{ feet}", rules).is_equal());
        assert!(!decide(r"5 \text{ inches}", r"6 \text{ feet}", rules).is_equal());
    }
}
