//! The loop of every command that turns rows into rows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use crate::atomic::write_atomic_with;
use crate::exit::{Code, WithCode};
use crate::meter::Meter;

/// Bytes of lines that are worked on side by side; the last line may go beyond.
const CHUNK_BYTES: usize = 8 << 20;

/// Where rows come from and go to.
#[derive(Debug, Args)]
pub(crate) struct IoArgs {
    /// JSONL, one object a line; `-` is stdin. Fields without a meaning here are passed through.
    #[arg(long, value_name = "FILE", default_value = "-")]
    input: PathBuf,
    /// Where the rows go; stdout if absent.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A line of the input with its number, from 1.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
}

/// What a line becomes: bytes to write and the tokens that it took, or what is wrong with it.
pub(crate) type Worked = Result<(Vec<u8>, u64), String>;

/// Rows on their way through a command.
pub(crate) struct Rows {
    /// What messages call the input.
    name: String,
    input: Box<dyn BufRead>,
    n_lines: u64,
    n_bad: u64,
    meter: Meter,
}

impl Rows {
    /// Opens the input, works through it `chunk_lines` at a time and writes what comes out in the order
    /// of the input. `work` says what becomes of every line; a wrong line is named on stderr, and the others go on.
    ///
    /// # Errors
    /// If the input cannot be read, the output not written, or `work` fails; and at the end, with
    /// everything else written, if there were wrong lines.
    pub(crate) fn run(
        args: &IoArgs,
        bar: bool,
        chunk_lines: usize,
        mut work: impl FnMut(&[Line]) -> anyhow::Result<Vec<Worked>>,
    ) -> anyhow::Result<()> {
        let mut rows = Self::open(&args.input, bar)?;
        if let Some(path) = args.output.as_deref().filter(|path| *path != Path::new("-")) {
            let name = path.display().to_string();
            write_atomic_with(path, |file| rows.pump(file, &name, chunk_lines, &mut work))?;
        } else {
            let output = &mut BufWriter::new(io::stdout().lock());
            rows.pump(output, "stdout", chunk_lines, &mut work)?;
        }
        rows.meter.finish();
        let (n_bad, name) = (rows.n_bad, &rows.name);
        if n_bad > 0 {
            let lines = if n_bad == 1 { "line" } else { "lines" };
            return Err(anyhow!("{n_bad} {lines} of {name} could not be used")).code(Code::Input);
        }
        Ok(())
    }

    fn open(path: &Path, bar: bool) -> anyhow::Result<Self> {
        let (name, input, n_bytes): (_, Box<dyn BufRead>, _) = if path == Path::new("-") {
            ("stdin".to_owned(), Box::new(io::stdin().lock()), None)
        } else {
            let name = path.display().to_string();
            let file = File::open(path)
                .with_context(|| format!("cannot read {name}"))
                .code(Code::Input)?;
            let n_bytes = file.metadata().ok().map(|metadata| metadata.len());
            (name, Box::new(BufReader::new(file)), n_bytes)
        };
        Ok(Self { name, input, n_lines: 0, n_bad: 0, meter: Meter::new("rows", n_bytes, bar) })
    }

    fn pump(
        &mut self,
        output: &mut dyn Write,
        output_name: &str,
        chunk_lines: usize,
        work: &mut dyn FnMut(&[Line]) -> anyhow::Result<Vec<Worked>>,
    ) -> anyhow::Result<()> {
        let context = || format!("cannot write {output_name}");
        loop {
            let lines = self.chunk(chunk_lines)?;
            if lines.is_empty() {
                return Ok(());
            }
            for (line, result) in lines.iter().zip(work(&lines)?) {
                match result {
                    Ok((bytes, n_tokens)) => {
                        output.write_all(&bytes).with_context(context)?;
                        self.meter.add(1, line.bytes.len() as u64, n_tokens);
                    }
                    Err(what) => {
                        self.n_bad += 1;
                        self.meter.note(&format!("{}:{}: {what}", self.name, line.number));
                    }
                }
            }
            // Whoever reads along gets what is done.
            output.flush().with_context(context)?;
        }
    }

    /// The next lines that are not blank; none at the end.
    fn chunk(&mut self, n_lines: usize) -> anyhow::Result<Vec<Line>> {
        let (mut lines, mut n_bytes) = (Vec::new(), 0);
        while lines.len() < n_lines && n_bytes < CHUNK_BYTES {
            let mut bytes = Vec::new();
            let n_read = self
                .input
                .read_until(b'\n', &mut bytes)
                .with_context(|| format!("cannot read {}", self.name))
                .code(Code::Input)?;
            if n_read == 0 {
                break;
            }
            self.n_lines += 1;
            if !bytes.trim_ascii().is_empty() {
                n_bytes += bytes.len();
                lines.push(Line { number: self.n_lines, bytes });
            }
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_leave_in_order_and_wrong_ones_are_counted() {
        let input = "a\n\nbad\nb\r\nc";
        let mut rows = Rows {
            name: "x".into(),
            input: Box::new(io::Cursor::new(input)),
            n_lines: 0,
            n_bad: 0,
            meter: Meter::new("rows", None, false),
        };
        let (mut output, mut numbers) = (Vec::new(), Vec::new());
        rows.pump(&mut output, "memory", 2, &mut |lines| {
            assert!(lines.len() <= 2);
            numbers.extend(lines.iter().map(|line| line.number));
            let answer = |line: &Line| match line.bytes.trim_ascii() {
                b"bad" => Err("no".to_owned()),
                text => Ok(([text, b"\n"].concat(), 1)),
            };
            Ok(lines.iter().map(answer).collect())
        })
        .unwrap();
        assert_eq!(output, b"a\nb\nc\n");
        assert_eq!(numbers, [1, 3, 4, 5]);
        assert_eq!(rows.n_bad, 1);
    }
}
