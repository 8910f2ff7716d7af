//! What decides the responses of an evaluation, kept beside them.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use luffy_data::ColumnNames;
use serde::Serialize;
use serde_json::Value;

use super::{EvalArgs, RESPONSES, System, digest};
use crate::atomic::write_atomic;
use crate::exit::{Code, WithCode};
use crate::model::ModelArgs;

/// The file of the settings.
pub(super) const FILE: &str = "eval.json";

/// Everything that a line of the responses depends on.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    schema: u32,
    model: PathBuf,
    model_digest: String,
    chat_template: Option<String>,
    files: Vec<PathBuf>,
    columns: ColumnNames,
    suites: Vec<String>,
    limit: Option<usize>,
    samples: Option<u32>,
    system: System,
    sampling: luffy_core::Sampling,
    stop: Vec<String>,
    max_new_tokens: u32,
    max_rows: usize,
    seed: u64,
    verifier: Value,
    profile: luffy_reward::Profile,
    format: Option<luffy_reward::Format>,
    require_stop: bool,
}

impl Settings {
    /// # Errors
    /// If the folder of the model cannot be read.
    pub(super) fn new(
        args: &EvalArgs,
        model: &ModelArgs,
        files: &[PathBuf],
    ) -> anyhow::Result<Self> {
        let dir = &model.model;
        let model_digest = digest::model(dir)
            .with_context(|| format!("cannot read {}", dir.display()))
            .code(Code::Input)?;
        Ok(Self {
            schema: 1,
            model: cleaned(dir),
            model_digest,
            chat_template: model.template.chat_template.clone(),
            files: files.iter().map(|file| cleaned(file)).collect(),
            columns: args.columns.names()?,
            suites: args.suite.clone(),
            limit: args.limit,
            samples: args.samples,
            system: args.system,
            sampling: args.sampling.sampling(super::answer::TEMPERATURE),
            stop: args.sampling.stop().to_vec(),
            max_new_tokens: args.max_new_tokens,
            max_rows: args.sampling.max_rows,
            seed: args.sampling.seed,
            verifier: serde_json::json!(args.grading.verifier),
            profile: args.grading.profile,
            format: args.grading.format,
            require_stop: args.grading.require_stop,
        })
    }

    /// Makes the folder of the evaluation.
    pub(super) fn write(&self, out: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        write_atomic(&out.join(FILE), &self.text()?)
    }

    fn text(&self) -> anyhow::Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }

    /// Refuses a folder that is not free and not made by an evaluation with the same settings.
    pub(super) fn check(&self, out: &Path) -> anyhow::Result<()> {
        refuse_run(out).code(Code::Config)?;
        let path = out.join(FILE);
        let text = self.text()?;
        // Through its text, as the stored one: numbers are then the same.
        let own: Value = serde_json::from_slice(&text)?;
        if path.exists() {
            let stored = fs::read(&path)
                .with_context(|| format!("cannot read {}", path.display()))
                .code(Code::Input)?;
            let stored: Value = serde_json::from_slice(&stored)
                .with_context(|| format!("{} is no JSON", path.display()))
                .code(Code::Input)?;
            let differing = differing(&stored, &own);
            if differing.is_empty() {
                return Ok(());
            }
            let error = anyhow!(
                "{} holds another evaluation, which differs in {}; name another folder with `--out`",
                out.display(),
                differing.join(", ")
            );
            return Err(error).code(Code::Config);
        }
        if out.join(RESPONSES).exists() {
            let error = anyhow!(
                "{} has a {RESPONSES} and no {FILE}; name another folder with `--out`, or grade it with \
                 `--responses`",
                out.display()
            );
            return Err(error).code(Code::Config);
        }
        Ok(())
    }
}

/// Refuses the folder of a training run, whose figures have the same name.
pub(super) fn refuse_run(out: &Path) -> anyhow::Result<()> {
    let dir = out.display();
    ensure!(
        !out.join("run.json").exists(),
        "{dir} is the folder of a training run; name another one with `--out`"
    );
    Ok(())
}

/// A path by its parts: `dir/` and `./dir` are `dir`.
pub(super) fn cleaned(path: &Path) -> PathBuf {
    let parts: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if parts.as_os_str().is_empty() { path.to_owned() } else { parts }
}

/// The settings that are not the same, by name.
fn differing(stored: &Value, own: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let (stored, own) = (stored.as_object().unwrap_or(&empty), own.as_object().unwrap_or(&empty));
    let show = |value: Option<&Value>| value.map_or("absent".to_owned(), Value::to_string);
    let mut names: Vec<&String> = own.keys().chain(stored.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| stored.get(*name) != own.get(*name))
        .map(|name| format!("`{name}` ({} there)", show(stored.get(name))))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_with_what_was_there() {
        let stored = json!({"seed": 1, "limit": null, "old": 2});
        let own = json!({"seed": 2, "limit": null, "new": 3});
        assert_eq!(
            differing(&stored, &own),
            ["`new` (absent there)", "`old` (2 there)", "`seed` (1 there)"]
        );
        assert!(differing(&own, &own).is_empty());
    }

    #[test]
    fn a_path_is_its_parts() {
        for (path, expected) in
            [("dir/", "dir"), ("./a//b/.", "a/b"), ("/a/../b/", "/a/../b"), (".", ".")]
        {
            assert_eq!(cleaned(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
