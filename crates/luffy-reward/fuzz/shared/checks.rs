//! What holds for every gold and every response.

use luffy_core::{Outcome, Reason, Response, Task, Verdict, Verifier};
use luffy_reward::{
    ChoiceVerifier, DEFAULT_MAX_STEPS, ExactMatchVerifier, Format, MathVerifier, Place, Profile,
    ReferenceVerifier, ReferenceVersion, equal, last_boxed,
};

use super::Case;

/// Steps that most comparisons use up.
const FEW_STEPS: u64 = 400;

const FORMATS: [Format; 3] = [Format::Plain, Format::Think, Format::StrictThink];

/// Grades a case in every way, and says which promise was broken.
pub(crate) fn check(case: &Case) -> Result<(), String> {
    let task = task(&case.gold);
    let response = Response::complete(&case.response);
    let format = FORMATS[usize::from(case.settings) % 3];
    for profile in [Profile::Training, Profile::Lenient] {
        math(profile, format, case, &task, &response)
            .map_err(|broken| format!("{profile:?}, {format:?}: {broken}"))?;
    }
    own_answer(case, &task).map_err(|broken| format!("the gold against itself: {broken}"))?;
    others(case, &task, &response)?;
    if let Some(content) = last_boxed(&case.response) {
        expect(case.response.get(content).is_some(), || "a box that is no part".into())?;
    }
    Ok(())
}

fn math(
    profile: Profile,
    format: Format,
    case: &Case,
    task: &Task,
    response: &Response<'_>,
) -> Result<(), String> {
    let verifier = MathVerifier::new(profile, format);
    let verdict = verifier.verify(task, response);
    bounded(&verdict, response, verifier.max_steps)?;
    spans(&verdict, response)?;
    let is_right = verdict.outcome() == Outcome::Correct;
    if is_unusable(&case.gold) {
        expect(verdict.outcome() == Outcome::BadGold, || {
            format!("{:?} for a gold with nothing in it", verdict.reason)
        })?;
        expect(!equal(&case.gold, &case.response), || "equal to such a gold".into())?;
    }
    if case.settings.is_multiple_of(8) {
        let again = verifier.verify(task, response);
        expect(again == verdict, || format!("first {verdict:?}, then {again:?}"))?;
    }
    // Fewer steps may lose an answer, never find one.
    let hasty = MathVerifier { max_steps: FEW_STEPS, ..verifier };
    let early = hasty.verify(task, response);
    bounded(&early, response, FEW_STEPS)?;
    spans(&early, response)?;
    let is_early = early.outcome() == Outcome::Correct;
    if profile == Profile::Lenient || verdict.reason == Reason::BadGold {
        return Ok(());
    }
    expect(is_right || !is_early, || {
        format!("{:?} in few steps, {:?} in many", early.reason, verdict.reason)
    })?;
    // The function and the verifier say the same.
    match &verdict.extracted {
        Some(found) if verdict.reason != Reason::OverBudget => {
            let is_equal = equal(case.gold.trim(), &found.text);
            expect(is_equal == is_right, || {
                format!("{:?} of the verifier, {is_equal} of the function", verdict.reason)
            })
        }
        _ => Ok(()),
    }
}

/// Whatever a gold is, as long as it is one, its own text in a box is right.
fn own_answer(case: &Case, task: &Task) -> Result<(), String> {
    let gold = case.gold.trim();
    let is_one_box = is_balanced(gold) && !gold.contains("boxed") && !gold.contains("fbox");
    if !is_one_box {
        return Ok(());
    }
    let boxed = format!("\\boxed{{{gold}}}");
    let after_thoughts = format!("<think></think>{boxed}");
    for profile in [Profile::Training, Profile::Lenient] {
        for (format, text) in [(Format::Plain, &boxed), (Format::Think, &after_thoughts)] {
            let verdict =
                MathVerifier::new(profile, format).verify(task, &Response::complete(text));
            let expected = if is_unusable(gold) { Outcome::BadGold } else { Outcome::Correct };
            // What is unusable beyond that is the verifier's to say.
            expect([expected, Outcome::BadGold].contains(&verdict.outcome()), || {
                format!("{profile:?}, {format:?}: {:?}", verdict.reason)
            })?;
        }
    }
    Ok(())
}

/// One of the other verifiers.
fn others(case: &Case, task: &Task, response: &Response<'_>) -> Result<(), String> {
    let format = FORMATS[usize::from(case.settings) % 3];
    let choice = usize::from(case.settings) / 3;
    let blank = case.gold.trim().is_empty();
    let verdict = match choice % 3 {
        0 => ChoiceVerifier { format, unboxed: choice % 2 == 0, ..ChoiceVerifier::default() }
            .verify(task, response),
        1 => {
            let place = [Place::Boxed, Place::AfterHashes, Place::Whole][choice / 3 % 3];
            let fold_case = choice.is_multiple_of(2);
            ExactMatchVerifier {
                format,
                place,
                fold_case,
                fold_space: !fold_case,
                ..ExactMatchVerifier::default()
            }
            .verify(task, response)
        }
        _ => {
            use ReferenceVersion::{V0, V1, V2, V3, V4};
            let version = [V0, V1, V2, V3, V4][choice / 3 % 5];
            ReferenceVerifier { version }.verify(task, response)
        }
    };
    let linear = 2 * (case.gold.len() + case.response.len()) as u64;
    let broken = |broken| format!("verifier {choice}: {broken}");
    bounded(&verdict, response, linear + DEFAULT_MAX_STEPS).map_err(broken)?;
    spans(&verdict, response).map_err(broken)?;
    expect(!blank || verdict.outcome() == Outcome::BadGold, || {
        broken(format!("{:?} for a blank gold", verdict.reason))
    })
}

fn expect(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

fn bounded(verdict: &Verdict, response: &Response<'_>, max_steps: u64) -> Result<(), String> {
    let limit = response.text.len() as u64 + max_steps;
    expect(verdict.work <= limit, || format!("work of {} where {limit} is allowed", verdict.work))
}

/// Whether the answer comes from where it is said to come from.
fn spans(verdict: &Verdict, response: &Response<'_>) -> Result<(), String> {
    let Some(found) = &verdict.extracted else { return Ok(()) };
    let from = response.text.get(found.span.clone());
    expect(from.is_some(), || format!("{:?} is no part of the response", found.span))
}

/// Whether there is nothing in a gold but white space, marks of formulas and of sentences.
fn is_unusable(gold: &str) -> bool {
    gold.chars().all(|c| c.is_whitespace() || c.is_control() || "$.,;:{}~\\".contains(c))
}

/// Whether all braces are closed; those behind a backslash are signs.
fn is_balanced(text: &str) -> bool {
    let mut depth = 0_u32;
    let mut is_escaped = false;
    for c in text.chars() {
        match c {
            '{' if !is_escaped => depth += 1,
            '}' if !is_escaped => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => {}
        }
        is_escaped = c == '\\';
    }
    depth == 0 && !is_escaped
}

fn task(gold: &str) -> Task {
    Task {
        id: "fuzz:0".into(),
        source: "fuzz".into(),
        messages: vec![],
        golds: vec![gold.into()],
        demonstrations: vec![],
        extra: serde_json::Map::new(),
    }
}
