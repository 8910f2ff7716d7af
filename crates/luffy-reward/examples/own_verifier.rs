//! A verifier of one's own, and its rewards: `cargo run --example own_verifier`. Builds without burn.

#![expect(clippy::print_stdout, reason = "a program talks to its user")]

use luffy_core::{Outcome, Reason, Response, Task, Verdict, Verifier};
use luffy_reward::GradingValues;

// ANCHOR: verifier
/// Right if the response is a palindrome as long as the gold says.
#[derive(Debug)]
struct Palindrome;

impl Verifier for Palindrome {
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
        let Some(Ok(length)) = task.golds.first().map(|gold| gold.parse::<usize>()) else {
            return Verdict::new(Reason::BadGold);
        };
        let letters: Vec<char> = response.text.trim().chars().collect();
        let is_right = letters.len() == length && letters.iter().eq(letters.iter().rev());
        Verdict::new(if is_right { Reason::Exact } else { Reason::Different })
    }
}
// ANCHOR_END: verifier

fn main() {
    let task = |gold: &str| Task {
        id: "example:0".into(),
        source: "example".into(),
        messages: vec![],
        golds: vec![gold.into()],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    };
    let values = GradingValues::default();
    for (gold, text, outcome, reward) in [
        ("5", "level", Outcome::Correct, Some(1.0)),
        ("5", "noon", Outcome::Incorrect, Some(0.0)),
        ("five", "level", Outcome::BadGold, None),
    ] {
        let verdict = Palindrome.verify(&task(gold), &Response::complete(text));
        assert_eq!((verdict.outcome(), values.reward(&verdict)), (outcome, reward));
        println!("{gold} {text}: {:?}, {reward:?}", verdict.outcome());
    }
}
