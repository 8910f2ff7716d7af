//! Configuration from several places: defaults, then a recipe, then files, then `--set`.
//!
//! Knows nothing of the keys. Every value remembers where it was written, so that an error of the
//! schema, which serde reports on the merged table, can name the file and line to change.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path as FilePath;

use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

mod explain;

/// A key from the root, by parts.
type Path = Vec<String>;

/// Tables over each other; what comes later wins.
///
/// Tables merge key by key, everything else is replaced whole.
///
/// ```
/// use luffy_cli::layers::Layers;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
/// #[serde(deny_unknown_fields, default)]
/// struct Config {
///     steps: u64,
///     lr: f64,
/// }
///
/// let mut layers = Layers::new();
/// layers.recipe("quick", "steps = 5\nlr = 0.1")?;
/// layers.set("steps=9")?;
/// assert_eq!(layers.build::<Config>()?, Config { steps: 9, lr: 0.1 });
///
/// layers.set("stps=9")?;
/// let error = layers.build::<Config>().unwrap_err().to_string();
/// assert_eq!(error, "--set stps=9: unknown key `stps`; did you mean `steps`?");
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Layers {
    merged: Table,
    origins: BTreeMap<Path, String>,
    whole: Vec<Path>,
    tags: Vec<(Path, String)>,
}

impl Layers {
    /// No layer yet: everything has its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that a table at `key` (dotted) is one value: a later layer replaces it whole. For enums
    /// written as `{ variant = { .. } }`, whose variants must not mix.
    #[must_use]
    pub fn whole(mut self, key: &str) -> Self {
        self.whole.push(split(key));
        self
    }

    /// Says that the table at `key` (dotted) has the fields that its field `tag` decides: a later
    /// layer that changes the tag drops the other fields of earlier layers.
    #[must_use]
    pub fn tagged(mut self, key: &str, tag: &str) -> Self {
        self.tags.push((split(key), tag.to_owned()));
        self
    }

    /// Lays a built-in recipe on top.
    ///
    /// # Errors
    /// If the text is no TOML; the message names the line.
    pub fn recipe(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        self.text(&format!("recipe {name}"), text)
    }

    /// Lays a file on top.
    ///
    /// # Errors
    /// If it cannot be read or is no TOML; the message names the file and line.
    pub fn file(&mut self, path: &FilePath) -> anyhow::Result<()> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        self.text(&path.display().to_string(), &text)
    }

    /// Lays one value on top, written `a.b=c`. The value is TOML (`5`, `[1, 2]`, `"5"`, `true`) or, if
    /// it does not parse as that, a plain string.
    ///
    /// # Errors
    /// If there is no `=` or what stands before it is no dotted key.
    pub fn set(&mut self, argument: &str) -> anyhow::Result<()> {
        let origin = format!("--set {argument}");
        let Some((key, text)) = argument.split_once('=') else {
            bail!("{origin}: no `=`; write --set KEY=VALUE, as in --set optimizer.lr=1e-4");
        };
        let path = parse_key(key.trim())
            .ok_or_else(|| anyhow!("{origin}: `{}` is no dotted key", key.trim()))?;
        let value = parse_value(text).unwrap_or_else(|| Value::String(text.to_owned()));
        let mut layer = Table::new();
        insert(&mut layer, &path, value);
        let mut origins = BTreeMap::new();
        record_all(&Vec::new(), &layer, &origin, &mut origins);
        self.lay(layer, origins);
        Ok(())
    }

    /// What all layers say together, without defaults.
    pub const fn table(&self) -> &Table {
        &self.merged
    }

    /// Where a key (dotted) got its value: `FILE:LINE`, `recipe NAME:LINE` or `--set ARGUMENT`.
    pub fn origin(&self, key: &str) -> Option<&str> {
        self.origins.get(&split(key)).map(String::as_str)
    }

    /// Reads the merged table as a `T`, whose default supplies what no layer says.
    ///
    /// # Errors
    /// For an unknown key, a value of the wrong type or a missing key. The message names the key, the
    /// place where it was written, what was expected and, if there is one, the nearest known name.
    pub fn build<T: DeserializeOwned + Serialize + Default>(&self) -> anyhow::Result<T> {
        // Through text, because only then does an error carry a position, and with it a key.
        let text =
            toml::to_string(&self.merged).context("cannot write the merged configuration")?;
        toml::from_str(&text).map_err(|error| {
            let known = Table::try_from(T::default()).unwrap_or_default();
            explain::Failure::new(self, &text, &error).explain::<T>(&known)
        })
    }

    fn text(&mut self, source: &str, text: &str) -> anyhow::Result<()> {
        let bad = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            anyhow!("{source}:{line}: {}", error.message().trim_end())
        };
        let layer: Table = toml::from_str(text).map_err(bad)?;
        let spans = DeTable::parse(text).map_err(bad)?;
        let mut origins = BTreeMap::new();
        walk(&Vec::new(), spans.get_ref(), &mut |path, key, _| {
            origins.insert(path.clone(), format!("{source}:{}", line_of(text, key.start)));
        });
        self.lay(layer, origins);
        Ok(())
    }

    fn lay(&mut self, layer: Table, origins: BTreeMap<Path, String>) {
        for (path, tag) in &self.tags {
            let tag_in = |table: &Table| table_at(table, path)?.get(tag).cloned();
            if tag_in(&layer).is_some_and(|new| tag_in(&self.merged) != Some(new)) {
                remove(&mut self.merged, path);
                self.origins.retain(|key, _| !(key.len() > path.len() && key.starts_with(path)));
            }
        }
        merge(&mut self.merged, layer, &Vec::new(), &self.whole, &mut self.origins);
        self.origins.extend(origins);
    }
}

fn merge(
    base: &mut Table,
    over: Table,
    at: &Path,
    whole: &[Path],
    origins: &mut BTreeMap<Path, String>,
) {
    for (key, value) in over {
        let path = child(at, &key);
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) if !whole.contains(&path) => {
                merge(base, over, &path, whole, origins);
            }
            (_, value) => {
                origins.retain(|key, _| !key.starts_with(&path));
                base.insert(key, value);
            }
        }
    }
}

/// Calls `visit` with path, key span and value span of everything in a table, arrays entered too.
fn walk(at: &Path, table: &DeTable<'_>, visit: &mut impl FnMut(&Path, Range<usize>, Range<usize>)) {
    for (key, value) in table {
        let path = child(at, key.get_ref());
        visit(&path, key.span(), value.span());
        match value.get_ref() {
            DeValue::Table(inner) => walk(&path, inner, visit),
            DeValue::Array(items) => {
                for item in items {
                    if let DeValue::Table(inner) = item.get_ref() {
                        walk(&path, inner, visit);
                    }
                }
            }
            _ => {}
        }
    }
}

fn record_all(at: &Path, table: &Table, origin: &str, origins: &mut BTreeMap<Path, String>) {
    for (key, value) in table {
        let path = child(at, key);
        if let Value::Table(inner) = value {
            record_all(&path, inner, origin, origins);
        }
        origins.insert(path, origin.to_owned());
    }
}

fn table_at<'a>(table: &'a Table, path: &[String]) -> Option<&'a Table> {
    path.iter().try_fold(table, |table, part| table.get(part)?.as_table())
}

/// Puts a value at `path` of an empty table.
fn insert(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let mut inner = Table::new();
            insert(&mut inner, rest, value);
            table.insert(key.clone(), Value::Table(inner));
        }
    }
}

/// Removes what is at `path`; nothing happens if there is nothing.
fn remove(table: &mut Table, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let inner = parents.iter().try_fold(table, |table, part| table.get_mut(part)?.as_table_mut());
    if let Some(inner) = inner {
        inner.remove(last);
    }
}

fn child(at: &Path, key: &str) -> Path {
    let mut path = at.clone();
    path.push(key.to_owned());
    path
}

fn split(key: &str) -> Path {
    key.split('.').map(str::to_owned).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// A dotted key as TOML reads it, quoted parts included.
fn parse_key(key: &str) -> Option<Path> {
    let mut value = Value::Table(parse_line(&format!("{key} = 0"))?);
    let mut path = Path::new();
    while let Value::Table(table) = value {
        let mut entries = table.into_iter();
        let (part, inner) = entries.next()?;
        if entries.next().is_some() {
            return None;
        }
        path.push(part);
        value = inner;
    }
    Some(path)
}

fn parse_value(text: &str) -> Option<Value> {
    let mut table = parse_line(&format!("value = {text}"))?;
    table.remove("value").filter(|_| table.is_empty())
}

fn parse_line(line: &str) -> Option<Table> {
    toml::from_str(line).ok()
}

#[cfg(test)]
mod tests;
