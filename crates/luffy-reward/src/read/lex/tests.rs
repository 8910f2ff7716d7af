use super::*;

/// Tokens in a short form: numbers and names as they are, text in quotes, the rest by name.
fn tokens(text: &str, group_commas: bool) -> String {
    let show = |token: Token<'_>| match token.tok {
        Tok::Num(number) if number.exp10 == 0 => number.value.to_string(),
        Tok::Num(number) => format!("{}e{}", number.value, number.exp10),
        Tok::Sym(name) => name.to_owned(),
        Tok::Run(name) => format!("{name}?"),
        Tok::Word(text) => format!("'{text}'"),
        Tok::Func(func) => format!("{func:?}").to_lowercase(),
        Tok::Rel(rel) => format!("{rel:?}"),
        Tok::Open(bracket) => format!("<{bracket:?}"),
        Tok::Close(bracket) => format!("{bracket:?}>"),
        other => format!("{other:?}"),
    };
    lex(text, group_commas).0.into_iter().map(show).collect::<Vec<_>>().join(" ")
}

fn check(text: &str, expected: &str) {
    assert_eq!(tokens(text, true), expected, "{text}");
}

#[test]
fn numbers_are_read_exactly() {
    check("12", "12");
    check("012", "12");
    check(".5", "1/2");
    check("5.", "5");
    check("0.125", "1/8");
    check("4.5e33", "9/2e33");
    check("1E-4", "1e-4");
    check("5e", "5 e");
    check(r"0.1\overline{6}", "1/6");
    check(r"0.\bar{142857}", "1/7");
    check("1.5.2", "3/2 1/5");
    check("1..5", "1 Dots 5");
    check("123456789012345678901234567890", "123456789012345678901234567890");
    check("1e99999999999999999999", "Bad");
}

#[test]
fn groups_of_three_digits_are_one_number() {
    for text in ["1,234,567", r"1\,234\,567", "1{,}234{,}567", r"1,\!234,\! 567"] {
        check(text, "1234567");
    }
    check("1,234.5", "2469/2");
    check("12,34", "12 Comma 34");
    check("1234,567", "1234 Comma 567");
    check("1,2345", "1 Comma 2345");
    check("1,234", "1234");
    check("(1,234)", "<Round 1 Comma 234 Round>");
    assert_eq!(tokens("1,234", false), "1 Comma 234");
    assert!(lex("1,234", true).1, "there is another reading");
    assert!(!lex("12,34", true).1 && !lex(r"1\,234", true).1, "there is none");
}

#[test]
fn letters_are_symbols_functions_or_runs() {
    check("xy", "xy?");
    check("x y", "x y");
    check("sin x", "sin x");
    check("sinx", "sin x");
    check("arctan(x)", "atan <Round x Round>");
    check("pi", "pi");
    check("theta", "theta");
    check("oo", "Infinity");
    check("np.sqrt(2)", "Sqrt <Round 2 Round>");
    check("2 and 3", "2 Also 3");
}

#[test]
fn commands_have_their_meaning() {
    check(r"\dfrac{1}{2}", "Frac <Brace 1 Brace> <Brace 2 Brace>");
    check(r"\frac12", "Frac 1 2");
    check(r"\frac1{23}", "Frac 1 <Brace 23 Brace>");
    check(r"\frac 345", "Frac 3 4 5");
    check(r"\log_28", "Log Under 2 8");
    check(r"\log_{10}8", "Log Under <Brace 10 Brace> 8");
    check(r"\left(1\right)", "<Round 1 Round>");
    check(r"\left.1\right|", "1 Bar");
    check(r"\{1\}", "<Set 1 Set>");
    check(r"\lfloor x \rfloor", "<Floor x Floor>");
    check(r"2\cdot3\times4", "2 Times 3 Times 4");
    check(r"x\leq y\geqslant z\ne 1", "x Le y Ge z Ne 1");
    check(r"\quadx", "x");
    check(r"\varepsilon\foo", "varepsilon foo");
}

#[test]
fn what_only_styles_is_dropped() {
    check(r"$\displaystyle\mathbf{x}\,\;\!\quad~y$", "<Brace x Brace> y");
    check(r"\(x\)", "x");
    check(r"\hspace{2cm}x\phantom{y}", "x");
    check(r"\\frac{1}{2}", "Frac <Brace 1 Brace> <Brace 2 Brace>");
    check("", "");
    check(" \n\t", "");
}

#[test]
fn text_is_a_word_a_separator_a_sign_or_a_formula() {
    check(r"\text{Evelyn}", "'Evelyn'");
    check(r"\text{ two words. }", "'two words'");
    check(r"1\text{ and }2", "1 Also 2");
    check(r"1\text{, }2", "1 Comma 2");
    check(r"1\text{ }2", "1 2");
    check(r"90\text{ degrees}", "90 Degree");
    check(r"50\text{ percent}", "50 Percent");
    check(r"\text{5}", "<Brace 5 Brace>");
    check(r"\operatorname{arctan}x", "atan x");
    check(r"5\text{ cm}^2", "5 'cm' Caret 2");
    check(r"5\text{ m/s}", "5 'm/s'");
    check(r"5\text{ m^2}", "5 'm^2'");
    check(r"\text{x^2}", "<Brace x Caret 2 Brace>");
    check(r"\text{unclosed", "Bad <Brace unclosed?");
}

#[test]
fn signs_of_unicode_are_those_of_latex() {
    check("−3×4÷5", "Minus 3 Times 4 Slash 5");
    check("√2π", "Sqrt 2 pi");
    check("x²", "x Caret <Brace 2 Brace>");
    check("½", "Frac 1 2");
    check("１２", "12");
    check("1 ≤ x ≠ 2", "1 Le x Ne 2");
    check("∞ ∪ ∅ ∈", "Infinity Cup EmptySet In");
    check("30°", "30 Degree");
    check("1，2", "1 Comma 2");
    check("1\u{2009}2", "1 2");
    check("Δ", "Delta");
    check("☃", "Bad");
}

#[test]
fn signs_are_told_apart_by_what_stands_around_them() {
    check("x**2", "x Caret 2");
    check("x<=y>=z", "x Le y Ge z");
    check("5!", "5 Bang");
    check("5!=120", "5 Bang Eq 120");
    check("x != 5", "x Ne 5");
    check("||x||", "Bar Bar x Bar Bar");
    check("#", "Bad");
    check(r"x\#", "x Bad");
}

#[test]
fn rows_and_cells_stand_in_matrices() {
    check(r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "Matrix 1 Cell 2 Row 3 Cell 4 EndMatrix");
    check(r"\begin{array}{cc}1&2\end{array}", "Matrix 1 Cell 2 EndMatrix");
    check(r"1\\ 2", "1 2");
}

#[test]
fn white_space_is_remembered() {
    let spaced: Vec<bool> = lex("1 2/3", true).0.iter().map(|token| token.spaced).collect();
    assert_eq!(spaced, [false, true, false, false]);
}
