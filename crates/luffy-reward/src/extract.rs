//! The answer inside a text.

use std::ops::Range;

const BOXED: &[u8] = br"\boxed";

/// Where the content of the last complete `\boxed{...}` lies, in bytes of `text`.
///
/// Of the boxes whose braces close, the one that opens last wins: of `\boxed{1} and \boxed{2}` the
/// second, of `\boxed{\boxed{5}}` the inner one. Braces nest; `\{` and `\}` are characters and do not
/// count. Spaces between `\boxed` and its brace are allowed. One pass, whatever the text.
///
/// ```
/// use luffy_reward::last_boxed;
///
/// let text = r"first \boxed{1}, then \boxed{\frac{1}{2}}, then \boxed{cut";
/// let content = last_boxed(text).and_then(|range| text.get(range));
/// assert_eq!(content, Some(r"\frac{1}{2}"));
/// ```
pub fn last_boxed(text: &str) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    // For each brace that is open: whether it is the brace of a box, and where its content starts.
    let mut open: Vec<(bool, usize)> = Vec::new();
    let mut last: Option<Range<usize>> = None;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => match opening(bytes, at) {
                Some(content) => {
                    open.push((true, content));
                    at = content;
                }
                // The second of two backslashes may belong to a box (`\\boxed{5}` from escaped text);
                // anything else behind a backslash is a character.
                None if bytes.get(at + 1) == Some(&b'\\') && opening(bytes, at + 1).is_some() => {
                    at += 1;
                }
                None => at += 2,
            },
            b'{' => {
                open.push((false, at + 1));
                at += 1;
            }
            b'}' => {
                if let Some((true, start)) = open.pop()
                    && last.as_ref().is_none_or(|last| last.start < start)
                {
                    last = Some(start..at);
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    last
}

/// Where the content of a box starts if one opens at `at`.
fn opening(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?.strip_prefix(BOXED)?;
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    (rest.get(spaces) == Some(&b'{')).then_some(at + BOXED.len() + spaces + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let content = last_boxed(text).map(|range| text.get(range).expect("ends at ASCII bytes"));
        assert_eq!(content, expected, "{text}");
    }

    #[test]
    fn a_text_without_a_complete_box_has_no_answer() {
        check("", None);
        check("57", None);
        check(r"\boxed", None);
        check(r"\boxed 5", None);
        check(r"\boxed{5", None);
        check(r"}\boxed{{5}", None);
        check(r"\fbox{5}", None);
        check(r"\boxed{5\}", None);
    }

    #[test]
    fn the_last_complete_box_wins() {
        check(r"\boxed{1} and \boxed{57}", Some("57"));
        check(r"\boxed{5} then \boxed{6", Some("5"));
        check(r"\boxed{5 then \boxed{6} more", Some("6"));
        check(r"\boxed{\boxed{5}}", Some("5"));
    }

    #[test]
    fn braces_nest_and_escaped_braces_do_not_count() {
        check(r"\boxed{\frac{1}{\sqrt{2}}}", Some(r"\frac{1}{\sqrt{2}}"));
        check(r"\boxed{\{1,2\}}", Some(r"\{1,2\}"));
        check(r"\boxed{\left\{ 1 \right.}", Some(r"\left\{ 1 \right."));
        check(r"\boxed{a \\{b}}", Some(r"a \\{b}"));
    }

    #[test]
    fn spaces_before_the_brace_and_a_doubled_backslash_are_allowed() {
        check(r"\boxed {5}", Some("5"));
        check(r"\\boxed{5}", Some("5"));
        check(r"\boxed{}", Some(""));
    }

    #[test]
    fn a_megabyte_of_opening_braces_is_read_once() {
        // A quadratic matcher would take hours here.
        let text = r"\boxed{".repeat(150_000) + "5}";
        check(&text, Some("5"));
        check(&"{".repeat(1_000_000), None);
        check(&r"\boxed ".repeat(150_000), None);
    }

    proptest! {
        #[test]
        fn a_range_is_always_text(text in r"(\\boxed| |\{|\}|\\|[0-9a-zé🦀]){0,40}") {
            if let Some(range) = last_boxed(&text) {
                prop_assert!(text.get(range).is_some());
            }
        }

        #[test]
        fn a_box_at_the_end_wins_over_anything_before_it(
            text in r"([^\\]|\\boxed\{|\{|\}){0,40}",
            answer in "[0-9a-z+]{0,8}",
        ) {
            let whole = format!(r"{text}\boxed{{{answer}}}");
            prop_assert_eq!(last_boxed(&whole).and_then(|range| whole.get(range)), Some(&*answer));
        }
    }
}
