use luffy_core::{Outcome, Response, Task, Verdict, Verifier};
use luffy_reward::{Format, MathVerifier, Profile};
use proptest::prelude::*;

use crate::config;
use crate::expression::{PLAIN, Tree, formula, style};

fn task(gold: &str) -> Task {
    Task {
        id: "test:0".into(),
        source: "test".into(),
        messages: vec![],
        golds: vec![gold.into()],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    }
}

fn verdict(profile: Profile, gold: &str, answer: &str, max_steps: u64) -> Verdict {
    let verifier = MathVerifier { max_steps, ..MathVerifier::new(profile, Format::Plain) };
    verifier.verify(&task(gold), &Response::complete(&format!(r"It is \boxed{{{answer}}}.")))
}

/// A gold, and an answer that is right half of the time.
fn pair() -> impl Strategy<Value = (String, String)> {
    (formula(), prop::option::of(formula()), style()).prop_map(|(gold, other, style)| {
        let answer: &Tree = other.as_ref().unwrap_or(&gold);
        (PLAIN.write(&gold), style.write(answer))
    })
}

/// Text that may be anything: bits of formulas in any order.
fn junk() -> impl Strategy<Value = String> {
    let bits = prop::sample::select(vec![
        "1",
        "2",
        "x",
        "e",
        "i",
        r"\pi",
        r"\frac",
        r"\sqrt",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "^",
        "_",
        "!",
        "+",
        "-",
        "*",
        "/",
        ",",
        ";",
        "=",
        "<",
        r"\le",
        r"\pm",
        "|",
        r"\{",
        r"\}",
        r"\text{",
        "cm",
        " or ",
        "%",
        ":",
        "&",
        r"\\",
        r"\begin{pmatrix}",
        r"\end{pmatrix}",
        r"\sin",
        r"\log",
        r"\cup",
        r"\infty",
        "1e9",
        "999",
        "é",
        "\u{0}",
        "\u{202e}",
        "𝟘",
        "½",
    ]);
    prop::collection::vec(bits, 0..24).prop_map(|bits| bits.concat())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn work_never_exceeds_the_budget((gold, answer) in pair(), max_steps in 0..20_000_u64) {
        for profile in [Profile::Training, Profile::Lenient] {
            let verdict = verdict(profile, &gold, &answer, max_steps);
            let read = format!(r"It is \boxed{{{answer}}}.").len() as u64;
            prop_assert!(verdict.work <= read + max_steps, "{:?}", verdict);
        }
    }

    #[test]
    fn a_smaller_budget_never_makes_a_wrong_answer_right((gold, answer) in pair(), max_steps in 0..20_000_u64) {
        let small = verdict(Profile::Training, &gold, &answer, max_steps);
        let large = verdict(Profile::Training, &gold, &answer, luffy_reward::DEFAULT_MAX_STEPS);
        if small.outcome() == Outcome::Correct {
            prop_assert_eq!(small, large, "{} | {}", gold, answer);
        }
    }

    #[test]
    fn junk_gets_a_verdict_and_is_never_a_number(text in junk(), max_steps in 0..100_000_u64) {
        for profile in [Profile::Training, Profile::Lenient] {
            // Nothing above makes this number.
            let verdict = verdict(profile, r"\frac{271828}{31415927}", &text, max_steps);
            prop_assert_ne!(verdict.outcome(), Outcome::Correct, "{}", text);
        }
    }

    #[test]
    fn junk_equals_itself(text in junk()) {
        prop_assume!(text.chars().any(char::is_alphanumeric));
        prop_assert!(luffy_reward::equal(&text, &text), "{}", text);
    }

    #[test]
    fn junk_is_equal_both_ways_round_or_not_at_all(one in junk(), other in junk()) {
        for (a, b) in [(&one, &other), (&one, &format!("{one} + 0")), (&one, &format!("{{{one}}}"))] {
            // Returns; what is symmetric is tested where there are formulas.
            let _ = (luffy_reward::equal(a, b), luffy_reward::equal(b, a));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..config() })]

    #[test]
    fn verdicts_are_the_same_twice_and_from_eight_threads(
        pairs in prop::collection::vec(prop_oneof![pair(), (junk(), junk())], 40),
    ) {
        let grade = || -> Vec<Verdict> {
            pairs
                .iter()
                .map(|(gold, answer)| verdict(Profile::Lenient, gold, answer, 200_000))
                .collect()
        };
        let alone = grade();
        prop_assert_eq!(&alone, &grade());
        let together: Vec<Vec<Verdict>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(grade)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        for verdicts in together {
            prop_assert_eq!(&alone, &verdicts);
        }
    }
}
