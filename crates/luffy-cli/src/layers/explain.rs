//! From serde's word on the merged table to the place in the user's file and what to write there.

use anyhow::anyhow;
use serde::de::DeserializeOwned;
use toml::de::DeTable;
use toml::{Table, Value};

use super::{Layers, Path, child, remove, table_at, walk};

/// An error of the schema and the key it is about.
pub(super) struct Failure<'a> {
    layers: &'a Layers,
    message: String,
    /// The innermost key whose text the error points at.
    path: Path,
}

impl<'a> Failure<'a> {
    /// Finds the key from the position of `error` in `text`, which is the merged table.
    pub(super) fn new(layers: &'a Layers, text: &str, error: &toml::de::Error) -> Self {
        let mut path = Path::new();
        if let (Some(span), Ok(table)) = (error.span(), DeTable::parse(text)) {
            walk(&Path::new(), table.get_ref(), &mut |at, key, value| {
                // An empty span is the document's own: what is missing at the root.
                let hit = key.contains(&span.start) || value.contains(&span.start);
                if !span.is_empty() && hit && at.len() >= path.len() {
                    path.clone_from(at);
                }
            });
        }
        Self { layers, message: as_serde(error.message().trim_end()), path }
    }

    /// The error as a sentence.
    pub(super) fn explain<T: DeserializeOwned>(mut self, known: &Table) -> anyhow::Error {
        if let Some(field) = quoted_after(&self.message, "unknown field ") {
            return self.unknown_key(&field, known);
        }
        if !self.layers.origins.contains_key(&self.path)
            || self.value().is_some_and(Value::is_table)
        {
            // An internally tagged enum is read twice and forgets positions.
            self.path = self.blame::<T>().unwrap_or(self.path);
        }
        let (place, key) = (self.place(&self.path), self.path.join("."));
        if let Some(variant) = quoted_after(&self.message, "unknown variant ") {
            let names = names_after(&self.message, "expected ");
            let hint = nearest(&variant, &names)
                .map_or(String::new(), |name| format!("; did you mean `{name}`?"));
            return anyhow!(
                "{place}`{key}` cannot be `{variant}`{hint} (possible: {})",
                names.join(", ")
            );
        }
        if let Some(field) = quoted_after(&self.message, "missing field ") {
            return anyhow!("{place}`{}` is missing and has no default", join(&self.path, &field));
        }
        let found_and_expected = self
            .message
            .strip_prefix("invalid type: ")
            .or_else(|| self.message.strip_prefix("invalid value: "))
            .and_then(|rest| rest.rsplit_once(", expected "));
        match found_and_expected {
            Some((found, expected)) => {
                anyhow!("{place}`{key}` must be {}, found {found}", plain_type(expected))
            }
            None if key.is_empty() => anyhow!("{place}{}", self.message),
            None => anyhow!("{place}`{key}`: {}", self.message),
        }
    }

    fn value(&self) -> Option<&Value> {
        let (last, parents) = self.path.split_last()?;
        table_at(&self.layers.merged, parents)?.get(last)
    }

    fn place(&self, path: &Path) -> String {
        // A table that no layer names itself was opened by the first of its keys.
        let origin = self.layers.origins.get(path).or_else(|| {
            let inside = self.layers.origins.iter().find(|(key, _)| key.starts_with(path));
            inside.map(|(_, origin)| origin).filter(|_| !path.is_empty())
        });
        origin.map_or(String::new(), |origin| format!("{origin}: "))
    }

    fn unknown_key(&self, field: &str, known: &Table) -> anyhow::Error {
        // The position is that of the key itself, or of the table around it.
        let table = match self.path.split_last() {
            Some((last, parents)) if last == field && !self.known_inside(field) => parents.to_vec(),
            _ => self.path.clone(),
        };
        let path = child(&table, field);
        let names = names_after(&self.message, "expected ");
        let hint = if let Some(name) = nearest(field, &names) {
            format!("; did you mean `{}`?", join(&table, &name))
        } else if let Some(elsewhere) = find(known, field, &Path::new()) {
            format!("; did you mean `{}`?", elsewhere.join("."))
        } else if names.is_empty() {
            String::new()
        } else {
            format!(" (known: {})", names.join(", "))
        };
        anyhow!("{}unknown key `{}`{hint}", self.place(&path), path.join("."))
    }

    /// Whether the table at the error's path itself holds `field`.
    fn known_inside(&self, field: &str) -> bool {
        self.value().and_then(Value::as_table).is_some_and(|table| table.contains_key(field))
    }

    /// The one key below the error's path without which the error is another or none.
    fn blame<T: DeserializeOwned>(&self) -> Option<Path> {
        let is_table = |path: &Path| table_at(&self.layers.merged, path).is_some();
        self.layers
            .origins
            .keys()
            .filter(|key| key.starts_with(&self.path) && !is_table(key))
            .find(|key| {
                let mut without = self.layers.merged.clone();
                remove(&mut without, key);
                let read: Result<T, _> = without.try_into();
                // Without the tag of an enum the error changes too: then the tag is missing.
                read.map_or_else(
                    |error| {
                        let message = error.message();
                        message.trim_end() != self.message && !message.contains("missing field")
                    },
                    |_| true,
                )
            })
            .cloned()
    }
}

fn join(table: &Path, field: &str) -> String {
    child(table, field).join(".")
}

/// The toml crate has words of its own for a struct variant with an unknown field.
fn as_serde(message: &str) -> String {
    let variant = message
        .strip_prefix("unexpected keys in table: ")
        .and_then(|rest| rest.split_once(", available keys: "));
    let Some((unknown, known)) = variant else { return message.to_owned() };
    let first = unknown.split(", ").next().unwrap_or(unknown);
    let known: Vec<String> = known.split(", ").map(|name| format!("`{name}`")).collect();
    format!("unknown field `{first}`, expected one of {}", known.join(", "))
}

/// The backticked name after `intro` at the start of a message.
fn quoted_after(message: &str, intro: &str) -> Option<String> {
    let (name, _) = message.strip_prefix(intro)?.strip_prefix('`')?.split_once('`')?;
    Some(name.to_owned())
}

/// All backticked names after the last `intro`.
fn names_after(message: &str, intro: &str) -> Vec<String> {
    let list = message.rsplit_once(intro).map_or("", |(_, list)| list);
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Where a key of this name exists, the first in order.
fn find(table: &Table, field: &str, at: &Path) -> Option<Path> {
    table.iter().find_map(|(key, value)| {
        if key == field {
            return Some(child(at, key));
        }
        find(value.as_table()?, field, &child(at, key))
    })
}

/// serde's Rust names as words.
fn plain_type(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other if other.starts_with("struct ") => "a table",
        other if other.starts_with("internally tagged enum ") => "a table",
        other => other,
    }
}

/// The name with the fewest edits, if those are few for its length; `_` and `-` count as equal.
fn nearest(name: &str, known: &[String]) -> Option<String> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate.clone())
}

/// Edits (insert, delete, replace, swap of neighbours) from one name to the other.
fn distance(a: &str, b: &str) -> usize {
    let normal = |text: &str| -> Vec<char> {
        text.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    let (a, b) = (normal(a), normal(b));
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let moved = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swap = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                replaced.min(moved).min(swap)
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_counted_by_hand() {
        for (a, b, edits) in [
            ("lr", "lr", 0),
            ("gama", "gamma", 1),
            ("stpes", "steps", 1),
            ("max_rows", "max-rows", 0),
            ("", "abc", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn a_far_name_is_no_suggestion() {
        assert_eq!(nearest("temperature", &["lr".to_owned()]), None);
        assert_eq!(nearest("lt", &["lr".to_owned()]), Some("lr".to_owned()));
    }
}
