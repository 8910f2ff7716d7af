//! The command line.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, anyhow};
use clap::{Args, Parser, Subcommand};

use crate::base::{self, BaseRecipe};
use crate::compare;
use crate::config::{self, RECIPES, RunConfig, Sources};
use crate::exit::{Code, WithCode};
use crate::generate::whole;
use crate::progress::Show;
use crate::run::{self, RunOptions};
use crate::{stdout, table};

/// Post-training of language models with off-policy guidance.
#[derive(Debug, Parser)]
#[command(name = "luffy", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a policy; without arguments, recipe `addition`.
    Train(TrainArgs),
    /// Peak memory and seconds of a step of a configuration, before anything is allocated.
    Plan(PlanArgs),
    /// Look at data files, convert them, make training files.
    #[command(subcommand)]
    Data(crate::data::DataCommand),
    /// Rebuild the base policy of recipe `addition` and write it as a Hugging Face folder.
    Base(BaseArgs),
    /// Write a model with random weights, of the shape of a `config.json`.
    Init(crate::init::InitArgs),
    /// Write a model in another precision, for transformers and vLLM.
    Export(crate::export::ExportArgs),
    /// Grade a JSONL file of responses with gold answers.
    Grade(crate::grade::GradeArgs),
    /// Turn texts or conversations into token ids.
    Tokenize(crate::tokenize::TokenizeArgs),
    /// Log-probs and entropies of given tokens under a model.
    Score(crate::score::ScoreArgs),
    /// Responses of a model to prompts.
    Generate(crate::generate::GenerateArgs),
    /// Measure a model on benchmarks: avg@k, pass@k, maj@k.
    Eval(crate::eval::EvalArgs),
    /// Run the paper's arms at small scale and report what of it shows.
    Reproduce(crate::reproduce::ReproduceArgs),
    /// List the built-in recipes, or print one.
    Recipes {
        /// The recipe to print.
        name: Option<String>,
    },
    /// Log-probs of a model on random tokens, to compare with another implementation.
    #[command(hide = true)]
    ScoreSample(crate::score::ScoreSampleArgs),
    /// Losses, gradients, advantages and logged figures beside those of the reference.
    #[command(hide = true)]
    ConformanceObjective(crate::conformance::ObjectiveArgs),
    /// Checkpoints beside what transformers and PyTorch compute with them.
    #[command(hide = true)]
    ConformanceModels(crate::conformance::ModelsArgs),
    /// Peak memory and seconds of loading, scoring and one training step.
    #[command(hide = true)]
    MeasureMemory(crate::measure::MeasureArgs),
    /// Does the jobs that `cargo xtask bench peers` writes to its input, a JSON object a line.
    #[command(hide = true)]
    MeasureSpeed,
}

/// Where a configuration comes from.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// A built-in recipe; see `luffy recipes`.
    #[arg(long, value_name = "NAME")]
    recipe: Option<String>,
    /// A TOML file; later files win over earlier ones and over the recipe.
    #[arg(long = "config", value_name = "FILE")]
    configs: Vec<PathBuf>,
    /// Sets one key, last of all: `--set optimizer.lr=1e-5`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Short for `--set seed=N`.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u64>)]
    seed: Option<u64>,
    /// Short for `--set parallel.replicas=N`. The result does not depend on it.
    #[arg(long, value_name = "N")]
    replicas: Option<usize>,
}

#[derive(Debug, Args)]
struct PlanArgs {
    #[command(flatten)]
    sources: ConfigArgs,
    /// Print one JSON object, in bytes and seconds.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TrainArgs {
    #[command(flatten)]
    sources: ConfigArgs,
    /// The run directory; must not exist. By default `runs/NAME`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the run in this directory from its newest checkpoint.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["recipe", "configs", "out", "dry_run", "seed"])]
    resume: Option<PathBuf>,
    /// Print the resolved configuration and stop.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct BaseArgs {
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Keys initial weights and examples.
    #[arg(long, default_value_t = BaseRecipe::default().seed, allow_negative_numbers = true,
        value_parser = whole::<u64>)]
    seed: u64,
    /// Steps of the skill phase.
    #[arg(long, default_value_t = BaseRecipe::default().skill_steps)]
    skill_steps: u64,
    /// Steps of the habit phase; fewer leave more inclination to think.
    #[arg(long, default_value_t = BaseRecipe::default().habit_steps)]
    habit_steps: u64,
    /// Workers side by side; 0 for one per core.
    #[arg(long, default_value_t = 0)]
    replicas: usize,
}

/// Parses the command line and does what it says.
///
/// # Errors
/// What went wrong; [`crate::exit::code_of`] gives its exit code.
pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Train(args) => train(&args),
        Command::Plan(args) => {
            let (config, _) = configuration(&args.sources)?;
            crate::plan::plan(&config, args.json)
        }
        Command::Data(command) => crate::data::run(&command),
        Command::Base(args) => build_base(&args),
        Command::Init(args) => crate::init::init(&args),
        Command::Export(args) => crate::export::export(&args),
        Command::Grade(args) => crate::grade::grade(&args, wants_bar()),
        Command::Tokenize(args) => crate::tokenize::tokenize(&args, wants_bar()),
        Command::Score(args) => crate::score::score(&args, wants_bar()),
        Command::Generate(args) => crate::generate::generate(&args, wants_bar()),
        Command::Eval(args) => crate::eval::eval(&args, wants_bar()),
        Command::Reproduce(args) => {
            let workers = resolve_replicas(args.workers());
            crate::reproduce::reproduce(&args, workers, &options()?, &say)
        }
        Command::Recipes { name } => recipes(name.as_deref()),
        Command::ScoreSample(args) => crate::score::score_sample(&args),
        Command::MeasureMemory(args) => crate::measure::measure(&args),
        Command::MeasureSpeed => crate::measure::measure_speed(),
        Command::ConformanceObjective(args) => crate::conformance::objective(&args),
        Command::ConformanceModels(args) => crate::conformance::models(&args),
    }
}

fn train(args: &TrainArgs) -> anyhow::Result<()> {
    let options = options()?;
    if let Some(dir) = &args.resume {
        if !args.sources.sets.is_empty() {
            let error = anyhow!(
                "a resumed run keeps its configuration; only `--replicas` may change. \
                 Start a new run from its checkpoint to change more"
            );
            return Err(error).code(Code::Config);
        }
        let (config, replicas) =
            (run::stored_config(dir)?, args.sources.replicas.map(resolve_replicas));
        if config.compare.methods.is_empty() {
            return finish(&run::resume(dir, replicas, &options)?);
        }
        return finish_comparison(&compare::resume(dir, replicas, &options, &say)?, dir);
    }
    let (config, name) = configuration(&args.sources)?;
    if args.dry_run {
        run::validate(&config)?;
        return stdout::print(&toml::to_string(&config)?);
    }
    let out = args.out.clone().unwrap_or_else(|| run::free_run_dir(&name));
    if config.compare.methods.is_empty() {
        finish(&run::train(&config, &out, &options)?)
    } else {
        finish_comparison(&compare::compare(&config, &out, &options, &say)?, &out)
    }
}

/// The configuration that the arguments name, with as many replicas as it will have, and what to call it.
fn configuration(args: &ConfigArgs) -> anyhow::Result<(RunConfig, String)> {
    let mut sets = args.sets.clone();
    sets.extend(args.seed.map(|seed| format!("seed={seed}")));
    sets.extend(args.replicas.map(|replicas| format!("parallel.replicas={replicas}")));
    // Without any source the default job is meant.
    let recipe = match (&args.recipe, args.configs.is_empty()) {
        (Some(name), _) => Some(name.as_str()),
        (None, true) => Some("addition"),
        (None, false) => None,
    };
    let sources = Sources { recipe, files: &args.configs, sets: &sets };
    let mut config: RunConfig = config::load(&sources).code(Code::Config)?;
    config.parallel.replicas = resolve_replicas(config.parallel.replicas);
    Ok((config, recipe.unwrap_or("train").to_owned()))
}

/// 0 becomes one per core on the CPU backend, one elsewhere.
fn resolve_replicas(asked: usize) -> usize {
    match asked {
        0 if crate::device::BACKEND == "flex" => {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        }
        0 => 1,
        n => n,
    }
}

fn finish(outcome: &run::Outcome) -> anyhow::Result<()> {
    let summary = &outcome.summary;
    if !summary.counts.is_empty() {
        stdout::say(&table::accuracy_table(&summary.base_counts, &summary.counts))?;
    }
    stdout::say(&format!(
        "{} steps of {} in {:.0} s, {} without anything to learn; report: {}",
        summary.steps,
        summary.method,
        summary.seconds,
        summary.skipped_steps,
        outcome.dir.join("report.html").display()
    ))
}

fn finish_comparison(
    comparison: &compare::Comparison,
    dir: &std::path::Path,
) -> anyhow::Result<()> {
    stdout::say(&table::comparison_table(comparison))?;
    stdout::say(&format!("report: {}", dir.join("report.html").display()))
}

#[allow(clippy::print_stderr, reason = "progress goes to stderr")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[allow(clippy::disallowed_methods, reason = "luffy-cli alone reads the environment")]
fn options() -> anyhow::Result<RunOptions> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            // Asked twice: the last checkpoint must do.
            #[allow(clippy::exit, reason = "the second interrupt asks for exactly this")]
            std::process::exit(Code::Interrupted as i32);
        }
        say("interrupted: finishing the step and saving; interrupt again to stop at once");
    })
    .context("cannot listen for interrupts")?;
    let show = if wants_bar() { Show::Bar } else { Show::Lines };
    Ok(RunOptions { interrupted, show, command: std::env::args().collect() })
}

/// Whether a person watches stderr.
fn wants_bar() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("CI").is_none()
}

fn build_base(args: &BaseArgs) -> anyhow::Result<()> {
    let recipe = BaseRecipe {
        seed: args.seed,
        skill_steps: args.skill_steps,
        habit_steps: args.habit_steps,
        ..BaseRecipe::default()
    };
    let report = base::build(&args.out, recipe, resolve_replicas(args.replicas), &say)?;
    stdout::say(&serde_json::to_string_pretty(&report)?)
}

fn recipes(name: Option<&str>) -> anyhow::Result<()> {
    if let Some(name) = name {
        return stdout::print(&config::recipe_text(name).code(Code::Config)?);
    }
    RECIPES
        .iter()
        .try_for_each(|recipe| stdout::say(&format!("{:<20} {}", recipe.name, recipe.about)))
}
