//! Texts that nearly make sense, built from a stream of choices.

use super::seeds::{NUMBERS, RESPONSES, SEEDS, TOKENS, WRAPS};

/// The longest text that one change makes by repeating another.
const MAX_REPEATED: usize = 4_096;

/// Choices read from bytes; zeros once these are used up.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    /// A number below `n`, which is positive.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let low = usize::from(self.byte());
        let high = if n > 256 { usize::from(self.byte()) } else { 0 };
        (high * 256 + low) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A gold, and the row of the table it was made from.
pub(super) fn gold(source: &mut Source<'_>, max_len: usize) -> (String, usize) {
    let row = source.below(SEEDS.len());
    // Most golds are what people write.
    let n_changes = if source.byte() < 160 { 0 } else { source.below(3) };
    (changed(source, SEEDS[row].0, n_changes, max_len), row)
}

/// An answer: one of the gold's row, the gold itself, or one of another row; then changed.
pub(super) fn answer(source: &mut Source<'_>, gold: &str, row: usize, max_len: usize) -> String {
    let start = match source.below(8) {
        0 => gold,
        1 => SEEDS[source.below(SEEDS.len())].0,
        _ => source.pick(SEEDS[row].1),
    };
    let n_changes = source.below(6);
    changed(source, start, n_changes, max_len)
}

/// An answer with something around it.
pub(super) fn response(source: &mut Source<'_>, answer: &str, gold: &str) -> String {
    let frame = source.pick(RESPONSES);
    let mut text = String::new();
    for (at, part) in frame.split('@').enumerate() {
        // The second place of a frame takes the gold.
        match at {
            0 => {}
            1 => text.push_str(answer),
            _ => text.push_str(gold),
        }
        text.push_str(part);
    }
    text
}

/// The beginning of a text, of at most `max_len` bytes.
pub(super) fn clipped(mut text: String, max_len: usize) -> String {
    text.truncate(text.floor_char_boundary(max_len));
    text
}

/// A text after some changes.
pub(crate) fn changed(
    source: &mut Source<'_>,
    text: &str,
    n_changes: usize,
    max_len: usize,
) -> String {
    let mut tokens = tokens(text);
    for _ in 0..n_changes {
        change(source, &mut tokens);
        let mut left = max_len;
        let n_kept = tokens.iter().take_while(|token| take(&mut left, token.len())).count();
        tokens.truncate(n_kept);
    }
    clipped(tokens.concat(), max_len)
}

fn take(left: &mut usize, len: usize) -> bool {
    let fits = len <= *left;
    *left = left.saturating_sub(len);
    fits
}

/// Commands, runs of digits, and single characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for c in text.chars() {
        let joins = tokens.last().is_some_and(|last| {
            let is_command =
                last.starts_with('\\') && last.chars().skip(1).all(char::is_alphabetic);
            is_command && (c.is_ascii_alphabetic() || last.len() == 1)
                || c.is_ascii_digit() && last.chars().all(|c| c.is_ascii_digit())
        });
        match tokens.last_mut() {
            Some(last) if joins => last.push(c),
            _ => tokens.push(c.into()),
        }
    }
    tokens
}

fn change(source: &mut Source<'_>, tokens: &mut Vec<String>) {
    let kind = source.below(16);
    let from = source.below(tokens.len() + 1);
    let to = (from + 1 + source.below(8)).min(tokens.len()).max(from);
    match kind {
        0 => {
            let part = tokens[from..to].to_vec();
            let at = source.below(tokens.len() + 1);
            insert(tokens, at, part);
        }
        1 => drop(tokens.drain(from..to)),
        2 if !tokens.is_empty() => {
            let other = source.below(tokens.len());
            let from = from.min(tokens.len() - 1);
            tokens.swap(from, other);
        }
        3 | 4 => tokens.insert(from, source.pick(TOKENS).into()),
        5 if from < tokens.len() => tokens[from] = source.pick(TOKENS).into(),
        6 | 7 => {
            let row = SEEDS[source.below(SEEDS.len())];
            let other = if source.below(2) == 0 { row.0 } else { source.pick(row.1) };
            insert(tokens, from, self::tokens(other));
        }
        8 | 9 => wrap(source, tokens, from, to, 1),
        10 => wrap(source, tokens, 0, usize::MAX, 1),
        11 => {
            let times = 1 << source.below(8);
            wrap(source, tokens, from, to, times);
        }
        12 => {
            let number =
                tokens.iter().position(|token| token.starts_with(|c: char| c.is_ascii_digit()));
            let number_text = match source.below(4) {
                0 => source.pick(&["7", "10", "0", "9"]).repeat(1 << source.below(9)),
                _ => source.pick(NUMBERS).into(),
            };
            match number {
                Some(at) if source.below(2) == 0 => tokens[at] = number_text,
                _ => tokens.insert(from, number_text),
            }
        }
        13 => {
            let times = 2 << source.below(9);
            let part = tokens[from..to].concat();
            let part = if part.is_empty() { source.pick(TOKENS) } else { &part };
            let repeated = part.repeat(times.min(1 + MAX_REPEATED / part.len()));
            tokens.splice(from..to, [repeated]);
        }
        14 => {
            let code = u32::from(source.byte()) << source.below(13) | u32::from(source.byte());
            tokens.insert(from, char::from_u32(code).unwrap_or('\u{fffd}').into());
        }
        _ => {
            let sign = source.pick(&["+", "-", "*", "/", "^", "=", ",", " ", "\\cdot ", ":"]);
            let number = source.pick(NUMBERS);
            insert(tokens, tokens.len(), vec![sign.into(), number.into()]);
        }
    }
}

fn insert(tokens: &mut Vec<String>, at: usize, part: Vec<String>) {
    tokens.splice(at..at, part);
}

/// Puts a range into the same brackets, or their like, `times` times.
fn wrap(source: &mut Source<'_>, tokens: &mut Vec<String>, from: usize, to: usize, times: usize) {
    let (open, close) = source.pick(WRAPS);
    let to = to.min(tokens.len());
    tokens.insert(to, close.repeat(times));
    tokens.insert(from.min(to), open.repeat(times));
}

/// A piece of a formula by number.
#[allow(dead_code, reason = "the targets of cargo-fuzz have libFuzzer choose")]
pub(crate) fn token(number: usize) -> &'static str {
    TOKENS[number % TOKENS.len()]
}
