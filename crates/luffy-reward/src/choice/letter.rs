//! The letter in a short text: a gold, the content of a box, the end of "the answer is".

/// What a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// One choice; the letter is upper case.
    One(u8),
    /// At least two different choices.
    Several,
    /// No choice.
    Nothing,
}

/// Commands that only dress what stands in their braces.
const WRAPPERS: [&str; 18] = [
    "boxed",
    "bf",
    "bold",
    "boldsymbol",
    "displaystyle",
    "left",
    "mathbf",
    "mathit",
    "mathrm",
    "mathsf",
    "mbox",
    "operatorname",
    "right",
    "rm",
    "text",
    "textbf",
    "textit",
    "textrm",
];

/// Words that may stand before a letter.
const LABELS: [&str; 3] = ["answer", "option", "choice"];

/// Reads the content of a box or a gold: all of it belongs to the answer, so a second choice anywhere in
/// it, `(A) 42 or (B) 43`, counts.
pub(super) fn in_box(text: &str) -> Named {
    let plain = undressed(text);
    let (first, rest) = match named_first(&plain) {
        Ok(found) => found,
        Err(named) => return named,
    };
    let hedges = (0..rest.len()).any(|at| {
        let starts_word = at == 0 || !rest[at - 1].is_alphanumeric() && rest[at - 1] != '(';
        starts_word && head(&rest[at..], true).is_some_and(|other| other.letter != first)
    });
    if hedges { Named::Several } else { Named::One(first) }
}

/// Reads what follows "the answer is" on its line. Sentences may follow, so only what is joined to the
/// first letter counts as a second choice, and `a` is a word unless a bracket follows it.
pub(super) fn in_sentence(text: &str) -> Named {
    let plain = undressed(text);
    let mut start = after_label(trimmed(&plain)).iter();
    if start.next().is_some_and(char::is_ascii_lowercase) && start.next() != Some(&')') {
        return Named::Nothing;
    }
    match named_first(&plain) {
        Ok((first, _)) => Named::One(first),
        Err(named) => named,
    }
}

/// The letter that `text` begins with and what follows it; or that there is none, or a second one is
/// joined to it.
fn named_first(text: &[char]) -> Result<(u8, &[char]), Named> {
    let text = after_label(trimmed(text));
    let Some(first) = head(text, false).or_else(|| joined_head(text)) else {
        return Err(Named::Nothing);
    };
    let rest = &text[first.len..];
    let joined = after_joint(rest);
    // Lower case straight behind a letter makes a word, such as `At`.
    let is_word = joined.len() == rest.len() && rest.first().is_some_and(char::is_ascii_lowercase);
    match head(joined, false).filter(|_| !is_word) {
        Some(second) if second.letter != first.letter => Err(Named::Several),
        _ if first.needs_second => Err(Named::Nothing),
        _ => Ok((first.letter, rest)),
    }
}

/// A choice at the start of a text.
#[derive(Debug, Clone, Copy)]
struct Head {
    letter: u8,
    /// Characters it takes.
    len: usize,
    /// Whether it is a letter only if another one is joined to it: the `A` of `A or B`.
    needs_second: bool,
}

/// A choice at the start of `text`: `(C)`, `[C]`, `C)`, `C:`, `C.`, or `C` and the end. `delimited`
/// leaves out what a sentence may hold by accident: a bare letter, a letter and a full stop at the end,
/// anything in lower case.
fn head(text: &[char], delimited: bool) -> Option<Head> {
    let letter_at = |at: usize| {
        let letter = text.get(at).filter(|c| c.is_ascii_alphabetic())?;
        (!delimited || letter.is_ascii_uppercase()).then(|| letter.to_ascii_uppercase() as u8)
    };
    if let Some(close) = match text.first()? {
        '(' => Some(')'),
        '[' => Some(']'),
        _ => None,
    } {
        let inner = &text[1..];
        let letter = letter_at(1 + blanks(inner))?;
        let at = 2 + blanks(inner);
        let len = at + blanks(&text[at..]) + 1;
        return (text.get(len - 1) == Some(&close)).then_some(Head {
            letter,
            len,
            needs_second: false,
        });
    }
    let letter = letter_at(0)?;
    let found = |len| Some(Head { letter, len, needs_second: false });
    let next_is_blank = text.get(2).is_none_or(|c| c.is_whitespace());
    match text.get(1) {
        None => {
            if delimited {
                None
            } else {
                found(1)
            }
        }
        Some(')' | ']') => found(2),
        Some(':') if text.get(2) != Some(&'=') => found(2),
        Some('.') if next_is_blank && !(delimited && text.len() == 2) => found(2),
        Some(',' | ';' | '!' | '?' | '\n') if next_is_blank && !delimited => found(1),
        Some('\u{2013}' | '\u{2014}') if !delimited => found(2),
        Some(' ') if !delimited && matches!(text.get(2), Some('\u{2013}' | '\u{2014}')) => found(3),
        _ => None,
    }
}

/// The first letter of `A or B`, `A/B`, `AB`: no choice by itself.
fn joined_head(text: &[char]) -> Option<Head> {
    let letter = text.first().filter(|c| c.is_ascii_uppercase())?;
    Some(Head { letter: *letter as u8, len: 1, needs_second: true })
}

/// What follows the signs and words that join two choices.
fn after_joint(mut text: &[char]) -> &[char] {
    let is_sign = |c: &char| c.is_whitespace() || matches!(c, ',' | ';' | '/' | '&' | '|' | '+');
    loop {
        let n_signs = text.iter().take_while(|c| is_sign(c)).count();
        text = &text[n_signs..];
        match ["and", "or"].iter().find_map(|word| after_word(text, word)) {
            Some(rest) if !rest.is_empty() => text = rest,
            _ => return text,
        }
    }
}

/// `text` without a label such as `Option` in front.
fn after_label(text: &[char]) -> &[char] {
    match LABELS.iter().find_map(|label| after_word(text, label)) {
        Some(rest) => {
            let n_signs = rest.iter().take_while(|c| **c == ':' || c.is_whitespace()).count();
            &rest[n_signs..]
        }
        None => text,
    }
}

/// What follows `word`, in any case, if the word ends there.
fn after_word<'a>(text: &'a [char], word: &str) -> Option<&'a [char]> {
    let n = word.len();
    let start = text.get(..n)?;
    let is_it = start.iter().zip(word.chars()).all(|(a, b)| a.to_ascii_lowercase() == b);
    let ends = text.get(n).is_none_or(|c| !c.is_alphanumeric());
    (is_it && ends).then(|| &text[n..])
}

fn blanks(text: &[char]) -> usize {
    text.iter().take_while(|c| c.is_whitespace()).count()
}

fn trimmed(text: &[char]) -> &[char] {
    let text = &text[blanks(text)..];
    let n_trailing = text.iter().rev().take_while(|c| c.is_whitespace()).count();
    &text[..text.len() - n_trailing]
}

/// The characters of `text` without LaTeX and Markdown dress: `\text{(C)}`, `$C$` and `**C**` become
/// `(C)`, `C` and `C`. A command that is no dress becomes `\`, which no choice has. Ends at `<|`, where
/// special tokens begin.
fn undressed(text: &str) -> Vec<char> {
    let mut plain = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let mut name = String::new();
                while let Some(letter) = chars.next_if(char::is_ascii_alphabetic) {
                    name.push(letter);
                }
                if !name.is_empty() {
                    let is_space = name == "quad" || name == "qquad";
                    let is_dress = WRAPPERS.contains(&name.as_str());
                    plain.extend((!is_dress).then_some(if is_space { ' ' } else { '\\' }));
                } else if let Some(escaped) = chars.next() {
                    match escaped {
                        // Math delimiters too: they are not the brackets of a choice.
                        '{' | '}' | '(' | ')' | '[' | ']' => {}
                        ',' | ';' | ':' | '!' | ' ' | '\\' | '\n' => plain.push(' '),
                        other => plain.push(other),
                    }
                }
            }
            '{' | '}' | '$' | '*' | '`' => {}
            '<' if chars.peek() == Some(&'|') => break,
            '~' | '\u{a0}' => plain.push(' '),
            '\u{ff08}' => plain.push('('),
            '\u{ff09}' => plain.push(')'),
            '\u{ff1a}' => plain.push(':'),
            '\u{3002}' | '\u{ff0e}' => plain.extend(['.', ' ']),
            other => plain.push(other),
        }
    }
    while plain.last().is_some_and(|c: &char| c.is_whitespace()) {
        plain.pop();
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(read: fn(&str) -> Named, texts: &[&str], expected: Named) {
        for text in texts {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_letter_is_read_in_every_dress_of_a_choice() {
        let texts = [
            "C",
            "c",
            "(C)",
            "(c)",
            "[C]",
            "( C )",
            "C.",
            "C)",
            "C:",
            "C) text",
            "C. text",
            "C: days",
            "(C) 42",
            "(C) $x = B$",
            "(C) A train",
            "(C) vitamin B.",
            "(C) f(A)",
            "D) both A and B",
            r"\text{(C)}",
            r"\text{C}",
            r"\textbf{C}",
            r"\mathrm{C}",
            r"\mathbf{(C)}\ 42",
            r"{C}",
            r"\text{(C) }42",
            r"\textbf{(C) }\frac{1}{2}",
            r"\left(C\right)",
            r"\mathbf{C}.",
            "$C$",
            r"\(C\)",
            "**C**",
            "`C`",
            " C ",
            "Option C",
            "option (C)",
            "Answer: C",
            "choice C: days",
            "C, C",
            "C \u{2014} days",
            "\u{ff08}C\u{ff09}",
            r"\boxed{C}",
            "C<|im_end|>",
        ];
        for text in texts {
            let letter = if text.starts_with('D') { b'D' } else { b'C' };
            assert_eq!(in_box(text), Named::One(letter), "{text:?}");
        }
    }

    #[test]
    fn two_different_letters_name_none() {
        let texts = [
            "A, B",
            "A,B",
            "A B",
            "A and B",
            "A or B",
            "(A) or (B)",
            "(A)(B)",
            "A/B",
            "A & B",
            r"A \& B",
            r"\text{A or B}",
            r"\{A, B\}",
            "(A), (C)",
            "A) 42 or B) 43",
            "(A) 42 or (B) 43",
            "A: days, B: nights",
            "A. 42 B. 43",
            r"\text{A}\text{ and }\text{B}",
            "Option A or B",
        ];
        check(in_box, &texts, Named::Several);
    }

    #[test]
    fn what_is_no_letter_names_nothing() {
        let texts = [
            "",
            " ",
            "42",
            "1",
            "CC",
            "Cat",
            "C text",
            "C = 5",
            "C+1",
            "C^2",
            "2C",
            "C'",
            "(C",
            "-C",
            "(CD)",
            r"\frac{C}{2}",
            r"\alpha",
            r"\sqrt{C}",
            "A is wrong",
            "not A",
            "I think so",
            "C:=5",
            "C.5",
            "\u{410}",
            r"\pi",
            "C_1",
            "()",
            "(",
            "[",
            "\\",
            "answer",
            "none of them",
            "At",
        ];
        check(in_box, &texts, Named::Nothing);
    }

    #[test]
    fn a_sentence_may_go_on_after_its_letter() {
        let texts = [
            "C",
            "(C)",
            "C.",
            "C. A is wrong because",
            "(C) because A is",
            "C, because",
            "C: days, not B)",
            "C) 42 and (A) is wrong",
            "**C**.",
            "option C",
            r"\text{C}.",
            "$C$",
        ];
        check(in_sentence, &texts, Named::One(b'C'));
        check(in_sentence, &["A or B", "A, B", "(A) and (B)", "A and B."], Named::Several);
        let texts = ["C is wrong", "not C", "a train", "A train", "I think", "unknown", ""];
        check(in_sentence, &texts, Named::Nothing);
    }
}
