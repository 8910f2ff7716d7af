//! Known values, and the edges of the domains.

use super::*;

fn budget() -> Budget {
    Budget::new(u64::MAX)
}

fn big(x: i64) -> IBig {
    IBig::from(x)
}

/// Both sides agree as far as they can be told apart, at 128 and 1024 bits of precision.
fn check_identity(
    name: &str,
    difference: impl Fn(&Field<Big>, &mut Budget) -> Result<Disc<Big>, Stop>,
) {
    for (precision, bits) in [(128, 100), (1024, 990)] {
        let field = Field::with_precision(precision);
        let gap = difference(&field, &mut budget()).expect("defined");
        assert!(field.contains_zero(&gap), "{name} at {precision}: {gap:?}");
        assert!(field.log2_radius(&gap) < -bits, "{name} at {precision}: {gap:?}");
        assert!(!field.absorbed(&gap), "{name} at {precision}");
    }
}

#[test]
fn identities_hold() {
    check_identity("cos(pi/5) = (1 + sqrt 5)/4", |f, b| {
        let angle = f.div(&f.pi(), &f.integer(5), b)?;
        let root = f.sqrt(&f.integer(5), b)?;
        let golden = f.div(&f.add(&f.integer(1), &root, b)?, &f.integer(4), b)?;
        f.sub(&f.cos(&angle, b)?, &golden, b)
    });
    check_identity("sqrt(3 + 2 sqrt 2) = 1 + sqrt 2", |f, b| {
        let root = f.sqrt(&f.integer(2), b)?;
        let inner = f.add(&f.integer(3), &f.add(&root, &root, b)?, b)?;
        let gap = f.sub(&f.sqrt(&inner, b)?, &f.integer(1), b)?;
        f.sub(&gap, &root, b)
    });
    check_identity("e^(i pi) = -1", |f, b| {
        let power = f.pow(&f.e(), &f.mul(&f.i(), &f.pi(), b)?, b)?;
        f.add(&power, &f.integer(1), b)
    });
    check_identity("i^i = e^(-pi/2)", |f, b| {
        let power = f.pow(&f.i(), &f.i(), b)?;
        let angle = f.div(&f.pi(), &f.integer(-2), b)?;
        f.sub(&power, &f.exp(&angle, b)?, b)
    });
    check_identity("arcsin(1/2) + arccos(1/2) = pi/2", |f, b| {
        let half = f.rational(&big(1), &UBig::from(2_u8), b)?;
        let sum = f.add(&f.asin(&half, b)?, &f.acos(&half, b)?, b)?;
        f.sub(&sum, &f.div(&f.pi(), &f.integer(2), b)?, b)
    });
    check_identity("4 arctan(1/5) - arctan(1/239) = pi/4", |f, b| {
        let a = f.atan(&f.rational(&big(1), &UBig::from(5_u8), b)?, b)?;
        let c = f.atan(&f.rational(&big(1), &UBig::from(239_u8), b)?, b)?;
        let sum = f.sub(&f.mul(&f.integer(4), &a, b)?, &c, b)?;
        f.sub(&sum, &f.div(&f.pi(), &f.integer(4), b)?, b)
    });
    check_identity("cubic with three real roots through complex ones", |f, b| {
        // 2 cos(pi/9) = cbrt((1 + i sqrt 3)/2) + cbrt((1 - i sqrt 3)/2).
        let im = f.mul(&f.i(), &f.sqrt(&f.integer(3), b)?, b)?;
        let up = f.div(&f.add(&f.integer(1), &im, b)?, &f.integer(2), b)?;
        let down = f.div(&f.sub(&f.integer(1), &im, b)?, &f.integer(2), b)?;
        let sum = f.add(&f.root(&up, 3, b)?, &f.root(&down, 3, b)?, b)?;
        let cos = f.cos(&f.div(&f.pi(), &f.integer(9), b)?, b)?;
        f.sub(&sum, &f.mul(&f.integer(2), &cos, b)?, b)
    });
    check_identity("tanh(ln 2) = 3/5", |f, b| {
        let x = f.ln(&f.integer(2), b)?;
        f.sub(&f.tanh(&x, b)?, &f.rational(&big(3), &UBig::from(5_u8), b)?, b)
    });
    check_identity("sinh(i x) = i sin x and cosh(i x) = cos x", |f, b| {
        let ix = f.mul(&f.i(), &f.integer(3), b)?;
        let sum = f.add(&f.sinh(&ix, b)?, &f.cosh(&ix, b)?, b)?;
        f.sub(&sum, &f.exp(&ix, b)?, b)
    });
    check_identity("e^(ln 2 / 3) is the cube root of 2", |f, b| {
        let third = f.rational(&big(1), &UBig::from(3_u8), b)?;
        f.sub(&f.pow(&f.integer(2), &third, b)?, &f.root(&f.integer(2), 3, b)?, b)
    });
    check_identity("tan(10^30) from sine and cosine of a large angle", |f, b| {
        let x = f.rational(&IBig::from(10).pow(30), &UBig::ONE, b)?;
        let quotient = f.div(&f.sin(&x, b)?, &f.cos(&x, b)?, b)?;
        f.sub(&quotient, &f.tan(&x, b)?, b)
    });
}

/// Numbers of every quadrant and on the axes, wider than high and higher than wide.
#[test]
fn complex_functions_are_what_defines_them_on_the_principal_branch() {
    let f = Field::with_precision(128);
    let b = &mut budget();
    let parts = [
        (2, 1),
        (-2, 1),
        (-2, -1),
        (2, -1),
        (1, 3),
        (-1, 3),
        (-1, -3),
        (1, -3),
        (0, 2),
        (0, -2),
        (-3, 0),
        (3, 0),
    ];
    for (re, im) in parts {
        let z = f
            .add(&f.integer(re), &f.mul(&f.i(), &f.integer(im), b).expect("small"), b)
            .expect("small");
        let same = |x: Result<Disc<Big>, Stop>, y: Result<Disc<Big>, Stop>, b: &mut Budget| {
            let gap = f.sub(&x.expect("defined"), &y.expect("defined"), b).expect("small");
            assert!(f.contains_zero(&gap) && f.log2_radius(&gap) < -100, "{re} + {im}i: {gap:?}");
        };
        // The angle of a root is the n-th part of one in (-pi, pi].
        let angle = f.arg(&z, b).expect("not zero");
        let expected = libm::atan2(im as f64, re as f64);
        assert!((angle.re.mid.estimate() - expected).abs() < 1e-12, "{re} + {im}i");
        let log = f.ln(&z, b).expect("not zero");
        assert!((log.im.mid.estimate() - expected).abs() < 1e-12, "{re} + {im}i");
        same(f.exp(&log, b), Ok(z.clone()), b);
        for n in [2, 3, 5] {
            let root = f.root(&z, n, b).expect("not zero");
            same(f.powi(&root, i64::from(n), b), Ok(z.clone()), b);
            let angle = f.arg(&root, b).expect("not zero").re.mid.estimate();
            assert!((angle - expected / f64::from(n)).abs() < 1e-12, "{re} + {im}i, {n}");
        }
        let conjugate = Disc { re: z.re.clone(), im: z.im.neg() };
        let size = f.abs(&z, b).expect("any");
        same(f.powi(&size, 2, b), f.mul(&z, &conjugate, b), b);
        same(f.powi(&z, -1, b), f.div(&conjugate, &f.integer(re * re + im * im), b), b);
        // All circular functions from exponentials of iz and -iz.
        let iz = f.mul(&f.i(), &z, b).expect("small");
        let (up, down) =
            (f.exp(&iz, b).expect("small"), f.exp(&f.neg(&iz, b).expect("any"), b).expect("small"));
        let twice_sin = f.div(&f.sub(&up, &down, b).expect("small"), &f.i(), b);
        let sin = f.sin(&z, b).expect("any");
        same(f.add(&sin, &sin, b), twice_sin, b);
        let cos = f.cos(&z, b).expect("any");
        same(f.add(&cos, &cos, b), f.add(&up, &down, b), b);
        same(f.mul(&f.tan(&z, b).expect("no pole"), &cos, b), Ok(sin.clone()), b);
        // sinh iz = i sin z, cosh iz = cos z.
        let sinh = f.sinh(&iz, b).expect("any");
        same(Ok(sinh.clone()), f.mul(&f.i(), &sin, b), b);
        same(f.cosh(&iz, b), Ok(cos.clone()), b);
        same(f.mul(&f.tanh(&iz, b).expect("no pole"), &cos, b), Ok(sinh), b);
    }
}

/// e^(pi sqrt 163) = 262537412640768743.99999999999925.. (Hermite, 1859).
#[test]
fn the_constant_of_ramanujan_is_no_integer() {
    fn gap<S: Scalar>(f: &Field<S>) -> Disc<S> {
        let b = &mut budget();
        let root = f.sqrt(&f.integer(163), b).expect("positive");
        let power = f.exp(&f.mul(&f.pi(), &root, b).expect("small"), b).expect("small");
        f.sub(&power, &f.integer(262_537_412_640_768_744), b).expect("small")
    }
    let machine = Field::machine();
    assert!(machine.contains_zero(&gap(&machine)));
    for bits in [128, 1000, 1024] {
        let field = Field::with_precision(bits);
        let gap = gap(&field);
        assert!(!field.contains_zero(&gap) && field.is_negative(&gap), "{bits}");
        // 7.5e-13 is between 2^-41 and 2^-40.
        assert_eq!(field.log2_abs(&gap), -40);
    }
}

/// The digits are those of OEIS A000796, A001113 and A002162.
#[test]
fn constants_have_their_digits() {
    let field = Field::with_precision(512);
    let b = &mut budget();
    let digits = |x: &Disc<Big>, b: &mut Budget| {
        let scale = field.rational(&IBig::from(10).pow(100), &UBig::ONE, b).expect("small");
        field.floor(&field.mul(x, &scale, b).expect("small"), b).expect("no integer")
    };
    let expected = [
        (
            field.pi(),
            "31415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170679",
        ),
        (
            field.e(),
            "27182818284590452353602874713526624977572470936999595749669676277240766303535475945713821785251664274",
        ),
        (
            field.ln(&field.integer(2), b).expect("positive"),
            "6931471805599453094172321214581765680755001343602552541206800094933936219696947156058633269964186875",
        ),
    ];
    for (value, expected) in expected {
        let expected: IBig = expected.parse().expect("digits");
        let floor = digits(&value, b);
        let expected = field.rational(&expected, &UBig::ONE, b).expect("small");
        assert!(field.sub(&floor, &expected, b).expect("small").is_exact_zero());
    }
}

fn domain<S: Scalar>(f: &Field<S>) {
    let b = &mut budget();
    let stop = |x: Result<Disc<S>, Stop>| x.err();
    let (zero, one, two) = (f.integer(0), f.integer(1), f.integer(2));
    let root = f.sqrt(&two, b).expect("positive");
    // Zero, as far as any precision can tell.
    let blurred = f.sub(&f.mul(&root, &root, b).expect("small"), &two, b).expect("small");
    assert!(f.contains_zero(&blurred) && !blurred.is_exact_zero());
    assert_eq!(stop(f.div(&one, &zero, b)), Some(Stop::Undefined));
    assert_eq!(stop(f.div(&zero, &zero, b)), Some(Stop::Undefined));
    assert_eq!(stop(f.div(&one, &blurred, b)), Some(Stop::Unknown));
    assert_eq!(stop(f.rational(&IBig::ONE, &UBig::ZERO, b)), Some(Stop::Undefined));
    assert_eq!(stop(f.ln(&zero, b)), Some(Stop::Undefined));
    assert_eq!(stop(f.ln(&blurred, b)), Some(Stop::Unknown));
    assert_eq!(stop(f.arg(&zero, b)), Some(Stop::Undefined));
    assert_eq!(stop(f.powi(&zero, 0, b)), Some(Stop::Undefined));
    assert_eq!(stop(f.powi(&zero, -2, b)), Some(Stop::Undefined));
    assert_eq!(stop(f.pow(&zero, &zero, b)), Some(Stop::Undefined));
    assert_eq!(stop(f.pow(&zero, &f.neg(&root, b).expect("any"), b)), Some(Stop::Undefined));
    assert_eq!(stop(f.pow(&zero, &f.i(), b)), Some(Stop::Unknown));
    assert_eq!(stop(f.pow(&blurred, &root, b)), Some(Stop::Unknown));
    assert_eq!(stop(f.root(&two, 0, b)), Some(Stop::Undefined));
    assert_eq!(stop(f.asin(&two, b)), Some(Stop::Unknown));
    assert_eq!(stop(f.acos(&f.i(), b)), Some(Stop::Unknown));
    assert_eq!(stop(f.atan(&f.i(), b)), Some(Stop::Unknown));
    assert_eq!(stop(f.floor(&f.i(), b)), Some(Stop::Unknown));
    assert_eq!(stop(f.floor(&blurred, b)), Some(Stop::Unknown));
    assert_eq!(stop(f.max(&one, &f.i(), b)), Some(Stop::Unknown));
    // The cut of the logarithm: a negative number that may be on either side of it, and one that is on it.
    let mut near = f.neg(&two, b).expect("any");
    near.im = blurred.re.clone();
    assert_eq!(stop(f.ln(&near, b)), Some(Stop::Unknown));
    assert_eq!(stop(f.sqrt(&near, b)), Some(Stop::Unknown));
    let log = f.ln(&f.integer(-2), b).expect("on the cut");
    let expected =
        f.add(&f.ln(&two, b).expect("positive"), &f.mul(&f.i(), &f.pi(), b).expect("small"), b);
    assert!(f.contains_zero(&f.sub(&log, &expected.expect("small"), b).expect("small")));
    // Values at the edges.
    assert!(f.pow(&zero, &root, b).expect("zero").is_exact_zero());
    assert!(f.powi(&zero, 3, b).expect("zero").is_exact_zero());
    for wide in [f.sqrt(&blurred, b), f.root(&blurred, 3, b), f.abs(&blurred, b)] {
        assert!(f.contains_zero(&wide.expect("a disc around zero")));
    }
    // The cube root of something of that size is as large.
    let wide = f.root(&blurred, 3, b).expect("a disc around zero");
    assert!(f.log2_radius(&wide) >= f.log2_abs(&blurred) / 3 - 1);
    for (x, y) in [(f.asin(&one, b), 2), (f.acos(&f.integer(-1), b), 1), (f.acos(&zero, b), 2)] {
        let twice = f.mul(&x.expect("inside"), &f.integer(y), b).expect("small");
        assert!(f.contains_zero(&f.sub(&twice, &f.pi(), b).expect("small")));
    }
    assert!(f.acos(&one, b).expect("inside").is_exact_zero());
    // What is real stays real, and what is an integer an integer.
    let exact = |x: Result<Disc<S>, Stop>| {
        let x = x.expect("an integer");
        assert!(f.is_real(&x), "{x:?}");
        x.re.to_i64()
    };
    assert_eq!(exact(f.powi(&f.i(), 2, b)), Some(-1));
    let imaginary = f.sqrt(&f.integer(-4), b).expect("imaginary");
    assert_eq!(exact(f.mul(&imaginary, &imaginary, b)), Some(-4));
    assert_eq!(exact(f.sqrt(&f.integer(144), b)), Some(12));
    assert_eq!(exact(f.root(&f.integer(1024), 10, b)), Some(2));
    assert_eq!(exact(f.powi(&f.integer(-3), 5, b)), Some(-243));
    assert_eq!(exact(f.div(&f.integer(-91), &f.integer(7), b)), Some(-13));
    let three_halves = f.rational(&big(3), &UBig::from(2_u8), b).expect("small");
    assert_eq!(exact(f.pow(&f.integer(4), &three_halves, b)), Some(8));
    assert_eq!(exact(f.floor(&f.neg(&root, b).expect("any"), b)), Some(-2));
    assert_eq!(exact(f.ceil(&root, b)), Some(2));
    assert_eq!(exact(f.floor(&three_halves, b)), Some(1));
    assert_eq!(exact(f.ceil(&f.integer(-7), b)), Some(-7));
    assert_eq!(exact(f.max(&one, &two, b)), Some(2));
    assert_eq!(exact(f.min(&one, &two, b)), Some(1));
    let five = f.add(&f.integer(3), &f.mul(&f.i(), &f.integer(4), b).expect("small"), b);
    assert_eq!(exact(f.abs(&five.expect("small"), b)), Some(5));
    assert!(f.is_real(&f.pow(&root, &root, b).expect("positive")));
    assert!(!f.is_real(&f.root(&f.integer(-8), 3, b).expect("complex")));
    assert!(!f.is_negative(&root) && !f.is_negative(&blurred));
    assert_eq!(f.log2_abs(&zero), i64::MIN);
    assert_eq!(f.log2_radius(&two), i64::MIN);
}

#[test]
fn edges_of_the_domains_are_the_same_at_every_precision() {
    domain(&Field::machine());
    domain(&Field::with_precision(64));
    domain(&Field::with_precision(128));
    domain(&Field::with_precision(1024));
}

#[test]
fn numbers_beyond_f64_are_left_to_the_next_precision() {
    let f = Field::machine();
    let b = &mut budget();
    let huge = IBig::from(10).pow(400);
    assert_eq!(f.rational(&huge, &UBig::ONE, b).err(), Some(Stop::Unknown));
    assert_eq!(f.rational(&IBig::ONE, &UBig::from(10_u8).pow(400), b).err(), Some(Stop::Unknown));
    assert!(f.rational(&huge, &UBig::from(10_u8).pow(390), b).is_ok());
    assert_eq!(f.exp(&f.integer(710), b).err(), Some(Stop::Unknown));
    assert_eq!(f.powi(&f.integer(10), 400, b).err(), Some(Stop::Unknown));
    assert!(f.contains_zero(&f.exp(&f.integer(-800), b).expect("underflow")));
    let small = f.powi(&f.integer(10), -200, b).expect("small");
    let gone = f.mul(&small, &small, b).expect("underflow");
    assert!(f.contains_zero(&gone) && !gone.is_exact_zero());
}

#[test]
fn exponents_of_any_size_are_quick_or_refused() {
    let f = Field::with_precision(1024);
    let b = &mut Budget::new(2_000_000);
    let ten = f.integer(10);
    let tiny = f.powi(&ten, -400, b).expect("small");
    assert_eq!(f.log2_abs(&tiny), -1328);
    assert!(f.log2_radius(&tiny) < -2340);
    let large = f.powi(&f.integer(2), 1_000_000, b).expect("large");
    assert_eq!(f.log2_radius(&large), i64::MIN);
    let larger = f.exp(&f.integer(1_000_000), b).expect("large");
    // 10^6 / ln 2 = 1442695.04..
    assert_eq!(f.log2_abs(&larger), 1_442_696);
    let logarithm = f.ln(&larger, b).expect("positive");
    let gap = f.sub(&logarithm, &f.integer(1_000_000), b).expect("small");
    assert!(f.contains_zero(&gap) && f.log2_radius(&gap) < -1000);
    assert_eq!(f.powi(&f.integer(2), i64::MAX, b).err(), Some(Stop::Unknown));
    assert_eq!(f.powi(&f.integer(2), i64::MIN, b).err(), Some(Stop::Unknown));
    assert_eq!(f.exp(&large, b).err(), Some(Stop::Unknown));
    assert_eq!(f.exp(&f.neg(&large, b).expect("any"), b).err(), Some(Stop::Unknown));
    assert_eq!(f.sin(&large, b).err(), Some(Stop::Unknown));
    assert_eq!(f.cosh(&large, b).err(), Some(Stop::Unknown));
    assert!(f.sin(&f.powi(&ten, 900, b).expect("large"), b).is_ok());
    assert!(f.atan(&large, b).is_ok() && f.tanh(&f.integer(1_000_000), b).is_ok());
    // One more squaring at a time until it is refused, without any of them taking long.
    let mut tower = f.integer(3);
    let refused = (0..64).any(|_| match f.mul(&tower, &tower, b) {
        Ok(square) => {
            tower = square;
            false
        }
        Err(stop) => stop == Stop::Unknown,
    });
    assert!(refused);
}

#[test]
fn what_is_too_small_to_matter_is_remembered() {
    let f = Field::with_precision(1024);
    let b = &mut budget();
    let (one, five) = (f.integer(1), f.integer(5));
    let tiny = f.exp(&f.integer(-1000), b).expect("small");
    let tinier = f.powi(&f.integer(10), -400, b).expect("small");
    let absorbed = |x: Result<Disc<Big>, Stop>| f.absorbed(&x.expect("defined"));
    assert!(absorbed(f.add(&five, &tiny, b)) && absorbed(f.sub(&tiny, &five, b)));
    assert!(!absorbed(f.add(&five, &f.powi(&f.integer(10), -300, b).expect("small"), b)));
    assert!(!absorbed(f.add(&five, &f.integer(0), b)));
    // It sticks.
    let sum = f.add(&five, &tiny, b).expect("small");
    let sums = [
        f.mul(&sum, &sum, b),
        f.div(&one, &sum, b),
        f.sqrt(&sum, b),
        f.root(&sum, 3, b),
        f.ln(&sum, b),
        f.exp(&sum, b),
        f.sin(&sum, b),
        f.cosh(&sum, b),
        f.atan(&sum, b),
        f.abs(&sum, b),
        f.floor(&f.mul(&sum, &f.pi(), b).expect("small"), b),
        f.max(&one, &sum, b),
        f.min(&one, &sum, b),
        f.powi(&sum, 3, b),
        f.powi(&sum, 0, b),
        f.pow(&one, &sum, b),
        f.mul(&f.i(), &sum, b),
        f.neg(&sum, b),
        f.sub(&sum, &sum, b),
    ];
    for sum in sums {
        assert!(absorbed(sum));
    }
    let whole = f.floor(&f.div(&sum, &f.integer(3), b).expect("small"), b).expect("1.67");
    assert!(whole.re.to_i64() == Some(1) && absorbed(f.pow(&five, &whole, b)));
    // Sums are not all that hides a number.
    assert!(absorbed(f.exp(&tinier, b)) && absorbed(f.cos(&tinier, b)));
    assert!(absorbed(f.sin(&tinier, b)) && absorbed(f.atan(&tinier, b)));
    assert!(absorbed(f.cosh(&tinier, b)) && absorbed(f.sinh(&tinier, b)));
    assert!(absorbed(f.pow(&five, &tinier, b)) && absorbed(f.tanh(&f.integer(1000), b)));
    assert!(absorbed(f.sinh(&f.integer(1000), b)) && absorbed(f.tan(&tinier, b)));
    let far = f.powi(&f.integer(10), 400, b).expect("large");
    assert!(absorbed(f.atan(&far, b)) && absorbed(f.acos(&tinier, b)));
    assert!(!absorbed(f.sqrt(&tinier, b)) && !absorbed(f.ln(&tinier, b)));
    // The other part is no place to hide.
    let across = f.add(&five, &f.mul(&f.i(), &tiny, b).expect("small"), b).expect("small");
    assert!(!f.absorbed(&across) && !f.contains_zero(&f.sub(&across, &five, b).expect("small")));
    // Zero as far as the precision goes is not known to be anything that could be lost.
    let root = f.sqrt(&f.integer(2), b).expect("positive");
    let blurred = f.sub(&f.mul(&root, &root, b).expect("small"), &f.integer(2), b).expect("small");
    assert!(!absorbed(f.add(&five, &blurred, b)) && !absorbed(f.cos(&blurred, b)));
}

#[test]
fn a_field_may_be_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Field<f64>>();
    check::<Field<Big>>();
}

#[test]
fn work_is_charged() {
    let spent = |bits: usize| {
        let f = Field::with_precision(bits);
        let b = &mut budget();
        f.sin(&f.integer(3), b).expect("defined");
        b.used()
    };
    assert!(spent(1024) > 2 * spent(128));
    let f = Field::with_precision(128);
    assert_eq!(f.exp(&f.integer(1), &mut Budget::new(10)).err(), Some(Stop::OverBudget));
    let b = &mut budget();
    let machine = Field::machine();
    machine.add(&machine.integer(1), &machine.integer(2), b).expect("small");
    assert_eq!(b.used(), 1);
}
