//! One line of a file of cases.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::arguments::{
    AdvantageConfig, AdvantageInputs, Inputs, KlConfig, KlInputs, MixedConfig, MixedInputs,
    Nothing, PpoConfig, PpoInputs, SftInputs, TokenInputs,
};
use super::figure::Figure;

/// A line as it stands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: String,
    id: String,
    config: Value,
    inputs: Value,
    expected: BTreeMap<String, Figure>,
}

/// A function of the reference with its arguments and what it gave.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) call: Call,
    pub(super) expected: BTreeMap<String, Figure>,
}

/// Which function, and its arguments.
#[derive(Debug)]
pub(super) enum Call {
    MixedPolicyLoss(MixedConfig, MixedInputs),
    PpoClipLoss(PpoConfig, PpoInputs),
    SftLoss(SftInputs),
    Kl(KlConfig, KlInputs),
    TokenStatistics(TokenInputs),
    Advantage(AdvantageConfig, AdvantageInputs),
}

/// A line that is no case, with its id where it has one.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) id: Option<String>,
    pub(super) why: anyhow::Error,
}

impl Case {
    /// Reads a line; its id and the case.
    pub(super) fn read(line: &str) -> Result<(String, Self), Refused> {
        let line: Line =
            serde_json::from_str(line).map_err(|error| Refused { id: None, why: error.into() })?;
        let Line { kind, id, config, inputs, expected } = line;
        match Call::read(&kind, config, inputs, &expected) {
            Ok(call) => Ok((id, Self { call, expected })),
            Err(why) => Err(Refused { id: Some(id), why }),
        }
    }
}

impl Call {
    fn read(
        kind: &str,
        config: Value,
        inputs: Value,
        expected: &BTreeMap<String, Figure>,
    ) -> anyhow::Result<Self> {
        ensure!(!expected.is_empty(), "`expected` names no figure");
        Ok(match kind {
            "mixed_policy_loss" => Self::MixedPolicyLoss(settings(config)?, arguments(inputs)?),
            "ppo_clip_loss" => Self::PpoClipLoss(settings(config)?, arguments(inputs)?),
            "sft_loss" => {
                let Nothing {} = settings(config)?;
                Self::SftLoss(arguments(inputs)?)
            }
            "kl" => Self::Kl(settings(config)?, arguments(inputs)?),
            "token_statistics" => {
                let Nothing {} = settings(config)?;
                Self::TokenStatistics(arguments(inputs)?)
            }
            "advantage" => Self::Advantage(settings(config)?, arguments(inputs)?),
            other => bail!("no kind is called `{other}`"),
        })
    }
}

fn settings<T: for<'a> Deserialize<'a>>(value: Value) -> anyhow::Result<T> {
    serde_json::from_value(value).context("config")
}

/// Arguments that fit one another.
fn arguments<T: Inputs + for<'a> Deserialize<'a>>(value: Value) -> anyhow::Result<T> {
    let inputs: T = serde_json::from_value(value).context("inputs")?;
    inputs.check().context("inputs")?;
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, complaint: &str) {
        let refused = Case::read(line).expect_err(line);
        let said = format!("{:#}", refused.why);
        assert!(said.contains(complaint), "{line}: {said}");
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let inputs = r#""inputs":{"log_prob":[[-1]],"ref_log_prob":[[-2]]}"#;
        let kl = |config: &str| {
            format!(
                r#"{{"kind":"kl","id":"a","config":{config},{inputs},"expected":{{"kl":[[1]]}}}}"#
            )
        };
        assert!(Case::read(&kl(r#"{"estimator":"kl"}"#)).is_ok());
        check(&kl(r#"{"estimator":"k4"}"#), "k4");
        check(&kl(r#"{"estimator":"kl","clamp":1}"#), "clamp");
        check(&kl("{}"), "estimator");
        check(&kl(r#"{"estimator":"kl"}"#).replace("\"kl\",\"id", "\"jsd\",\"id"), "jsd");
        check(&kl(r#"{"estimator":"kl"}"#).replace("[[-2]]", "[[-2,-3]]"), "[1, 2]");
        check(&kl(r#"{"estimator":"kl"}"#).replace(r#"{"kl":[[1]]}"#, "{}"), "no figure");
        check(&kl(r#"{"estimator":"kl"}"#).replace("\"id\":\"a\",", ""), "id");
        check("{", "EOF");
    }

    #[test]
    fn a_token_beyond_the_logits_is_refused() {
        let line = r#"{"kind":"token_statistics","id":"a","config":{},"inputs":{"logits":[[[0,1]]],"token_ids":[[2]]},"expected":{"entropy":[[1]]}}"#;
        check(line, "2");
        assert!(Case::read(&line.replace("[[2]]", "[[1]]")).is_ok());
    }
}
