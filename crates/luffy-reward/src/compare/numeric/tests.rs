use super::super::fixtures::{budget, read};
use super::*;

/// The first point; constants do not look at it.
const POINT: Point = Point(0);

fn eval<S: Scalar>(text: &str, field: &Field<S>) -> Result<Disc<S>, Stop> {
    let mut ast = Ast::default();
    let id = read(text, &mut ast);
    Evaluator { ast: &ast, field, point: POINT }.eval(id, &mut budget())
}

/// Whether the value is the decimal number to its 33 digits, in 128 bits, and to 1e-9 in 53.
fn check(text: &str, expected: &str) {
    fn near<S: Scalar>(text: &str, field: &Field<S>, log2: i64) {
        let difference = eval(text, field).unwrap_or_else(|stop| panic!("{stop:?}: {text}"));
        let (found, radius) = (field.log2_abs(&difference), field.log2_radius(&difference));
        assert!(found < log2 && radius < log2, "{text}: 2^{found}, radius 2^{radius}");
    }
    let difference = format!("({text})-({expected})");
    near(&difference, &Field::machine(), -30);
    near(&difference, &Field::with_precision(128), -110);
}

fn stops(text: &str, expected: Stop) {
    assert_eq!(eval(text, &Field::with_precision(128)).map(|_| ()), Err(expected), "{text}");
}

// Decimals by mpmath with 39 digits.
#[test]
fn functions_have_their_values() {
    check(r"\sin 1", "0.841470984807896506652502321630298999623");
    check(r"\cos 1", "0.540302305868139717400936607442976603732");
    check(r"\tan 1", "1.55740772465490223050697480745836017309");
    check(r"\cot 1", "0.64209261593433070300641998659426562023");
    check(r"\sec 1", "1.85081571768092561791175324139865019347");
    check(r"\csc 1", "1.18839510577812121626159945237455100353");
    check(r"\sinh 1", "1.17520119364380145688238185059560081516");
    check(r"\cosh 1", "1.5430806348152437784779056207570616826");
    check(r"\tanh 1", "0.761594155955764888119458282604793590413");
    check(r"\arcsin\frac13", "0.339836909454121937096392513391764066388");
    check(r"\arccos\frac13", "1.23095941734077468213492917824798737571");
    check(r"\arctan 2", "1.10714871779409050301706546017853704007");
    check(r"\ln 3", "1.09861228866810969139524523692252570465");
    check("e^2", "7.38905609893065022723042746057500781318");
    check("2^{0.3}", "1.23114441334491628449939306916774310988");
    check(r"\log_2 3", "1.58496250072115618145373894394781650876");
    check(r"\lg 3", "0.4771212547196624372950279032551153092");
}

#[test]
fn degrees_are_angles_in_functions_and_numbers_elsewhere() {
    check(r"\sin 30^\circ", "0.5");
    check(r"\cos(20^\circ + 40^\circ)", "0.5");
    check(r"\tan 45°", "1");
    check(r"90^\circ", "90");
}

#[test]
fn roots_are_real_where_one_is() {
    check(r"\sqrt[3]{-27/8}", "-1.5");
    check(r"(-8)^{2/3}", "4");
    check(r"\sqrt[4]{16}", "2");
    check(r"(\sqrt{-4})^2", "-4");
    check(r"|3+4i|", "5");
    check(r"e^{i\pi}", "-1");
    check(r"\arcsin 2 + \arccos 2", r"\frac{\pi}{2}");
}

#[test]
fn steps_extremes_and_factorials_are_evaluated() {
    check(r"\lfloor \pi \rfloor", "3");
    check(r"\lceil -\pi \rceil", "-3");
    check(r"\max(\pi, e, 3)", r"\pi");
    check(r"\min(\pi, e, 3)", "e");
    check(r"\binom{\frac12}{2}", r"-\frac18");
    check("5!", "120");
    check(r"25\%", "0.25");
    check(r"\frac{(x+2)!}{x!}", "(x+1)(x+2)");
    check(r"\frac{(x-2)!}{x!}", r"\frac{1}{x(x-1)}");
    check(r"\binom{x}{3}", r"\frac{x(x-1)(x-2)}{6}");
    check(r"\binom{x+1}{x}", "x+1");
}

#[test]
fn what_has_no_value_says_so() {
    stops(r"\frac{1}{0}", Stop::Undefined);
    stops(r"\ln 0", Stop::Undefined);
    stops(r"\infty", Stop::Undefined);
    stops(r"\gcd(\pi, 2)", Stop::Unknown);
    stops("100000000!", Stop::Unknown);
    stops("(1, 2)", Stop::Unknown);
}
