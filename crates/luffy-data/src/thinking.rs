//! Whether prompt, demonstration and format agree on who opens the thought.

use crate::{DataError, DemonstrationFault};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// How a rendered prompt leaves the thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It ends in `<think>` with or without a line break, which is the prefix here.
    Prompt(&'static str),
    /// It ends in `</think>`: a template that forbids thinking writes an empty thought.
    Closed,
    /// The response opens its thought itself, if it thinks.
    Response,
}

impl Opening {
    pub(crate) fn of(rendered: &str) -> Self {
        let prefix = ["<think>\n", OPEN].into_iter().find(|prefix| rendered.ends_with(prefix));
        match prefix {
            Some(prefix) => Self::Prompt(prefix),
            None if rendered.trim_end().ends_with(CLOSE) => Self::Closed,
            None => Self::Response,
        }
    }

    /// What a trace adds to the prompt: without the prefix that the prompt already has.
    pub(crate) fn continued_by(self, trace: &str) -> &str {
        match self {
            Self::Prompt(prefix) => trace.strip_prefix(prefix).unwrap_or(trace),
            Self::Closed | Self::Response => trace,
        }
    }

    /// What is wrong with the tags of `trace`, which continues the prompt. A trace without any tag after
    /// a prompt that opens nothing is fine: the format decides whether thoughts are asked for.
    pub(crate) fn fault(self, trace: &str) -> Option<DemonstrationFault> {
        let (before_close, is_closed) = match trace.split_once(CLOSE) {
            Some((before, _)) => (before, true),
            None => (trace, false),
        };
        let opens = before_close.contains(OPEN);
        let is_open = match self {
            Self::Prompt(_) if trace.trim_start().starts_with(OPEN) => {
                return Some(DemonstrationFault::ThoughtOpenedTwice);
            }
            Self::Prompt(_) => true,
            Self::Closed | Self::Response => opens,
        };
        match (is_open, is_closed) {
            (true, false) => Some(DemonstrationFault::Truncated),
            (false, true) => Some(DemonstrationFault::ThoughtNotOpened),
            (true, true) | (false, false) => None,
        }
    }
}

/// What the format of responses asks of the thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkFormat {
    /// A response must hold `</think>`; who wrote the opening tag does not matter.
    Closing,
    /// A response must begin with `<think>` and close it.
    Whole,
    /// Thoughts are not asked for, and what is graded includes them.
    Nothing,
}

/// Checks that the end of a rendered prompt and the format of responses fit together.
///
/// A disagreement costs a whole run its reward without any other sign. A prompt that leaves the opening
/// to the response agrees with every format.
///
/// # Errors
/// If the prompt ends in `<think>` and the format wants it in the response or takes thoughts for part of
/// the answer, or if the prompt has already closed a thought that the format asks for. The message ends
/// with the rendered prompt.
pub fn check_thinking(rendered: &str, format: ThinkFormat) -> Result<(), DataError> {
    let problem = match (Opening::of(rendered), format) {
        (Opening::Prompt(_), ThinkFormat::Whole) => {
            "it ends in `<think>`, but the format wants every response to begin with that tag; take a \
             format that looks for `</think>` alone, or a template that does not open the thought"
        }
        (Opening::Prompt(_), ThinkFormat::Nothing) => {
            "it ends in `<think>`, but the format grades thoughts as part of the answer; take a format \
             that looks for `</think>`, or a template that does not open the thought"
        }
        (Opening::Closed, ThinkFormat::Closing | ThinkFormat::Whole) => {
            "it ends in `</think>`, but the format asks for a thought in the response; take a format \
             without thoughts, or a template that leaves the thought to the response"
        }
        _ => return Ok(()),
    };
    Err(DataError::Thinking { problem, rendered: rendered.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use DemonstrationFault::{ThoughtNotOpened, ThoughtOpenedTwice, Truncated};

    #[test]
    fn a_trace_continues_what_the_prompt_began() {
        for (prompt, trace, expected) in [
            ("q<think>\n", "<think>\na</think>b", ("a</think>b", None)),
            ("q<think>\n", "a</think>b", ("a</think>b", None)),
            ("q<think>", "<think>\na</think>b", ("\na</think>b", None)),
            ("q<think>\n", "<think>a</think>b", ("<think>a</think>b", Some(ThoughtOpenedTwice))),
            (
                "q<think>\n",
                "\n<think>\na</think>",
                ("\n<think>\na</think>", Some(ThoughtOpenedTwice)),
            ),
            ("q<think>\n", "<think>\na", ("a", Some(Truncated))),
            ("q<think>\n", "a tag <think> is</think>b", ("a tag <think> is</think>b", None)),
            ("q", "<think>\na</think>b", ("<think>\na</think>b", None)),
            ("q", "<think>\na", ("<think>\na", Some(Truncated))),
            ("q", "a</think>b", ("a</think>b", Some(ThoughtNotOpened))),
            ("q", "a</think>b<think>", ("a</think>b<think>", Some(ThoughtNotOpened))),
            ("q", "b", ("b", None)),
            ("q<think>\n\n</think>\n\n", "b", ("b", None)),
        ] {
            let opening = Opening::of(prompt);
            let continued = opening.continued_by(trace);
            assert_eq!((continued, opening.fault(continued)), expected, "{prompt:?} {trace:?}");
        }
    }

    #[test]
    fn prompt_and_format_must_agree() {
        use ThinkFormat::{Closing, Nothing, Whole};
        let cases = [
            ("q<think>\n", [true, false, false]),
            ("q<think>", [true, false, false]),
            ("q<think>\n\n</think>\n\n", [false, false, true]),
            ("q", [true, true, true]),
            ("write <think> tags\n", [true, true, true]),
        ];
        for (rendered, agrees) in cases {
            for (format, agrees) in [Closing, Whole, Nothing].into_iter().zip(agrees) {
                let checked = check_thinking(rendered, format);
                assert_eq!(checked.is_ok(), agrees, "{rendered:?} {format:?}");
            }
        }
        let error = check_thinking("q<think>\n", Whole).unwrap_err().to_string();
        assert!(
            error.starts_with("the rendered prompt and the format disagree: it ends in"),
            "{error}"
        );
        assert!(error.ends_with("prompt:\nq<think>\n"), "{error}");
    }
}
