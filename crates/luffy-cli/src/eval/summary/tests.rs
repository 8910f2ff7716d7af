use luffy_reward::Format;

use super::super::record::Line;
use super::*;
use crate::config::VerifierName;

/// Responses as `(problem, source, answer, right)`; without an answer, the prompt was too long.
pub(in crate::eval) fn results(rows: &[(&str, &str, Option<&str>, bool)]) -> Results {
    let data = DataCounts { rows: 9, problems: 8 };
    let mut results = Results::new(Profile::Lenient, Some(data));
    for (problem, source, answer, correct) in rows {
        let reason = match (answer, correct) {
            (_, true) => Reason::Exact,
            (Some(_), false) => Reason::Different,
            (None, false) => Reason::NoAnswer,
        };
        let line = Line {
            problem: (*problem).to_owned(),
            source: (*source).to_owned(),
            sample: 0,
            golds: vec![],
            verifier: VerifierName::Math,
            format: Format::Plain,
            prompt_len: 1,
            prompt_digest: None,
            response: String::new(),
            n_tokens: if answer.is_some() { 10 } else { 0 },
            finish: if answer.is_some() { Finish::Stop } else { Finish::TooLong },
            correct: *correct,
            verdict: reason.outcome(),
            reason,
            extracted: answer.map(str::to_owned),
        };
        results.add(line).unwrap();
    }
    results
}

fn is(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

#[test]
fn figures_are_means_over_problems() {
    let summary = Summary::new(
        &results(&[
            ("p", "aime", Some("1/2"), true),
            ("p", "aime", Some("0.5"), true),
            ("p", "aime", Some("3"), false),
            ("p", "aime", None, false),
            ("q", "aime", Some("1"), true),
            ("q", "aime", Some("2"), false),
            ("q", "aime", Some("2"), false),
            ("q", "aime", Some("2"), false),
        ]),
        &[1, 2, 8],
    );
    let aime = &summary.sources[0];
    // Shares 1/2 and 1/4. pass@2: 1 - C(2,2)/C(4,2) = 5/6 and 1 - C(3,2)/C(4,2) = 1/2.
    is(aime.figures.avg, 0.375);
    is(aime.figures.pass_at[&1], 0.375);
    is(aime.figures.pass_at[&2], 2.0 / 3.0);
    assert!(!aime.figures.pass_at.contains_key(&8));
    // 1/2 and 0.5 are one answer, right; 2 outvotes 1.
    is(aime.figures.majority, 0.5);
    assert_eq!((aime.samples, aime.correct, aime.too_long_problems), ([4, 4], 3, 1));
    is(aime.mean_tokens, 10.0);
    let interval = aime.figures.interval.unwrap();
    assert_eq!(interval.method, "bootstrap");
    is(interval.low, 0.25);
    is(interval.high, 0.5);
}

#[test]
fn a_macro_mean_weighs_sources_alike() {
    let rows = [
        ("p", "math", Some("1"), true),
        ("q", "math", Some("1"), true),
        ("r", "math", Some("1"), true),
        ("s", "amc", Some("1"), false),
        ("s", "amc", Some("2"), false),
    ];
    let summary = Summary::new(&results(&rows), &[]);
    is(summary.macro_mean.avg, 0.5);
    is(summary.macro_mean.majority, 0.5);
    let methods: Vec<_> =
        summary.sources.iter().map(|s| s.figures.interval.map(|i| i.method)).collect();
    // The second has one problem: its resamples are all the same.
    assert_eq!(methods, [Some("wilson"), None]);
    assert_eq!(summary.macro_mean.interval, None);
    // 3 of 3: z^2 / (3 + z^2) is left out of 1.
    is(summary.sources[0].figures.interval.unwrap().low, 3.0 / (3.0 + 3.841_458_820_694_124));
    assert_eq!(summary.sources[0].figures.pass_at, [(1, 1.0)].into());
    assert_eq!(summary.sources[1].figures.pass_at, [(2, 0.0)].into());
    assert!(summary.macro_mean.pass_at.is_empty(), "no k that both have");
    assert_eq!((summary.problems, summary.responses), (4, 5));
}
