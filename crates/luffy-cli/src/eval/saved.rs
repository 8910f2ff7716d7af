//! Responses that are saved already.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, anyhow};
use luffy_core::{Outcome, Reason};
use luffy_reward::Format;
use rayon::prelude::*;

use super::record::{Finish, Line, Results};
use super::{EvalArgs, RESPONSES, ensure_some, grading};
use crate::atomic::write_atomic_with;
use crate::config::VerifierName;
use crate::exit::{Code, WithCode};
use crate::meter::Meter;
use crate::rows::{Fields, json};

/// Lines that are graded side by side.
const CHUNK_LINES: usize = 1024;

/// Grades the lines of a file anew, and writes them to the folder of the evaluation if there is one.
///
/// # Errors
/// If the file cannot be read, a line of it cannot be used, or the folder not be written.
pub(super) fn regrade(args: &EvalArgs, file: &Path, bar: bool) -> anyhow::Result<Results> {
    let mut results = Results::new(args.grading.profile, None);
    match &args.out {
        Some(out) => {
            std::fs::create_dir_all(out)
                .with_context(|| format!("cannot make {}", out.display()))?;
            write_atomic_with(&out.join(RESPONSES), |output| {
                each(args, file, bar, &mut |line| {
                    let text = json(&line);
                    results.add(line);
                    writeln(output, &text)
                })
            })?;
        }
        None => each(args, file, bar, &mut |line| {
            results.add(line);
            Ok(())
        })?,
    }
    ensure_some(results.problems.len(), &file.display().to_string())?;
    Ok(results)
}

fn writeln(output: &mut dyn std::io::Write, text: &str) -> anyhow::Result<()> {
    output.write_all(text.as_bytes())?;
    output.write_all(b"\n")?;
    Ok(())
}

/// Hands on every line of the file, graded.
fn each(
    args: &EvalArgs,
    file: &Path,
    bar: bool,
    take: &mut dyn FnMut(Line) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let context = || format!("cannot read {name}");
    let input = std::fs::File::open(file).with_context(context).code(Code::Input)?;
    let n_bytes = input.metadata().ok().map(|metadata| metadata.len());
    let mut meter = Meter::new("responses", n_bytes, bar);
    let mut lines = BufReader::new(input).split(b'\n').enumerate();
    let mut n_bad = 0_u64;
    loop {
        let chunk: Vec<(usize, Vec<u8>)> = lines
            .by_ref()
            .take(CHUNK_LINES)
            .map(|(i, line)| Ok((i + 1, line?)))
            .collect::<std::io::Result<_>>()
            .with_context(context)
            .code(Code::Input)?;
        if chunk.is_empty() {
            break;
        }
        let graded: Vec<Option<Result<Line, String>>> = chunk
            .par_iter()
            .map(|(number, bytes)| {
                let is_blank = bytes.trim_ascii().is_empty();
                (!is_blank).then(|| {
                    let mut line = read(bytes, &format!("{name}:{number}"), args)?;
                    grading::grade(&mut line, args.grading.profile, args.grading.require_stop);
                    Ok(line)
                })
            })
            .collect();
        for ((number, bytes), graded) in chunk.iter().zip(graded) {
            match graded {
                None => {}
                Some(Ok(line)) => {
                    meter.add(1, bytes.len() as u64 + 1, 0);
                    take(line)?;
                }
                Some(Err(what)) => {
                    n_bad += 1;
                    meter.note(&format!("{name}:{number}: {what}"));
                }
            }
        }
    }
    meter.finish();
    if n_bad > 0 {
        // Figures over a part of the responses would be figures of something else.
        let lines = super::counted(n_bad, "line", "lines");
        return Err(anyhow!("{lines} of {name} could not be used")).code(Code::Input);
    }
    Ok(())
}

/// A line as `luffy eval` writes it, or any row with `response` and `golds`: each such row is a problem of
/// its own unless it names one.
fn read(bytes: &[u8], place: &str, args: &EvalArgs) -> Result<Line, String> {
    let fields = Fields::parse(bytes)?;
    let golds = ["golds", "gold"].into_iter().find(|name| fields.has(name));
    let golds = golds.ok_or("no `golds` and no `gold`: a gold answer is needed for a verdict")?;
    let golds: OneOrMany =
        fields.read(golds, "a text or a list of texts")?.unwrap_or(OneOrMany::Many(vec![]));
    let verifier = fields.read("verifier", "the name of a verifier")?;
    let format = fields.read("format", "`think`, `strict-think` or `plain`")?;
    let finish = fields.read("finish", "`stop`, `length` or `too-long`")?;
    Ok(Line {
        problem: fields.read("problem", "a text")?.unwrap_or_else(|| place.to_owned()),
        source: fields.read("source", "a text")?.unwrap_or_else(|| "all".to_owned()),
        sample: fields.read("sample", "a number")?.unwrap_or(0),
        golds: match golds {
            OneOrMany::One(gold) => vec![gold],
            OneOrMany::Many(golds) => golds,
        },
        verifier: args.grading.verifier.or(verifier).unwrap_or(VerifierName::Math),
        format: args.grading.format.or(format).unwrap_or(Format::Plain),
        prompt_len: fields.read("prompt_len", "a number")?.unwrap_or(0),
        response: fields.read("response", "a text")?.ok_or("no `response`")?,
        n_tokens: fields.read("n_tokens", "a number")?.unwrap_or(0),
        finish: finish.unwrap_or(Finish::Stop),
        correct: false,
        verdict: Outcome::BadGold,
        reason: Reason::BadGold,
        extracted: None,
    })
}

/// One gold or several.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}
