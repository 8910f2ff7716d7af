//! The loop of every command that turns rows into rows.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

use super::lines::{Line, Lines};
use crate::atomic::write_atomic_with;
use crate::exit::{Code, WithCode};
use crate::meter::Meter;
use crate::stdout;

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

/// What a line becomes: bytes to write and the tokens that it took, or what is wrong with it.
pub(crate) type Worked = Result<(Vec<u8>, u64), String>;

/// Rows on their way through a command.
pub(crate) struct Rows {
    lines: Lines,
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
        let lines = Lines::open(&args.input)?;
        let meter = Meter::new("rows", lines.n_bytes, bar);
        let mut rows = Self { lines, n_bad: 0, meter };
        if let Some(path) = args.output.as_deref().filter(|path| *path != Path::new("-")) {
            let name = path.display().to_string();
            write_atomic_with(path, |file| rows.pump(file, &name, chunk_lines, &mut work))?;
        } else {
            let output = &mut stdout::open();
            rows.pump(output, "stdout", chunk_lines, &mut work)?;
        }
        rows.meter.finish();
        let (n_bad, name) = (rows.n_bad, &rows.lines.name);
        if n_bad > 0 {
            let lines = if n_bad == 1 { "line" } else { "lines" };
            return Err(anyhow!("{n_bad} {lines} of {name} could not be used")).code(Code::Input);
        }
        Ok(())
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
            let lines = self.lines.chunk(chunk_lines)?;
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
                        self.meter.note(&format!("{}:{}: {what}", self.lines.name, line.number));
                    }
                }
            }
            // Whoever reads along gets what is done.
            output.flush().with_context(context)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn rows_leave_in_order_and_wrong_ones_are_counted() {
        let input = "a\n\nbad\nb\r\nc";
        let mut rows = Rows {
            lines: Lines::new("x", Box::new(io::Cursor::new(input))),
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
