//! Discs of all precisions against each other: they must have the true value in common.

use proptest::prelude::*;

use super::*;

fn budget() -> Budget {
    Budget::new(u64::MAX)
}

/// A random expression.
#[derive(Debug, Clone)]
enum Node {
    Integer(i64),
    Rational(i64, u32),
    Pi,
    E,
    I,
    Unary(usize, Box<Self>),
    Binary(usize, Box<Self>, Box<Self>),
    Power(Box<Self>, i64),
    Root(Box<Self>, u32),
}

const UNARY: usize = 17;
const BINARY: usize = 7;

fn unary<S: Scalar>(
    f: &Field<S>,
    which: usize,
    x: &Disc<S>,
    b: &mut Budget,
) -> Result<Disc<S>, Stop> {
    match which {
        0 => f.neg(x, b),
        1 => f.sqrt(x, b),
        2 => f.exp(x, b),
        3 => f.ln(x, b),
        4 => f.sin(x, b),
        5 => f.cos(x, b),
        6 => f.tan(x, b),
        7 => f.sinh(x, b),
        8 => f.cosh(x, b),
        9 => f.tanh(x, b),
        10 => f.asin(x, b),
        11 => f.acos(x, b),
        12 => f.atan(x, b),
        13 => f.abs(x, b),
        14 => f.floor(x, b),
        15 => f.ceil(x, b),
        _ => f.arg(x, b),
    }
}

fn binary<S: Scalar>(
    f: &Field<S>,
    which: usize,
    x: &Disc<S>,
    y: &Disc<S>,
    b: &mut Budget,
) -> Result<Disc<S>, Stop> {
    match which {
        0 => f.add(x, y, b),
        1 => f.sub(x, y, b),
        2 => f.mul(x, y, b),
        3 => f.div(x, y, b),
        4 => f.pow(x, y, b),
        5 => f.max(x, y, b),
        _ => f.min(x, y, b),
    }
}

fn evaluate<S: Scalar>(f: &Field<S>, node: &Node, b: &mut Budget) -> Result<Disc<S>, Stop> {
    match node {
        Node::Integer(n) => Ok(f.integer(*n)),
        Node::Rational(n, d) => f.rational(&IBig::from(*n), &UBig::from(*d), b),
        Node::Pi => Ok(f.pi()),
        Node::E => Ok(f.e()),
        Node::I => Ok(f.i()),
        Node::Unary(which, x) => {
            let x = evaluate(f, x, b)?;
            unary(f, *which, &x, b)
        }
        Node::Binary(which, x, y) => {
            let (x, y) = (evaluate(f, x, b)?, evaluate(f, y, b)?);
            binary(f, *which, &x, &y, b)
        }
        Node::Power(x, n) => {
            let x = evaluate(f, x, b)?;
            f.powi(&x, *n, b)
        }
        Node::Root(x, n) => {
            let x = evaluate(f, x, b)?;
            f.root(&x, *n, b)
        }
    }
}

fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        3 => (-20_i64..20).prop_map(Node::Integer),
        1 => any::<i64>().prop_map(Node::Integer),
        3 => (-50_i64..50, 1_u32..60).prop_map(|(n, d)| Node::Rational(n, d)),
        1 => (any::<i64>(), 1_u32..).prop_map(|(n, d)| Node::Rational(n, d)),
        2 => Just(Node::Pi),
        1 => Just(Node::E),
        2 => Just(Node::I),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            4 => (0..UNARY, inner.clone()).prop_map(|(w, x)| Node::Unary(w, Box::new(x))),
            5 => (0..BINARY, inner.clone(), inner.clone())
                .prop_map(|(w, x, y)| Node::Binary(w, Box::new(x), Box::new(y))),
            1 => (inner.clone(), -9_i64..10).prop_map(|(x, n)| Node::Power(Box::new(x), n)),
            1 => (inner, 1_u32..8).prop_map(|(x, n)| Node::Root(Box::new(x), n)),
        ]
    })
}

/// The disc of f64, in as many bits as are needed to hold it exactly.
fn lift(x: &Disc<f64>) -> Disc<Big> {
    let part = |x: &Real<f64>| {
        let exact = |value: f64| {
            let mag = radius::Mag::new(value.abs(), 0);
            let mid = Big::from_radius(mag);
            if value < 0.0 { mid.negated() } else { mid }
        };
        Real { mid: exact(x.mid), rad: radius::Mag::new(x.rad, 0), absorbed: x.absorbed }
    };
    Disc { re: part(&x.re), im: part(&x.im) }
}

/// Whether two discs have a point in common.
fn meet(x: &Disc<Big>, y: &Disc<Big>) -> bool {
    let field = Field::with_precision(4096);
    field.contains_zero(&field.sub(x, y, &mut budget()).expect("moderate"))
}

/// One of all functions, of the first argument or of both.
fn apply<S: Scalar>(f: &Field<S>, which: usize, [x, y]: [Disc<S>; 2]) -> Result<Disc<S>, Stop> {
    match which.checked_sub(UNARY) {
        None => unary(f, which, &x, &mut budget()),
        Some(which) => binary(f, which, &x, &y, &mut budget()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn discs_of_every_precision_meet(node in node()) {
        let coarse = evaluate(&Field::machine(), &node, &mut budget());
        let fine = evaluate(&Field::with_precision(128), &node, &mut budget());
        let finer = evaluate(&Field::with_precision(320), &node, &mut budget());
        if let (Ok(coarse), Ok(fine)) = (&coarse, &fine) {
            prop_assert!(meet(&lift(coarse), fine), "{:?}\n{:?}", coarse, fine);
        }
        if let (Ok(coarse), Ok(finer)) = (&coarse, &finer) {
            prop_assert!(meet(&lift(coarse), finer), "{:?}\n{:?}", coarse, finer);
        }
        if let (Ok(fine), Ok(finer)) = (&fine, &finer) {
            prop_assert!(meet(fine, finer), "{:?}\n{:?}", fine, finer);
        }
        // What is undefined for certain is so at every precision.
        if fine.as_ref().err() == Some(&Stop::Undefined) {
            prop_assert!(finer.is_err() && coarse.is_err());
        }
    }

    #[test]
    fn a_wider_argument_gives_a_disc_that_holds_the_narrow_one(
        which in 0..UNARY + BINARY,
        numbers in [-30.0..30.0_f64, -3.0..3.0, -30.0..30.0, -3.0..3.0],
        real in any::<(bool, bool)>(),
        width in 1e-12..0.3_f64,
        inside in [-1.0..1.0_f64, -1.0..1.0, -1.0..1.0, -1.0..1.0],
    ) {
        // Discs around two numbers, and two other numbers inside them.
        let wide = |mid: f64, flat: bool| {
            let mid = if flat { 0.0 } else { mid };
            Real { mid, rad: if flat { 0.0 } else { width }, absorbed: false }
        };
        let point = |mid: f64, t: f64, flat: bool| {
            let mid = if flat { 0.0 } else { mid + t * 0.999 * width };
            Real { mid, rad: 0.0, absorbed: false }
        };
        let [a, b, c, d] = numbers;
        let outer = [
            Disc { re: wide(a, false), im: wide(b, real.0) },
            Disc { re: wide(c, false), im: wide(d, real.1) },
        ];
        let inner = [
            Disc { re: point(a, inside[0], false), im: point(b, inside[1], real.0) },
            Disc { re: point(c, inside[2], false), im: point(d, inside[3], real.1) },
        ];
        let lifted = |[x, y]: &[Disc<f64>; 2]| [lift(x), lift(y)];
        let exact = apply(&Field::with_precision(128), which, lifted(&inner));
        let big = apply(&Field::with_precision(64), which, lifted(&outer));
        let machine = apply(&Field::machine(), which, outer);
        if let (Ok(machine), Ok(exact)) = (machine, &exact) {
            prop_assert!(meet(&lift(&machine), exact), "{:?}\n{:?}", machine, exact);
        }
        if let (Ok(big), Ok(exact)) = (big, &exact) {
            prop_assert!(meet(&big, exact), "{:?}\n{:?}", big, exact);
        }
    }
}
