//! How responses are graded, for `luffy train` and `luffy grade`.

use std::sync::Arc;

use clap::ValueEnum;
use luffy_core::Verifier;
use luffy_data::ThinkFormat;
use luffy_reward::{
    ChoiceVerifier, ExactMatchVerifier, Format, GradingValues, MathVerifier, Place, Profile,
    ReferenceVerifier, ReferenceVersion,
};
use serde::{Deserialize, Serialize};

/// How responses are graded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RewardSection {
    /// Who grades.
    pub verifier: VerifierName,
    /// What a response must look like; the reference verifiers have their own format.
    pub format: Format,
    /// How strictly answers are looked for and compared.
    pub profile: Profile,
    /// Whether a response cut by the token limit counts as malformed; not for the reference verifiers.
    pub require_stop: bool,
    /// What each outcome is worth.
    pub values: GradingValues,
}

impl Default for RewardSection {
    fn default() -> Self {
        Self {
            verifier: VerifierName::Math,
            format: Format::Think,
            profile: Profile::Training,
            require_stop: true,
            values: GradingValues::default(),
        }
    }
}

impl RewardSection {
    /// What responses must do with the thought.
    pub fn think_format(&self) -> ThinkFormat {
        let by_format = match self.format {
            Format::Think => ThinkFormat::Closing,
            Format::StrictThink => ThinkFormat::Whole,
            Format::Plain => ThinkFormat::Nothing,
        };
        match self.verifier.reference() {
            None => by_format,
            Some(ReferenceVersion::V0 | ReferenceVersion::V1 | ReferenceVersion::V3) => {
                ThinkFormat::Closing
            }
            Some(ReferenceVersion::V2 | ReferenceVersion::V4) => ThinkFormat::Nothing,
        }
    }
}

/// The verifiers that can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum VerifierName {
    /// Mathematical equality.
    #[default]
    Math,
    /// The letter of a multiple choice.
    Choice,
    /// The same text in the last box.
    Exact,
    /// The same number behind the last `####`.
    ExactHashes,
    /// The whole graded text.
    ExactWhole,
    /// LUFFY's `reward_impl_version=0`.
    ReferenceV0,
    /// LUFFY's `reward_impl_version=1`; it pays 1, -0.5 and -1.
    ReferenceV1,
    /// LUFFY's `reward_impl_version=2`.
    ReferenceV2,
    /// LUFFY's `reward_impl_version=3`, of all runs in the paper.
    ReferenceV3,
    /// LUFFY's `reward_impl_version=4`.
    ReferenceV4,
}

impl VerifierName {
    const fn reference(self) -> Option<ReferenceVersion> {
        match self {
            Self::ReferenceV0 => Some(ReferenceVersion::V0),
            Self::ReferenceV1 => Some(ReferenceVersion::V1),
            Self::ReferenceV2 => Some(ReferenceVersion::V2),
            Self::ReferenceV3 => Some(ReferenceVersion::V3),
            Self::ReferenceV4 => Some(ReferenceVersion::V4),
            Self::Math | Self::Choice | Self::Exact | Self::ExactHashes | Self::ExactWhole => None,
        }
    }

    /// What it pays where nobody says otherwise: what LUFFY does for a reference verifier, else the
    /// defaults.
    pub fn values(self) -> GradingValues {
        self.reference().map_or_else(GradingValues::default, ReferenceVersion::values)
    }
}

/// The verifier that a section asks for.
///
/// The profile says more than how `math` compares: with `lenient`, `choice` reads answers outside of a
/// box, and the exact verifiers fold case and white space.
pub fn build_verifier(section: &RewardSection) -> Arc<dyn Verifier> {
    let RewardSection { verifier, format, profile, require_stop, values: _ } = *section;
    let is_lenient = profile == Profile::Lenient;
    let exact = |place| ExactMatchVerifier {
        format,
        require_stop,
        place,
        fold_case: is_lenient,
        fold_space: is_lenient,
    };
    match verifier {
        VerifierName::Math => {
            let mut math = MathVerifier::new(profile, format);
            math.require_stop = require_stop;
            Arc::new(math)
        }
        VerifierName::Choice => {
            let default = ChoiceVerifier::default();
            Arc::new(ChoiceVerifier { format, require_stop, unboxed: is_lenient, ..default })
        }
        VerifierName::Exact => Arc::new(exact(Place::Boxed)),
        VerifierName::ExactHashes => Arc::new(exact(Place::AfterHashes)),
        VerifierName::ExactWhole => Arc::new(exact(Place::Whole)),
        VerifierName::ReferenceV0
        | VerifierName::ReferenceV1
        | VerifierName::ReferenceV2
        | VerifierName::ReferenceV3
        | VerifierName::ReferenceV4 => {
            Arc::new(ReferenceVerifier { version: verifier.reference().unwrap_or_default() })
        }
    }
}

#[cfg(test)]
mod tests {
    use luffy_core::{FinishReason, Outcome, Response, Task};

    use super::*;

    fn outcome(section: &RewardSection, gold: &str, text: &str) -> Outcome {
        let task = Task {
            id: "test:0".into(),
            source: "test".into(),
            messages: vec![],
            golds: vec![gold.into()],
            demonstrations: vec![],
            extra: serde_json::Map::new(),
        };
        build_verifier(section).verify(&task, &Response::complete(text)).outcome()
    }

    fn section(text: &str) -> RewardSection {
        toml::from_str(text).expect("a section")
    }

    #[test]
    fn every_name_builds_its_own_verifier() {
        use Outcome::{Correct, Incorrect, Malformed};
        // Each text is right for one of them and not for its neighbours.
        for (name, gold, text, expected) in [
            ("math", "1000", r"\boxed{1,000.0}", Correct),
            ("exact", "1000", r"\boxed{1,000.0}", Incorrect),
            ("choice", "C", r"\boxed{\text{(C)}}", Correct),
            ("exact", "C", r"\boxed{\text{(C)}}", Incorrect),
            ("exact-hashes", "1000", "#### 1,000", Correct),
            ("exact-whole", "#### 1,000", "#### 1,000", Correct),
            ("reference-v0", "5", r"\boxed{5}", Malformed),
            ("reference-v1", "5", r"</think>\boxed{5}", Correct),
            ("reference-v2", "5", r"\boxed{5}</think>\boxed{6}", Correct),
            ("reference-v3", "5", r"</think>\boxed{5}</think>\boxed{6}", Correct),
            ("reference-v4", "6", r"</think>\boxed{5}</think>\boxed{6}", Correct),
        ] {
            let section = section(&format!("verifier = \"{name}\"\nformat = \"plain\""));
            assert_eq!(outcome(&section, gold, text), expected, "{name}");
        }
    }

    #[test]
    fn a_lenient_profile_reads_choices_without_a_box_and_folds_case() {
        for (name, gold, text) in
            [("choice", "C", "Answer: C"), ("exact", "New York", r"\boxed{new  york}")]
        {
            let mut section = section(&format!("verifier = \"{name}\"\nformat = \"plain\""));
            assert_ne!(outcome(&section, gold, text), Outcome::Correct, "{name}");
            section.profile = Profile::Lenient;
            assert_eq!(outcome(&section, gold, text), Outcome::Correct, "{name}");
        }
    }

    #[test]
    fn a_required_end_reaches_every_verifier_but_the_reference() {
        let cut = Response { text: r"</think>\boxed{C}", finish: FinishReason::Length };
        let task = Task {
            id: "test:0".into(),
            source: "test".into(),
            messages: vec![],
            golds: vec!["C".into()],
            demonstrations: vec![],
            extra: serde_json::Map::new(),
        };
        for (name, expected) in [
            ("math", Outcome::Malformed),
            ("choice", Outcome::Malformed),
            ("exact", Outcome::Malformed),
            ("reference-v3", Outcome::Correct),
        ] {
            let section = section(&format!("verifier = \"{name}\""));
            assert_eq!(build_verifier(&section).verify(&task, &cut).outcome(), expected, "{name}");
        }
    }

    #[test]
    fn every_format_says_what_it_asks_of_the_thought() {
        for (text, expected) in [
            ("", ThinkFormat::Closing),
            ("format = \"strict-think\"", ThinkFormat::Whole),
            ("format = \"plain\"", ThinkFormat::Nothing),
            ("verifier = \"reference-v3\"\nformat = \"plain\"", ThinkFormat::Closing),
            ("verifier = \"reference-v4\"", ThinkFormat::Nothing),
        ] {
            assert_eq!(section(text).think_format(), expected, "{text}");
        }
    }

    #[test]
    fn a_reference_pays_its_own_values() {
        assert!((VerifierName::ReferenceV1.values().incorrect + 0.5).abs() < f32::EPSILON);
        assert_eq!(VerifierName::Math.values(), GradingValues::default());
    }
}
