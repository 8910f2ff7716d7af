//! Equality of normalised text: the grader of the MATH data set, as versions 0 to 2 use it first.

/// Whether two answers are the same text once spelling is taken off.
pub(super) fn equal(gold: &str, answer: &str) -> bool {
    normalized(gold) == normalized(answer)
}

/// An answer in the spelling that is compared. One that the rules cannot rewrite stays as it is.
fn normalized(answer: &str) -> String {
    let answer = answer.trim();
    let inner = unwrapped_text(answer).unwrap_or(answer).trim();
    rewritten(inner).unwrap_or_else(|| inner.to_owned())
}

/// What is inside if the whole of `text` is one `\text{...}` on a line.
pub(super) fn unwrapped_text(text: &str) -> Option<&str> {
    let inner = text.strip_prefix(r"\text{")?.strip_suffix('}')?;
    (!inner.is_empty() && !inner.contains('\n')).then_some(inner)
}

/// The rules in their order; `None` where one of them does not apply to its own pattern.
fn rewritten(text: &str) -> Option<String> {
    let mut text = text.replace('\n', "").replace(r"\!", "").replace(r"\\", r"\");
    for (from, to) in [
        ("tfrac", "frac"),
        ("dfrac", "frac"),
        (r"\left", ""),
        (r"\right", ""),
        (r"^{\circ}", ""),
        (r"^\circ", ""),
        (r"\$", ""),
    ] {
        text = text.replace(from, to);
    }
    let mut text =
        without_unit(&text)?.replace(r"\%", "").replace(" .", " 0.").replace("{.", "{0.");
    if text.is_empty() {
        return Some(text);
    }
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    if let Some((left, right)) = split_once_only(&text, '=')
        && left.chars().count() <= 2
    {
        text = right.into();
    }
    let text = braced_roots(&text)?.replace(' ', "");
    let text = braced_fractions(&text);
    if text == "0.5" {
        return Some(r"\frac{1}{2}".to_owned());
    }
    Some(slash_as_fraction(&text).unwrap_or(text))
}

/// What stands before a unit, which begins with `\text{ `; two units cannot be read.
fn without_unit(text: &str) -> Option<&str> {
    match text.split_once(r"\text{ ") {
        None => Some(text),
        Some((value, unit)) => (!unit.contains(r"\text{ ")).then_some(value),
    }
}

/// `\sqrt3` as `\sqrt{3}`; a root of nothing cannot be read.
fn braced_roots(text: &str) -> Option<String> {
    let mut parts = text.split(r"\sqrt");
    let mut braced = parts.next()?.to_owned();
    for part in parts {
        let first = part.chars().next()?;
        braced.push_str(r"\sqrt");
        if first == '{' {
            braced.push_str(part);
        } else {
            braced.extend(['{', first, '}']);
            braced.push_str(part.strip_prefix(first)?);
        }
    }
    Some(braced)
}

/// `\frac12` and `\frac1{2}` as `\frac{1}{2}`; one that has no two characters leaves all as they are.
fn braced_fractions(text: &str) -> String {
    let mut parts = text.split(r"\frac");
    let mut braced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        braced.push_str(r"\frac");
        if part.starts_with('{') {
            braced.push_str(part);
            continue;
        }
        let mut chars = part.chars();
        let (Some(above), Some(below)) = (chars.next(), chars.next()) else {
            return text.to_owned();
        };
        braced.extend(['{', above, '}']);
        if below == '{' {
            braced.push(below);
        } else {
            braced.extend(['{', below, '}']);
        }
        braced.push_str(chars.as_str());
    }
    braced
}

/// `1/2` as `\frac{1}{2}`, for two integers written the plain way.
fn slash_as_fraction(text: &str) -> Option<String> {
    let (above, below) = split_once_only(text, '/')?;
    (is_plain_integer(above) && is_plain_integer(below))
        .then(|| format!(r"\frac{{{above}}}{{{below}}}"))
}

/// Digits without a leading zero, a minus before them or not.
fn is_plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (!digits.starts_with('0') || text == "0")
}

/// Both sides of a character that occurs once.
fn split_once_only(text: &str, at: char) -> Option<(&str, &str)> {
    text.split_once(at).filter(|(_, right)| !right.contains(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    // One line per rule of the description of Hendrycks' `is_equiv`.
    #[test]
    fn every_rule_rewrites_its_spelling() {
        for (text, expected) in [
            ("1\n2", "12"),
            (r"10,\!000", "10,000"),
            (r"\\pi", r"\pi"),
            (r"\dfrac{1}{2}", r"\frac{1}{2}"),
            (r"\tfrac12", r"\frac{1}{2}"),
            (r"\left(1,2\right)", "(1,2)"),
            (r"90^\circ", "90"),
            (r"90^{\circ}", "90"),
            (r"\$5", "5"),
            (r"5 \text{ cm}", "5"),
            (r"50\%", "50"),
            (".5", r"\frac{1}{2}"),
            ("x+ .5", "x+0.5"),
            (r"\frac{.5}{2}", r"\frac{0.5}{2}"),
            ("x=5", "5"),
            ("xyz=5", "xyz=5"),
            ("x=y=5", "x=y=5"),
            (r"\sqrt3", r"\sqrt{3}"),
            (r"\frac1{72}", r"\frac{1}{72}"),
            (r"\frac{1}2", r"\frac{1}2"),
            ("3 / 4", r"\frac{3}{4}"),
            ("03/4", "03/4"),
            ("1/2/3", "1/2/3"),
            (r"\text{blue}", "blue"),
            ("", ""),
        ] {
            assert_eq!(normalized(text), expected, "{text}");
        }
    }

    #[test]
    fn what_no_rule_can_read_is_compared_as_it_is() {
        for text in [r"5\text{ a}\text{ b}", r"\sqrt", r"1\sqrt \sqrt"] {
            assert_eq!(normalized(text), text.trim());
        }
        assert_eq!(normalized(r"\dfrac1"), r"\frac1");
    }

    #[test]
    fn equality_is_of_spelling_and_not_of_value() {
        assert!(equal("0.5", r"\dfrac 12"));
        assert!(!equal("0.25", r"\frac14"));
        assert!(!equal(r"\frac{2}{4}", r"\frac{1}{2}"));
    }
}
