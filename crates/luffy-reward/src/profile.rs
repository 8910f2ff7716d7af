//! Named sets of choices.

use serde::{Deserialize, Serialize};

use crate::{Equality, Extraction};

/// How strictly answers are looked for and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// For rewards: only a complete box is an answer, so nothing is paid for naming a number in passing.
    #[default]
    Training,
    /// For evaluation of models that were not trained to box: every fallback is tried.
    Lenient,
}

impl Profile {
    /// Where answers are looked for.
    pub fn extraction(self) -> Extraction {
        match self {
            Self::Training => Extraction::BOXED,
            Self::Lenient => Extraction::LENIENT,
        }
    }

    /// What counts as equal.
    pub fn equality(self) -> Equality {
        match self {
            Self::Training => Equality::default(),
            Self::Lenient => {
                Equality { decimal_comma: true, rounded_from_digits: 12, ..Equality::default() }
            }
        }
    }
}
