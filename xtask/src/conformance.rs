//! `cargo xtask conformance NAME`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::backend::Backend;
use crate::luffy;
use crate::paths::{cache_dir, cargo, peers, shared, target_dir, workspace_root};
use crate::process::{self, Failure};

/// What `cargo xtask conformance grader --help` prints.
const GRADER_HELP: &str = "\
Grade every row of a file and say where the verdict is not the expected one

Usage: cargo xtask conformance grader [FLAGS]

  --cases FILE        one JSON object a line (default: ../shared/conformance/grader/cases.jsonl, or
                      below LUFFY_SHARED; then robustness.jsonl beside it is graded too)
  --robustness FILE   a second file, as a rule one with rows of which nothing is expected
  --profile PROFILE   `lenient` (default, for evaluation) or `training` (only a complete box counts)
  --list              every disagreement, and every verdict on a row of which nothing is expected

A row has `gold` or `golds`, `response`, `expected` (true, false or null) and, if it likes, `id`, `rule`,
`category` and `format` (`plain` by default, or `think`: the answer follows the thoughts).
FN is a right answer graded wrong, FP a wrong one graded right. The last line reads
`agreement 0.NNNN (FN n, FP n, N cases)`. Disagreements are no failure; a panic of the grader, a check
over its step budget, a line that is no row or a file that cannot be read is one, and makes the exit
status 1. Builds without burn.
";

/// What `cargo xtask conformance objective --help` prints.
const OBJECTIVE_HELP: &str = "\
Compare losses, gradients, advantages and logged figures with the reference's

Usage: cargo xtask conformance objective [--cases FILE] [--backend B]

  --cases FILE  one case a line (default: ../shared/conformance/objective/cases.jsonl, or below
                LUFFY_SHARED)
  --backend B   flex (default) or tch

A case has `kind` (mixed_policy_loss, ppo_clip_loss, sft_loss, kl, token_statistics or advantage), `id`,
`config`, `inputs` and `expected`. Every figure of `expected` is evaluated in f64 (1e-6 relative, and 1e-12 for
sums that cancel) and in f32 (1e-6 + 1e-5 |y|); null means that the reference takes a mean over nothing: such a
figure must be absent, and a loss and its gradient zero. Each figure that is wrong is printed with the case, the
precision, what was found and what was wanted; so is a kind, a key or a figure that is not known, and a file
without a case. The last line reads `N passed, M failed`, in cases; a failure makes the exit status 1.
";

/// What `cargo xtask conformance models --help` prints.
const MODELS_HELP: &str = "\
Compare checkpoints with what transformers and PyTorch compute with them

Usage: cargo xtask conformance models [--cases DIR] [--backend B]

  --cases DIR   a folder of Hugging Face folders, each with an `expected.json` (default:
                ../shared/conformance/models, or below LUFFY_SHARED)
  --backend B   flex (default), tch or cuda

Compared are token ids and rendered chats (equal), log-probs and entropies (2e-5 nats), last logits (1e-4),
greedy tokens (equal), losses and gradient norms of AdamW steps with and without recomputation (1e-4,
relative), and log-probs while sampling in batches of every kind with those from scoring (2e-5). A line for
each checkpoint shows the largest distances; the last line reads `N passed, M failed`. A failure makes the
exit status 1.
";

/// The comparison that is named first.
pub(crate) fn run(mut args: Vec<String>) -> Result<(), Failure> {
    let name = if args.is_empty() { String::new() } else { args.remove(0) };
    match name.as_str() {
        "objective" => objective(args),
        "models" => models(args),
        "transformers" => transformers(args),
        "round-trip" => round_trip(args),
        "grader" => grader(args),
        _ => Err(Failure::usage(
            "say what to compare: `cargo xtask conformance objective`, `.. grader`, `.. models`, \
             `.. transformers` or `.. round-trip`",
        )),
    }
}

/// Has the grader judge rows whose verdict is known.
fn grader(mut args: Vec<String>) -> Result<(), Failure> {
    if wants_help(&args) {
        print!("{GRADER_HELP}");
        return Ok(());
    }
    if value_of(&args, "--cases").is_none() {
        let cases = default_cases()?;
        let debatable = cases.with_file_name("robustness.jsonl");
        args.extend(["--cases".to_owned(), cases.display().to_string()]);
        if value_of(&args, "--robustness").is_none() && debatable.exists() {
            args.extend(["--robustness".to_owned(), debatable.display().to_string()]);
        }
    }
    let mut command = example("conformance", "run");
    Err(process::become_program(command.arg("--").args(args)))
}

/// Has the program compare losses and advantages with those of the reference.
fn objective(mut args: Vec<String>) -> Result<(), Failure> {
    if wants_help(&args) {
        print!("{OBJECTIVE_HELP}");
        return Ok(());
    }
    if value_of(&args, "--cases").is_none() {
        let cases = shared("conformance/objective/cases.jsonl").map_err(|tried| {
            Failure::usage(format!(
                "name the cases with --cases FILE.jsonl; there are none at {}",
                tried.display()
            ))
        })?;
        args.extend(["--cases".to_owned(), cases.display().to_string()]);
    }
    luffy::run_subcommand("conformance-objective", args)
}

/// Has the program compare checkpoints with what transformers and PyTorch computed for them.
fn models(mut args: Vec<String>) -> Result<(), Failure> {
    if wants_help(&args) {
        print!("{MODELS_HELP}");
        return Ok(());
    }
    if value_of(&args, "--cases").is_none() {
        let cases = shared("conformance/models").map_err(|tried| {
            Failure::usage(format!(
                "name the checkpoints with --cases DIR; there are none at {}",
                tried.display()
            ))
        })?;
        args.extend(["--cases".to_owned(), cases.display().to_string()]);
    }
    luffy::run_subcommand("conformance-models", args)
}

/// Has a checkpoint written by the program in several ways, and each read by Python transformers.
fn round_trip(mut args: Vec<String>) -> Result<(), Failure> {
    let backend = Backend::take_from(&mut args)?.unwrap_or(Backend::Flex);
    let model = match value_of(&args, "--model") {
        Some(model) => PathBuf::from(model),
        None => default_model()?,
    };
    // Three shards, whatever the size.
    let third = weight_bytes(&model)? / 3 + 1;
    let python = python()?;
    let mut failed = Vec::new();
    for (name, dtype, shard) in [
        ("f32", "f32", u64::MAX),
        ("f32-sharded", "f32", third),
        ("bf16-sharded", "bf16", third / 2),
    ] {
        let out = target_dir().join("conformance").join(format!("round-trip-{name}"));
        if out.exists() {
            std::fs::remove_dir_all(&out).map_err(|error| {
                Failure::new(format!("cannot remove {}: {error}", out.display()))
            })?;
        }
        std::fs::create_dir_all(out.parent().unwrap_or(&out))
            .map_err(|error| Failure::new(format!("cannot create {}: {error}", out.display())))?;
        let (from, to, shard) =
            (model.display().to_string(), out.display().to_string(), shard.to_string());
        let export = [
            "export",
            "--model",
            &from,
            "--out",
            &to,
            "--dtype",
            dtype,
            "--max-shard-size",
            &shard,
        ]
        .map(str::to_owned);
        let mut command = luffy::command(backend, &export);
        backend.prepare(&mut command)?;
        process::run(&mut command)?;
        let mut check = Command::new(&python);
        check.arg(peers().join("round_trip.py")).args([&from, &to]);
        if dtype == "bf16" {
            check.args(["--dtype", "bfloat16"]);
        }
        if process::run(&mut check).is_err() {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("transformers reads another model from {}", failed.join(", "))))
    }
}

/// Bytes of the safetensors in a folder.
fn weight_bytes(model: &Path) -> Result<u64, Failure> {
    let files = std::fs::read_dir(model)
        .map_err(|error| Failure::usage(format!("cannot list {}: {error}", model.display())))?;
    let of = |path: PathBuf| {
        let is_weights = path.extension().is_some_and(|extension| extension == "safetensors");
        is_weights.then(|| std::fs::metadata(path).map_or(0, |metadata| metadata.len()))
    };
    Ok(files.filter_map(Result::ok).filter_map(|entry| of(entry.path())).sum())
}

/// `cargo VERB --release --example NAME` of the crate that grades.
pub(crate) fn example(name: &str, verb: &str) -> Command {
    let mut command = Command::new(cargo());
    command.args([verb, "--release"]);
    // As for the program: after the first build cargo's own lines are noise.
    if target_dir().join("release/examples").join(name).exists() {
        command.arg("--quiet");
    }
    command.arg("--manifest-path").arg(workspace_root().join("Cargo.toml")).args([
        "-p",
        "luffy-reward",
        "--example",
        name,
    ]);
    command
}

/// The graded responses that lie beside the checkout.
pub(crate) fn default_cases() -> Result<PathBuf, Failure> {
    shared("conformance/grader/cases.jsonl").map_err(|tried| {
        Failure::usage(format!(
            "name the rows with --cases FILE.jsonl; there are none at {}",
            tried.display()
        ))
    })
}

/// Whether the arguments ask what they mean.
pub(crate) fn wants_help(args: &[String]) -> bool {
    args.iter().any(|arg| arg == "--help" || arg == "-h")
}

/// Has a checkpoint scored by the program and by Python transformers, and compares.
fn transformers(mut args: Vec<String>) -> Result<(), Failure> {
    let backend = Backend::take_from(&mut args)?.unwrap_or(Backend::Flex);
    let wants_help = wants_help(&args);
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

/// The tiny checkpoint with random weights that lies beside the checkout.
fn default_model() -> Result<PathBuf, Failure> {
    shared("conformance/models/qwen2-tied").map_err(|tried| {
        Failure::usage(format!(
            "name a checkpoint with --model DIR; there is none at {}",
            tried.display()
        ))
    })
}

/// The value of `--name VALUE` or `--name=VALUE`.
pub(crate) fn value_of<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
    args.iter().enumerate().find_map(|(at, arg)| match arg.strip_prefix(name)? {
        "" => args.get(at + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_that_does_not_exist_is_a_usage_error() {
        for args in [vec![], vec!["sglang".to_owned()]] {
            assert_eq!(run(args).map_err(|failure| failure.code()), Err(2));
        }
    }

    #[test]
    fn the_grader_is_built_without_the_program() {
        let command = example("conformance", "run");
        let given: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
        let at = given.iter().position(|arg| arg == "-p").expect("a package is named");
        assert_eq!(given[at..], ["-p", "luffy-reward", "--example", "conformance"]);
        assert_eq!(given[..2], ["run", "--release"]);
    }

    #[test]
    fn help_on_objective_names_its_flags_and_the_form_of_the_last_line() {
        for word in ["--cases", "--backend", "null", "N passed, M failed"] {
            assert!(OBJECTIVE_HELP.contains(word), "{word}");
        }
    }

    #[test]
    fn help_on_models_names_its_flags_and_the_form_of_the_last_line() {
        for word in ["--cases", "--backend", "N passed, M failed"] {
            assert!(MODELS_HELP.contains(word), "{word}");
        }
    }

    #[test]
    fn help_names_every_flag_and_the_form_of_the_last_line() {
        for word in ["--cases", "--robustness", "--profile", "--list", "agreement 0.NNNN"] {
            assert!(GRADER_HELP.contains(word), "{word}");
        }
    }

    #[test]
    fn a_flag_is_read_in_both_spellings() {
        let args = ["--model", "a b", "--scores=c", "--modelling", "d"].map(str::to_owned);
        assert_eq!(value_of(&args, "--model"), Some("a b"));
        assert_eq!(value_of(&args, "--scores"), Some("c"));
        assert_eq!(value_of(&args, "--tolerance"), None);
        assert_eq!(value_of(&args[3..], "--model"), None);
    }
}
