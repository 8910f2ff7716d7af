//! `\boxed{}`.

use std::ops::Range;

/// A complete box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boxed {
    /// Where the command starts.
    pub(crate) start: usize,
    /// What stands in the braces.
    pub(crate) content: Range<usize>,
}

/// The most boxes that are looked at, counted from the end.
const MAX_BOXES: usize = 512;

/// The content of the last complete `\boxed{...}` (or `\boxed {...}`) that lies in no other box; of two
/// boxes the one that closes later is the last.
///
/// `\{` and `\}` are signs, not braces. One pass, linear in the text; its stack is as deep as braces
/// are open.
///
/// ```
/// let text = r"first \boxed{1}, then \boxed{\frac{1}{2}} and \boxed{open";
/// let content = luffy_reward::last_boxed(text).and_then(|content| text.get(content));
/// assert_eq!(content, Some(r"\frac{1}{2}"));
/// ```
pub fn last_boxed(text: &str) -> Option<Range<usize>> {
    boxes(text).pop().map(|found| found.content)
}

/// The last complete boxes of a text in order, those inside others left out.
pub(crate) fn boxes(text: &str) -> Vec<Boxed> {
    let Some(first) = text.find("\\boxed").into_iter().chain(text.find("\\fbox")).min() else {
        return Vec::new();
    };
    let bytes = text.as_bytes();
    // Open braces: where the box starts that they belong to, if they belong to one.
    let mut open: Vec<Option<(usize, usize)>> = Vec::new();
    let mut found: Vec<Boxed> = Vec::new();
    let mut at = first;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => {
                let rest = &bytes[at + 1..];
                let name =
                    ["boxed", "fbox"].into_iter().find(|name| rest.starts_with(name.as_bytes()));
                if let Some(name) = name {
                    let after = at + 1 + name.len();
                    let spaces =
                        bytes[after..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                    if bytes.get(after + spaces) == Some(&b'{') {
                        open.push(Some((at, after + spaces + 1)));
                        at = after + spaces + 1;
                        continue;
                    }
                }
                // `\\\\boxed` from text that was escaped once too often.
                at += if rest.first() == Some(&b'\\') { 1 } else { 2 };
                continue;
            }
            b'{' => open.push(None),
            b'}' => {
                if let Some(Some((start, content))) = open.pop() {
                    while found.last().is_some_and(|inner| inner.start > start) {
                        found.pop();
                    }
                    if found.len() >= 2 * MAX_BOXES {
                        found.drain(..MAX_BOXES);
                    }
                    found.push(Boxed { start, content: content..at });
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<&str> =
            boxes(text).into_iter().filter_map(|found| text.get(found.content)).collect();
        assert_eq!(found, expected, "{text}");
        let last = last_boxed(text).and_then(|content| text.get(content));
        assert_eq!(last, expected.last().copied(), "{text}");
    }

    #[test]
    fn complete_boxes_are_found_in_order() {
        check(r"\boxed{1}", &["1"]);
        check(r"a \boxed{1} b \boxed {2} c \fbox{3}", &["1", "2", "3"]);
        check(r"\boxed{\frac{1}{2}}", &[r"\frac{1}{2}"]);
        check(r"\boxed{}", &[""]);
        check("no box", &[]);
        check("", &[]);
    }

    #[test]
    fn an_open_box_is_none_and_hides_none_before_it() {
        check(r"\boxed{1} and \boxed{2", &["1"]);
        check(r"\boxed{", &[]);
        check(r"\boxed 5", &[]);
        check(r"\boxed", &[]);
        check(r"\boxed{1 \boxed{2}", &["2"]);
    }

    #[test]
    fn a_box_in_a_box_belongs_to_the_outer_one() {
        check(r"\boxed{a \boxed{b} c}", &[r"a \boxed{b} c"]);
        check(
            r"\boxed{1} \boxed{\boxed{2}\boxed{3}} \boxed{4}",
            &["1", r"\boxed{2}\boxed{3}", "4"],
        );
    }

    #[test]
    fn escaped_braces_are_signs() {
        check(r"\boxed{\{1, 2\}}", &[r"\{1, 2\}"]);
        check(r"\boxed{\}}", &[r"\}"]);
        check(r"} } \boxed{1} }", &["1"]);
        check(r"\\boxed{5}", &["5"]);
    }

    #[test]
    fn text_of_any_script_is_cut_at_its_characters() {
        check("é \\boxed{ü} 答", &["ü"]);
    }

    #[test]
    fn of_very_many_boxes_the_last_ones_are_kept() {
        let text = r"\boxed{x}".repeat(100_000) + r"\boxed{y}";
        let found = boxes(&text);
        assert!((MAX_BOXES..=2 * MAX_BOXES).contains(&found.len()), "{}", found.len());
        assert_eq!(last_boxed(&text).and_then(|content| text.get(content)), Some("y"));
        assert_eq!(last_boxed(&r"\boxed{".repeat(100_000)), None);
    }
}
