//! Files that are either whole or not there.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use luffy_core::durable;

use crate::DataError;

/// [`durable::write_with`], whose errors name the path.
pub(crate) fn write(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    durable::write_with(path, fill, |source| DataError::write(path, source))
}
