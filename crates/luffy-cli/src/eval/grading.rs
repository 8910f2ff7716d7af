//! Verdicts on responses, and whether two answers are the same.

use std::sync::Arc;

use luffy_core::{FinishReason, Outcome, Response, Task, Verdict, Verifier};
use luffy_reward::{Format, Profile};

use super::options::NumberedOptions;
use super::record::{Finish, Line};
use crate::config::{RewardSection, VerifierName, build_verifier};

/// The verifier of a problem.
pub(super) fn verifier(
    name: VerifierName,
    format: Format,
    profile: Profile,
    require_stop: bool,
) -> Arc<dyn Verifier> {
    let section =
        RewardSection { verifier: name, format, profile, require_stop, ..RewardSection::default() };
    let verifier = build_verifier(&section);
    if name == VerifierName::Choice { Arc::new(NumberedOptions(verifier)) } else { verifier }
}

/// Grades a line: its fields for the verdict are set anew.
pub(super) fn grade(line: &mut Line, profile: Profile, require_stop: bool) {
    let verifier = verifier(line.verifier, line.format, profile, require_stop);
    let finish = match line.finish {
        Finish::Stop => FinishReason::Stop,
        Finish::Length | Finish::TooLong => FinishReason::Length,
    };
    let task = task(std::mem::take(&mut line.golds));
    let verdict: Verdict = verifier.verify(&task, &Response { text: &line.response, finish });
    line.golds = task.golds;
    line.verdict = verdict.outcome();
    line.correct = line.verdict == Outcome::Correct;
    line.reason = verdict.reason;
    line.extracted = verdict.extracted.map(|extracted| extracted.text);
}

/// Whether two extracted answers are the same to the one who grades: one would be right if the other were
/// the gold.
pub(super) fn same(a: &str, b: &str, name: VerifierName, profile: Profile) -> bool {
    if a == b {
        return true;
    }
    let name = match name {
        VerifierName::Choice | VerifierName::Exact | VerifierName::ExactHashes => name,
        VerifierName::ExactWhole => VerifierName::Exact,
        // What the reference verifiers compare is mathematics.
        _ => VerifierName::Math,
    };
    let text = match name {
        VerifierName::ExactHashes => format!("#### {b}"),
        _ => format!("\\boxed{{{b}}}"),
    };
    let verdict = verifier(name, Format::Plain, profile, false)
        .verify(&task(vec![a.to_owned()]), &Response::complete(&text));
    verdict.outcome() == Outcome::Correct
}

/// A problem that is nothing but its golds.
fn task(golds: Vec<String>) -> Task {
    Task {
        id: String::new(),
        source: String::new(),
        messages: vec![],
        golds,
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_the_same_as_the_verifier_sees_it() {
        use VerifierName::{Choice, Exact, ExactHashes, Math, ReferenceV3};
        for (name, a, b, expected) in [
            (Math, "0.5", r"\frac12", true),
            (Math, "0.5", "0.6", false),
            (ReferenceV3, "0.5", r"\frac12", true),
            (Choice, "C", r"\text{(C)}", true),
            (Choice, "2", "(2)", true),
            (Choice, "2", "(3)", false),
            (Exact, "0.5", r"\frac12", false),
            (ExactHashes, "1000", "1,000", true),
            (Math, "}{", "}{", true),
        ] {
            assert_eq!(same(a, b, name, Profile::Lenient), expected, "{name:?}: {a} {b}");
        }
    }
}
