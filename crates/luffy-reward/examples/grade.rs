//! Grades one response against one gold answer: `cargo run --example grade -- RESPONSE GOLD [FORMAT]`.
//!
//! FORMAT is `think`, `strict-think` or `plain` (the default). Builds without burn.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::process::ExitCode;

use luffy_core::{Response, Task, Verifier};
use luffy_reward::{Format, MathVerifier, Profile};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (response, gold, format) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        [response, gold] | [response, gold, "plain"] => (response, gold, Format::Plain),
        [response, gold, "think"] => (response, gold, Format::Think),
        [response, gold, "strict-think"] => (response, gold, Format::StrictThink),
        _ => {
            eprintln!("usage: grade RESPONSE GOLD [think | strict-think | plain]");
            return ExitCode::from(2);
        }
    };
    let task = Task {
        id: "command line".into(),
        source: "command line".into(),
        messages: vec![],
        golds: vec![gold.into()],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    };
    let verdict =
        MathVerifier::new(Profile::Lenient, format).verify(&task, &Response::complete(response));
    println!("{:?} {:?}", verdict.outcome(), verdict.extracted);
    ExitCode::SUCCESS
}
