use super::super::ast::Kids;
use super::super::lex::lex;
use super::*;
use crate::budget::Budget;

/// An expression in the notation of Lisp.
fn show(ast: &Ast, id: NodeId) -> String {
    let list = |name: &str, kids: &[NodeId]| {
        let kids: Vec<String> = kids.iter().map(|kid| show(ast, *kid)).collect();
        format!("({name} {})", kids.join(" "))
    };
    let many = |name: &str, kids: Kids| list(name, ast.kids(kids));
    match ast.node(id) {
        Node::Num(value) => value.to_string(),
        Node::Sci(value, exp10) => format!("{value}e{exp10}"),
        Node::Based(value, base) => format!("{value}_{base}"),
        Node::Sym(name) => ast.name(*name).trim().to_owned(),
        Node::Const(constant) => format!("{constant:?}").to_lowercase(),
        Node::Infinity => "oo".to_owned(),
        Node::Empty => "{}".to_owned(),
        Node::Add(kids) => many("+", *kids),
        Node::Mul(kids) => many("*", *kids),
        Node::Neg(a) => list("-", &[*a]),
        Node::Div(a, b) => list("/", &[*a, *b]),
        Node::Pow(a, b) => list("^", &[*a, *b]),
        Node::Root(a, degree) => list(&format!("root{degree}"), &[*a]),
        Node::Fn(func, kids) => many(&format!("{func:?}").to_lowercase(), *kids),
        Node::Log(base, a) => list("log", &[*base, *a]),
        Node::Abs(a) => list("abs", &[*a]),
        Node::Fact(a) => list("!", &[*a]),
        Node::Percent(a) => list("%", &[*a]),
        Node::Degree(a) => list("deg", &[*a]),
        Node::Unit(a, name) => list(&format!("unit '{}'", ast.name(*name).trim()), &[*a]),
        Node::List(kids) => many("list", *kids),
        Node::Set(kids) => many("set", *kids),
        Node::Brackets(open, kids, close) => {
            let open = if *open == Bracket::Round { "(" } else { "[" };
            let close = if *close == Bracket::Round { ")" } else { "]" };
            many(&format!("{open}{close}"), *kids)
        }
        Node::Union(kids) => many("cup", *kids),
        Node::Inter(kids) => many("cap", *kids),
        Node::SetMinus(a, b) => list("without", &[*a, *b]),
        Node::In(a, b) => list("in", &[*a, *b]),
        Node::Chain(kids, first) => {
            let sides = ast.kids(*kids);
            list(&format!("{:?}", ast.rels(*first, sides.len())), sides)
        }
        Node::Ratio(kids) => many(":", *kids),
        Node::Matrix(kids, n_columns) => many(&format!("matrix{n_columns}"), *kids),
    }
}

fn read(text: &str) -> Result<String, Stop> {
    let mut ast = Ast::default();
    let (tokens, _) = lex(text, true);
    let id = parse(&tokens, &mut ast, &mut Budget::new(1_000_000))?;
    Ok(show(&ast, id))
}

fn check(text: &str, expected: &str) {
    assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
}

fn refuse(text: &str) {
    assert_eq!(read(text), Err(Stop::Unknown), "{text}");
}

#[test]
fn operators_bind_as_they_do_on_paper() {
    check("1+2x", "(+ 1 (* 2 x))");
    check("1-2-3", "(+ 1 (- 2) (- 3))");
    check("2x^2y", "(* 2 (^ x 2) y)");
    check("-x^2", "(- (^ x 2))");
    check("2^{-3}", "(^ 2 (- 3))");
    check("2^3^2", "(^ 2 (^ 3 2))");
    check("2^34", "(^ 2 34)");
    check("a/bc", "(* (/ a b) c)");
    check("a/b/c", "(/ (/ a b) c)");
    check(r"1 \div 2", "(/ 1 2)");
    check("--2", "2");
    check("3*-2", "(* 3 (- 2))");
    check("2x!", "(* 2 (! x))");
    check("(1+2)(3)", "(* (+ 1 2) 3)");
}

#[test]
fn fractions_and_roots_are_read_in_all_spellings() {
    for text in [r"\frac{1}{2}", r"\dfrac12", r"\frac1{2}", r"{1 \over 2}", "½"] {
        check(text, "(/ 1 2)");
    }
    check(r"\frac{a+b}{2}", "(/ (+ a b) 2)");
    check(r"\frac{-1}{2}", "(/ (- 1) 2)");
    check(r"\sqrt2", "(root2 2)");
    check("sqrt(2)", "(root2 2)");
    check("√2", "(root2 2)");
    check(r"\sqrt[3]{x}", "(root3 x)");
    check(r"\sqrt[n]{x}", "(^ x (/ 1 n))");
    check(r"2\sqrt{3}", "(* 2 (root2 3))");
    refuse(r"\frac{1}");
    refuse(r"\sqrt");
}

#[test]
fn a_fraction_behind_a_whole_number_is_added() {
    check(r"1\frac{4}{5}", "(+ 1 (/ 4 5))");
    check("1 4/5", "(+ 1 (/ 4 5))");
    check(r"-1\frac45", "(- (+ 1 (/ 4 5)))");
    check(r"2\frac{x}{5}", "(* 2 (/ x 5))");
    check(r"x^2\frac{4}{5}", "(* (^ x 2) (/ 4 5))");
    check(r"1.5\frac{4}{5}", "(* 3/2 (/ 4 5))");
    refuse("1 4");
}

#[test]
fn functions_take_brackets_or_the_product_behind_them() {
    check(r"\sin x", "(sin x)");
    check(r"\sin 2x", "(sin (* 2 x))");
    check(r"\sin x \cos y", "(* (sin x) (cos y))");
    check(r"\sin(x)y", "(* (sin x) y)");
    check(r"\sin^2 x", "(^ (sin x) 2)");
    check(r"\sin^{-1} x", "(asin x)");
    check(r"\sin x + 1", "(+ (sin x) 1)");
    check(r"\log_2 8", "(log 2 8)");
    check(r"\log x", "(ln x)");
    check(r"\lg x", "(log 10 x)");
    check("log(8, 2)", "(log 2 8)");
    check("exp(x)", "(^ e x)");
    check(r"\max(1, 2)", "(max 1 2)");
    check(r"\binom{5}{2}", "(binom 5 2)");
    check(r"{5 \choose 2}", "(binom 5 2)");
    check(r"\lfloor x \rfloor", "(floor x)");
    refuse(r"\sin");
    refuse(r"\sin(1, 2)");
}

#[test]
fn bars_are_absolute_values() {
    check("|x|", "(abs x)");
    check("|x|+|y|", "(+ (abs x) (abs y))");
    check(r"\lvert -3 \rvert", "(abs (- 3))");
    check("2|x|", "(* 2 (abs x))");
    refuse("|x");
}

#[test]
fn constants_are_single_letters_without_marks() {
    check(r"e^{i\pi}", "(^ e (* i pi))");
    check("2i", "(* 2 i)");
    check("x_1", "x_1");
    check("x_{12}'", "x_12'");
    check(r"\hat{x}", "hat:x");
    check(r"\overline{AB}", "overline:AB");
    check("f(2)", "f(2)");
    check("xy", "(* x y)");
}

#[test]
fn units_stand_behind_values() {
    check(r"5 \text{ cm}", "(unit 'cm' 5)");
    check("5 cm", "(unit 'cm' 5)");
    check(r"5 \text{ cm}^2", "(unit 'cm Caret 2' 5)");
    check(r"1+2 \text{ cm}", "(unit 'cm' (+ 1 2))");
    check("5m", "(* 5 m)");
    // A doubt or another answer is no unit, and what it is does not equal anything.
    check(r"42 \text{ or } 43", "(list 42 43)");
    for text in [r"42 \text{ or maybe 43}", r"42 \text{ not sure}", r"42\text{ if } x"] {
        let read = read(text);
        assert!(!read.as_ref().is_ok_and(|read| read.starts_with("(unit")), "{text}: {read:?}");
    }
}

#[test]
fn lists_sets_tuples_and_intervals_are_kept_apart() {
    check("1, 2; 3", "(list ([] 1 2) 3)".replace("[]", "()").as_str());
    check("1, 2", "(list 1 2)");
    check("1; 2", "(list 1 2)");
    check(r"1 \text{ and } 2", "(list 1 2)");
    check(r"1, 2, \text{ and } 3", "(list 1 2 3)");
    check(r"\{1, 2\}", "(set 1 2)");
    check(r"\{\}", "{}");
    check("(1, 2)", "(() 1 2)");
    check("[1, 2)", "([) 1 2)");
    check("(1)", "1");
    check("p=5, q=2; p=7, q=3", "(list (() ([Eq] p 5) ([Eq] q 2)) (() ([Eq] p 7) ([Eq] q 3)))");
    refuse("[1)");
    refuse("(1, 2");
    refuse("1, , 2");
}

#[test]
fn plus_minus_is_two_elements() {
    check(r"\pm 2", "(list 2 (- 2))");
    check(r"1 \pm x", "(list (+ 1 x) (+ 1 (- x)))");
    check(r"1 \pm 2 \mp 3", "(list (+ 1 2 (- 3)) (+ 1 (- 2) 3))");
    check(r"x = \pm 2", "(list ([Eq] x 2) ([Eq] x (- 2)))");
    check(r"\{\pm 1, 0\}", "(set 1 (- 1) 0)");
}

#[test]
fn relations_are_chains() {
    check("x = 1", "([Eq] x 1)");
    check("x = y = 1", "([Eq, Eq] x y 1)");
    check(r"1 \le x < 2", "([Le, Lt] 1 x 2)");
    check(r"x \in [1, 2]", "(in x ([] 1 2))");
    check(r"x = \frac13 \approx 0.33", "([Eq] x (/ 1 3))");
    check(r"x \approx 0.33", "([Eq] x 33/100)");
    check("= 5", "5");
    refuse("x =");
}

#[test]
fn sets_ratios_and_bases_are_read() {
    check(r"(0, 1) \cup (2, 3) \cup (4, 5)", "(cup (() 0 1) (() 2 3) (() 4 5))");
    check(r"A \setminus B", "(without A B)");
    check("1:2:3", "(: 1 2 3)");
    check("52_8", "42_8");
    check("52_{8}", "42_8");
    refuse("58_8");
}

#[test]
fn matrices_have_rows_of_one_length() {
    check(r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "(matrix2 1 2 3 4)");
    check(r"\begin{pmatrix}1\\2\\\end{pmatrix}", "(matrix1 1 2)");
    refuse(r"\begin{pmatrix}1&2\\3\end{pmatrix}");
    refuse(r"\begin{pmatrix}1&2");
}

#[test]
fn what_is_no_expression_is_refused() {
    for text in ["", "+", "1+", "*2", "x^", "()", ")", "1 ? 2", "#", "5!!", "{", r"\{1, 2"] {
        refuse(text);
    }
}

#[test]
fn brackets_are_nested_up_to_the_limit() {
    let nested = |depth: usize| format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
    check(&nested(60), "x");
    refuse(&nested(61));
    refuse(&format!("{}x", "(".repeat(100_000)));
    refuse(&format!("x{}", "^x".repeat(100)));
    check(&format!("{}x", "-".repeat(1_000)), "x");
}

#[test]
fn steps_are_charged() {
    let mut ast = Ast::default();
    let text = "1+".repeat(500) + "1";
    let (tokens, _) = lex(&text, true);
    assert_eq!(parse(&tokens, &mut ast, &mut Budget::new(500)), Err(Stop::OverBudget));
    assert!(parse(&tokens, &mut ast, &mut Budget::new(5_000)).is_ok());
}
