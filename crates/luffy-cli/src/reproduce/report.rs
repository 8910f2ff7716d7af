//! `report.md`: every table, picture and verdict, made from the runs that are there.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};

use super::claims::{Finding, Verdict, judge, of_set, pairs};
use super::picture;
use super::plan::{Claim, Measure, Plan};
use super::results::{Curves, Series, arm_runs};
use super::tables::{self, Found};
use crate::atomic::write_atomic;
use crate::exit::{Code, WithCode};
use crate::machine;
use crate::progress::duration;

const BEGIN: &str = "<!-- reproduction: begin, written by `cargo xtask reproduce --write` -->";
const END: &str = "<!-- reproduction: end -->";

/// Title, explanation, decimals and curve of the tables over steps.
type OverSteps = (&'static str, &'static str, usize, fn(&Curves) -> &Series);

const OVER_STEPS: [OverSteps; 4] = [
    (
        "Entropy",
        "Of sampled tokens, in nats, where there was an update: a step in which no group has spread measures none.",
        4,
        |c| &c.entropy,
    ),
    ("Length", "Of greedy answers to all test problems, in tokens.", 1, |c| &c.greedy_length),
    (
        "Demonstration probability",
        "Mean probability of demonstrated tokens before the update.",
        3,
        |c| &c.demonstration_probability,
    ),
    (
        "Similarity to demonstrations",
        "ROUGE-L, `2 L / (m + n)` with the longest common subsequence `L` of two answers of `m` and `n` tokens, between greedy answers to the test problems of levels 3 and 4 and what the teacher writes for them; the paper has BLEU.",
        3,
        |c| &c.similarity,
    ),
];

/// Refuses a page that has no place for the report.
///
/// # Errors
/// If it cannot be read or has no markers.
pub(super) fn check_page(page: &Path) -> anyhow::Result<()> {
    replace(&read_page(page)?, page, "").map(|_| ())
}

fn read_page(page: &Path) -> anyhow::Result<String> {
    fs::read_to_string(page)
        .with_context(|| format!("cannot read {}", page.display()))
        .code(Code::Config)
}

fn replace(text: &str, page: &Path, part: &str) -> anyhow::Result<String> {
    let found = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)))
        .ok_or_else(|| anyhow!("{} has no lines `{BEGIN}` and `{END}`", page.display()));
    let (before, after) = found.code(Code::Config)?;
    Ok(format!("{before}{BEGIN}\n\n{part}\n{END}{after}"))
}

/// Writes the report and its pictures into the directory, and between the markers of `page`. Gives what
/// is worth a line on the screen.
///
/// # Errors
/// If a run cannot be read or a file cannot be written.
pub(super) fn write(
    plan: &Plan,
    dir: &Path,
    command: &[String],
    page: Option<&Path>,
) -> anyhow::Result<String> {
    let mut sets = Vec::new();
    for set in &plan.sets {
        let mut found = Found { set, arms: Vec::new() };
        for arm in &plan.arms {
            let runs = arm_runs(plan, arm, set, dir)?;
            if !runs.runs.is_empty() || !runs.diverged.is_empty() {
                found.arms.push((arm, runs));
            }
        }
        if !found.arms.is_empty() {
            sets.push(found);
        }
    }
    let parts = Parts {
        about: about(dir, command, &sets)?,
        rates: tables::rates(plan, dir)?,
        bases: tables::bases(plan, dir)?,
    };
    for found in &sets {
        let picture = picture::curves(plan, found);
        write_atomic(&dir.join(format!("curves-{}.svg", found.set.name)), picture.as_bytes())?;
        if let Some(page) = page {
            let images = page.with_file_name("images");
            fs::create_dir_all(&images)
                .with_context(|| format!("cannot make {}", images.display()))?;
            let file = images.join(format!("reproduction-{}.svg", found.set.name));
            write_atomic(&file, picture.as_bytes())?;
        }
    }
    let text = format!("# Reproduction\n\n{}", body(plan, &sets, &parts, "curves-"));
    write_atomic(&dir.join("report.md"), text.as_bytes())?;
    if let Some(page) = page {
        let part = body(plan, &sets, &parts, "images/reproduction-");
        let text = replace(&read_page(page)?, page, &part)?;
        write_atomic(page, text.as_bytes())?;
    }
    Ok(on_screen(plan, &sets))
}

/// What does not depend on where the report is written.
struct Parts {
    about: String,
    rates: String,
    bases: String,
}

/// Machine, commit, number of runs and what they cost.
fn about(dir: &Path, command: &[String], sets: &[Found<'_>]) -> anyhow::Result<String> {
    let run = machine::describe(command, 0);
    let text =
        |key: &str| run.pointer(key).and_then(|v| v.as_str()).unwrap_or("unknown").to_owned();
    let runs: Vec<_> = sets.iter().flat_map(|f| &f.arms).flat_map(|(_, arm)| &arm.runs).collect();
    let seconds: f64 = runs.iter().map(|run| run.summary.seconds).sum();
    let n_all = finished(&dir.join("runs"))?;
    let commit = text("/versions/commit");
    let commit = commit.get(..12).unwrap_or(&commit);
    let modified = if run["versions"]["modified"] == true { ", modified" } else { "" };
    let cores = run["machine"]["cores"].as_u64().unwrap_or(0);
    let mut about = format!(
        "{} runs count, {} more chose learning rates; those that count took {} altogether, each on one core.\n",
        runs.len(),
        n_all.saturating_sub(runs.len()),
        duration(seconds)
    );
    let _ = writeln!(
        about,
        "Commit `{commit}`{modified}, burn {}, {cores} cores of {}.",
        text("/versions/burn"),
        text("/machine/cpu")
    );
    Ok(about)
}

/// Finished runs below a folder.
fn finished(dir: &Path) -> anyhow::Result<usize> {
    if !dir.exists() {
        return Ok(0);
    }
    if dir.join("summary.json").exists() {
        return Ok(1);
    }
    if dir.join("config.toml").exists() {
        return Ok(0);
    }
    let context = || format!("cannot list {}", dir.display());
    let mut n = 0;
    for entry in fs::read_dir(dir).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_dir() {
            n += finished(&path)?;
        }
    }
    Ok(n)
}

fn body(plan: &Plan, sets: &[Found<'_>], parts: &Parts, pictures: &str) -> String {
    let mut text = parts.about.clone();
    if sets.is_empty() {
        text.push_str("\nNo run that counts is finished.\n");
    }
    for found in sets {
        let (most, fewest) = found.n_seeds();
        let seeds = if most == fewest { most.to_string() } else { format!("{fewest} to {most}") };
        let _ = writeln!(text, "\n## Set `{}`\n", found.set.name);
        let plural = if seeds == "1" { "" } else { "s" };
        let _ = writeln!(text, "{}; {seeds} seed{plural}.\n", capital(&found.set.about));
        text.push_str(&tables::accuracy(plan, found));
        let _ = writeln!(text, "\n![curves on set {0}]({pictures}{0}.svg)\n", found.set.name);
        text.push_str(&verdicts(plan, found));
        for (title, about, decimals, of) in OVER_STEPS {
            let _ = writeln!(text, "\n### {title}, set `{}`\n\n{about}\n", found.set.name);
            text.push_str(&tables::over_steps(plan, found, decimals, of));
        }
    }
    let _ = writeln!(text, "\n## Learning rates\n");
    text.push_str("Mean accuracy over levels and tuning sets on a seed of its own; of equally good rates the smallest is taken.\n\n");
    text.push_str(&parts.rates);
    let _ = writeln!(text, "\n## Bases\n");
    text.push_str("P(thinks) is the mean probability of `<think>` and the newline after it on levels 3 and 4.\n\n");
    text.push_str(&parts.bases);
    let _ = writeln!(text, "\n## How to read this\n");
    text.push_str(READING);
    text
}

const READING: &str = "\
- Accuracy is greedy, on the same test problems for every run; the mean is over the four levels.
- Intervals are paired bootstraps of 95 %, 1,000 resamples: of accuracy over seeds and problems, of other figures over seeds.
- *Appears*: the difference has the sign that was claimed and its interval excludes 0; accuracy needs three seeds or more, every other figure a two-sided sign test over seeds below 0.05, for which six are needed. *The other way round*: the same with the other sign. *Leans*: the interval excludes 0, and the seeds are too few.
- Many claims are judged: of twenty that do not hold, one appears by chance.
- Take-off is the first step whose on-policy reward on levels 3 and 4 is one half or more; the median over seeds, with the number of seeds that get there.
- Steps in the tables are means of the ten steps up to the one named.
- The paper's figures are averages over six benchmarks for Qwen2.5-Math-7B in percent; only the order can be compared.
";

/// The claims of a set, the clearest first.
fn verdicts(plan: &Plan, found: &Found<'_>) -> String {
    let mut text = String::new();
    let judged: Vec<(&Claim, Finding)> = of_set(plan, found.set)
        .filter_map(|claim| {
            let pairs = pairs(found.arm(&claim.more)?, found.arm(&claim.less)?);
            Some((claim, judge(claim, &pairs)))
        })
        .collect();
    for (verdict, title) in [
        (Verdict::Appears, "What appears"),
        (Verdict::Leans, "What leans that way, with too few seeds to tell"),
        (Verdict::Reversed, "What is the other way round"),
        (Verdict::LeansBack, "What leans the other way, with too few seeds to tell"),
        (Verdict::NotSeen, "What does not appear"),
        (Verdict::Untested, "What cannot be judged, since an arm has no such figure"),
    ] {
        let of_verdict: Vec<_> = judged.iter().filter(|(_, f)| f.verdict == verdict).collect();
        if of_verdict.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n### {title}, set `{}`\n", found.set.name);
        for (claim, finding) in of_verdict {
            let _ = writeln!(text, "{}", sentence(claim, finding));
        }
    }
    text.trim_start().to_owned()
}

fn sentence(claim: &Claim, finding: &Finding) -> String {
    let (above, below) = finding.signs;
    let on = match claim.levels.as_slice() {
        [] => String::new(),
        levels => {
            let names: Vec<String> = levels.iter().map(ToString::to_string).collect();
            format!(" on level {}", names.join(" and "))
        }
    };
    let (what, decimals) = match claim.measure {
        Measure::Accuracy => ("accuracy", 3),
        Measure::TakeOff => ("take-off step", 0),
        Measure::Entropy => ("entropy", 4),
        Measure::Length => ("length", 1),
        Measure::Similarity => ("similarity", 3),
        Measure::DemonstrationProbability => ("demonstration probability", 3),
    };
    let value = |value: Option<f64>| match value {
        Some(value) if value.is_infinite() => "never".to_owned(),
        Some(value) => format!("{value:.decimals$}"),
        None => "none".to_owned(),
    };
    let figures = format!(
        "{what}{on} `{}` {}, `{}` {}",
        claim.more,
        value(finding.more),
        claim.less,
        value(finding.less)
    );
    let difference = finding.difference.map_or(String::new(), |d| {
        format!(
            ", {:+.decimals$} ({:+.decimals$} to {:+.decimals$})",
            d.mean, d.interval.low, d.interval.high
        )
    });
    let (more, less) =
        if claim.measure == Measure::TakeOff { ("later", "earlier") } else { ("more", "less") };
    let ties = match finding.difference.map(|d| d.n_pairs as u64) {
        Some(n) if n > above + below => format!(", {} equal", n - above - below),
        _ => String::new(),
    };
    format!(
        "- {}: {figures}{difference}; {more} in {above} of the seeds, {less} in {below}{ties} (sign test p = {:.3}). There: {}.",
        claim.text,
        finding.p_value(),
        claim.paper
    )
}

/// A line per set: arms, seeds and how many claims came out how.
fn on_screen(plan: &Plan, sets: &[Found<'_>]) -> String {
    let mut text = String::new();
    for found in sets {
        let verdicts: Vec<Verdict> = of_set(plan, found.set)
            .filter_map(|claim| {
                let pairs = pairs(found.arm(&claim.more)?, found.arm(&claim.less)?);
                Some(judge(claim, &pairs).verdict)
            })
            .collect();
        let n = |verdict: Verdict| verdicts.iter().filter(|v| **v == verdict).count();
        let (most, fewest) = found.n_seeds();
        let _ = writeln!(
            text,
            "set {}: {} arms, {fewest} to {most} seeds; of the paper's effects {} appear, {} lean that way, {} do not, {} lean the other way, {} are reversed",
            found.set.name,
            found.arms.len(),
            n(Verdict::Appears),
            n(Verdict::Leans),
            n(Verdict::NotSeen),
            n(Verdict::LeansBack),
            n(Verdict::Reversed)
        );
    }
    if text.is_empty() {
        "no run that counts is finished".to_owned()
    } else {
        text.trim_end().to_owned()
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}
