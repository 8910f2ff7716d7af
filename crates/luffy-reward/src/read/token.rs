//! What an answer is made of.

use dashu_ratio::RBig;

/// A function that is written by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Func {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Sinh,
    Cosh,
    Tanh,
    Asin,
    Acos,
    Atan,
    Ln,
    /// The logarithm of base ten.
    Lg,
    Exp,
    Abs,
    Floor,
    Ceil,
    Max,
    Min,
    Gcd,
    Lcm,
    Binom,
    Factorial,
    Arg,
    Re,
    Im,
}

/// How two sides are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rel {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Congruent, equivalent, approximately equal, and the like: compared as written.
    Other(&'static str),
}

impl Rel {
    /// The same relation with its sides swapped.
    pub(crate) fn flipped(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }
}

/// A number as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numeral {
    /// Its value without the power of ten.
    pub(crate) value: RBig,
    /// The power of ten of scientific notation.
    pub(crate) exp10: i64,
    /// Digits without point, exponent or grouping: what can carry a base.
    pub(crate) is_digits: bool,
}

/// One token. Lengths of text refer to the answer that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tok<'a> {
    Num(Numeral),
    /// A single letter, a Greek letter or a command without a meaning here.
    Sym(&'a str),
    /// Letters that stand together outside of any command.
    Run(&'a str),
    /// Text in `\text{}` or one of its relatives.
    Word(&'a str),
    Func(Func),
    /// `\log`, whose base may follow.
    Log,
    Plus,
    Minus,
    PlusMinus,
    MinusPlus,
    Times,
    Slash,
    Caret,
    Under,
    Bang,
    Percent,
    Degree,
    Prime,
    Comma,
    Semicolon,
    /// `and`, `or`.
    Also,
    Colon,
    Open(Bracket),
    Close(Bracket),
    Bar,
    DoubleBar,
    Mid,
    Rel(Rel),
    In,
    Cup,
    Cap,
    SetMinus,
    EmptySet,
    Infinity,
    Frac,
    Binom,
    Sqrt,
    Over,
    Choose,
    /// `\hat`, `\vec` and other marks that make another symbol of the next one.
    Accent(&'a str),
    /// `\overline`, which repeats decimals and marks segments.
    Overline,
    /// `\sum`, `\int`, `\lim` and the like: read to the end of the term and compared as written.
    BigOp(&'a str),
    Matrix,
    EndMatrix,
    /// `&` between the cells of a row.
    Cell,
    /// `\\` between rows.
    Row,
    Dots,
    Dot,
    /// Anything that has no place in an answer.
    Bad,
}

/// A pair of delimiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bracket {
    Round,
    Square,
    /// `{}`, which only groups.
    Brace,
    /// `\{\}`.
    Set,
    Angle,
    Floor,
    Ceil,
}

/// A token and whether white space stands before it.
#[derive(Debug, Clone)]
pub(crate) struct Token<'a> {
    pub(crate) tok: Tok<'a>,
    pub(crate) spaced: bool,
}
