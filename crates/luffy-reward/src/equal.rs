//! Whether an answer is a gold answer.

use std::borrow::Cow;

use luffy_core::Reason;
use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Stop, known};
use crate::compare::{Comparer, Decision, Means};
use crate::read::{Ast, Bracket, Tok, Token, lex, parse};

/// The longest answer that is read; a longer one can only be the gold itself.
const MAX_LEN: usize = 4_096;

/// What counts as equal where people disagree.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, each with a name of its own in a configuration"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Equality {
    /// `28` is right for a gold of `28%` (`0.28` always is).
    pub percent_without_sign: bool,
    /// `2 < x < 3` is right for a gold of `(2, 3)` (the reverse always is). Off: a problem that states
    /// an inequality would be answered by repeating it.
    pub inequality_for_interval: bool,
    /// `5 \text{ feet}` is wrong for a gold of `5 \text{ inches}`. An answer without a unit is never
    /// wrong for that.
    pub units_must_agree: bool,
    /// `2,74` is right for a gold of `2.74`.
    pub decimal_comma: bool,
    /// A decimal with at least this many significant digits is right if it is within one unit of its
    /// last place of a gold that has more. Zero: never.
    pub rounded_from_digits: u32,
}

impl Default for Equality {
    fn default() -> Self {
        Self {
            percent_without_sign: true,
            inequality_for_interval: false,
            units_must_agree: true,
            decimal_comma: false,
            rounded_from_digits: 0,
        }
    }
}

/// Whether `answer` means the same as `gold`, by the default [`Equality`] and within the default budget.
///
/// Total, and the same on every machine: it reads no clock and never panics, whatever it is given.
/// Nothing is equal to a gold that has nothing in it.
///
/// ```
/// use luffy_reward::equal;
///
/// assert!(equal(r"\frac{1}{2}", "0.5"));
/// assert!(equal("1,-2", r"-2 \text{ and } 1"));
/// assert!(!equal("42", r"42 \text{ or } 43"));
/// ```
pub fn equal(gold: &str, answer: &str) -> bool {
    let Some(gold) = usable(gold) else { return false };
    let mut budget = Budget::new(crate::DEFAULT_MAX_STEPS);
    compare(gold, answer, Equality::default(), &mut budget).outcome()
        == luffy_core::Outcome::Correct
}

/// A gold without the white space around it, if there is anything in it to compare with: at least one
/// character that is neither a mark of formulas nor of sentences.
pub(crate) fn usable(gold: &str) -> Option<&str> {
    let gold = gold.trim();
    let has_content =
        gold.chars().any(|c| !(c.is_whitespace() || c.is_control() || "$.,;:{}~\\".contains(c)));
    has_content.then_some(gold)
}

/// Whether a candidate can be read: candidates that cannot are passed over while there are others.
pub(crate) fn is_readable(answer: &str, budget: &mut Budget) -> bool {
    if answer.len() > MAX_LEN {
        return false;
    }
    let answer = prepared(answer);
    let reading = Reading::new(&answer, true);
    if reading.words().is_some() {
        return true;
    }
    parse(&reading.tokens, &mut Ast::default(), budget).is_ok()
}

/// How `answer` compares with `gold`.
pub(crate) fn compare(gold: &str, answer: &str, equality: Equality, budget: &mut Budget) -> Reason {
    match decide(gold, answer, equality, budget) {
        Err(_) => Reason::OverBudget,
        Ok(reason) => reason,
    }
}

fn decide(
    gold: &str,
    answer: &str,
    equality: Equality,
    budget: &mut Budget,
) -> Result<Reason, Stop> {
    let (gold, answer) = (gold.trim(), answer.trim());
    if gold.is_empty() || answer.is_empty() {
        return Ok(Reason::NoAnswer);
    }
    if gold == answer {
        return Ok(Reason::Identical);
    }
    if answer.len() > MAX_LEN || gold.len() > MAX_LEN {
        return Ok(Reason::Unreadable);
    }
    budget.charge((gold.len() + answer.len()) as u64)?;
    let (gold, answer) = (prepared(gold), prepared(answer));
    let first_gold = Reading::new(&gold, true);
    let first_answer = Reading::new(&answer, true);
    let reason = readings(&first_gold, &first_answer, equality, budget)?;
    if reason.outcome() == luffy_core::Outcome::Correct {
        return Ok(reason);
    }
    if equality.decimal_comma
        && let Some((gold, answer)) = with_points(&gold, &answer)
    {
        let equality = Equality { decimal_comma: false, ..equality };
        let other = decide(&gold, &answer, equality, budget)?;
        if other.outcome() == luffy_core::Outcome::Correct {
            return Ok(other);
        }
    }
    if !(first_gold.has_groups || first_answer.has_groups) {
        return Ok(reason);
    }
    // `1,234` may be a list as well: try the other readings.
    let lists = [Reading::new(&gold, false), Reading::new(&answer, false)];
    for (gold, answer) in
        [(&lists[0], &lists[1]), (&lists[0], &first_answer), (&first_gold, &lists[1])]
    {
        let other = readings(gold, answer, equality, budget)?;
        if other.outcome() == luffy_core::Outcome::Correct {
            return Ok(other);
        }
    }
    Ok(reason)
}

/// Takes off what some sources wrap around formulas.
fn prepared(text: &str) -> Cow<'_, str> {
    let mut text = text.trim();
    while let Some(inner) = text.strip_prefix("**").and_then(|rest| rest.strip_suffix("**")) {
        text = inner.trim();
    }
    // A matrix whose backslashes were all escaped.
    if text.contains("\\\\begin{") || text.contains("\\\\left") {
        return Cow::Owned(text.replace("\\\\", "\\"));
    }
    Cow::Borrowed(text)
}

/// Both sides with points for decimal commas, where one side shows that commas are meant so: the gold
/// has a point, or starts with a zero that no list element and no group of thousands would have.
fn with_points(gold: &str, answer: &str) -> Option<(String, String)> {
    let is_decimal = |text: &str, mark: char| {
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let text = text.trim_matches('$');
        let text = text.strip_prefix('-').unwrap_or(text);
        text.split_once(mark).is_some_and(|(whole, part)| digits(whole) && digits(part))
    };
    let starts_at_zero = gold.trim_start_matches(['$', '-']).starts_with("0,");
    let is_meant = is_decimal(gold, '.') && is_decimal(answer, ',')
        || is_decimal(gold, ',') && starts_at_zero && is_decimal(answer, '.');
    is_meant.then(|| (gold.replace(',', "."), answer.replace(',', ".")))
}

struct Reading<'a> {
    tokens: Vec<Token<'a>>,
    has_groups: bool,
}

impl<'a> Reading<'a> {
    fn new(text: &'a str, group_commas: bool) -> Self {
        let (mut tokens, has_groups) = lex(text, group_commas);
        while matches!(tokens.last(), Some(Token { tok: Tok::Dot | Tok::Comma, .. })) {
            tokens.pop();
        }
        Self { tokens, has_groups }
    }

    /// Whether this is the empty set, or words that say that there is nothing.
    fn is_empty_set(&self) -> bool {
        if let [Token { tok: Tok::EmptySet, .. }] = self.tokens[..] {
            return true;
        }
        let Some(words) = self.words() else { return false };
        matches!(
            words.letters.as_str(),
            "nosolution"
                | "nosolutions"
                | "norealsolution"
                | "norealsolutions"
                | "emptyset"
                | "theemptyset"
        )
    }

    /// The letters of an answer that consists of words; `None` if there is anything else in it.
    fn words(&self) -> Option<Words> {
        let mut words = Words { letters: String::new(), has_text: false };
        for token in &self.tokens {
            match &token.tok {
                Tok::Word(word) | Tok::Run(word) => {
                    words.has_text |= matches!(token.tok, Tok::Word(_)) || word.len() >= 4;
                    for letter in word.chars().filter(|letter| letter.is_alphanumeric()) {
                        words.letters.extend(letter.to_lowercase());
                    }
                }
                Tok::Sym(name) if name.chars().count() == 1 => {
                    words.letters.extend(name.chars().flat_map(char::to_lowercase));
                }
                Tok::Open(Bracket::Brace) | Tok::Close(_) | Tok::Dot => {}
                Tok::Open(_) => words.has_text |= self.tokens.len() <= 5,
                _ => return None,
            }
        }
        (!words.letters.is_empty()).then_some(words)
    }
}

struct Words {
    letters: String,
    /// Whether these are words and not a product of variables.
    has_text: bool,
}

fn readings(
    gold: &Reading<'_>,
    answer: &Reading<'_>,
    equality: Equality,
    budget: &mut Budget,
) -> Result<Reason, Stop> {
    let is_bad = |reading: &Reading<'_>| reading.tokens.iter().any(|token| token.tok == Tok::Bad);
    let same = gold.tokens.len() == answer.tokens.len()
        && gold.tokens.iter().zip(&answer.tokens).all(|(gold, answer)| gold.tok == answer.tok);
    if same && !is_bad(gold) && !gold.tokens.is_empty() {
        return Ok(Reason::Identical);
    }
    if gold.is_empty_set() && answer.is_empty_set() {
        return Ok(Reason::Identical);
    }
    if let (Some(gold), Some(answer)) = (gold.words(), answer.words())
        && (gold.has_text || answer.has_text && answer.letters.len() > 1)
    {
        let is_same = gold.letters == answer.letters;
        if is_same || gold.has_text && gold.letters.len() > 1 {
            return Ok(if is_same { Reason::Identical } else { Reason::Different });
        }
    }
    let mut ast = Ast::default();
    let gold = known(parse(&gold.tokens, &mut ast, budget))?;
    let answer = known(parse(&answer.tokens, &mut ast, budget))?;
    let (Some(gold), Some(answer)) = (gold, answer) else { return Ok(Reason::Unreadable) };
    let decision = Comparer { ast: &mut ast, budget, rules: equality }.equal(gold, answer)?;
    Ok(match decision {
        Decision::Equal(Means::Identical) => Reason::Identical,
        Decision::Equal(Means::Exact) => Reason::Exact,
        Decision::Equal(Means::Symbolic) => Reason::Symbolic,
        Decision::Equal(Means::Numeric) => Reason::Numeric,
        Decision::Different => Reason::Different,
        Decision::Undecided => Reason::Undecided,
    })
}

#[cfg(test)]
mod tests;
