//! Commands, names and units.

use super::token::{Bracket, Func, Rel, Tok};

/// What a command means.
pub(super) enum Command<'a> {
    Token(Tok<'a>),
    /// White space and marks of style.
    Skip,
    /// `\left`, `\big`: the next delimiter is taken as it is, a dot stands for none.
    Delimiter,
    /// `\text`: braces follow.
    Text,
    /// `\hspace`: braces follow and are thrown away with it.
    SkipArgument,
    /// `\begin`, `\end`.
    Begin,
    End,
}

/// The name of the set of real numbers.
pub(crate) const REALS: &str = "\u{211d}";

/// The name of a letter in blackboard bold: a set of numbers.
pub(super) fn blackboard(letter: &str) -> Option<&'static str> {
    Some(match letter {
        "R" => REALS,
        "Z" => "\u{2124}",
        "N" => "\u{2115}",
        "Q" => "\u{211a}",
        "C" => "\u{2102}",
        _ => return None,
    })
}

/// Whether a name is that of a set of numbers.
pub(super) fn is_number_set(name: &str) -> bool {
    ["R", "Z", "N", "Q", "C"].into_iter().any(|letter| blackboard(letter) == Some(name))
}

const GREEK: &[&str] = &[
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "vartheta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "pi",
    "varpi",
    "rho",
    "varrho",
    "sigma",
    "varsigma",
    "tau",
    "upsilon",
    "phi",
    "varphi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Pi",
    "Sigma",
    "Upsilon",
    "Phi",
    "Psi",
    "Omega",
    "hbar",
    "ell",
];

/// The name of a Greek letter that is written out.
pub(super) fn greek(name: &str) -> Option<&'static str> {
    GREEK.iter().find(|greek| **greek == name).copied()
}

/// The name of a Greek letter that is written as itself.
pub(super) fn greek_char(letter: char) -> Option<&'static str> {
    Some(match letter {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' => "epsilon",
        'ζ' => "zeta",
        'η' => "eta",
        'θ' => "theta",
        'κ' => "kappa",
        'λ' => "lambda",
        'μ' | 'µ' => "mu",
        'ν' => "nu",
        'ξ' => "xi",
        'π' => "pi",
        'ρ' => "rho",
        'σ' => "sigma",
        'τ' => "tau",
        'φ' | 'ϕ' => "phi",
        'χ' => "chi",
        'ψ' => "psi",
        'ω' => "omega",
        'Γ' => "Gamma",
        'Δ' | '∆' => "Delta",
        'Θ' => "Theta",
        'Λ' => "Lambda",
        'Ξ' => "Xi",
        'Π' => "Pi",
        'Σ' => "Sigma",
        'Φ' => "Phi",
        'Ψ' => "Psi",
        'Ω' | '\u{2126}' => "Omega",
        'ℏ' => "hbar",
        'ℓ' => "ell",
        _ => return None,
    })
}

/// The function of a name, in LaTeX, in plain text and in Python.
pub(super) fn func(name: &str) -> Option<Func> {
    Some(match name {
        "sin" => Func::Sin,
        "cos" => Func::Cos,
        "tan" | "tg" => Func::Tan,
        "cot" | "ctg" => Func::Cot,
        "sec" => Func::Sec,
        "csc" | "cosec" => Func::Csc,
        "sinh" => Func::Sinh,
        "cosh" => Func::Cosh,
        "tanh" => Func::Tanh,
        "arcsin" | "asin" => Func::Asin,
        "arccos" | "acos" => Func::Acos,
        "arctan" | "atan" | "arctg" => Func::Atan,
        "ln" => Func::Ln,
        "lg" => Func::Lg,
        "exp" => Func::Exp,
        "abs" => Func::Abs,
        "floor" => Func::Floor,
        "ceil" | "ceiling" => Func::Ceil,
        "max" => Func::Max,
        "min" => Func::Min,
        "gcd" => Func::Gcd,
        "lcm" => Func::Lcm,
        "arg" => Func::Arg,
        "Re" => Func::Re,
        "Im" => Func::Im,
        _ => return None,
    })
}

/// Commands of one letter or sign after the backslash.
pub(super) fn control_symbol(sign: char) -> Command<'static> {
    Command::Token(match sign {
        ',' | ';' | ':' | '!' | ' ' | '>' | '/' | '(' | ')' | '[' | ']' | '$' | '@' | '-' => {
            return Command::Skip;
        }
        '{' => Tok::Open(Bracket::Set),
        '}' => Tok::Close(Bracket::Set),
        '|' => Tok::DoubleBar,
        '%' => Tok::Percent,
        '_' => Tok::Under,
        '&' => Tok::Also,
        _ => Tok::Bad,
    })
}

/// What the command `\name` means; `None` if it has no meaning here.
pub(super) fn command(name: &str) -> Option<Command<'static>> {
    if let Some(func) = func(name) {
        return Some(Command::Token(Tok::Func(func)));
    }
    if let Some(name) = greek(name) {
        return Some(Command::Token(Tok::Sym(name)));
    }
    Some(Command::Token(match name {
        "quad" | "qquad" | "displaystyle" | "textstyle" | "scriptstyle" | "limits" | "nolimits"
        | "rm" | "bf" | "it" | "cal" | "boxed" | "fbox" | "mathbf" | "boldsymbol" | "bm"
        | "pmb" | "mathit" | "mathnormal" | "mathsf" | "mathtt" | "mathcal" | "mathscr"
        | "mathfrak" | "thinspace" | "medspace" | "thickspace" | "enspace" | "enskip" | "space"
        | "nobreakspace" | "hfill" | "mathrel" | "mathop" | "mathbin" | "mathord"
        | "ensuremath" | "large" | "Large" | "normalsize" | "small" | "euro" | "pounds"
        | "dollar" | "unboldmath" | "newline" | "negthinspace" | "hline" | "noindent"
        | "allowbreak" | "relax" | "centering" => {
            return Some(Command::Skip);
        }
        "left" | "right" | "middle" | "big" | "Big" | "bigg" | "Bigg" | "bigl" | "bigr"
        | "Bigl" | "Bigr" | "biggl" | "biggr" | "Biggl" | "Biggr" | "mleft" | "mright" => {
            return Some(Command::Delimiter);
        }
        "text" | "textbf" | "textit" | "textrm" | "textsf" | "texttt" | "textnormal" | "mathrm"
        | "mbox" | "hbox" | "operatorname" | "emph" | "underline" | "textsc" => {
            return Some(Command::Text);
        }
        "hspace" | "vspace" | "phantom" | "tag" | "label" | "color" | "hphantom" | "vphantom"
        | "kern" | "textcolor" => return Some(Command::SkipArgument),
        "begin" => return Some(Command::Begin),
        "end" => return Some(Command::End),
        "frac" | "dfrac" | "tfrac" | "cfrac" | "nicefrac" | "sfrac" => Tok::Frac,
        "binom" | "dbinom" | "tbinom" => Tok::Binom,
        "sqrt" => Tok::Sqrt,
        "over" => Tok::Over,
        "choose" => Tok::Choose,
        "log" => Tok::Log,
        "cdot" | "times" | "ast" | "bullet" | "cdotp" => Tok::Times,
        "div" => Tok::Slash,
        "pm" => Tok::PlusMinus,
        "mp" => Tok::MinusPlus,
        "le" | "leq" | "leqslant" | "leqq" => Tok::Rel(Rel::Le),
        "ge" | "geq" | "geqslant" | "geqq" => Tok::Rel(Rel::Ge),
        "lt" => Tok::Rel(Rel::Lt),
        "gt" => Tok::Rel(Rel::Gt),
        "ne" | "neq" => Tok::Rel(Rel::Ne),
        "approx" | "simeq" | "thickapprox" => Tok::Rel(Rel::Other("approx")),
        "equiv" => Tok::Rel(Rel::Other("equiv")),
        "sim" => Tok::Rel(Rel::Other("sim")),
        "cong" => Tok::Rel(Rel::Other("cong")),
        "propto" => Tok::Rel(Rel::Other("propto")),
        "to" | "rightarrow" | "longrightarrow" | "mapsto" => Tok::Rel(Rel::Other("to")),
        "Rightarrow" | "implies" | "Longrightarrow" => Tok::Rel(Rel::Other("implies")),
        "Leftrightarrow" | "iff" => Tok::Rel(Rel::Other("iff")),
        "parallel" => Tok::Rel(Rel::Other("parallel")),
        "perp" => Tok::Rel(Rel::Other("perp")),
        "subset" => Tok::Rel(Rel::Other("subset")),
        "subseteq" => Tok::Rel(Rel::Other("subseteq")),
        "notin" => Tok::Rel(Rel::Other("notin")),
        "bmod" | "mod" | "pmod" => Tok::Rel(Rel::Other("mod")),
        "in" => Tok::In,
        "cup" | "bigcup" => Tok::Cup,
        "cap" | "bigcap" => Tok::Cap,
        "setminus" | "backslash" | "smallsetminus" => Tok::SetMinus,
        "emptyset" | "varnothing" => Tok::EmptySet,
        "infty" | "infin" => Tok::Infinity,
        "circ" | "degree" | "deg" | "textdegree" => Tok::Degree,
        "prime" => Tok::Prime,
        "lvert" | "rvert" | "vert" => Tok::Bar,
        "mid" => Tok::Mid,
        "lVert" | "rVert" | "Vert" | "|" => Tok::DoubleBar,
        "lfloor" => Tok::Open(Bracket::Floor),
        "rfloor" => Tok::Close(Bracket::Floor),
        "lceil" => Tok::Open(Bracket::Ceil),
        "rceil" => Tok::Close(Bracket::Ceil),
        "langle" => Tok::Open(Bracket::Angle),
        "rangle" => Tok::Close(Bracket::Angle),
        "lbrace" => Tok::Open(Bracket::Set),
        "rbrace" => Tok::Close(Bracket::Set),
        "lbrack" => Tok::Open(Bracket::Square),
        "rbrack" => Tok::Close(Bracket::Square),
        "lparen" => Tok::Open(Bracket::Round),
        "rparen" => Tok::Close(Bracket::Round),
        "hat" | "vec" | "dot" | "ddot" | "tilde" | "widehat" | "widetilde" | "overrightarrow"
        | "overleftarrow" | "check" | "breve" | "acute" | "grave" | "overset" | "underset" => {
            return None;
        }
        "overline" | "bar" => Tok::Overline,
        "ldots" | "dots" | "cdots" | "dotsc" | "dotsb" | "dotsm" | "vdots" | "ddots" => Tok::Dots,
        "colon" => Tok::Colon,
        "imath" => Tok::Sym("i"),
        "land" | "lor" | "wedge" | "vee" => Tok::Also,
        _ => return None,
    }))
}

/// Marks above a symbol.
pub(super) fn is_accent(name: &str) -> bool {
    matches!(
        name,
        "hat"
            | "vec"
            | "dot"
            | "ddot"
            | "tilde"
            | "widehat"
            | "widetilde"
            | "overrightarrow"
            | "overleftarrow"
            | "check"
            | "breve"
            | "acute"
            | "grave"
    )
}

/// Operators whose body is compared as written.
pub(super) fn is_big_op(name: &str) -> bool {
    matches!(
        name,
        "sum"
            | "prod"
            | "int"
            | "iint"
            | "iiint"
            | "oint"
            | "lim"
            | "limsup"
            | "liminf"
            | "sup"
            | "inf"
            | "coprod"
            | "bigoplus"
            | "det"
            | "dim"
            | "ker"
            | "Pr"
    )
}

/// Units written without `\text`: two letters or more, because a lone letter is a variable.
#[expect(clippy::too_many_lines, reason = "a list, one line a word")]
pub(super) fn is_plain_unit(word: &str) -> bool {
    matches!(
        word,
        "cm" | "mm"
            | "km"
            | "meter"
            | "meters"
            | "metre"
            | "metres"
            | "kilometers"
            | "kilometer"
            | "centimeters"
            | "centimeter"
            | "millimeters"
            | "inch"
            | "inches"
            | "foot"
            | "feet"
            | "ft"
            | "yard"
            | "yards"
            | "mile"
            | "miles"
            | "kg"
            | "gram"
            | "grams"
            | "kilograms"
            | "mg"
            | "lb"
            | "lbs"
            | "pound"
            | "pounds"
            | "ounce"
            | "ounces"
            | "oz"
            | "ton"
            | "tons"
            | "liter"
            | "liters"
            | "litre"
            | "litres"
            | "ml"
            | "mL"
            | "gallon"
            | "gallons"
            | "second"
            | "seconds"
            | "sec"
            | "minute"
            | "minutes"
            | "mins"
            | "hour"
            | "hours"
            | "hr"
            | "hrs"
            | "day"
            | "days"
            | "week"
            | "weeks"
            | "month"
            | "months"
            | "year"
            | "years"
            | "cent"
            | "cents"
            | "dollar"
            | "dollars"
            | "euro"
            | "euros"
            | "yuan"
            | "rupees"
            | "unit"
            | "units"
            | "square"
            | "sq"
            | "cubic"
            | "radian"
            | "radians"
            | "rad"
            | "mph"
            | "kph"
            | "Hz"
            | "kHz"
            | "MHz"
            | "GHz"
            | "ms"
            | "ns"
            | "nm"
            | "eV"
            | "keV"
            | "MeV"
            | "GeV"
            | "kJ"
            | "joules"
            | "newtons"
            | "watts"
            | "volts"
            | "amps"
            | "ohms"
            | "people"
            | "ways"
            | "times"
            | "students"
            | "points"
            | "balls"
            | "coins"
            | "cards"
            | "apples"
            | "books"
            | "pages"
            | "games"
            | "marbles"
            | "men"
            | "women"
            | "boys"
            | "girls"
            | "children"
            | "integers"
            | "numbers"
            | "solutions"
            | "degC"
            | "per"
            | "USD"
            | "bits"
            | "bytes"
            | "mol"
            | "moles"
            | "kPa"
            | "atm"
            | "cal"
            | "kcal"
            | "triangles"
            | "squares"
            | "pairs"
            | "sides"
            | "edges"
            | "vertices"
            | "terms"
            | "digits"
            | "items"
            | "pieces"
            | "steps"
            | "cookies"
            | "cars"
            | "trees"
            | "rooms"
            | "tiles"
    )
}

/// One name for each spelling of a known unit, so that two units can be told apart.
pub(crate) fn unit_name(word: &str) -> Option<&'static str> {
    Some(match word {
        "m" | "meter" | "meters" | "metre" | "metres" => "m",
        "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => "cm",
        "mm" | "millimeter" | "millimeters" => "mm",
        "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => "km",
        "in" | "inch" | "inches" => "in",
        "ft" | "foot" | "feet" => "ft",
        "yd" | "yard" | "yards" => "yd",
        "mi" | "mile" | "miles" => "mi",
        "g" | "gram" | "grams" => "g",
        "kg" | "kilogram" | "kilograms" => "kg",
        "lb" | "lbs" | "pound" | "pounds" => "lb",
        "oz" | "ounce" | "ounces" => "oz",
        "l" | "L" | "liter" | "liters" | "litre" | "litres" => "l",
        "ml" | "mL" | "milliliter" | "milliliters" => "ml",
        "s" | "sec" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "min",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "day",
        "week" | "weeks" => "week",
        "month" | "months" => "month",
        "yr" | "year" | "years" => "year",
        "cent" | "cents" => "cent",
        "dollar" | "dollars" | "USD" => "dollar",
        "rad" | "radian" | "radians" => "rad",
        _ => return None,
    })
}
