//! Shapings as settings.

use std::sync::Arc;

use luffy_core::Shaping;
use serde::{Deserialize, Serialize};

use super::{
    ChordPhi, Dft, Identity, IdentityPlusLog, Likelihood, Log, Power, Regularized,
    RegularizedRatio, RlPlus, Trapo,
};

/// A shaping by name, as a configuration writes it:
///
/// ```
/// use luffy_objective::ShapingConfig;
///
/// #[derive(serde::Deserialize)]
/// struct Table {
///     shaping: ShapingConfig,
/// }
///
/// let table: Table = toml::from_str("shaping = 'dft'")?;
/// assert_eq!(table.shaping, ShapingConfig::Dft);
/// let table: Table = toml::from_str("shaping = { regularized = { gamma = 0.1 } }")?;
/// assert_eq!(table.shaping, ShapingConfig::Regularized { gamma: 0.1 });
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ShapingConfig {
    /// [`Identity`].
    #[default]
    None,
    /// [`Regularized`].
    Regularized {
        /// As there.
        gamma: f64,
    },
    /// [`Log`].
    Log {
        /// As there.
        weight: f64,
    },
    /// [`IdentityPlusLog`].
    IdentityPlusLog {
        /// As there.
        weight: f64,
    },
    /// [`Power`] with exponent one half.
    SquareRoot,
    /// [`Power`].
    Power {
        /// As there.
        exponent: f64,
    },
    /// [`RegularizedRatio`].
    RegularizedRatio {
        /// As there.
        gamma: f64,
    },
    /// [`Likelihood`].
    Likelihood,
    /// [`Dft`].
    Dft,
    /// [`ChordPhi`].
    ChordPhi,
    /// [`Trapo`].
    Trapo {
        /// As there.
        alpha: f64,
    },
    /// [`RlPlus`].
    RlPlus,
}

/// A setting that makes no shaping.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ShapingError {
    /// The curve is undefined there.
    #[error("gamma is {0}, it must be finite and above 0; shaping `none` turns shaping off")]
    Gamma(f64),
    /// NaN or infinity.
    #[error("weight is {0}, it must be finite")]
    Weight(f64),
    /// A power that does not rise.
    #[error("exponent is {0}, it must be finite and above 0; shaping `none` is exponent 1")]
    Exponent(f64),
    /// A bound that no probability can cross, or that divides by zero.
    #[error("alpha is {0}, it must be above 0 and at most 1; shaping `likelihood` has none")]
    Alpha(f64),
}

impl ShapingConfig {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// Names the setting that makes no sense.
    pub fn validate(&self) -> Result<(), ShapingError> {
        let is_positive = |value: f64| value.is_finite() && value > 0.0;
        match *self {
            Self::Regularized { gamma } | Self::RegularizedRatio { gamma }
                if !is_positive(gamma) =>
            {
                Err(ShapingError::Gamma(gamma))
            }
            Self::Log { weight } | Self::IdentityPlusLog { weight } if !weight.is_finite() => {
                Err(ShapingError::Weight(weight))
            }
            Self::Power { exponent } if !is_positive(exponent) => {
                Err(ShapingError::Exponent(exponent))
            }
            Self::Trapo { alpha } if !(is_positive(alpha) && alpha <= 1.0) => {
                Err(ShapingError::Alpha(alpha))
            }
            _ => Ok(()),
        }
    }

    /// The shaping itself. [`validate`](Self::validate) first where the settings come from outside.
    pub fn build(&self) -> Arc<dyn Shaping> {
        match *self {
            Self::None => Arc::new(Identity),
            Self::Regularized { gamma } => Arc::new(Regularized { gamma }),
            Self::Log { weight } => Arc::new(Log { weight }),
            Self::IdentityPlusLog { weight } => Arc::new(IdentityPlusLog { weight }),
            Self::SquareRoot => Arc::new(Power { exponent: 0.5 }),
            Self::Power { exponent } => Arc::new(Power { exponent }),
            Self::RegularizedRatio { gamma } => Arc::new(RegularizedRatio { gamma }),
            Self::Likelihood => Arc::new(Likelihood),
            Self::Dft => Arc::new(Dft),
            Self::ChordPhi => Arc::new(ChordPhi),
            Self::Trapo { alpha } => Arc::new(Trapo { alpha }),
            Self::RlPlus => Arc::new(RlPlus),
        }
    }
}
