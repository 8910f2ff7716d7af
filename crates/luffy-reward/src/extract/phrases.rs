//! Answers without a box.

use std::ops::Range;

use super::{Candidate, Extraction, Piece, adjacent};

/// The longest answer that follows a phrase.
const MAX_PHRASE: usize = 2_000;

/// The answer of `The final answer is X. I hope it is correct.`, if that stands behind `from`: a form that
/// few-shot prompts ask for, and stronger than a box before it.
pub(super) fn hoped(text: &str, from: usize) -> Vec<Candidate> {
    let mut found = Vec::new();
    let tail = text.get(from..).unwrap_or("");
    let hope = tail.rfind("I hope it is correct");
    if let Some(hope) = hope
        && let Some(phrase) = tail.get(..hope).and_then(|tail| last_phrase(tail, true))
        && hope - phrase <= MAX_PHRASE
    {
        after_phrase(text, from + phrase, &mut found);
    }
    found
}

/// What may be the answer, the likeliest first.
pub(super) fn candidates(text: &str, extraction: Extraction) -> Vec<Candidate> {
    let text = without_special_tokens(text);
    let mut found = Vec::new();
    if extraction.final_answer
        && let Some(at) = last_phrase(text, true)
    {
        after_phrase(text, at, &mut found);
    }
    if extraction.answer_phrase
        && let Some(at) = last_phrase(text, false)
    {
        after_phrase(text, at, &mut found);
    }
    if extraction.hashes
        && let Some(at) = text.rfind("####")
    {
        line(text, at + 4, &mut found);
    }
    if extraction.last_math || extraction.last_number {
        let math = if extraction.last_math { formulas(text, 0..text.len()) } else { Vec::new() };
        let joined = adjacent::join(text, &math);
        let number = if extraction.last_number { last_number(text, 0..text.len()) } else { None };
        match (joined, number) {
            (Some(math), Some(number)) if number.span.start > math.span.end => {
                found.push(number);
                found.push(math);
            }
            (math, number) => found.extend(math.into_iter().chain(number)),
        }
        // A text that is nothing but the answer.
        if extraction.last_math && math.is_empty() && text.len() <= MAX_PHRASE {
            let whole = Piece { outer: 0..text.len(), inner: 0..text.len() };
            if let Some(whole) = whole.candidate(text).filter(|whole| !is_prose(&whole.text)) {
                found.insert(found.len().saturating_sub(1), whole);
            }
        }
    }
    found.retain(|candidate| !candidate.text.trim().is_empty());
    found
}

/// The text without the tokens that end a turn, and what comes after them.
fn without_special_tokens(text: &str) -> &str {
    let end = text.find("<|im_start|>").unwrap_or(text.len());
    let mut text = text.get(..end).unwrap_or(text).trim_end();
    while let Some(start) = text.strip_suffix("|>").and_then(|head| head.rfind("<|")) {
        text = text.get(..start).unwrap_or("").trim_end();
    }
    text
}

/// Where the last `answer is`, `answer:` or their like ends, in any case of letters; `is_final` asks for
/// `final answer`. Of a text that repeats the word without end only the last mentions are looked at.
fn last_phrase(text: &str, is_final: bool) -> Option<usize> {
    const MAX_MENTIONS: usize = 64;
    let mut lower = text.rfind("nswer");
    let mut upper = text.rfind("NSWER");
    for _ in 0..MAX_MENTIONS {
        let at = lower.max(upper)?;
        let head = text.get(..at)?;
        // Only the one that was met is looked for again, so that the text is read once.
        if lower == Some(at) {
            lower = head.rfind("nswer");
        } else {
            upper = head.rfind("NSWER");
        }
        let before = head.strip_suffix(['a', 'A']);
        let Some(before) = before else { continue };
        let before = before.trim_end_matches([' ', '*', '\n']);
        if is_final && !ends_with(before, "final") {
            continue;
        }
        let after = text.get(at + 5..)?;
        if let Some(len) = introduction(after) {
            return Some(at + 5 + len);
        }
    }
    None
}

/// The length of what stands between the word and the answer: ` is`, `:`, `**:`, `s are`, ` =`.
fn introduction(after: &str) -> Option<usize> {
    let marks = [
        "s are",
        " is",
        ":",
        " =",
        "**:",
        ":**",
        "** is",
        "**",
        "\n",
        " to this question is",
        " to the problem is",
    ];
    marks.iter().find_map(|mark| {
        let head = after.get(..mark.len())?;
        head.eq_ignore_ascii_case(mark).then_some(mark.len())
    })
}

fn ends_with(text: &str, word: &str) -> bool {
    text.len()
        .checked_sub(word.len())
        .and_then(|start| text.get(start..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(word))
}

/// The answer that follows a phrase: a formula, the rest of the sentence, or its last number.
fn after_phrase(text: &str, at: usize, found: &mut Vec<Candidate>) {
    let rest = text.get(at..).unwrap_or("");
    let skipped =
        rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || ":*".contains(c)).len();
    let start = at + skipped;
    let mut limit = (start + MAX_PHRASE).min(text.len());
    while !text.is_char_boundary(limit) {
        limit -= 1;
    }
    let rest = text.get(start..limit).unwrap_or("");
    let end = rest.find("I hope").unwrap_or(rest.len());
    let end = rest.get(..end).and_then(|rest| rest.find("\n\n")).unwrap_or(end);
    let region = start..start + end;
    let math = formulas(text, region.clone());
    if let Some(first) = math.first()
        && first.outer.start == start
    {
        // What follows may go on with the list, or be another sentence.
        let run = math.iter().scan(first.outer.start, |next, piece| {
            let is_next = piece.outer.start.saturating_sub(*next) <= 12;
            *next = piece.outer.end;
            is_next.then(|| piece.clone())
        });
        found.extend(adjacent::join(text, &run.collect::<Vec<_>>()));
        return;
    }
    let sentence = sentence(text, region);
    let piece = Piece { outer: sentence.clone(), inner: sentence.clone() };
    let Some(candidate) = piece.candidate(text) else { return };
    if !is_prose(&candidate.text) {
        found.push(candidate);
        return;
    }
    let in_sentence: Vec<Piece> =
        math.into_iter().filter(|piece| piece.outer.end <= sentence.end + 1).collect();
    let math = in_sentence.last().and_then(|last| last.candidate(text));
    let number = last_number(text, sentence);
    match (math, number) {
        (Some(math), Some(number)) if number.span.start > math.span.end => found.push(number),
        (math, number) => found.extend(math.or(number)),
    }
}

/// The rest of the line behind `####`.
fn line(text: &str, at: usize, found: &mut Vec<Candidate>) {
    let rest = text.get(at..).unwrap_or("");
    let end = rest
        .trim_start()
        .find('\n')
        .map_or(rest.len(), |end| end + rest.len() - rest.trim_start().len());
    let piece = Piece { outer: at..at + end, inner: at..at + end };
    found.extend(piece.candidate(text).filter(|candidate| candidate.text.len() <= MAX_PHRASE));
}

/// Up to the end of the line or of the sentence, without the full stop.
fn sentence(text: &str, region: Range<usize>) -> Range<usize> {
    let rest = text.get(region.clone()).unwrap_or("");
    let line = rest.find('\n').unwrap_or(rest.len());
    let stop = rest.find(". ").unwrap_or(rest.len());
    let end = line.min(stop);
    let rest = rest.get(..end).unwrap_or("");
    let trimmed = rest.trim_end_matches(|c: char| c.is_whitespace() || ".*".contains(c));
    region.start..region.start + trimmed.len()
}

/// Whether a text is a sentence and no formula: two words in a row that mean nothing in a formula.
fn is_prose(text: &str) -> bool {
    let mut depth = 0_i32;
    let mut words = 0;
    let mut letters = 0;
    let mut is_command = false;
    for c in text.chars().chain([' ']) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '\\' => is_command = true,
            _ => {}
        }
        if c.is_alphabetic() {
            letters += 1;
            continue;
        }
        if c != '\\' {
            if letters >= 2 && !is_command && depth == 0 {
                words += 1;
            }
            letters = 0;
            is_command = false;
        }
    }
    words >= 3
}

/// The formulas of a region, the marks around them left out.
fn formulas(text: &str, region: Range<usize>) -> Vec<Piece> {
    const MAX_FORMULAS: usize = 4096;
    let bytes = text.as_bytes();
    let mut found: Vec<Piece> = Vec::new();
    let mut open: Option<(usize, usize, &str)> = None;
    let mut at = region.start;
    while at < region.end {
        let rest = &bytes[at..region.end];
        let mark = match rest[0] {
            b'\\' => match rest.get(1) {
                Some(b'(') => "\\(",
                Some(b')') => "\\)",
                Some(b'[') => "\\[",
                Some(b']') => "\\]",
                _ => {
                    at += 2;
                    continue;
                }
            },
            b'$' if rest.get(1) == Some(&b'$') => "$$",
            b'$' => "$",
            _ => {
                at += 1;
                continue;
            }
        };
        let closes = |open: &str| match open {
            "\\(" => mark == "\\)",
            "\\[" => mark == "\\]",
            _ => mark == open,
        };
        match open {
            Some((outer, inner, opened)) if closes(opened) => {
                if found.len() >= 2 * MAX_FORMULAS {
                    found.drain(..MAX_FORMULAS);
                }
                found.push(Piece { outer: outer..at + mark.len(), inner: inner..at });
                open = None;
            }
            _ if mark == "\\)" || mark == "\\]" => {}
            _ => open = Some((at, at + mark.len(), mark)),
        }
        at += mark.len();
    }
    found
}

/// The last number of a region, with the fraction, power or percentage it belongs to.
fn last_number(text: &str, region: Range<usize>) -> Option<Candidate> {
    let bytes = text.as_bytes();
    let last = region.clone().rev().find(|at| bytes[*at].is_ascii_digit())?;
    let is_part = |byte: u8| byte.is_ascii_digit() || b".,/^".contains(&byte);
    let mut start = last;
    while start > region.start && is_part(bytes[start - 1]) {
        start -= 1;
    }
    while start < last && !bytes[start].is_ascii_digit() && bytes[start] != b'.' {
        start += 1;
    }
    if start > region.start && bytes[start - 1] == b'-' {
        start -= 1;
    }
    let end = last + 1;
    let end = end + usize::from(bytes.get(end) == Some(&b'%') && end < region.end);
    // A number inside of a formula is a part of it and no answer.
    Some(Candidate { text: text.get(start..end)?.to_owned(), span: start..end })
}

#[cfg(test)]
mod tests;
