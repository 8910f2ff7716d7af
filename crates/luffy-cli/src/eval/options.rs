//! Multiple choice whose options are numbered: 22 rows of ARC ask for `1)` to `4)` and have such golds.
//!
//! The verifier of choices knows letters alone. A number as gold is told to it as the letter at its place,
//! and so is every number in the response; the prompt stays as it is.

use std::sync::Arc;

use luffy_core::{Response, Task, Verdict, Verifier};

/// How a prompt names its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Labels {
    Letters,
    Digits,
}

/// Makes the golds of a task name its options as the prompt does: a digit becomes a letter where the
/// prompt has letters, a letter becomes a digit where it has digits.
pub(super) fn match_golds(task: &mut Task) {
    let Some(labels) = task.messages.last().and_then(|message| labels(&message.content)) else {
        return;
    };
    for gold in &mut task.golds {
        let mut chars = gold.trim().chars();
        let (Some(label), None) = (chars.next(), chars.next()) else { continue };
        *gold = match (labels, label) {
            (Labels::Letters, '1'..='9') => letter(label).to_string(),
            (Labels::Digits, 'A'..='I') => char::from(label as u8 - b'A' + b'1').to_string(),
            _ => continue,
        };
    }
}

/// The labels of a prompt whose lines begin with at least two of them, in order: `A) ..`, `(B) ..` or `1. ..`.
fn labels(prompt: &str) -> Option<Labels> {
    let label = |line: &str| {
        let line = line.trim_start();
        let mut chars = line.strip_prefix('(').unwrap_or(line).chars();
        let label = chars.next()?;
        matches!(chars.next()?, ')' | '.' | ':').then_some(label)
    };
    let found: Vec<char> = prompt.lines().filter_map(label).collect();
    let has = |first, second| {
        found
            .iter()
            .position(|label| *label == first)
            .is_some_and(|at| found.get(at + 1) == Some(&second))
    };
    if has('A', 'B') {
        Some(Labels::Letters)
    } else if has('1', '2') {
        Some(Labels::Digits)
    } else {
        None
    }
}

/// The letter at the place of a digit from 1 on.
fn letter(digit: char) -> char {
    char::from(digit as u8 - b'1' + b'A')
}

/// A verifier of choices that also grades numbered options: where a gold is a number.
#[derive(Debug)]
pub(super) struct NumberedOptions(pub(super) Arc<dyn Verifier>);

impl Verifier for NumberedOptions {
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
        let is_numbered = |gold: &String| {
            let mut names = gold.chars().filter(char::is_ascii_alphanumeric);
            matches!((names.next(), names.next()), (Some('1'..='9'), None))
        };
        if !task.golds.iter().any(is_numbered) {
            return self.0.verify(task, response);
        }
        let mut lettered = task.clone();
        lettered.golds = task.golds.iter().map(|gold| in_letters(gold)).collect();
        let text = in_letters(response.text);
        let mut verdict =
            self.0.verify(&lettered, &Response { text: &text, finish: response.finish });
        // A digit and its letter are one byte each, so the place holds in the response as it was written.
        if let Some(extracted) = &mut verdict.extracted
            && let Some(written) = response.text.get(extracted.span.clone())
        {
            written.clone_into(&mut extracted.text);
        }
        verdict
    }
}

/// The text with every digit that stands alone, in no larger number and no word, as its letter.
fn in_letters(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let joins = |point: Option<&char>, digit: Option<&char>| {
        matches!(point, Some('.' | ',')) && digit.is_some_and(char::is_ascii_digit)
    };
    let stands_alone = |i: usize| {
        let before = |n: usize| i.checked_sub(n).and_then(|at| chars.get(at));
        let after = |n: usize| chars.get(i + n);
        let touches = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric());
        let is_part = touches(before(1)) || touches(after(1));
        !is_part && !joins(before(1), before(2)) && !joins(after(1), after(2))
    };
    chars
        .iter()
        .enumerate()
        .map(|(i, c)| match c {
            '1'..='9' if stands_alone(i) => letter(*c),
            other => *other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use luffy_core::{Message, Outcome};
    use luffy_reward::{ChoiceVerifier, Format};

    use super::*;

    fn task(prompt: &str, gold: &str) -> Task {
        Task {
            id: "test:0".into(),
            source: "arc_c".into(),
            messages: vec![Message::user(prompt)],
            golds: vec![gold.into()],
            demonstrations: vec![],
            extra: serde_json::Map::new(),
        }
    }

    const LETTERS: &str = "Which?\n\nA) one\nB) two\nC) 3 trees\n";
    const DIGITS: &str = "Which?\n\n1) one\n2) two\n3) three\n";

    #[test]
    fn golds_are_named_as_the_prompt_names_its_options() {
        for (prompt, gold, expected) in [
            (LETTERS, "2", "B"),
            (LETTERS, "B", "B"),
            (DIGITS, "2", "2"),
            (DIGITS, "C", "3"),
            ("no options: 7", "2", "2"),
            ("(1) one\n(2) two", "A", "1"),
            (LETTERS, "42", "42"),
        ] {
            let mut task = task(prompt, gold);
            match_golds(&mut task);
            assert_eq!(task.golds, [expected], "{gold} of {prompt:?}");
        }
    }

    #[test]
    fn a_numbered_option_is_graded_by_its_number() {
        let verifier = NumberedOptions(Arc::new(ChoiceVerifier {
            format: Format::Plain,
            unboxed: true,
            ..ChoiceVerifier::default()
        }));
        for (text, outcome) in [
            (r"\boxed{2}", Outcome::Correct),
            (r"\boxed{\text{(2)}}", Outcome::Correct),
            (r"\boxed{2) two}", Outcome::Correct),
            (r"\boxed{B}", Outcome::Correct),
            ("The answer is 2.", Outcome::Correct),
            (r"\boxed{1}", Outcome::Incorrect),
            (r"\boxed{2 or 3}", Outcome::Incorrect),
            (r"\boxed{2.5}", Outcome::Incorrect),
            (r"\boxed{12}", Outcome::Incorrect),
            ("two", Outcome::Malformed),
        ] {
            let verdict = verifier.verify(&task(DIGITS, "2"), &Response::complete(text));
            assert_eq!(verdict.outcome(), outcome, "{text}");
            if let Some(extracted) = verdict.extracted {
                assert_eq!(text.get(extracted.span), Some(extracted.text.as_str()));
            }
        }
        let verdict =
            |gold, text| verifier.verify(&task(LETTERS, gold), &Response::complete(text)).outcome();
        assert_eq!(verdict("B", r"\boxed{2}"), Outcome::Incorrect, "letters are asked for");
        assert_eq!(verdict("B", r"\boxed{B}"), Outcome::Correct);
        assert_eq!(verdict("12", r"\boxed{12}"), Outcome::BadGold);
    }
}
