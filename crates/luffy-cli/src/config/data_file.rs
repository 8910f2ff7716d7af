//! A data file as a run file names it.

use std::fmt;

use serde::de::{MapAccess, Visitor, value::MapAccessDeserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A data file with its share of an epoch: `"a.parquet"` or `{ path = "b.jsonl", weight = 0.3 }`.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFile {
    /// `.parquet` or `.jsonl`, or `builtin:addition`.
    pub path: String,
    /// How often an epoch of training draws each of its prompts, see [`luffy_data::EpochOrder`].
    pub weight: f64,
}

impl From<&str> for DataFile {
    fn from(path: &str) -> Self {
        Self { path: path.to_owned(), weight: 1.0 }
    }
}

impl Serialize for DataFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if (self.weight - 1.0).abs() > 0.0 {
            let mut map = serializer.serialize_map(Some(2))?;
            map.serialize_entry("path", &self.path)?;
            map.serialize_entry("weight", &self.weight)?;
            map.end()
        } else {
            serializer.serialize_str(&self.path)
        }
    }
}

impl<'de> Deserialize<'de> for DataFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Reads both spellings and, unlike an untagged enum, says what is wrong with either.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = DataFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path or { path, weight }")
    }

    fn visit_str<E>(self, path: &str) -> Result<DataFile, E> {
        Ok(path.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DataFile, A::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        struct Full {
            path: String,
            #[serde(default = "one")]
            weight: f64,
        }
        let Full { path, weight } = Full::deserialize(MapAccessDeserializer::new(map))?;
        Ok(DataFile { path, weight })
    }
}

const fn one() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use crate::config::{RunConfig, Sources, load};

    fn check(train: &str) -> Result<RunConfig, String> {
        let sets = [format!("data.train={train}")];
        load(&Sources { recipe: Some("addition"), files: &[], sets: &sets })
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn both_spellings_are_read_and_written() {
        let config =
            check(r#"["a.parquet", {path = "b.jsonl", weight = 0.3}, {path = "c.jsonl"}]"#)
                .unwrap();
        let files: Vec<_> = config.data.train.iter().map(|f| (f.path.as_str(), f.weight)).collect();
        assert_eq!(files, [("a.parquet", 1.0), ("b.jsonl", 0.3), ("c.jsonl", 1.0)]);
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config, "{text}");
    }

    #[test]
    fn what_is_neither_is_explained() {
        let error = check(r#"[{path = "b.jsonl", wieght = 0.3}]"#).unwrap_err();
        assert!(error.contains("wieght") && error.contains("weight"), "{error}");
        let error = check("[3]").unwrap_err();
        assert!(error.contains("a path or { path, weight }"), "{error}");
    }
}
