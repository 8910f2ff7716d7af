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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Table {
        shaping: ShapingConfig,
    }

    fn parse(toml: &str) -> Result<ShapingConfig, toml::de::Error> {
        toml::from_str::<Table>(toml).map(|table| table.shaping)
    }

    /// What is written reads back as the same, and builds what its name says.
    fn check(toml: &str, built: &str) {
        let config = parse(&format!("shaping = {toml}")).unwrap();
        let written = toml::to_string(&Table { shaping: config }).unwrap();
        assert_eq!(parse(&written).unwrap(), config, "{written}");
        config.validate().unwrap();
        assert_eq!(format!("{:?}", config.build()), built);
    }

    #[test]
    fn every_name_builds_its_shaping() {
        check("'none'", "Identity");
        check("{ regularized = { gamma = 0.1 } }", "Regularized { gamma: 0.1 }");
        check("{ log = { weight = 0.2 } }", "Log { weight: 0.2 }");
        check("{ identity-plus-log = { weight = 0.3 } }", "IdentityPlusLog { weight: 0.3 }");
        check("'square-root'", "Power { exponent: 0.5 }");
        check("{ power = { exponent = 0.4 } }", "Power { exponent: 0.4 }");
        check("{ regularized-ratio = { gamma = 0.6 } }", "RegularizedRatio { gamma: 0.6 }");
        check("'likelihood'", "Likelihood");
        check("'dft'", "Dft");
        check("'chord-phi'", "ChordPhi");
        check("{ trapo = { alpha = 0.7 } }", "Trapo { alpha: 0.7 }");
        check("'rl-plus'", "RlPlus");
        assert_eq!(ShapingConfig::default(), ShapingConfig::None);
    }

    #[test]
    fn keys_that_a_shaping_does_not_know_are_refused() {
        for (toml, word) in [
            ("{ regularized = { gama = 0.1 } }", "gama"),
            ("{ regularized = { gamma = 0.1, alpha = 1 } }", "alpha"),
            ("'regularised'", "regularised"),
        ] {
            let error = parse(&format!("shaping = {toml}")).unwrap_err().to_string();
            assert!(error.contains(word), "{toml}: {error}");
        }
    }

    #[test]
    fn settings_that_make_no_shaping_are_refused() {
        for (config, word) in [
            (ShapingConfig::Regularized { gamma: 0.0 }, "gamma is 0"),
            (ShapingConfig::RegularizedRatio { gamma: f64::NAN }, "gamma is NaN"),
            (ShapingConfig::Log { weight: f64::INFINITY }, "weight is inf"),
            (ShapingConfig::IdentityPlusLog { weight: f64::NAN }, "weight is NaN"),
            (ShapingConfig::Power { exponent: -1.0 }, "exponent is -1"),
            (ShapingConfig::Trapo { alpha: 1.5 }, "alpha is 1.5"),
            (ShapingConfig::Trapo { alpha: 0.0 }, "alpha is 0"),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(word), "{error}");
        }
    }
}
