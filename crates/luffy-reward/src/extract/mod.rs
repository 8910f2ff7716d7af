//! Taking the answer out of a response.

mod adjacent;
mod boxes;
mod phrases;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use boxes::last_boxed;

/// Where answers are looked for. Everything is off in the [default](Self::default) but the box.
///
/// The sources are tried in the order of the fields, and the first that gives an answer is taken.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each with a name of its own in a configuration"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Extraction {
    /// Boxes with nothing but separators between them are one list: `\boxed{1}` and `\boxed{2}` answer
    /// `1, 2`, and name two candidates where one was asked for. Without it the last box is the answer.
    pub join_adjacent_boxes: bool,
    /// `The final answer is X`, `Final Answer: X`.
    pub final_answer: bool,
    /// `The answer is X`, `Answer: X`.
    pub answer_phrase: bool,
    /// `#### X`, as GSM8K ends its solutions.
    pub hashes: bool,
    /// The last formula between dollars or their like.
    pub last_math: bool,
    /// The last number of all. Never for rewards: it pays for naming numbers.
    pub last_number: bool,
}

impl Extraction {
    /// Boxes only; several in a row are one list.
    pub const BOXED: Self = Self {
        join_adjacent_boxes: true,
        final_answer: false,
        answer_phrase: false,
        hashes: false,
        last_math: false,
        last_number: false,
    };

    /// Everything.
    pub const LENIENT: Self = Self {
        join_adjacent_boxes: true,
        final_answer: true,
        answer_phrase: true,
        hashes: true,
        last_math: true,
        last_number: true,
    };
}

/// Something that may be the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// What to read.
    pub(crate) text: String,
    /// Where it stands in the text that was searched.
    pub(crate) span: Range<usize>,
}

/// The answers a text may give, the likeliest first: the first that can be read is the answer.
///
/// A box ends the search, even an empty one: then there is no candidate.
pub(crate) fn candidates(text: &str, extraction: Extraction) -> Vec<Candidate> {
    let boxes = boxes::boxes(text);
    if !boxes.is_empty() {
        let contents: Vec<Piece> = boxes
            .iter()
            .map(|found| Piece {
                outer: found.start..found.content.end + 1,
                inner: found.content.clone(),
            })
            .collect();
        let candidate = if extraction.join_adjacent_boxes {
            adjacent::join(text, &contents)
        } else {
            contents.last().and_then(|last| last.candidate(text))
        };
        let mut found = Vec::new();
        if extraction.final_answer
            && let Some(last) = contents.last()
        {
            found = phrases::hoped(text, last.outer.end);
        }
        found.extend(candidate);
        return found;
    }
    phrases::candidates(text, extraction)
}

/// A part of a text with the marks around it.
#[derive(Debug, Clone)]
struct Piece {
    outer: Range<usize>,
    inner: Range<usize>,
}

impl Piece {
    /// What stands inside, if anything does.
    fn candidate(&self, text: &str) -> Option<Candidate> {
        let inner = text.get(self.inner.clone())?;
        let trimmed = inner.trim();
        let start = self.inner.start + (inner.len() - inner.trim_start().len());
        (!trimmed.is_empty())
            .then(|| Candidate { text: trimmed.to_owned(), span: start..start + trimmed.len() })
    }
}
