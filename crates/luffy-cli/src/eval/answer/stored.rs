//! Responses that an interrupted evaluation has left.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use anyhow::{Context, anyhow};
use luffy_core::Task;

use crate::eval::record::Line;
use crate::exit::{Code, WithCode};
use crate::rows::json;

/// What of a file counts: whole units.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) n_lines: usize,
    /// Where the last of them ends in the file.
    pub(super) offset: u64,
}

/// What a line must be about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) task: &'a Task,
    pub(super) sample: u32,
    pub(super) prompt_digest: Option<&'a str>,
}

/// Hands on the lines of the units that are complete. `expected` says what every line is about, `ends` the numbers of lines at which units end, ascending. A last line without its end is what a killed
/// process leaves, and is passed over.
///
/// # Errors
/// If the file cannot be read, or a line is not the expected one: then the file is another evaluation's.
pub(super) fn read(
    path: &Path,
    expected: &[Expected<'_>],
    ends: &[usize],
    mut take: impl FnMut(Line) -> Result<(), String>,
) -> anyhow::Result<Stored> {
    let context = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Stored::default()),
        Err(error) => return Err(error).with_context(context).code(Code::Input),
    };
    let mut input = BufReader::new(file);
    let (mut unit, mut n_lines, mut offset) = (Vec::new(), 0, 0_u64);
    let mut stored = Stored::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        input.read_until(b'\n', &mut bytes).with_context(context).code(Code::Input)?;
        if bytes.last() != Some(&b'\n') {
            return Ok(stored);
        }
        let line = check(&bytes, expected.get(n_lines))
            .map_err(|what| anyhow!("{}:{}: {what}", path.display(), n_lines + 1))
            .code(Code::Input)?;
        unit.push(line);
        n_lines += 1;
        offset += bytes.len() as u64;
        if ends.binary_search(&n_lines).is_ok() {
            unit.drain(..)
                .try_for_each(&mut take)
                .map_err(|what| anyhow!("{}: {what}", path.display()))
                .code(Code::Input)?;
            stored = Stored { n_lines, offset };
        }
    }
}

fn check(bytes: &[u8], expected: Option<&Expected<'_>>) -> Result<Line, String> {
    const REMEDY: &str = "the data has changed; name another folder with `--out`";
    let line: Line = serde_json::from_slice(bytes)
        .map_err(|error| format!("no response of an evaluation: {error}"))?;
    let (problem, sample) = (&line.problem, line.sample);
    let Some(Expected { task, sample: n, prompt_digest }) = expected else {
        return Err(format!("sample {sample} of {problem} is more than was asked for: {REMEDY}"));
    };
    let what = if (&task.id, *n) != (problem, sample) {
        let id = &task.id;
        format!("expected sample {n} of {id}, found sample {sample} of {problem}")
    } else if task.source != line.source {
        format!("{problem}: its source is {}, was {}", json(&task.source), json(&line.source))
    } else if task.golds != line.golds {
        format!("{problem}: its golds are {}, were {}", json(&task.golds), json(&line.golds))
    } else if line.prompt_digest.as_deref() != *prompt_digest {
        format!("{problem}: its prompt is another")
    } else {
        return Ok(line);
    };
    Err(format!("{what}: {REMEDY}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(problem: &str, sample: u32) -> String {
        format!(
            "{{\"problem\":\"{problem}\",\"source\":\"s\",\"sample\":{sample},\"golds\":[\"1\"],\
             \"verifier\":\"math\",\"format\":\"plain\",\"prompt_len\":3,\"response\":\"\",\"n_tokens\":0,\
             \"finish\":\"too-long\",\"correct\":false,\"verdict\":\"malformed\",\"reason\":\"no-answer\",\
             \"extracted\":null}}\n"
        )
    }

    const EXPECTED: [(&str, u32); 5] = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 0)];

    fn tasks() -> Vec<Task> {
        let task = |(id, _): &(&str, u32)| Task {
            id: (*id).into(),
            source: "s".into(),
            messages: vec![],
            golds: vec!["1".into()],
            demonstrations: vec![],
            extra: serde_json::Map::new(),
        };
        EXPECTED.iter().map(task).collect()
    }

    fn expected(tasks: &[Task]) -> Vec<Expected<'_>> {
        let samples = EXPECTED.iter().map(|(_, sample)| *sample);
        let pairs = tasks.iter().zip(samples);
        pairs.map(|(task, sample)| Expected { task, sample, prompt_digest: None }).collect()
    }

    fn check_text(text: &str) -> Result<(usize, u64), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("responses.jsonl");
        fs::write(&path, text).unwrap();
        let mut n_taken = 0;
        let take = |_| {
            n_taken += 1;
            Ok(())
        };
        read(&path, &expected(&tasks()), &[2, 4, 5], take)
            .map(|stored| {
                assert_eq!(stored.n_lines, n_taken);
                (stored.n_lines, stored.offset)
            })
            .map_err(|error| {
                format!("{error:#}").replace(&format!("{}/", dir.path().display()), "")
            })
    }

    #[test]
    fn only_whole_units_count() {
        let lines = [line("a", 0), line("a", 1), line("b", 0), line("b", 1), line("c", 0)];
        let len = lines[0].len() as u64;
        for (n, kept) in [(0, 0), (1, 0), (2, 2), (3, 2), (4, 4), (5, 5)] {
            let text = lines[..n].concat();
            assert_eq!(check_text(&text), Ok((kept, kept as u64 * len)), "{n} lines");
            let cut = format!("{text}{}", &lines[0].get(..20).unwrap());
            assert_eq!(check_text(&cut), Ok((kept, kept as u64 * len)), "{n} lines and a part");
        }
        let missing = read(Path::new("/nonexistent"), &expected(&tasks()), &[5], |_| Ok(()));
        assert_eq!(missing.unwrap(), Stored::default());
    }

    #[test]
    fn lines_of_another_evaluation_are_refused() {
        let error = check_text(&(line("a", 0) + &line("b", 0))).unwrap_err();
        let expected = "responses.jsonl:2: expected sample 1 of a, found sample 0 of b: ";
        assert!(error.starts_with(expected), "{error}");
        let all = [line("a", 0), line("a", 1), line("b", 0), line("b", 1), line("c", 0)].concat();
        let error = check_text(&(all + &line("d", 0))).unwrap_err();
        assert!(error.contains(":6: sample 0 of d is more than was asked for"), "{error}");
        let error = check_text("{}\n").unwrap_err();
        assert!(error.starts_with("responses.jsonl:1: no response of an evaluation: "), "{error}");
    }
}
