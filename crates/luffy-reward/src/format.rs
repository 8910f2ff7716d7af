//! Which part of a response is graded.

use serde::{Deserialize, Serialize};

use crate::last_boxed;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// What a response must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Thoughts, `</think>`, solution. What follows the first `</think>` is graded. The opening tag is
    /// not looked for: chat templates write it into the prompt.
    ///
    /// LUFFY's reference stops at a second `</think>`; here the rest of the response is graded.
    #[default]
    Think,
    /// Exactly `<think>...</think>\boxed{...}`: the response starts with the opening tag, has each tag
    /// once, and what follows the closing tag is one box and white space.
    StrictThink,
    /// No thoughts expected: the whole response is graded.
    Plain,
}

impl Format {
    /// The part of `response` that holds the answer; `None` if the response breaks the format.
    pub fn graded(self, response: &str) -> Option<&str> {
        match self {
            Self::Plain => Some(response),
            Self::Think => response.split_once(CLOSE).map(|(_, rest)| rest),
            Self::StrictThink => {
                let (thoughts, rest) = response.strip_prefix(OPEN)?.split_once(CLOSE)?;
                let rest = rest.trim();
                let once =
                    !thoughts.contains(OPEN) && !rest.contains(OPEN) && !rest.contains(CLOSE);
                (once && is_one_box(rest)).then_some(rest)
            }
        }
    }
}

/// Whether `text` is one box and nothing else.
fn is_one_box(text: &str) -> bool {
    let Some(content) = text.strip_prefix(r"\boxed{") else { return false };
    // The last box starts where this one does, ends where the text does, and holds no other.
    let start = text.len() - content.len();
    last_boxed(text) == Some(start..text.len() - 1) && !content.contains(r"\boxed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, response: &str, expected: Option<&str>) {
        assert_eq!(format.graded(response), expected, "{format:?}: {response}");
    }

    #[test]
    fn think_grades_what_follows_the_first_closing_tag() {
        check(Format::Think, "a</think>b", Some("b"));
        check(Format::Think, "<think>a</think>b", Some("b"));
        check(Format::Think, "a</think>b</think>c", Some("b</think>c"));
        check(Format::Think, r"\boxed{57}", None);
        check(Format::Think, "", None);
    }

    #[test]
    fn plain_grades_everything() {
        check(Format::Plain, "a</think>b", Some("a</think>b"));
        check(Format::Plain, "", Some(""));
    }

    #[test]
    fn strict_accepts_thoughts_and_one_box() {
        check(Format::StrictThink, "<think>\n2c2c7,</think>\\boxed{722}", Some(r"\boxed{722}"));
        check(
            Format::StrictThink,
            "<think></think>\n \\boxed{\\frac{1}{2}}\n",
            Some(r"\boxed{\frac{1}{2}}"),
        );
        check(Format::StrictThink, r"<think>\boxed{1}</think>\boxed{2}", Some(r"\boxed{2}"));
    }

    #[test]
    fn strict_refuses_everything_else() {
        for response in [
            "",
            r"\boxed{1}",
            r"</think>\boxed{1}",
            r"2c</think>\boxed{1}",
            r" <think>2c</think>\boxed{1}",
            r"<think><think>2c</think>\boxed{1}",
            r"<think>2c</think></think>\boxed{1}",
            r"<think>2c</think>\boxed{1}</think>",
            r"<think>2c</think>\boxed{1}<think>",
            r"<think>2c</think>\boxed{<think>}",
            r"<think>2c</think>1",
            r"<think>2c</think>",
            r"<think>2c</think>it is \boxed{1}",
            r"<think>2c</think>\boxed{1}.",
            r"<think>2c</think>\boxed{1}\boxed{2}",
            r"<think>2c</think>\boxed{\boxed{2}}",
            r"<think>2c</think>\boxed{1",
            r"<think>2c</think>\boxed{1}}",
            r"<think>2c\boxed{1}",
        ] {
            check(Format::StrictThink, response, None);
        }
    }
}
