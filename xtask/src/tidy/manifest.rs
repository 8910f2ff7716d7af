//! As much of TOML as the manifests of this workspace use.

/// One `key = value` of a manifest; `[dependencies.burn]` counts as `burn` in `dependencies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// `dependencies`, `workspace.dependencies`, `features` ..
    pub(super) section: String,
    /// The first part of the key, unquoted.
    pub(super) key: String,
    /// The value as written on one line, preceded by the rest of a dotted key: `workspace = true`.
    pub(super) value: String,
    /// 1-based.
    pub(super) line: usize,
}

/// The kinds of dependency that a crate's users build too.
pub(super) const NORMAL: [&str; 2] = ["dependencies", "build-dependencies"];

impl Entry {
    /// Whether it is a dependency of one of `kinds`, for some or all targets.
    pub(super) fn is_dependency(&self, kinds: &[&str]) -> bool {
        kinds.iter().any(|kind| {
            self.section == *kind
                || (self.section.starts_with("target.")
                    && self.section.ends_with(&format!(".{kind}")))
        })
    }

    /// The strings in the value.
    pub(super) fn strings(&self) -> impl Iterator<Item = &str> {
        self.value.split('"').skip(1).step_by(2)
    }
}

/// The entries of a manifest in order.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut section = String::new();
    // `[dependencies.name]` turns into entries of `dependencies` with this key.
    let mut table_key = None;
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let line = without_comment(line).trim().to_owned();
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_matches(['[', ']']);
            (section, table_key) = match header.rsplit_once('.') {
                Some((outer, name)) if outer.ends_with("dependencies") => {
                    (outer.to_owned(), Some(unquoted(name)))
                }
                _ => (header.to_owned(), None),
            };
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let mut value = value.trim().to_owned();
        while open_brackets(&value) > 0 {
            let Some((_, next)) = lines.next() else { break };
            value.push(' ');
            value.push_str(without_comment(next).trim());
        }
        let key = key.trim();
        let (key, value) = match (&table_key, key.split_once('.')) {
            (Some(table), _) => (table.clone(), format!("{key} = {value}")),
            (None, Some((first, rest))) => (unquoted(first), format!("{rest} = {value}")),
            (None, None) => (unquoted(key), value),
        };
        entries.push(Entry { section: section.clone(), key, value, line: at + 1 });
    }
    entries
}

fn unquoted(key: &str) -> String {
    key.trim().trim_matches('"').to_owned()
}

fn without_comment(line: &str) -> &str {
    let mut in_string = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => in_string = !in_string,
            '#' if !in_string => return line.get(..at).unwrap_or(line),
            _ => {}
        }
    }
    line
}

fn open_brackets(value: &str) -> i32 {
    value.split('"').step_by(2).flat_map(str::chars).fold(0, |open, c| match c {
        '[' | '{' => open + 1,
        ']' | '}' => open - 1,
        _ => open,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str, &str, usize)]) {
        let found = entries(text);
        let found: Vec<_> = found
            .iter()
            .map(|e| (e.section.as_str(), e.key.as_str(), e.value.as_str(), e.line))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_three_ways_to_write_a_dependency_read_alike() {
        check(
            "[dependencies]\na.workspace = true # why\nb = { version = \"1\" }\n[dependencies.c]\nversion = \"2\"\n",
            &[
                ("dependencies", "a", "workspace = true", 2),
                ("dependencies", "b", "{ version = \"1\" }", 3),
                ("dependencies", "c", "version = \"2\"", 5),
            ],
        );
    }

    #[test]
    fn a_value_may_go_over_lines_and_hold_a_hash() {
        check(
            "[features]\nflex = [\n  \"burn/flex\", # the default\n  \"x#y\",\n]\nnext = []\n",
            &[
                ("features", "flex", "[ \"burn/flex\", \"x#y\", ]", 2),
                ("features", "next", "[]", 6),
            ],
        );
    }

    #[test]
    fn dependencies_of_one_target_count() {
        let entries = entries(
            "[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n[dev-dependencies]\nx = \"1\"\n",
        );
        assert!(entries[0].is_dependency(&NORMAL));
        assert!(!entries[1].is_dependency(&NORMAL));
    }

    #[test]
    fn strings_of_a_value_are_told_from_the_rest() {
        let entries = entries("f = [\"a/b\", \"c\"]");
        assert_eq!(entries[0].strings().collect::<Vec<_>>(), ["a/b", "c"]);
    }
}
