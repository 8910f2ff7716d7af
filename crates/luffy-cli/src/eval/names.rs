//! What problems are called where files have a name in common.

use std::path::{Component, Path, PathBuf};

use luffy_core::Task;

/// The end of a path that no other one has, from the name of the file on.
pub(super) fn label(path: &Path, others: &[PathBuf]) -> String {
    let depth = path.components().count();
    let own = (1..=depth).map(|n| end(path, n)).find(|own| {
        let n = own.components().count();
        others.iter().all(|other| other == path || end(other, n) != *own)
    });
    own.as_deref().unwrap_or(path).display().to_string()
}

/// The last parts of a path.
fn end(path: &Path, n: usize) -> PathBuf {
    let parts: Vec<Component<'_>> = path.components().collect();
    parts[parts.len().saturating_sub(n)..].iter().collect()
}

/// Gives the tasks of a file the names that begin with its label, in place of the name of the file.
pub(super) fn rename(tasks: &mut [Task], path: &Path, label: &str) {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { return };
    for task in tasks {
        if let Some(row) = task.id.strip_prefix(&*name) {
            task.id = format!("{label}{row}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_as_long_as_it_must_be() {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        for (all, expected) in [
            (&["/d/a.jsonl", "/d/b.jsonl"][..], &["a.jsonl", "b.jsonl"][..]),
            (&["/d/x/t.jsonl", "/d/y/t.jsonl"], &["x/t.jsonl", "y/t.jsonl"]),
            (&["/1/x/t", "/2/x/t", "/u"], &["1/x/t", "2/x/t", "u"]),
            (&["/t", "/x/t", "/x/t"], &["/t", "x/t", "x/t"]),
            (&["t", "x/t"], &["t", "x/t"]),
        ] {
            let all = paths(all);
            let found: Vec<String> = all.iter().map(|path| label(path, &all)).collect();
            assert_eq!(found, expected);
        }
    }
}
