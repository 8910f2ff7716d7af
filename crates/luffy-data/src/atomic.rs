//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::DataError;

/// Writes a file under a temporary name beside `path`, syncs it and renames it.
///
/// A reader never sees half a file, and a crash leaves what was there before.
pub(crate) fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let result = fill_and_rename(path, &temporary, fill);
    if result.is_err() {
        // The first error is the one to report; the left-over is overwritten next time.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn fill_and_rename(
    path: &Path,
    temporary: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let failed = |source| DataError::write(path, source);
    let mut writer = BufWriter::new(File::create(temporary).map_err(failed)?);
    fill(&mut writer)?;
    writer.flush().map_err(failed)?;
    writer.get_ref().sync_all().map_err(failed)?;
    drop(writer);
    fs::rename(temporary, path).map_err(failed)?;
    // The rename is durable once the folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    folder.sync_all().map_err(failed)
}
