//! Answers outside of a box: the last line, or the last "the answer is".

use super::letter::{Named, in_box, in_sentence};

/// Words that an answer follows: "the answer is C", "correct option: C".
const KEYS: [&str; 3] = ["answer", "option", "choice"];

/// What Markdown and spaces put between a key word and its answer.
const DRESS: [char; 5] = ['*', '_', '`', ' ', '\t'];

/// Most bytes a line may have to be read as a letter alone.
const MAX_LETTER_LINE: usize = 64;

/// The answer that a text states last, and what it names. `None` where nothing is stated; what is
/// said about letters elsewhere, "A is wrong", is never looked at.
pub(super) fn last(text: &str) -> Option<(&str, Named)> {
    let last_line = text.lines().rev().map(bare).find(|line| !line.is_empty())?;
    if let Some(answer) = letter_alone(last_line) {
        return Some(answer);
    }
    let stated = text.lines().rev().find_map(last_statement)?;
    match in_sentence(stated) {
        Named::Nothing => None,
        named => Some((stated, named)),
    }
}

/// A line that is nothing but a letter.
fn letter_alone(line: &str) -> Option<(&str, Named)> {
    if line.len() > MAX_LETTER_LINE {
        return None;
    }
    let n_letters = line.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty());
    // `\text{C}` has a word for its command; a label or a text behind the letter is no letter alone.
    let is_alone = n_letters.clone().filter(|word| word.len() == 1).count() == 1
        && n_letters.filter(|word| word.len() > 1).all(|word| line.contains(&format!(r"\{word}")))
        && !line.contains(|c: char| c.is_ascii_digit());
    match in_box(line) {
        Named::One(letter) if is_alone => Some((line, Named::One(letter))),
        _ => None,
    }
}

/// What follows the last key word of a line that is followed by "is" or a colon.
fn last_statement(line: &str) -> Option<&str> {
    // Lower-casing ASCII alone keeps every byte where it is.
    let lower = line.to_ascii_lowercase();
    let rest = |key: &str| {
        lower
            .rmatch_indices(key)
            .filter(|(at, _)| {
                !lower.get(..*at).is_some_and(|before| before.ends_with(char::is_alphanumeric))
            })
            .find_map(|(at, key)| after_key(line.get(at + key.len()..)?))
    };
    // The shortest rest is the last one.
    KEYS.iter().filter_map(|key| rest(key)).min_by_key(|rest| rest.len()).map(bare)
}

/// What follows "is", a colon or both, if the text behind a key word begins with them and goes on.
fn after_key(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(DRESS);
    let said = after_is(text);
    let rest = said.unwrap_or(text).trim_start_matches(DRESS);
    let named = rest.strip_prefix([':', '\u{ff1a}']);
    let rest = named.unwrap_or(rest).trim_start_matches(DRESS);
    let is_stated = said.is_some() || named.is_some();
    (is_stated && !rest.is_empty() && !rest.starts_with("<|")).then_some(rest)
}

fn after_is(text: &str) -> Option<&str> {
    let word = text.get(..2)?;
    let rest = text.get(2..)?;
    (word.eq_ignore_ascii_case("is") && !rest.starts_with(char::is_alphanumeric)).then_some(rest)
}

/// A line without white space and special tokens around it.
fn bare(line: &str) -> &str {
    line.split("<|").next().unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<Named>) {
        assert_eq!(last(text).map(|(_, named)| named), expected, "{text:?}");
    }

    #[test]
    fn the_last_statement_counts() {
        for text in [
            "Answer: C",
            "ANSWER: C",
            "ANSWER: C<|endoftext|>",
            "The answer is C",
            "The answer is (C).",
            "so the correct answer is **C**.",
            "**Answer:** C",
            "**Answer: C**",
            "Answer: $\\text{C}$",
            "The answer is: C\n\nHope this helps.",
            "The correct option is C. A is wrong.",
            "The best choice is (C) 42",
            "The answer is A? No, the answer is C.",
            "Answer: A\nAnswer: C",
            "C",
            "so\n\n(C)\n",
            "**C**",
            "it is\nC.",
            r"thus
$\text{C}$",
            "The answer is A. Wait.\nC",
        ] {
            check(text, Some(Named::One(b'C')));
        }
        check("Answer: A or B", Some(Named::Several));
    }

    #[test]
    fn prose_is_not_guessed_at() {
        for text in [
            "",
            "\n",
            "A is wrong",
            "I think A",
            "Option A is wrong",
            "The answer is not A.",
            "The answer is a prime.",
            "The answer is A train.",
            "C is the answer",
            "the answers differ",
            "Options: A) 3 B) 4",
            "The answer is a",
            "unanswered: A",
            "The answer is",
            "Answer:",
            "(C) is tempting",
            "So C) 42",
            "x\nA B",
            "5",
            "The answer is A. Wait, the answer is not A.",
        ] {
            check(text, None);
        }
    }
}
