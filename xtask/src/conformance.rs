//! `cargo xtask conformance NAME`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::backend::Backend;
use crate::luffy;
use crate::paths::{cache_dir, target_dir, workspace_root};
use crate::process::{self, Failure};

/// The comparison that is named first.
pub(crate) fn run(mut args: Vec<String>) -> Result<(), Failure> {
    if args.first().map(String::as_str) == Some("transformers") {
        args.remove(0);
        transformers(args)
    } else {
        Err(Failure::usage("say what to compare with: `cargo xtask conformance transformers`"))
    }
}

/// Has a checkpoint scored by the program and by Python transformers, and compares.
fn transformers(mut args: Vec<String>) -> Result<(), Failure> {
    let backend = Backend::take_from(&mut args)?.unwrap_or(Backend::Flex);
    let wants_help = args.iter().any(|arg| arg == "--help" || arg == "-h");
    if !wants_help && value_of(&args, "--model").is_none() {
        args.extend(["--model".to_owned(), default_model()?.display().to_string()]);
    }
    if !wants_help && value_of(&args, "--scores").is_none() {
        let scores = target_dir().join("conformance/scores.jsonl");
        score(backend, &args, &scores)?;
        args.extend(["--scores".to_owned(), scores.display().to_string()]);
    }
    let python = python()?;
    let script = peers().join("transformers_check.py");
    Err(process::become_program(Command::new(python).arg(script).args(args)))
}

/// The program's own scores of random tokens, written to `scores`.
fn score(backend: Backend, args: &[String], scores: &Path) -> Result<(), Failure> {
    let folder = scores.parent().unwrap_or(scores);
    std::fs::create_dir_all(folder)
        .map_err(|error| Failure::new(format!("cannot create {}: {error}", folder.display())))?;
    let model = value_of(args, "--model").unwrap_or_default();
    let output = scores.display().to_string();
    let args = ["score-sample", "--model", model, "--output", &output].map(str::to_owned);
    let mut command = luffy::command(backend, &args);
    backend.prepare(&mut command)?;
    process::run(&mut command)
}

/// The environment of every comparison with PyTorch, made if it is not there (2.1 GB); its Python.
fn python() -> Result<PathBuf, Failure> {
    if !process::is_installed("python3") {
        return Err(Failure::new("comparisons with PyTorch need python3 on the search path"));
    }
    let venv = cache_dir()?.join("venv-torch-2.9");
    process::run(Command::new("python3").arg(peers().join("make_venv.py")).arg(&venv))?;
    Ok(venv.join("bin/python"))
}

fn peers() -> PathBuf {
    workspace_root().join("benches/peers")
}

/// The tiny checkpoint with random weights that lies beside the checkout.
fn default_model() -> Result<PathBuf, Failure> {
    let shared = std::env::var_os("LUFFY_SHARED")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| workspace_root().join("../shared"), PathBuf::from);
    let model = shared.join("conformance/models/qwen2-tied");
    if model.is_dir() {
        Ok(model)
    } else {
        Err(Failure::usage(format!(
            "name a checkpoint with --model DIR; there is none at {}",
            model.display()
        )))
    }
}

/// The value of `--name VALUE` or `--name=VALUE`.
fn value_of<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix(name)? {
        "" => args.get(at + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_read_in_both_spellings() {
        let args = ["--model", "a b", "--scores=c", "--modelling", "d"].map(str::to_owned);
        assert_eq!(value_of(&args, "--model"), Some("a b"));
        assert_eq!(value_of(&args, "--scores"), Some("c"));
        assert_eq!(value_of(&args, "--tolerance"), None);
        assert_eq!(value_of(&args[3..], "--model"), None);
    }
}
