//! What every verifier does before it looks for an answer.

use luffy_core::{Extracted, FinishReason, Reason, Response};

use crate::Format;

/// The part of a response that may hold the answer, or why there is none to look at.
pub(crate) fn graded<'a>(
    format: Format,
    require_stop: bool,
    response: &Response<'a>,
) -> Result<&'a str, Reason> {
    if require_stop && response.finish == FinishReason::Length {
        return Err(Reason::Cut);
    }
    format.graded(response.text).ok_or(Reason::Format)
}

/// Where `part` starts in `whole`, which it is a slice of.
pub(crate) fn offset(whole: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize)
}

/// An answer with its place; `part` is a slice of `whole`.
pub(crate) fn extracted(whole: &str, part: &str) -> Extracted {
    let start = offset(whole, part);
    Extracted { text: part.to_owned(), span: start..start + part.len() }
}

/// The golds that are not empty, trimmed.
pub(crate) fn usable(golds: &[String]) -> impl Iterator<Item = &str> {
    golds.iter().map(|gold| gold.trim()).filter(|gold| !gold.is_empty())
}

#[cfg(test)]
pub(crate) mod fixtures {
    use luffy_core::Task;

    /// A task that is nothing but its golds.
    pub(crate) fn task(golds: &[&str]) -> Task {
        Task {
            id: "test:0".into(),
            source: "test".into(),
            messages: vec![],
            golds: golds.iter().map(|gold| (*gold).to_owned()).collect(),
            demonstrations: vec![],
            extra: serde_json::Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_knows_its_bytes() {
        let whole = "é = 57.";
        let part = whole.get(5..7).expect("ends at ASCII bytes");
        assert_eq!(extracted(whole, part), Extracted { text: "57".into(), span: 5..7 });
    }

    #[test]
    fn a_cut_response_is_refused_before_its_format_is_looked_at() {
        let cut = Response { text: "a</think>b", finish: FinishReason::Length };
        assert_eq!(graded(Format::Think, true, &cut), Err(Reason::Cut));
        assert_eq!(graded(Format::Think, false, &cut), Ok("b"));
        assert_eq!(graded(Format::Think, false, &Response::complete("b")), Err(Reason::Format));
    }
}
