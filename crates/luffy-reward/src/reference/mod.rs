//! The rewards of LUFFY's published code, to compare runs with.
//!
//! Written from the behaviour that the authors' code shows, with our equality where theirs calls sympy
//! or math-verify: bounded, so that it cannot hang, and the one deliberate difference.

use luffy_core::{Extracted, Reason, Response, Task, Verdict, Verifier};
use serde::{Deserialize, Serialize};

use crate::{Format, GradingValues, MathVerifier, Profile, graded};

mod mathd;
mod prm800k;
#[cfg(test)]
mod vectors;

const CLOSE: &str = "</think>";
const BOXED: &str = r"\boxed";

/// `data.reward_impl_version` of LUFFY's configuration. Written `"v0"` to `"v4"`, or `"0"` to `"4"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ReferenceVersion {
    /// What stands between the first and the second `</think>`; its last box, by normalised text or
    /// expression by expression.
    #[serde(rename = "v0", alias = "0")]
    V0,
    /// The same with other values: 1, -0.5 and -1.
    #[serde(rename = "v1", alias = "1")]
    V1,
    /// The same on what stands before the first `</think>`, or on everything without one: the
    /// reference closes an empty thought in front of the response.
    #[serde(rename = "v2", alias = "2")]
    V2,
    /// What stands between the first and the second `</think>`, by mathematical equality; boxes are
    /// preferred, not required. All runs of the paper.
    #[default]
    #[serde(rename = "v3", alias = "3")]
    V3,
    /// The same on the whole response.
    #[serde(rename = "v4", alias = "4")]
    V4,
}

impl ReferenceVersion {
    /// What the reference pays. It pays -1 under version 1, and 0 under the others, where the gold is
    /// unusable; here such a prompt is dropped, as everywhere.
    pub const fn values(self) -> GradingValues {
        match self {
            Self::V1 => GradingValues { correct: 1.0, incorrect: -0.5, malformed: -1.0 },
            Self::V0 | Self::V2 | Self::V3 | Self::V4 => {
                GradingValues { correct: 1.0, incorrect: 0.0, malformed: 0.0 }
            }
        }
    }

    /// The part of a response that the reference looks at; `None` if the format is broken.
    fn graded(self, response: &str) -> Option<&str> {
        let mut parts = response.split(CLOSE);
        match self {
            Self::V0 | Self::V1 | Self::V3 => parts.nth(1),
            Self::V2 => parts.next(),
            Self::V4 => Some(response),
        }
    }

    const fn wants_a_box(self) -> bool {
        matches!(self, Self::V0 | Self::V1 | Self::V2)
    }
}

/// Grades as one of LUFFY's reward implementations does.
///
/// It has its own format and does not ask how a response ended: one that the token limit cut is graded
/// like any other.
///
/// ```
/// use luffy_core::{Reason, Response, Task, Verifier};
/// use luffy_reward::{ReferenceVerifier, ReferenceVersion};
///
/// let task = Task {
///     id: "example:0".into(),
///     source: "example".into(),
///     messages: vec![],
///     golds: vec!["42".into()],
///     demonstrations: vec![],
///     extra: serde_json::Map::new(),
/// };
/// let verifier = ReferenceVerifier { version: ReferenceVersion::V1 };
/// let verdict = verifier.verify(&task, &Response::complete(r"</think>\boxed{41}"));
/// assert_eq!(verdict.reason, Reason::Different);
/// assert_eq!(verifier.values().reward(&verdict), Some(-0.5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ReferenceVerifier {
    /// Which of them.
    pub version: ReferenceVersion,
}

impl ReferenceVerifier {
    /// What the reference pays for its verdicts; see [`ReferenceVersion::values`].
    pub const fn values(&self) -> GradingValues {
        self.version.values()
    }
}

impl Verifier for ReferenceVerifier {
    fn verify(&self, task: &Task, response: &Response<'_>) -> Verdict {
        let wants_a_box = self.version.wants_a_box();
        let mut golds = graded::usable(&task.golds)
            .filter_map(|gold| if wants_a_box { unboxed(gold) } else { Some(gold) })
            .peekable();
        if golds.peek().is_none() {
            return Verdict::new(Reason::BadGold);
        }
        let mut work = response.text.len() as u64;
        let none = |reason| Verdict { reason, extracted: None, work };
        let Some(graded) = self.version.graded(response.text) else { return none(Reason::Format) };
        if !wants_a_box {
            return by_math(task, response.text, graded);
        }
        let Some(answer) = boxed(graded) else { return none(Reason::NoAnswer) };
        let mut reason = Reason::Different;
        for gold in golds {
            work += (gold.len() + answer.len()) as u64;
            if mathd::equal(gold, answer) {
                reason = Reason::Identical;
                break;
            }
            if prm800k::equal(gold, answer) {
                reason = Reason::Symbolic;
                break;
            }
        }
        Verdict { reason, extracted: Some(graded::extracted(response.text, answer)), work }
    }
}

/// Versions 3 and 4: our own check with every fallback, on the part that the reference looks at.
fn by_math(task: &Task, whole: &str, graded: &str) -> Verdict {
    let verifier = MathVerifier::new(Profile::Lenient, Format::Plain);
    let mut verdict = verifier.verify(task, &Response::complete(graded));
    let start = graded::offset(whole, graded);
    verdict.extracted = verdict.extracted.map(|Extracted { text, span }| Extracted {
        text,
        span: span.start + start..span.end + start,
    });
    verdict
}

/// A gold as it is, or the content of its box if it has one; `None` if that box is broken or empty.
fn unboxed(gold: &str) -> Option<&str> {
    if gold.contains(BOXED) { boxed(gold) } else { Some(gold) }
}

/// The content of the last `\boxed{...}`. If that one is not closed, or has no brace, there is no answer,
/// whatever stands before it. Escaped braces count like others.
fn boxed(text: &str) -> Option<&str> {
    let content = text.get(text.rfind(BOXED)? + BOXED.len()..)?.strip_prefix('{')?;
    let mut depth = 1_usize;
    let end = content.bytes().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    content.get(..end).map(str::trim).filter(|content| !content.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graded::fixtures::task;
    use ReferenceVersion::{V0, V1, V2, V3, V4};

    fn check(version: ReferenceVersion, gold: &str, text: &str, reason: Reason) {
        let verdict =
            ReferenceVerifier { version }.verify(&task(&[gold]), &Response::complete(text));
        assert_eq!(verdict.reason, reason, "{version:?}: {text} for {gold}");
        if let Some(found) = verdict.extracted {
            assert_eq!(text.get(found.span), Some(found.text.as_str()));
        }
    }

    // Which text each version looks at is stated in section 3 of the notes on the reference: "split
    // at </think>, the text between the first and the second", and its fake thought for version 2.
    #[test]
    fn each_version_looks_at_its_part() {
        let text = r"\boxed{1}</think>\boxed{2}</think>\boxed{3}";
        for (version, answer) in [(V0, "2"), (V1, "2"), (V2, "1"), (V3, "2"), (V4, "3")] {
            check(version, answer, text, Reason::Identical);
            check(version, "7", text, Reason::Different);
        }
        for version in [V0, V1, V3] {
            check(version, "5", r"\boxed{5}", Reason::Format);
        }
        check(V2, "5", r"\boxed{5}", Reason::Identical);
        check(V4, "5", r"\boxed{5}", Reason::Identical);
    }

    #[test]
    fn the_last_box_must_be_whole() {
        for text in
            ["5", r"\boxed{5", r"\boxed 5", r"\boxed{5} \boxed{", r"\fbox{5}", r"\boxed{}", ""]
        {
            check(V2, "5", text, Reason::NoAnswer);
        }
        check(V2, "5", r"\boxed{4} \boxed{\boxed{5}}", Reason::Identical);
        check(V2, r"\{1\}", r"\boxed{\{1\}}", Reason::Identical);
    }

    #[test]
    fn a_gold_may_stand_in_a_box() {
        check(V0, r"so \boxed{5}", r"</think>\boxed{5}", Reason::Identical);
        check(V0, r"so \boxed{5", r"</think>\boxed{5}", Reason::BadGold);
        check(V0, " ", r"</think>\boxed{5}", Reason::BadGold);
        check(V3, "", "", Reason::BadGold);
        let any = task(&["4", "5"]);
        let verifier = ReferenceVerifier { version: V0 };
        let verdict = verifier.verify(&any, &Response::complete(r"</think>\boxed{5}"));
        assert_eq!(verdict.reason, Reason::Identical);
    }

    #[test]
    fn only_version_1_takes_reward_away() {
        let strict = GradingValues { correct: 1.0, incorrect: -0.5, malformed: -1.0 };
        assert_eq!(ReferenceVerifier { version: V1 }.values(), strict);
        for version in [V0, V2, V3, V4] {
            assert_eq!(ReferenceVerifier { version }.values(), GradingValues::default());
        }
    }

    #[test]
    fn versions_are_named_as_in_the_reference() {
        for (name, version) in [("v0", V0), ("0", V0), ("v3", V3), ("4", V4)] {
            let json = serde_json::json!({ "version": name });
            let read: ReferenceVerifier = serde_json::from_value(json).expect("a known name");
            assert_eq!(read.version, version);
        }
        assert_eq!(serde_json::to_string(&V1).expect("has a JSON form"), "\"v1\"");
    }

    #[test]
    fn a_megabyte_is_read_once() {
        for part in [
            r"\boxed{", "{", "}", "1,", "\\frac", "\\sqrt", "/", "=", "</think>", "feet ", "- ",
            "1 ",
        ] {
            let text = part.repeat(1_000_000 / part.len());
            let boxed = format!(r"\boxed{{{text}}}");
            for version in [V0, V2] {
                let _ = ReferenceVerifier { version }
                    .verify(&task(&[&text]), &Response::complete(&boxed));
            }
        }
    }

    proptest! {
        #[test]
        fn any_response_to_any_gold_gets_a_verdict(
            text in r"(</think>|\\boxed\{|\\d?frac|\\text\{|\\sqrt|[-{}()\[\],./=^%$ 0-9x]|\PC){0,40}",
            gold in r"(\\frac|\\text\{|\\boxed\{|[-{}(),./=^% 0-9x]|\PC){0,16}",
            version in prop::sample::select(vec![V0, V1, V2, V3, V4]),
        ) {
            let task = task(&[&gold]);
            let verdict = ReferenceVerifier { version }.verify(&task, &Response::complete(&text));
            if let Some(found) = verdict.extracted {
                prop_assert_eq!(text.get(found.span), Some(found.text.as_str()));
            }
        }
    }
}
