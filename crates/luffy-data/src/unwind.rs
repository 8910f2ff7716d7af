//! Readers that give up by panicking.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `read` returns, or the message it panicked with.
///
/// The readers of parquet and of tokenizers assert what a well-formed file holds. A damaged file is bad
/// input here and no defect, and what `read` was at is not used again.
pub(crate) fn caught<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        message.unwrap_or("the reader gave up").to_owned()
    })
}
