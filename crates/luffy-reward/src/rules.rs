//! Every rule of the grader with an example that runs; nothing but documentation.
//!
//! `equal(gold, answer)` stands for the default [`Equality`](crate::Equality); where a flag changes the
//! outcome, the example names the flag.
//!
//! # Format
//!
//! [`Format`](crate::Format) says which part of a response is graded.
//! A response that breaks the format has no answer, whatever is boxed in it.
//!
//! ```
//! use luffy_reward::Format;
//!
//! assert_eq!(Format::Think.graded(r"a guess</think>\boxed{5}"), Some(r"\boxed{5}"));
//! assert_eq!(Format::Think.graded(r"\boxed{5}"), None);
//! assert_eq!(Format::Plain.graded(r"\boxed{5}"), Some(r"\boxed{5}"));
//! assert!(Format::StrictThink.graded(r"<think>a</think>\boxed{5}").is_some());
//! assert!(Format::StrictThink.graded(r"<think>a</think>It is \boxed{5}").is_none());
//! ```
//!
//! # Extraction
//!
//! The answer is what stands in the last complete box that lies in no other box.
//! An empty box is no answer, and a box that is never closed is no box.
//!
//! ```
//! let boxed = |text: &'static str| luffy_reward::last_boxed(text).and_then(|at| text.get(at));
//! assert_eq!(boxed(r"\boxed{1}, no: \boxed {\frac{1}{2}}"), Some(r"\frac{1}{2}"));
//! assert_eq!(boxed(r"\boxed{1} and \boxed{2"), Some("1"));
//! assert_eq!(boxed(r"\boxed{a \boxed{b}}"), Some(r"a \boxed{b}"));
//! assert_eq!(boxed(r"\fbox{7}"), Some("7"));
//! ```
//!
//! Each further source is a flag of [`Extraction`](crate::Extraction); [`Profile::Training`] has only the
//! first one on, [`Profile::Lenient`] all of them.
//! The flags are tried in order, and only where there is no box.
//!
//! [`Profile::Training`]: crate::Profile::Training
//! [`Profile::Lenient`]: crate::Profile::Lenient
//!
//! ```
//! use luffy_core::{Outcome, Response, Task, Verifier};
//! use luffy_reward::{Extraction, Format, MathVerifier, Profile};
//!
//! let right = |extraction: Extraction, gold: &str, text: &str| {
//!     let task = Task {
//!         id: "rule:0".into(),
//!         source: "rule".into(),
//!         messages: vec![],
//!         golds: vec![gold.into()],
//!         demonstrations: vec![],
//!         extra: serde_json::Map::new(),
//!     };
//!     let verifier =
//!         MathVerifier { extraction, ..MathVerifier::new(Profile::Training, Format::Plain) };
//!     verifier.verify(&task, &Response::complete(text)).outcome() == Outcome::Correct
//! };
//! let none = Extraction::default();
//!
//! // Neighbouring boxes are one list, so a box is never one of several guesses.
//! let join = Extraction { join_adjacent_boxes: true, ..none };
//! assert!(right(join, "1,-2", r"\boxed{1} and \boxed{-2}"));
//! assert!(!right(join, "57", r"\boxed{1} and \boxed{57}"));
//! assert!(right(none, "57", r"\boxed{1} and \boxed{57}"));
//!
//! let final_answer = Extraction { final_answer: true, ..none };
//! assert!(right(final_answer, "57", "The final answer is 57. I hope it is correct."));
//! assert!(!right(final_answer, "57", "The answer is 57."));
//! let answer_phrase = Extraction { answer_phrase: true, ..none };
//! assert!(right(answer_phrase, "57", "Answer: $57$"));
//! let hashes = Extraction { hashes: true, ..none };
//! assert!(right(hashes, "57", "19 * 3 = 57\n#### 57"));
//! let last_math = Extraction { last_math: true, ..none };
//! assert!(right(last_math, "57", "With $x = 3$ we get $57$."));
//! let last_number = Extraction { last_number: true, ..none };
//! assert!(right(last_number, "57", "we get 3 then 57"));
//! assert!(!right(last_number, "57", "we get 57 then 3"));
//! assert!(!right(Extraction::BOXED, "57", "The final answer is 57."));
//! ```
//!
//! # Numbers
//!
//! Numbers are exact fractions: no value passes through floating point.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("0.5", ".50"));
//! assert!(equal("12", "012"));
//! assert!(equal("0.3", "0.1 + 0.2"));
//! assert!(!equal("9007199254740992", "9007199254740993"));
//! ```
//!
//! Groups of three digits may be divided by a comma or a thin space.
//! A comma outside of brackets is read as a list too, and either reading may fit.
//!
//! ```
//! use luffy_reward::equal;
//!
//! for answer in ["1,234,567", r"1{,}234{,}567", r"1,\!234,\!567", r"1\,234\,567"] {
//!     assert!(equal("1234567", answer), "{answer}");
//! }
//! assert!(equal("234, 1", "1,234"));
//! assert!(!equal("1234", "12,34"));
//! assert!(!equal("1234", "(1,234)"));
//! ```
//!
//! Scientific notation is read in all spellings, and small numbers keep all their digits.
//!
//! ```
//! use luffy_reward::equal;
//!
//! for answer in ["4.5e33", "4.5E+33", r"4.5\times 10^{33}", r"4.5 \cdot 10^33", "4.5*10**33"] {
//!     assert!(equal("4.5e33", answer), "{answer}");
//! }
//! assert!(!equal(r"3\times 10^{-20}", r"4\times 10^{-20}"));
//! ```
//!
//! A whole number directly before a fraction of two numbers makes a mixed number.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal(r"\frac{9}{5}", r"1\frac{4}{5}"));
//! assert!(equal("1.8", "1 4/5"));
//! assert!(equal(r"-\frac{9}{5}", r"-1\frac45"));
//! ```
//!
//! A percentage is a hundredth; a percentage without its sign is right where the sign could only be
//! forgotten (`percent_without_sign`).
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal(r"28\%", "0.28"));
//! assert!(equal("28 percent", r"28\%"));
//! assert!(equal(r"28\%", "28"));
//! assert!(equal("28", r"28\%"));
//! assert!(!equal("0.5", r"0.5\%"));
//! assert!(!equal("2800", r"28\%"));
//! ```
//!
//! Signs of currency do not count.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal(r"\$36", "36.00"));
//! assert!(equal("36", r"36 \text{ dollars}"));
//! ```
//!
//! The base belongs to the number: the same digits in another base, or the value without a base, are
//! wrong.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("52_8", "52_{8}"));
//! assert!(equal("101_2", "(101)_2"));
//! assert!(!equal("52_8", "52_9"));
//! assert!(!equal("52_8", "42"));
//! ```
//!
//! Digits under a line repeat.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal(r"\frac{1}{6}", r"0.1\overline{6}"));
//! assert!(!equal(r"\frac{1}{6}", "0.1666667"));
//! ```
//!
//! Rounded values are wrong, unless `rounded_from_digits` asks for them; the lenient profile does from
//! twelve digits on.
//! There `decimal_comma` reads `2,74` as a gold of `2.74`, too.
//!
//! ```
//! use luffy_reward::{Profile, equal};
//!
//! assert!(!equal(r"\frac{1}{3}", "0.333333333333"));
//! assert!(!equal(r"\pi", "3.14"));
//! assert!(!equal("2.74", "2,74"));
//! assert_eq!(Profile::Lenient.equality().rounded_from_digits, 12);
//! assert!(Profile::Lenient.equality().decimal_comma);
//! ```
//!
//! # Units and degrees
//!
//! A unit may be left out.
//! Where both sides have one and both are known, they must be the same, and nothing is converted.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal(r"5 \text{ cm}", "5"));
//! assert!(equal("5", "5 cm"));
//! assert!(equal(r"15\mbox{ cm}^2", r"15 \text{ cm}^{2}"));
//! assert!(equal(r"5 \text{ inches}", r"5\,\mathrm{in}"));
//! assert!(!equal(r"5 \text{ inches}", r"5 \text{ feet}"));
//! assert!(!equal(r"5 \text{ cm}^2", r"5 \text{ cm}^3"));
//! assert!(!equal(r"5 \text{ cm}", r"50 \text{ mm}"));
//! ```
//!
//! A letter outside of `\text{}` is a variable and never a unit.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(!equal("5", "5m"));
//! assert!(!equal(r"\frac{1}{m} t", r"\frac{1}{m}"));
//! ```
//!
//! The sign of degrees may be left out, and counts in the argument of a function.
//! Radians are another value.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal(r"90^\circ", "90"));
//! assert!(equal(r"90^\circ", r"90 \text{ degrees}"));
//! assert!(equal(r"\frac{1}{2}", r"\sin 30^\circ"));
//! assert!(!equal(r"90^\circ", r"\frac{\pi}{2}"));
//! ```
//!
//! # Fractions and roots
//!
//! All spellings of a fraction and of a root are the same, reduced or not.
//!
//! ```
//! use luffy_reward::equal;
//!
//! for answer in [
//!     "1/2", r"\dfrac{1}{2}", r"\tfrac12", r"\cfrac{1}{2}", r"{1 \over 2}", "½", r"1 \div 2",
//!     r"\frac{2}{4}", "0.5", r"\frac 1 2",
//! ] {
//!     assert!(equal(r"\frac{1}{2}", answer), "{answer}");
//! }
//! for answer in [r"\sqrt2", "√2", "sqrt(2)", "2^{1/2}", r"\frac{2}{\sqrt{2}}", r"\sqrt[4]{4}"] {
//!     assert!(equal(r"\sqrt{2}", answer), "{answer}");
//! }
//! assert!(equal(r"1+\sqrt{2}", r"\sqrt{3+2\sqrt{2}}"));
//! assert!(!equal("4", r"4\sqrt{2}"));
//! ```
//!
//! An odd root of a negative number is the real one.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("-2", r"\sqrt[3]{-8}"));
//! assert!(equal("-2", "(-8)^{1/3}"));
//! ```
//!
//! # Formulas
//!
//! Formulas are equal if they are wherever both have a value.
//! They are simplified, factored or expanded at will.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("(x+1)^2", "x^2 + 2x + 1"));
//! assert!(equal("x+1", r"\frac{x^2-1}{x-1}"));
//! assert!(equal("|x|", r"\sqrt{x^2}"));
//! assert!(!equal("x", r"\sqrt{x^2}"));
//! ```
//!
//! Names are compared letter by letter, case and subscripts included.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("abc", "cab"));
//! assert!(equal("x_1", "x_{1}"));
//! assert!(!equal("2n", "2N"));
//! assert!(!equal("x_1", "x_2"));
//! assert!(!equal(r"\gamma", r"\Gamma"));
//! ```
//!
//! # Functions and logarithms
//!
//! Functions are read with and without backslash and brackets; `\log` without a base is the natural
//! logarithm, `\lg` the one of base ten, and a power of minus one behind a function is its inverse.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal(r"\sec^2 y", r"\tan^2 y + 1"));
//! assert!(equal(r"2\sin x\cos x", "sin(2x)"));
//! assert!(equal(r"3\ln 2", r"\log 8"));
//! assert!(equal("3", r"\log_2 8"));
//! assert!(equal("2", r"\lg 100"));
//! assert!(equal(r"\arcsin x", r"\sin^{-1} x"));
//! assert!(equal(r"e^{16}", "exp(16)"));
//! assert!(equal("3", r"\max(2, 3)"));
//! ```
//!
//! # Constants
//!
//! `e`, `i` and `\pi` are numbers.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("-1", "i^2"));
//! assert!(equal("-1", r"e^{i\pi}"));
//! assert!(equal("6-5i", "-5 i + 6"));
//! assert!(equal(r"\frac{\pi}{2}", "pi/2"));
//! assert!(!equal(r"1-\frac{1}{e}", r"1+\frac{1}{e}"));
//! assert!(!equal("262537412640768744", r"e^{\pi\sqrt{163}}"));
//! ```
//!
//! # Plus or minus
//!
//! `\pm` names two values, `\mp` the same two in the other order.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("2, -2", r"\pm 2"));
//! assert!(equal(r"1+\sqrt{2}, 1-\sqrt{2}", r"1 \pm \sqrt{2}"));
//! assert!(equal("1, -1", r"\pm 3 \mp 2"));
//! assert!(!equal("2", r"\pm 2"));
//! ```
//!
//! # Lists, sets, tuples
//!
//! Values divided by commas, semicolons, `and` or `or` are a list, with or without braces.
//! Its order does not count, and each value must be found; a value may be repeated in an answer.
//!
//! ```
//! use luffy_reward::equal;
//!
//! for answer in ["2, 1", "1; 2", r"1 \text{ and } 2", r"\{2, 1\}", "x=1, x=2", "1, 2, 2"] {
//!     assert!(equal("1, 2", answer), "{answer}");
//! }
//! assert!(!equal("1, 2", "1"));
//! assert!(!equal("1, 2", "1, 2, 3"));
//! ```
//!
//! Round brackets keep their order; a list without brackets may stand for them.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("(1, 2)", r"\left(1, \frac{4}{2}\right)"));
//! assert!(equal("(1, 2)", "1, 2"));
//! assert!(equal("(1, 2), (3, 4)", "(3, 4), (1, 2)"));
//! assert!(!equal("(1, 2)", "(2, 1)"));
//! assert!(!equal("(1, 2)", r"\{1, 2\}"));
//! ```
//!
//! # Intervals and unions
//!
//! Square brackets belong to the interval, round ones do not: `[a,b]`, `(a,b]` and `(a,b)` differ.
//! The order of the parts of a union does not count.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("[1, 2)", r"x \in [1, 2)"));
//! assert!(equal(r"(-\infty, 1) \cup (2, \infty)", r"(2, \infty) \cup (-\infty, 1)"));
//! assert!(equal(r"\emptyset", r"\varnothing"));
//! assert!(!equal("[1, 2]", "(1, 2)"));
//! assert!(!equal("(1, 2]", "1, 2"));
//! ```
//!
//! # Matrices
//!
//! Brackets of matrices do not count, their shape does; sums, multiples, products and transposes are
//! computed.
//!
//! ```
//! use luffy_reward::equal;
//!
//! let gold = r"\begin{pmatrix} 3 \\ 7 \end{pmatrix}";
//! assert!(equal(gold, r"\begin{bmatrix} 3 \\ 7 \end{bmatrix}"));
//! assert!(equal(gold, r"\begin{pmatrix}1&2\\3&4\end{pmatrix}\begin{pmatrix}1\\1\end{pmatrix}"));
//! assert!(equal(gold, r"\begin{pmatrix} 3 & 7 \end{pmatrix}^T"));
//! assert!(!equal(gold, r"\begin{pmatrix} 3 & 7 \end{pmatrix}"));
//! assert!(!equal(gold, "(3, 7)"));
//! ```
//!
//! # Equations and inequalities
//!
//! Sides may be swapped, moved and multiplied by a number that is not zero.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("y = 2x + 1", "4x - 2y + 2 = 0"));
//! assert!(equal("x < 2", "-x > -2"));
//! assert!(!equal("x < 2", r"x \le 2"));
//! assert!(!equal("3x - y + 13 = 0", "3x + 4y + 14 = 0"));
//! ```
//!
//! A name on the left of `=` may be left out on one side; where both sides have one, it is the same.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("5", "x = 5"));
//! assert!(equal("f(x) = 2x", "2x"));
//! assert!(equal("x = 3", "x = 1 + 2 = 3"));
//! assert!(equal("x = 1, y = 2", "(x, y) = (1, 2)"));
//! assert!(!equal("x = 3", "y = 3"));
//! ```
//!
//! An interval is right for an inequality; an inequality is right for an interval only where
//! `inequality_for_interval` says so, because a problem that states one could be answered by repeating it.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal(r"1 \le x < 2", "[1, 2)"));
//! assert!(equal("|x| < 2", "(-2, 2)"));
//! assert!(!equal("[1, 2)", r"1 \le x < 2"));
//! ```
//!
//! # Ratios
//!
//! Ratios are reduced, times of day are not.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("1:2", "3 : 6"));
//! assert!(!equal("1:2", "2:1"));
//! assert!(!equal("12:00", "1:00"));
//! ```
//!
//! # Words and letters
//!
//! Words are the same in any case, single letters are not: a letter may be a variable.
//! Brackets around a letter and `\text{}` do not count.
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal(r"\text{Evelyn}", "evelyn"));
//! assert!(equal("(C)", r"\text{C}"));
//! assert!(!equal(r"\text{Evelyn}", r"\text{Briana}"));
//! assert!(!equal("C", "c"));
//! assert!(!equal("(C)", "(C) 42"));
//! ```
//!
//! # Factorials, binomials, floors
//!
//! ```
//! use luffy_reward::equal;
//!
//! assert!(equal("120", "5!"));
//! assert!(equal("10", r"\binom{5}{2}"));
//! assert!(equal("n", r"\frac{n!}{(n-1)!}"));
//! assert!(equal("2", r"\lfloor 2.5 \rfloor"));
//! assert!(!equal(r"\frac{1}{2004!}", r"\frac{1}{2006!}"));
//! ```
//!
//! # Hedges
//!
//! An answer with a second answer or with a doubt in it is wrong: nothing is read as a unit that could
//! be either.
//!
//! ```
//! use luffy_reward::equal;
//!
//! for hedge in [
//!     r"42 \text{ or } 43", r"42 \text{ (not sure, maybe 7)}", r"\text{maybe } 42", "42 (I think)",
//!     r"42 \text{ if } x > 0", "42, 43",
//! ] {
//!     assert!(!equal("42", hedge), "{hedge}");
//! }
//! ```
//!
//! # How two values are compared
//!
//! The first sure answer counts; [`Reason`](luffy_core::Reason) names it.
//!
//! 1. `Identical`: the same tokens, once spelling is taken off. It holds for `10^{10^{10}}` as well.
//! 2. `Exact`: the same rational number. Two different ones are `Different` at once.
//! 3. `Symbolic`: the same form, or the same value in two finite fields of about 2^61 elements, with
//!    names, `e` and `\pi` as pseudo-random elements. Formulas that differ agree by chance once in 10^30.
//! 4. `Numeric`: at points chosen from the names, their difference has a zero within its proven error
//!    bound, at each of them and at 1,024 bits. `Different` means that the bound leaves zero out.
//!
//! `Undecided` is neither, such as a value that cannot be computed; `Unreadable` is no expression;
//! `OverBudget` ran out of steps. All three are wrong answers.
//!
//! ```
//! use luffy_core::{Reason, Response, Task, Verifier};
//! use luffy_reward::{Format, MathVerifier, Profile};
//!
//! let reason = |gold: &str, answer: &str, max_steps: u64| {
//!     let task = Task {
//!         id: "rule:0".into(),
//!         source: "rule".into(),
//!         messages: vec![],
//!         golds: vec![gold.into()],
//!         demonstrations: vec![],
//!         extra: serde_json::Map::new(),
//!     };
//!     let verifier =
//!         MathVerifier { max_steps, ..MathVerifier::new(Profile::Training, Format::Plain) };
//!     let text = format!(r"\boxed{{{answer}}}");
//!     verifier.verify(&task, &Response::complete(&text)).reason
//! };
//! let most = luffy_reward::DEFAULT_MAX_STEPS;
//! assert_eq!(reason("10^{10^{10}}", "10^{10^{10}}", most), Reason::Identical);
//! assert_eq!(reason("42", r"6 \cdot 7", most), Reason::Exact);
//! assert_eq!(reason("(x+1)^2", "x^2+2x+1", most), Reason::Symbolic);
//! assert_eq!(reason("2", "3", most), Reason::Different);
//! assert_eq!(reason("100000000!", "1", most), Reason::Undecided);
//! assert_eq!(reason("5", "5 +", most), Reason::Unreadable);
//! assert_eq!(reason("(x+1)^2", "x^2+2x+1", 60), Reason::OverBudget);
//! assert_eq!(reason("", "5", most), Reason::BadGold);
//! ```
//!
//! # Limits
//!
//! A check ends after [`DEFAULT_MAX_STEPS`](crate::DEFAULT_MAX_STEPS) steps at the latest, and refuses
//! before what could only waste them:
//!
//! | what | at most | beyond |
//! |---|---|---|
//! | answer and gold | 4,096 bytes | unreadable, unless they are the same text |
//! | nested brackets | 60 | unreadable |
//! | elements of a list | 512 | undecided |
//! | cells of a matrix | 400 | different, unless they are the same text |
//! | factorials that are multiplied out | 2,000 | by other means, or undecided |
//! | exponents of exact powers | 10,000 and 2^16 bits | by other means, or undecided |
//! | steps | 1,000,000 | over budget |
//!
//! ```
//! use luffy_reward::equal;
//!
//! let nested = |depth: usize| format!("{}x+1{}", "(".repeat(depth), ")".repeat(depth));
//! assert!(equal("1+x", &nested(60)));
//! assert!(!equal("1+x", &nested(61)));
//!
//! let list = |len: usize| (0..len).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
//! assert!(equal(&list(512), &format!("0, {}", list(512).replacen("0, ", "", 1))));
//!
//! let long = format!("{}1", "0".repeat(4_095));
//! assert!(equal("1", &long));
//! assert!(!equal("1", &format!("0{long}")));
//! ```
