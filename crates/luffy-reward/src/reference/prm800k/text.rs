//! The spelling that PRM800K's grader compares: plain text, lower case, no blanks, no units.

use super::{as_integer, unwrapped_text};

const UNITS: [&str; 16] = [
    "degree",
    "cm",
    "centimeter",
    "meter",
    "mile",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "foot",
    "feet",
    "inch",
    "yard",
];

/// An answer in that spelling.
pub(super) fn normalized(answer: &str) -> String {
    let mut text = unwrapped_text(answer).unwrap_or(answer).replace(r"\%", "%").replace(r"\$", "$");
    for (from, to) in [
        ("$", ""),
        ("%", ""),
        (" or ", " , "),
        (" and ", " , "),
        ("million", "*10^6"),
        ("billion", "*10^9"),
        ("trillion", "*10^12"),
    ] {
        text = text.replace(from, to);
    }
    for unit in UNITS {
        text = without_unit(&text, unit);
    }
    text = without_degrees(&text);
    if let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        text = inner.into();
    }
    text = without_after(&text, r",\!");
    if let Some(integer) = integral_float(&text) {
        text = integer;
    }
    if text.contains('\\') {
        text = plain(&text);
    }
    text = without_blanks_after_minus(&text);
    text = mixed_numbers(&text).replace([' ', '{', '}'], "").to_lowercase();
    as_integer(&text).map_or(text, |integer| format!("{integer:.0}"))
}

/// Takes out every `unit`, its plural, blanks and an integer power behind it.
fn without_unit(text: &str, unit: &str) -> String {
    let mut parts = text.split(unit);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let part = part.strip_prefix("es").unwrap_or(part);
        let part = part.strip_prefix('s').unwrap_or(part).trim_start_matches(' ');
        let power = part.strip_prefix('^').filter(|n| n.starts_with(|c: char| c.is_ascii_digit()));
        kept.push_str(power.map_or(part, |n| n.trim_start_matches(|c: char| c.is_ascii_digit())));
    }
    kept
}

/// Takes out `^\circ`, blanks after the caret allowed.
fn without_degrees(text: &str) -> String {
    let mut parts = text.split('^');
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(rest) = part.trim_start_matches(' ').strip_prefix(r"\circ") {
            kept.push_str(rest);
        } else {
            kept.push('^');
            kept.push_str(part);
        }
    }
    kept
}

/// Takes out every `mark` and the blanks behind it.
fn without_after(text: &str, mark: &str) -> String {
    let mut parts = text.split(mark);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + part.trim_start_matches(' '))
}

fn without_blanks_after_minus(text: &str) -> String {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + "-" + part.trim_start_matches(' '))
}

/// A float that is an integer, as digits; through 64 bits, so long ones lose their last digits.
fn integral_float(text: &str) -> Option<String> {
    let value: f64 = text.trim().parse().ok()?;
    (value.is_finite() && (value - value.round()).abs() <= 1e-7).then(|| format!("{value:.0}"))
}

/// `7 3/4` as `7+3/4`: blanks between two digits become a plus.
fn mixed_numbers(text: &str) -> String {
    let mut mixed = String::with_capacity(text.len());
    let mut blanks = 0;
    for c in text.chars() {
        if c == ' ' {
            blanks += 1;
            continue;
        }
        let joins = c.is_ascii_digit() && mixed.ends_with(|c: char| c.is_ascii_digit());
        if blanks > 0 && joins {
            mixed.push('+');
        } else {
            mixed.extend(std::iter::repeat_n(' ', blanks));
        }
        blanks = 0;
        mixed.push(c);
    }
    mixed
}

/// LaTeX as plain text: `a/b`, `sqrt(a)`, signs and Greek letters by name. Other commands are dropped.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    // What is to be written where each open brace closes.
    let mut closing: Vec<&str> = Vec::new();
    let mut next_brace = Brace::Group;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let mut name = String::new();
                while let Some(letter) = chars.next_if(char::is_ascii_alphabetic) {
                    name.push(letter);
                }
                if name.is_empty() {
                    match chars.next() {
                        Some(escaped @ ('{' | '}' | '%' | '$' | '&' | '#' | '_')) => {
                            plain.push(escaped);
                        }
                        Some('\\') => plain.push(';'),
                        Some(_) => plain.push(' '),
                        None => {}
                    }
                    continue;
                }
                match name.as_str() {
                    "frac" | "dfrac" | "tfrac" => {
                        // The blank tells `7\frac34` from a product, see `mixed_numbers`.
                        plain.push(' ');
                        next_brace = Brace::Above;
                    }
                    // A matrix is its entries, whatever its brackets.
                    "begin" | "end" => while chars.next().is_some_and(|c| c != '}') {},
                    // The reference takes every root for a square root.
                    "sqrt" => {
                        if chars.next_if_eq(&'[').is_some() {
                            while chars.next().is_some_and(|c| c != ']') {}
                        }
                        plain.push_str("sqrt(");
                        next_brace = Brace::Root;
                    }
                    name => plain.push_str(sign(name)),
                }
            }
            '{' => {
                closing.push(match next_brace {
                    Brace::Group => "",
                    Brace::Above => "/",
                    Brace::Root => ")",
                });
                next_brace = Brace::Group;
            }
            '}' => plain.push_str(closing.pop().unwrap_or_default()),
            '√' => plain.push_str("sqrt"),
            'π' => plain.push_str("pi"),
            '∞' => plain.push_str("inf"),
            '∪' => plain.push('U'),
            '·' | '×' => plain.push('*'),
            // A single character is an argument too: `\frac12`, `\sqrt2`.
            c if c != ' ' && next_brace != Brace::Group => {
                plain.push(c);
                plain.push_str(if next_brace == Brace::Above { "/" } else { ")" });
                next_brace = Brace::Group;
            }
            c => plain.push(c),
        }
    }
    plain.trim().to_owned()
}

/// What the next opening brace belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brace {
    Group,
    Above,
    Root,
}

/// Commands that have a sign of their own in plain text.
const SIGNS: [(&str, &str); 40] = [
    ("cdot", "*"),
    ("times", "*"),
    ("div", "÷"),
    ("infty", "inf"),
    ("cup", "U"),
    ("cap", "∩"),
    ("pm", "±"),
    ("le", "≤"),
    ("leq", "≤"),
    ("ge", "≥"),
    ("geq", "≥"),
    ("ne", "≠"),
    ("neq", "≠"),
    ("in", "∈"),
    ("emptyset", "∅"),
    ("quad", " "),
    ("qquad", " "),
    ("pi", "pi"),
    ("alpha", "α"),
    ("beta", "β"),
    ("gamma", "γ"),
    ("delta", "δ"),
    ("epsilon", "ϵ"),
    ("zeta", "ζ"),
    ("eta", "η"),
    ("theta", "θ"),
    ("kappa", "κ"),
    ("lambda", "λ"),
    ("mu", "μ"),
    ("nu", "ν"),
    ("rho", "ρ"),
    ("sigma", "σ"),
    ("tau", "τ"),
    ("phi", "ϕ"),
    ("psi", "ψ"),
    ("omega", "ω"),
    ("Gamma", "Γ"),
    ("Delta", "Δ"),
    ("Sigma", "Σ"),
    ("Omega", "Ω"),
];

/// Commands that are written as their name.
const FUNCTIONS: [&str; 19] = [
    "arccos", "arcsin", "arctan", "cos", "cosh", "cot", "csc", "det", "exp", "gcd", "lim", "ln",
    "log", "max", "min", "sec", "sin", "sinh", "tan",
];

/// What a command is in plain text.
fn sign(name: &str) -> &str {
    let sign = SIGNS.iter().find(|(command, _)| *command == name).map(|(_, sign)| *sign);
    sign.unwrap_or(if FUNCTIONS.contains(&name) { name } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_rewrites_its_spelling() {
        for (text, expected) in [
            (r"\text{Blue Sky}", "bluesky"),
            (r"\$5\%", "5"),
            ("1 or 2 and 3", "1,2,3"),
            ("2 billion", "2*10^9"),
            ("5 inches", "5"),
            ("5 cm^2", "5"),
            ("5 feet^x", "5^x"),
            (r"90^ \circ", "90"),
            ("{5}", "5"),
            (r"10,\! 000", "10000"),
            ("5.0", "5"),
            ("1e3", "1000"),
            (r"\frac{1}{2}", "1/2"),
            (r"\frac12", "1/2"),
            (r"7\frac{3}{4}", "7+3/4"),
            (r"\sqrt{x+1}", "sqrt(x+1)"),
            (r"\sqrt2", "sqrt(2)"),
            (r"\sqrt[3]{2}", "sqrt(2)"),
            (r"\frac{\sqrt{3}}{2}", "sqrt(3)/2"),
            (r"\left(-\infty, 2\right)", "(-inf,2)"),
            (r"2 \times 10^3", "2*10^3"),
            ("- 5", "-5"),
            ("7 3/4", "7+3/4"),
            ("X", "x"),
            (r"\frac{π}{2}", "pi/2"),
            (r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}", "1&0;0&1"),
            (r"-\tau \ln \Delta", "-τlnδ"),
            (r"1 \div 16", "1÷16"),
            // An f64 holds 53 bits: 2^53 + 1 becomes 2^53.
            ("9007199254740993", "9007199254740992"),
            ("", ""),
            ("{", ""),
        ] {
            assert_eq!(normalized(text), expected, "{text}");
        }
    }
}
