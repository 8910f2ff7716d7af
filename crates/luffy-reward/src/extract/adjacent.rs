//! Parts of an answer that stand side by side.

use super::{Candidate, Piece};

/// The longest text between two parts.
const MAX_GAP: usize = 70;

/// The last piece, with those before it from which only separators divide it.
pub(super) fn join(text: &str, pieces: &[Piece]) -> Option<Candidate> {
    let last = pieces.last()?;
    let mut parts = vec![last.candidate(text)?];
    let mut start = last.outer.start;
    for piece in pieces.iter().rev().skip(1) {
        let gap = text.get(piece.outer.end..start)?;
        if gap.len() > MAX_GAP || !is_separator(gap) {
            break;
        }
        start = piece.outer.start;
        let Some(part) = piece.candidate(text) else { break };
        // The same answer twice is one answer.
        if parts.last().is_some_and(|next| next.text == part.text) {
            parts.last_mut()?.span.start = part.span.start;
        } else {
            parts.push(part);
        }
    }
    parts.reverse();
    let span = parts.first()?.span.start..parts.last()?.span.end;
    let texts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
    Some(Candidate { text: texts.join(", "), span })
}

/// Whether a text is made of separators: commas, `and`, `or`, marks of formulas, a name before `=`.
fn is_separator(gap: &str) -> bool {
    let mut rest = gap;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || ",;$*~.&".contains(c));
        let known = [
            "\\text{",
            "\\textbf{",
            "\\mathrm{",
            "\\quad",
            "\\qquad",
            "\\(",
            "\\)",
            "\\[",
            "\\]",
            "\\,",
            "\\;",
            "\\ ",
            "\\\\",
            "}",
            "and",
            "or",
        ];
        match known.iter().find_map(|mark| rest.strip_prefix(mark)) {
            Some(after) => rest = after,
            None => break,
        }
    }
    // What is left may name the next part: `y_2 =`.
    let name = rest.trim_end();
    let Some(name) = name.strip_suffix('=') else { return name.is_empty() };
    name.len() <= 16 && name.chars().all(|c| c.is_alphanumeric() || " _{}()'\\".contains(c))
}

#[cfg(test)]
mod tests {
    use super::super::boxes::boxes;
    use super::*;

    fn check(text: &str, expected: &str) {
        let pieces: Vec<Piece> = boxes(text)
            .into_iter()
            .map(|found| Piece { outer: found.start..found.content.end + 1, inner: found.content })
            .collect();
        let joined = join(text, &pieces);
        assert_eq!(joined.as_ref().map(|joined| joined.text.as_str()), Some(expected), "{text}");
    }

    #[test]
    fn boxes_with_separators_between_them_are_a_list() {
        for gap in [
            "",
            " ",
            ", ",
            "; ",
            " and ",
            " or ",
            r"$ and $",
            r"\text{ and }",
            r" \quad ",
            r"\) or \(",
        ] {
            check(&format!(r"\boxed{{1}}{gap}\boxed{{2}}"), "1, 2");
        }
        check(r"\boxed{1}, \boxed{2} and \boxed{3}", "1, 2, 3");
        check(r"$x_1 = \boxed{1}$ and $x_2 = \boxed{2}$", "1, 2");
    }

    #[test]
    fn any_other_word_divides_them() {
        check(r"\boxed{1} is wrong, it is \boxed{2}", "2");
        check(r"\boxed{1} but \boxed{2}", "2");
        check(r"\boxed{1} then \boxed{2}, \boxed{3}", "2, 3");
        check(&format!(r"\boxed{{1}}{}\boxed{{2}}", " ".repeat(71)), "2");
        check(&format!(r"\boxed{{1}}{}\boxed{{2}}", " ".repeat(70)), "1, 2");
    }

    #[test]
    fn the_same_answer_twice_is_one() {
        check(r"\boxed{7}, \boxed{7}", "7");
        check(r"\boxed{7}, \boxed{8}, \boxed{8}", "7, 8");
    }

    #[test]
    fn the_span_reaches_from_the_first_to_the_last() {
        let text = r"is \boxed{1} and \boxed{ 2 }.";
        let pieces: Vec<Piece> = boxes(text)
            .into_iter()
            .map(|found| Piece { outer: found.start..found.content.end + 1, inner: found.content })
            .collect();
        let joined = join(text, &pieces).expect("two boxes");
        assert_eq!(text.get(joined.span), Some(r"1} and \boxed{ 2"));
        assert_eq!(join(text, &[]), None);
    }
}
