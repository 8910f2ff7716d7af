//! Files that are either whole or not there, for every crate that writes one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// `.NAME.tmp` beside `path`: on the same file system, so that a rename is one operation. A killed process
/// leaves it behind at most, and nobody reads it.
pub fn temporary_path(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

/// Makes the names in the folder of `path` durable.
///
/// # Errors
/// If the folder cannot be opened or synced.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Writes a file in one piece: `fill` writes to a temporary neighbour, which is synced and renamed.
/// Readers see the old content or the new, never a part, also after a crash.
///
/// # Errors
/// What `fill` says, or an error of the system through `failed`. The old content is untouched then.
pub fn write_with<E>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
    failed: impl Fn(io::Error) -> E,
) -> Result<(), E> {
    let temporary = temporary_path(path);
    let write = || {
        let mut writer = BufWriter::new(File::create(&temporary).map_err(&failed)?);
        fill(&mut writer)?;
        writer.flush().map_err(&failed)?;
        writer.get_ref().sync_all().map_err(&failed)?;
        drop(writer);
        fs::rename(&temporary, path).map_err(&failed)
    };
    let result = write();
    if result.is_err() {
        // Best effort: the first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    result?;
    sync_parent(path).map_err(failed)
}

/// Writes bytes in one piece, as [`write_with`].
///
/// # Errors
/// If the folder does not exist or cannot be written.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(path, |writer| writer.write_all(bytes), |error| error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_litter() {
        let dir = std::env::temp_dir().join(format!("luffy-durable-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("file");
        write_atomic(&path, b"old").unwrap();
        let error = write_with(
            &path,
            |writer| {
                writer.write_all(b"half")?;
                Err(io::Error::other("disk full"))
            },
            |error| error,
        );
        assert!(error.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_dir_all(&dir).unwrap();
    }
}
