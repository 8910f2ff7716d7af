//! Rotary positions as `config.json` describes them, and their frequencies.

use std::f32::consts::PI;
use std::path::Path;

use half::{bf16, f16};
use serde_json::{Map, Value};

use super::check::unsupported;
use crate::PolicyError;

/// How low frequencies are stretched for contexts longer than those of the first training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every frequency is divided by `factor` (position interpolation).
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1: wavelengths above `original / low_freq_factor` are multiplied by `factor`, those below
    /// `original / high_freq_factor` are kept, and those between are blended.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Sets the wavelength above which all of `factor` applies.
        low_freq_factor: f64,
        /// Sets the wavelength below which nothing changes.
        high_freq_factor: f64,
        /// Context of the first training, in tokens.
        original_max_position_embeddings: f64,
    },
}

/// To what the rotary frequencies are rounded before use.
///
/// Exact is what `from_pretrained` gives for any `dtype`. A model that was cast as a whole,
/// `model.to(torch.bfloat16)`, has rounded frequencies, and keeps them when it is cast back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrequencyRounding {
    /// f32, as computed.
    #[default]
    Exact,
    /// To bfloat16.
    Bf16,
    /// To half precision.
    F16,
}

/// Rotary positions: angle `position * frequency(i)` for the pair `i` of a head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeConfig {
    /// Base of the frequencies.
    pub theta: f64,
    /// Stretching of low frequencies.
    pub scaling: RopeScaling,
    /// Rounding of the frequencies; never from a file.
    pub rounding: FrequencyRounding,
}

impl RopeConfig {
    /// Reads `rope_theta` and `rope_scaling`, or `rope_parameters`, which newer files hold in their place.
    pub(super) fn read(raw: &Map<String, Value>, path: &Path) -> Result<Self, PolicyError> {
        let object = |key| raw.get(key).filter(|value| !value.is_null()).map(|value| (key, value));
        let source = object("rope_parameters").or_else(|| object("rope_scaling"));
        let theta = match source.and_then(|(_, value)| value.get("rope_theta")) {
            Some(theta) => Some(("rope_theta", theta)),
            None => object("rope_theta"),
        };
        let theta = match theta {
            Some((key, value)) => value
                .as_f64()
                .filter(|theta| *theta >= 1.0)
                .ok_or_else(|| unsupported(path, key, value.to_string(), "a number from 1 up"))?,
            None => 10_000.0,
        };
        let scaling =
            source.map_or(Ok(RopeScaling::None), |(key, value)| scaling(key, value, path))?;
        Ok(Self { theta, scaling, rounding: FrequencyRounding::Exact })
    }

    /// Frequencies of the pairs of a head, `head_dim / 2` of them: `theta^(-2i / head_dim)`, scaled.
    ///
    /// Computed in f32 step by step as `transformers` does: at position 30,000 one unit in the last place
    /// is an angle of 0.002.
    pub(crate) fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        (0..head_dim / 2)
            .map(|i| {
                let exponent = (2 * i) as f32 / head_dim as f32;
                // PyTorch's pow in f32 rounds correctly all but always; f64 stands in for that.
                let power = self.theta.powf(f64::from(exponent)) as f32;
                self.rounded(self.scaled(1.0 / power))
            })
            .collect()
    }

    fn scaled(&self, frequency: f32) -> f32 {
        match self.scaling {
            RopeScaling::None => frequency,
            RopeScaling::Linear { factor } => frequency / factor as f32,
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original,
            } => {
                let wavelength = 2.0 * PI / frequency;
                if wavelength > (original / low_freq_factor) as f32 {
                    frequency / factor as f32
                } else if wavelength < (original / high_freq_factor) as f32 {
                    frequency
                } else {
                    let smooth = (original as f32 / wavelength - low_freq_factor as f32)
                        / (high_freq_factor - low_freq_factor) as f32;
                    (1.0 - smooth) * frequency / factor as f32 + smooth * frequency
                }
            }
        }
    }

    fn rounded(&self, frequency: f32) -> f32 {
        match self.rounding {
            FrequencyRounding::Exact => frequency,
            FrequencyRounding::Bf16 => bf16::from_f32(frequency).to_f32(),
            FrequencyRounding::F16 => f16::from_f32(frequency).to_f32(),
        }
    }
}

/// `rope_scaling` or `rope_parameters`.
fn scaling(key: &str, value: &Value, path: &Path) -> Result<RopeScaling, PolicyError> {
    let kind = match (value.get("rope_type"), value.get("type")) {
        // Readers disagree on which of the two counts.
        (Some(a), Some(b)) if a != b => {
            let found = format!("{a} and `type` is {b}");
            return Err(unsupported(path, &format!("{key}.rope_type"), found, "the same in both"));
        }
        (a, b) => a.or(b),
    };
    if let Some(factor) = value.get("partial_rotary_factor").filter(|factor| **factor != 1.0) {
        return Err(unsupported(
            path,
            &format!("{key}.partial_rotary_factor"),
            factor.to_string(),
            "1: positions rotate whole heads",
        ));
    }
    let number = |name: &str| {
        value.get(name).and_then(Value::as_f64).filter(|number| *number > 0.0).ok_or_else(|| {
            let found = value.get(name).map_or_else(|| "absent".to_owned(), Value::to_string);
            unsupported(path, &format!("{key}.{name}"), found, "a number from 1 up")
        })
    };
    match kind.and_then(Value::as_str) {
        Some("default") => Ok(RopeScaling::None),
        None if key == "rope_parameters" && kind.is_none() => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: number("factor")? }),
        Some("llama3") => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_max_position_embeddings: number("original_max_position_embeddings")?,
        }),
        _ => Err(unsupported(
            path,
            &format!("{key}.rope_type"),
            kind.map_or_else(|| format!("absent in {value}"), Value::to_string),
            "\"default\", \"linear\", \"llama3\"",
        )),
    }
}
