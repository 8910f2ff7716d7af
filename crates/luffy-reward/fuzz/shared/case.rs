//! Bytes to cases.

use super::mutate::{Source, answer, clipped, gold, response};

/// How bytes become a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A byte of settings, the gold up to the first line feed, the response.
    Bytes,
    /// Choices: which seed, how it is changed, and how it is answered.
    Cases,
}

/// One thing to grade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) gold: String,
    pub(crate) response: String,
    /// Which formats, budgets and verifiers are taken.
    pub(crate) settings: u8,
}

impl Target {
    pub(crate) const ALL: [Self; 2] = [Self::Bytes, Self::Cases];

    /// The name of the target of `cargo fuzz`, and of its folder of inputs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Cases => "cases",
        }
    }

    /// The case that `input` stands for; `max_len` bounds the texts of [`Target::Cases`].
    pub(crate) fn case(self, input: &[u8], max_len: usize) -> Case {
        match self {
            Self::Bytes => {
                let (settings, rest) = input.split_first().unwrap_or((&0, &[]));
                let at = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                let (gold, response) = rest.split_at(at);
                let response = response.strip_prefix(b"\n").unwrap_or(response);
                Case {
                    gold: String::from_utf8_lossy(gold).into_owned(),
                    response: String::from_utf8_lossy(response).into_owned(),
                    settings: *settings,
                }
            }
            Self::Cases => {
                let mut source = Source::new(input);
                let settings = source.byte();
                let (gold, row) = gold(&mut source, max_len / 3);
                let answer = answer(&mut source, &gold, row, max_len / 2);
                let response = response(&mut source, &answer, &gold);
                Case { gold, response: clipped(response, max_len), settings }
            }
        }
    }
}
