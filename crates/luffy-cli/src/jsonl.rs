//! Logs of one JSON object per line: appended to while a run goes on, or written whole and compressed.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde::Serialize;
use serde_json::Value;

use crate::atomic::write_atomic;

/// A log that is only ever appended to, by whole lines, with a known length.
///
/// A checkpoint stores [`JsonlLog::offset`]; a resume opens the log at that offset, which cuts off
/// what was written after the checkpoint.
#[derive(Debug)]
pub struct JsonlLog {
    file: File,
    path: PathBuf,
    offset: u64,
}

impl JsonlLog {
    /// Opens or makes a log and cuts it to `offset` bytes.
    ///
    /// # Errors
    /// If the file cannot be opened, is shorter than `offset`, or `offset` is not at the start of a
    /// line: then it is not the file that the offset was taken from, and it is left as it is.
    pub fn open(path: &Path, offset: u64) -> anyhow::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        let context = || format!("cannot resume {} at byte {offset}", path.display());
        let len = file.metadata().with_context(context)?.len();
        if len < offset {
            bail!(
                "{} has {len} bytes, the checkpoint was taken at {offset}: the log was cut or replaced",
                path.display()
            );
        }
        if offset > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(offset - 1)).with_context(context)?;
            file.read_exact(&mut last).with_context(context)?;
            if last != *b"\n" {
                bail!(
                    "{} has no line end before byte {offset}: the log was replaced",
                    path.display()
                );
            }
        }
        file.set_len(offset).with_context(context)?;
        file.seek(SeekFrom::Start(offset)).with_context(context)?;
        Ok(Self { file, path: path.to_owned(), offset })
    }

    /// Appends one line, in one write.
    ///
    /// # Errors
    /// If `row` has no JSON form or the disk is full; the message names the file.
    pub fn append(&mut self, row: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(row)
            .with_context(|| format!("cannot write a row of {}", self.path.display()))?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .with_context(|| format!("cannot write to {}", self.path.display()))?;
        self.offset += line.len() as u64;
        Ok(())
    }

    /// Length in bytes, counting whole lines only.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Waits until every line is on the disk. Call it before storing [`JsonlLog::offset`].
    ///
    /// # Errors
    /// If the disk reports one.
    pub fn sync(&mut self) -> anyhow::Result<()> {
        self.file.sync_all().with_context(|| format!("cannot sync {}", self.path.display()))
    }
}

/// All rows of a log. A last line without its end, as a killed process leaves it, is passed over.
///
/// # Errors
/// If the file cannot be read, or a whole line is no JSON (the message names the line).
pub fn read_jsonl(path: &Path) -> anyhow::Result<Vec<Value>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes, path)
}

/// Writes rows as a compressed log (Zstandard), in one piece; the folder is made if it is missing.
///
/// # Errors
/// If a row has no JSON form or the file cannot be written.
pub fn write_jsonl_zst<T: Serialize>(path: &Path, rows: &[T]) -> anyhow::Result<()> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)
            .with_context(|| format!("cannot write a row of {}", path.display()))?;
        text.push(b'\n');
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    write_atomic(path, &compress_to_vec(text.as_slice(), CompressionLevel::Fastest))
}

/// All rows of a compressed log.
///
/// # Errors
/// If the file cannot be read or decompressed, or a line is no JSON (the message names the line).
pub fn read_jsonl_zst(path: &Path) -> anyhow::Result<Vec<Value>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut text = Vec::new();
    StreamingDecoder::new(bytes.as_slice())
        .map_err(anyhow::Error::from)
        .and_then(|mut decoder| Ok(decoder.read_to_end(&mut text)?))
        .with_context(|| format!("cannot decompress {}", path.display()))?;
    parse(&text, path)
}

fn parse(bytes: &[u8], path: &Path) -> anyhow::Result<Vec<Value>> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    bytes[..whole]
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(|(i, line)| {
            serde_json::from_slice(line)
                .with_context(|| format!("{}:{}: not a JSON row", path.display(), i + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resumed_log_goes_on_at_the_offset() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut log = JsonlLog::open(&path, 0).unwrap();
        log.append(&json!({"step": 1})).unwrap();
        log.sync().unwrap();
        let offset = log.offset();
        log.append(&json!({"step": 2, "lost": true})).unwrap();
        drop(log);

        let mut log = JsonlLog::open(&path, offset).unwrap();
        log.append(&json!({"step": 2})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n{\"step\":2}\n");
        assert_eq!(log.offset(), 22);
    }

    #[test]
    fn a_log_that_is_not_the_one_saved_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        fs::write(&path, "{\"step\":1}\n").unwrap();
        let short = JsonlLog::open(&path, 12).unwrap_err().to_string();
        let name = path.display();
        assert_eq!(
            short,
            format!(
                "{name} has 11 bytes, the checkpoint was taken at 12: the log was cut or replaced"
            )
        );
        let inside = JsonlLog::open(&path, 5).unwrap_err().to_string();
        assert_eq!(inside, format!("{name} has no line end before byte 5: the log was replaced"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n");
    }

    #[test]
    fn half_a_last_line_is_passed_over_and_a_broken_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        fs::write(&path, "{\"step\":1}\n{\"st").unwrap();
        assert_eq!(read_jsonl(&path).unwrap(), [json!({"step": 1})]);
        fs::write(&path, "{\"step\":1}\n{\"st\n{}\n").unwrap();
        let error = read_jsonl(&path).unwrap_err().to_string();
        assert_eq!(error, format!("{}:2: not a JSON row", path.display()));
    }

    #[test]
    fn compressed_rows_come_back_and_are_smaller() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rollouts/step-000001.jsonl.zst");
        let rows: Vec<Value> =
            (0..2000).map(|i| json!({"member": i, "response": "<think>12+7 é</think>"})).collect();
        write_jsonl_zst(&path, &rows).unwrap();
        assert_eq!(read_jsonl_zst(&path).unwrap(), rows);
        let plain: usize = rows.iter().map(|row| row.to_string().len() + 1).sum();
        assert!(fs::metadata(&path).unwrap().len() < plain as u64 / 3);
    }

    #[test]
    fn no_rows_are_a_file_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("step.jsonl.zst");
        write_jsonl_zst::<Value>(&path, &[]).unwrap();
        assert_eq!(read_jsonl_zst(&path).unwrap(), Vec::<Value>::new());
    }
}
