//! What a command was asked for, on its way to stdout.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::Context;

/// Nobody reads stdout any more, as behind `luffy .. | head -1`: the program ends without a word.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads it")
    }
}

impl std::error::Error for Closed {}

/// Whether a command ended because nobody reads its stdout.
pub fn is_closed(error: &anyhow::Error) -> bool {
    let errors = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    errors.filter_map(io::Error::get_ref).any(|inner| inner.downcast_ref::<Closed>().is_some())
}

/// Writes a text to stdout.
///
/// # Errors
/// If stdout is closed or takes no more.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut output = open();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).context("cannot write stdout")
}

/// Writes a line to stdout.
///
/// # Errors
/// If stdout is closed or takes no more.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    print(&format!("{line}\n"))
}

/// Stdout for as long as a command writes rows.
pub(crate) fn open() -> impl Write {
    BufWriter::new(Output(io::stdout().lock()))
}

/// A writer whose reader may go away.
struct Output<W>(W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(told)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(told)
    }
}

fn told(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::BrokenPipe {
        io::Error::new(ErrorKind::BrokenPipe, Closed)
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ends(ErrorKind);

    impl Write for Ends {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn only_a_reader_that_went_away_is_quiet() {
        for (kind, expected) in [(ErrorKind::BrokenPipe, true), (ErrorKind::StorageFull, false)] {
            for error in [Output(Ends(kind)).write(b"x").err(), Output(Ends(kind)).flush().err()] {
                let error = anyhow::Error::new(error.unwrap()).context("cannot write stdout");
                assert_eq!(is_closed(&error), expected, "{error:#}");
            }
        }
        // Another pipe, such as one to a child, is no reason to be quiet.
        assert!(!is_closed(&io::Error::from(ErrorKind::BrokenPipe).into()));
    }
}
