use proptest::prelude::*;

/// A formula that has a value wherever its names are positive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Int(u32),
    Name(char),
    Pi,
    Add(Box<Self>, Box<Self>),
    Sub(Box<Self>, Box<Self>),
    Mul(Box<Self>, Box<Self>),
    /// The lower part is a positive tree.
    Div(Box<Self>, Box<Self>),
    Pow(Box<Self>, u32),
    /// Of a positive tree.
    Sqrt(Box<Self>),
    Sin(Box<Self>),
}

pub(crate) use Tree::{Add, Div, Int, Mul, Name, Pi, Pow, Sin, Sqrt, Sub};

fn two(make: fn(Box<Tree>, Box<Tree>) -> Tree) -> impl Fn((Tree, Tree)) -> Tree + Clone {
    move |(a, b)| make(Box::new(a), Box::new(b))
}

fn leaf(names: &'static [char]) -> BoxedStrategy<Tree> {
    let numbers = prop_oneof![4 => (1_u32..30).prop_map(Int), 1 => Just(Pi)];
    if names.is_empty() {
        return numbers.boxed();
    }
    prop_oneof![2 => numbers, 3 => prop::sample::select(names).prop_map(Name)].boxed()
}

/// Trees of positive values.
fn positive(names: &'static [char]) -> BoxedStrategy<Tree> {
    leaf(names)
        .prop_recursive(2, 6, 2, |inner| {
            let pair = (inner.clone(), inner.clone());
            prop_oneof![
                pair.clone().prop_map(two(Add)),
                pair.clone().prop_map(two(Mul)),
                pair.prop_map(two(Div)),
                inner.clone().prop_map(|a| Sqrt(Box::new(a))),
                (inner, 2_u32..4).prop_map(|(a, n)| Pow(Box::new(a), n)),
            ]
        })
        .boxed()
}

fn any_tree(names: &'static [char]) -> BoxedStrategy<Tree> {
    let positive = positive(names);
    prop_oneof![3 => leaf(names), 1 => positive.clone()]
        .prop_recursive(3, 10, 2, move |inner| {
            let pair = (inner.clone(), inner.clone());
            prop_oneof![
                pair.clone().prop_map(two(Add)),
                pair.clone().prop_map(two(Sub)),
                pair.prop_map(two(Mul)),
                (inner.clone(), positive.clone()).prop_map(two(Div)),
                positive.clone().prop_map(|a| Sqrt(Box::new(a))),
                (inner.clone(), 2_u32..4).prop_map(|(a, n)| Pow(Box::new(a), n)),
                inner.prop_map(|a| Sin(Box::new(a))),
            ]
        })
        .boxed()
}

/// A formula in up to three names.
pub(crate) fn formula() -> BoxedStrategy<Tree> {
    any_tree(&['x', 'y', 'n'])
}

/// A formula without names.
pub(crate) fn constant() -> BoxedStrategy<Tree> {
    any_tree(&[])
}

impl Tree {
    /// The value where names are worth what the function says.
    pub(crate) fn value(&self, name: &dyn Fn(char) -> f64) -> f64 {
        match self {
            Int(n) => f64::from(*n),
            Name(letter) => name(*letter),
            Pi => std::f64::consts::PI,
            Add(a, b) => a.value(name) + b.value(name),
            Sub(a, b) => a.value(name) - b.value(name),
            Mul(a, b) => a.value(name) * b.value(name),
            Div(a, b) => a.value(name) / b.value(name),
            Pow(a, n) => a.value(name).powi((*n).cast_signed()),
            Sqrt(a) => a.value(name).sqrt(),
            Sin(a) => {
                let sine = a.value(name).sin();
                // Of a multiple of pi it is rounding alone, which a large factor would make a value.
                if sine.abs() < 1e-9 { 0.0 } else { sine }
            }
        }
    }

    /// Whether two trees are clearly worth something else at one of a few points.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        [0.7, 1.3, 2.9].into_iter().any(|scale| {
            let name = |letter: char| scale + 0.37 * f64::from(u32::from(letter) % 7);
            let (a, b) = (self.value(&name), other.value(&name));
            // Sines of large numbers are worth nothing in f64.
            let is_sure = a.abs().max(b.abs()) < 1e6;
            is_sure && (a - b).abs() > 1e-3 * a.abs().max(b.abs()).max(1.0)
        })
    }

    /// Whether there is neither a root nor a sine in a tree.
    pub(crate) fn is_rational(&self) -> bool {
        match self {
            Int(_) | Name(_) | Pi => true,
            Sqrt(_) | Sin(_) => false,
            Pow(a, _) => a.is_rational(),
            Add(a, b) | Sub(a, b) | Mul(a, b) | Div(a, b) => a.is_rational() && b.is_rational(),
        }
    }

    /// Every tree that has one place changed by `change`.
    pub(crate) fn with_one_change(&self, change: &dyn Fn(&Self) -> Vec<Self>) -> Vec<Self> {
        let mut found = change(self);
        let mut one = |a: &Self, make: &dyn Fn(Box<Self>) -> Self| {
            found.extend(a.with_one_change(change).into_iter().map(|a| make(Box::new(a))));
        };
        match self {
            Int(_) | Name(_) | Pi => {}
            Pow(a, n) => one(a, &|a| Pow(a, *n)),
            Sqrt(a) => one(a, &Sqrt),
            Sin(a) => one(a, &Sin),
            Add(a, b) => {
                one(a, &|a| Add(a, b.clone()));
                one(b, &|b| Add(a.clone(), b));
            }
            Sub(a, b) => {
                one(a, &|a| Sub(a, b.clone()));
                one(b, &|b| Sub(a.clone(), b));
            }
            Mul(a, b) => {
                one(a, &|a| Mul(a, b.clone()));
                one(b, &|b| Mul(a.clone(), b));
            }
            Div(a, b) => {
                one(a, &|a| Div(a, b.clone()));
                one(b, &|b| Div(a.clone(), b));
            }
        }
        found
    }
}

/// One way of writing formulas.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) frac: usize,
    pub(crate) times: usize,
    pub(crate) root: usize,
    pub(crate) minus: usize,
    pub(crate) brackets: usize,
    pub(crate) space: usize,
    pub(crate) around: usize,
}

pub(crate) const PLAIN: Style =
    Style { frac: 0, times: 0, root: 0, minus: 0, brackets: 0, space: 0, around: 0 };

pub(crate) fn style() -> impl Strategy<Value = Style> {
    (0..7_usize, 0..5_usize, 0..4_usize, 0..2_usize, 0..3_usize, 0..5_usize, 0..9_usize).prop_map(
        |(frac, times, root, minus, brackets, space, around)| Style {
            frac,
            times,
            root,
            minus,
            brackets,
            space,
            around,
        },
    )
}

impl Style {
    pub(crate) fn write(self, tree: &Tree) -> String {
        let text = self.sum(tree);
        match self.around {
            1 => format!("${text}$"),
            2 => format!("$${text}$$"),
            3 => format!(r"\({text}\)"),
            4 => format!(r"\displaystyle {text}"),
            5 => format!("{{{text}}}"),
            6 => format!("{text}."),
            7 => format!(" {text}\n"),
            8 => format!("**{text}**"),
            _ => text,
        }
    }

    fn sum(self, tree: &Tree) -> String {
        let space = ["", " ", r"\,", r"\; ", "~"][self.space];
        let minus = ["-", "−"][self.minus];
        match tree {
            Add(a, b) => format!("{}{space}+{space}{}", self.sum(a), self.term(b)),
            Sub(a, b) => format!("{}{space}{minus}{space}{}", self.sum(a), self.term(b)),
            other => self.product(other),
        }
    }

    /// In brackets if it is a sum.
    fn term(self, tree: &Tree) -> String {
        match tree {
            Add(..) | Sub(..) => self.in_brackets(tree),
            other => self.product(other),
        }
    }

    fn product(self, tree: &Tree) -> String {
        let Mul(a, b) = tree else { return self.factor(tree) };
        let (left, right) = (self.factor(a), self.factor(b));
        // Without a sign only where no other reading exists: `2\frac12` is a mixed number, `x(2)` may
        // be a function.
        let joins = matches!((&**a, &**b), (Int(_), Name(_) | Add(..) | Sub(..) | Sqrt(_)));
        if joins && self.times == 4 {
            return format!("{left}{right}");
        }
        let times = [r" \cdot ", "*", r" \times ", "·", "×"][self.times];
        format!("{left}{times}{right}")
    }

    /// In brackets if it is a sum or a product.
    fn factor(self, tree: &Tree) -> String {
        match tree {
            Add(..) | Sub(..) | Mul(..) => self.in_brackets(tree),
            Int(n) => n.to_string(),
            Name(letter) => letter.to_string(),
            Pi => if self.root == 1 { "π" } else { r"\pi " }.to_owned(),
            Div(a, b) => self.fraction(a, b),
            Pow(a, n) => match **a {
                Int(_) | Name(_) => format!("{}^{{{n}}}", self.factor(a)),
                _ => format!("{}^{n}", self.in_brackets(a)),
            },
            Sqrt(a) => match (self.root, &**a) {
                (1, _) => format!("√{}", self.in_brackets(a)),
                (2, Int(n)) if *n < 10 => format!(r"\sqrt{n}"),
                (3, _) => format!("sqrt({})", self.sum(a)),
                _ => format!(r"\sqrt{{{}}}", self.sum(a)),
            },
            Sin(a) => format!(r"\sin{}", self.in_brackets(a)),
        }
    }

    fn fraction(self, a: &Tree, b: &Tree) -> String {
        let command = [r"\frac", r"\dfrac", r"\tfrac", r"\cfrac", r"\frac"][self.frac.min(4)];
        if let (4, Int(a @ 0..10), Int(b @ 0..10)) = (self.frac, a, b) {
            return format!("{command}{a}{b}");
        }
        match self.frac {
            // The whole in brackets: `1/2x` is half of x.
            5 => format!("({}/{})", self.in_brackets(a), self.in_brackets(b)),
            6 => format!(r"{{{} \over {}}}", self.sum(a), self.sum(b)),
            _ => format!("{command}{{{}}}{{{}}}", self.sum(a), self.sum(b)),
        }
    }

    fn in_brackets(self, tree: &Tree) -> String {
        let inner = self.sum(tree);
        match self.brackets {
            1 => format!(r"\left({inner}\right)"),
            2 => format!(r"\bigl( {inner} \bigr)"),
            _ => format!("({inner})"),
        }
    }
}
