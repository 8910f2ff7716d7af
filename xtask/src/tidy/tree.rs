//! The files of a checkout as a value.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Paths with `/`, relative to the root; the text of those that a rule reads.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: BTreeMap<String, String>,
}

/// What rules read; of other files only the path counts.
const TEXT: [&str; 3] = ["rs", "md", "toml"];

/// Not part of the checkout, whatever .gitignore says.
const FOREIGN: [&str; 1] = [".git"];

impl Tree {
    /// Reads a checkout, what its .gitignore names at the top left out.
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let ignored = std::fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let ignored: Vec<&str> = ignored
            .lines()
            .filter_map(|line| line.trim().strip_prefix('/'))
            .map(|name| name.trim_end_matches('/'))
            .chain(FOREIGN)
            .collect();
        let mut tree = Self::default();
        for entry in std::fs::read_dir(root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !ignored.contains(&name.as_str()) {
                tree.add(&entry, name)?;
            }
        }
        Ok(tree)
    }

    fn add(&mut self, entry: &std::fs::DirEntry, path: String) -> io::Result<()> {
        // A link could lead in circles, and what it leads to is read where it lies.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            for entry in std::fs::read_dir(entry.path())? {
                let entry = entry?;
                let path = format!("{path}/{}", entry.file_name().to_string_lossy());
                self.add(&entry, path)?;
            }
        } else {
            let is_text = kind.is_file()
                && Path::new(&path).extension().is_some_and(|e| TEXT.iter().any(|t| e == *t));
            let text = if is_text { std::fs::read(entry.path())? } else { Vec::new() };
            self.files.insert(path, String::from_utf8_lossy(&text).into_owned());
        }
        Ok(())
    }

    /// A tree of given files.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self { files: files.collect() }
    }

    /// The text of a file; empty if there is none.
    pub(super) fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Whether there is such a file, or a folder with a file in it.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self.files.keys().any(|file| {
                file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }

    /// Files whose path begins and ends so, with their text.
    pub(super) fn files<'a>(
        &'a self,
        prefix: &'a str,
        suffix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.starts_with(prefix) && path.ends_with(suffix))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_read_without_what_git_ignores() {
        let root = std::env::temp_dir().join(format!("luffy-tidy-{}", std::process::id()));
        for (path, text) in [
            (".gitignore", "/target\n/runs\n*.tmp\n"),
            (".git/config", "x"),
            ("target/debug/a.rs", "x"),
            ("crates/a/src/lib.rs", "//! A."),
            ("testdata/blob.bin", "bytes"),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tree = Tree::read(&root).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        let paths: Vec<_> = tree.files("", "").map(|(path, _)| path).collect();
        assert_eq!(paths, [".gitignore", "crates/a/src/lib.rs", "testdata/blob.bin"]);
        assert_eq!(tree.text("crates/a/src/lib.rs"), "//! A.");
        assert_eq!(tree.text("testdata/blob.bin"), "");
        assert!(tree.has("crates/a") && tree.has("crates/a/") && !tree.has("crates/b"));
    }
}
