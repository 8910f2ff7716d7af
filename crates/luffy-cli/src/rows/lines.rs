//! Lines of a file or of stdin, by chunks.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use anyhow::Context;

use crate::exit::{Code, WithCode};

/// Bytes of lines that are worked on side by side; the last line may go beyond.
pub(crate) const CHUNK_BYTES: usize = 8 << 20;

/// A line of the input with its number, from 1.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
}

/// An input with the name that messages call it by.
pub(crate) struct Lines {
    pub(crate) name: String,
    input: Box<dyn BufRead>,
    /// Number of the line that was read last.
    number: u64,
    /// Size of the input, where it is a file.
    pub(crate) n_bytes: Option<u64>,
}

impl Lines {
    /// Opens a file; `-` is stdin.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::new("stdin", Box::new(io::stdin().lock())));
        }
        let name = path.display().to_string();
        let file =
            File::open(path).with_context(|| format!("cannot read {name}")).code(Code::Input)?;
        let n_bytes = file.metadata().ok().map(|metadata| metadata.len());
        Ok(Self { n_bytes, ..Self::new(&name, Box::new(BufReader::new(file))) })
    }

    /// Lines of anything.
    pub(crate) fn new(name: &str, input: Box<dyn BufRead>) -> Self {
        Self { name: name.to_owned(), input, number: 0, n_bytes: None }
    }

    /// The next lines that are not blank, at most `n_lines`; none at the end.
    pub(crate) fn chunk(&mut self, n_lines: usize) -> anyhow::Result<Vec<Line>> {
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
            self.number += 1;
            if !bytes.trim_ascii().is_empty() {
                n_bytes += bytes.len();
                lines.push(Line { number: self.number, bytes });
            }
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_ends_at_its_bytes() {
        let input = format!("\n{}\n", "x".repeat(CHUNK_BYTES / 2 + 1)).repeat(5);
        let mut lines = Lines::new("x", Box::new(io::Cursor::new(input)));
        let mut chunk = || lines.chunk(1024).unwrap();
        assert_eq!(chunk().iter().map(|line| line.number).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(chunk().len(), 2);
        assert_eq!(chunk().len(), 1);
        assert!(chunk().is_empty());
    }
}
