//! What math-verify 0.6.0 said, executed, to the tails of section 3.3 of the notes on the reference, and
//! where our equality says otherwise.

use luffy_core::{Outcome, Response, Verifier};

use super::{ReferenceVerifier, ReferenceVersion};
use crate::graded::fixtures::task;

/// Text behind `</think>`, gold, and whether version 3 paid for it.
const VECTORS: [(&str, &str, bool); 29] = [
    (r"The answer is \boxed{57}.<|endoftext|>", "57", true),
    ("The answer is 57.", "57", true),
    ("we get 3 then 57", "57", true),
    ("we get 57 then 3", "57", false),
    (r"\boxed{1} and \boxed{57}", "57", false),
    (r"\boxed{57} and \boxed{1}", "57", false),
    (r"\boxed{\frac{1}{2}}", "0.5", true),
    (r"\boxed{0.5}", r"\frac{1}{2}", true),
    (r"\boxed{0.333333}", r"\frac{1}{3}", true),
    (r"\boxed{0.3333}", r"\frac{1}{3}", false),
    (r"\boxed{142}", "142.0", true),
    (r"\boxed{x=5}", "5", true),
    (r"\boxed{5}", "x=5", true),
    (r"\boxed{1,2}", "2,1", true),
    (r"\boxed{1,000}", "1000", true),
    (r"\boxed{10 \text{ cm}}", "10", true),
    (r"\boxed{50\%}", "0.5", true),
    (r"\boxed{50}", r"50\%", false),
    (r"\boxed{(3,\frac{\pi}{2})}", r"\left( 3, \frac{\pi}{2} \right)", true),
    (r"\boxed{[1,2)}", "[1,2)", true),
    (r"\boxed{(1,2)}", "[1,2]", false),
    (r"\boxed{C}", "C", true),
    (r"\boxed{\text{C}}", "C", true),
    (r"\boxed{C: days}", "C", false),
    ("ANSWER: A", "A", false),
    (r"\boxed{4.5\times 10^{33}}", "4.5e33", false),
    (r"no answer</think>\boxed{5}", "5", false),
    ("", "5", false),
    (r"\boxed{x > 2}", r"(2, \infty)", false),
];

/// Vectors that our equality knowingly decides otherwise: text, gold, and why.
const DIFFERENT: [(&str, &str, &str); 3] = [
    (
        r"\boxed{0.333333}",
        r"\frac{1}{3}",
        "a decimal is the number it says; theirs rounds to 6 places",
    ),
    (r"\boxed{50}", r"50\%", "a gold in percent may be answered by its number"),
    (r"\boxed{4.5\times 10^{33}}", "4.5e33", "4.5e33 is one number; theirs takes e for Euler's"),
];

fn pays(text: &str, gold: &str) -> bool {
    let response = format!("thoughts</think>{text}");
    let verifier = ReferenceVerifier { version: ReferenceVersion::V3 };
    let verdict = verifier.verify(&task(&[gold]), &Response::complete(&response));
    verdict.outcome() == Outcome::Correct
}

#[test]
fn version_3_pays_as_the_reference_did() {
    let is_known = |text, gold| DIFFERENT.iter().any(|(t, g, _)| (*t, *g) == (text, gold));
    let wrong: Vec<_> = VECTORS
        .iter()
        .filter(|(text, gold, paid)| (pays(text, gold) != *paid) != is_known(text, gold))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
