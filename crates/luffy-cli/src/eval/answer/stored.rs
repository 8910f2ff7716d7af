//! Responses that an interrupted evaluation has left.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use anyhow::{Context, anyhow};

use crate::eval::record::Line;
use crate::exit::{Code, WithCode};

/// What of a file counts: whole units.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) n_lines: usize,
    /// Where the last of them ends in the file.
    pub(super) offset: u64,
}

/// Hands on the lines of the units that are complete. `expected` names problem and sample of every line,
/// `ends` the numbers of lines at which units end, ascending. A last line without its end is what a killed
/// process leaves, and is passed over.
///
/// # Errors
/// If the file cannot be read, or a line is not the expected one: then the file is another evaluation's.
pub(super) fn read(
    path: &Path,
    expected: &[(&str, u32)],
    ends: &[usize],
    mut take: impl FnMut(Line),
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
            unit.drain(..).for_each(&mut take);
            stored = Stored { n_lines, offset };
        }
    }
}

fn check(bytes: &[u8], expected: Option<&(&str, u32)>) -> Result<Line, String> {
    let line: Line = serde_json::from_slice(bytes)
        .map_err(|error| format!("no response of an evaluation: {error}"))?;
    let found = (line.problem.as_str(), line.sample);
    match expected {
        Some(expected) if *expected == found => Ok(line),
        Some((problem, sample)) => Err(format!(
            "expected sample {sample} of {problem}, found sample {} of {}: the data has changed; name \
             another folder with `--out`",
            found.1, found.0
        )),
        None => Err(format!(
            "sample {} of {} is more than was asked for: the data has changed; name another folder with \
             `--out`",
            found.1, found.0
        )),
    }
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

    fn check_text(text: &str) -> Result<(usize, u64), String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("responses.jsonl");
        fs::write(&path, text).unwrap();
        let mut n_taken = 0;
        read(&path, &EXPECTED, &[2, 4, 5], |_| n_taken += 1)
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
        let missing = read(Path::new("/nonexistent"), &EXPECTED, &[5], |_| {});
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
