//! A JSON object as it was written.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Most characters of a value that a message shows.
const EXCERPT: usize = 40;

/// The fields of a JSON object, none of them interpreted: in their order, values to the letter.
#[derive(Debug)]
pub(crate) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads a line; the error says in a few words what is wrong with it.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, String> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        serde_json::from_slice(line).map_err(|error| format!("not a JSON object: {error}"))
    }

    /// The value of a field; of several with one name the last, as in every JSON reader.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(field, _)| field == name).map(|(_, value)| *value)
    }

    /// Whether a field is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.get() != "null")
    }

    /// The value of a field as a type, `None` where it is absent or null. `expected` describes the type
    /// for the message.
    pub(crate) fn read<T: DeserializeOwned>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.get(name).filter(|_| self.has(name)) else { return Ok(None) };
        serde_json::from_str(value.get())
            .map(Some)
            .map_err(|_| format!("`{name}`: expected {expected}, found {}", excerpt(value.get())))
    }

    /// All fields but some, in order.
    pub(crate) fn without(&self, names: &[&str]) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0
            .iter()
            .filter(|(name, _)| !names.contains(&name.as_str()))
            .map(|(name, value)| (name.as_str(), *value))
    }
}

/// The start of a value, for messages.
fn excerpt(value: &str) -> String {
    let start: String = value.chars().take(EXCERPT).collect();
    let dots = if start.len() < value.len() { ".." } else { "" };
    format!("{start}{dots}")
}

/// A line of JSON that grows field by field.
#[derive(Debug)]
pub(crate) struct RowWriter(Vec<u8>);

impl RowWriter {
    /// Begins with the fields of a row that are not written anew.
    pub(crate) fn pass(fields: &Fields<'_>, added: &[&str]) -> Self {
        let mut bytes = vec![b'{'];
        for (name, value) in fields.without(added) {
            write_field(&mut bytes, name, value.get());
        }
        Self(bytes)
    }

    /// Adds a field.
    pub(crate) fn add<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        write_field(&mut self.0, name, &json(value));
        self
    }

    /// The line with its end.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend(b"}\n");
        self.0
    }
}

/// Adds a field whose value is JSON already.
fn write_field(bytes: &mut Vec<u8>, name: &str, value: &str) {
    if bytes.len() > 1 {
        bytes.push(b',');
    }
    bytes.extend(json(name).as_bytes());
    bytes.push(b':');
    bytes.extend(value.as_bytes());
}

/// A value that always has a JSON form.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("booleans, texts, names and numbers have a JSON form")
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_passes_to_the_letter_with_its_new_fields_last() {
        let fields = Fields::parse(br#"{"z": 1.50e3, "n":9, "text":"\u00e9", "a":{ "b":[1]}}"#);
        let row = RowWriter::pass(&fields.unwrap(), &["n"]).add("n", &3).add("x", "y").finish();
        assert_eq!(
            String::from_utf8(row).unwrap(),
            "{\"z\":1.50e3,\"text\":\"\\u00e9\",\"a\":{ \"b\":[1]},\"n\":3,\"x\":\"y\"}\n"
        );
    }

    #[test]
    fn a_wrong_type_is_told_with_what_was_expected() {
        let fields = Fields::parse(br#"{"ids": "abc", "none": null}"#).unwrap();
        let error = fields.read::<Vec<u32>>("ids", "a list of token ids").unwrap_err();
        assert_eq!(error, "`ids`: expected a list of token ids, found \"abc\"");
        assert_eq!(fields.read::<u32>("none", "a number"), Ok(None));
        assert_eq!(fields.read::<u32>("other", "a number"), Ok(None));
        assert!(Fields::parse(b"[1]").unwrap_err().starts_with("not a JSON object: "));
        assert_eq!(excerpt(&"x".repeat(50)), format!("{}..", "x".repeat(40)));
    }
}
