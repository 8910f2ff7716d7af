//! The types of columns, found by looking at every value.

use std::fmt;

use serde_json::Value;

use crate::columns::describe;

/// What the values of a column have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing seen but null.
    Null,
    Bool,
    Int,
    /// Numbers, some with a fraction; single precision only where a schema says so.
    Float,
    Single,
    /// Nothing seen but the names of numbers that JSON cannot write: `NaN`, `inf`, `-inf`.
    NotFinite,
    Text,
    List(Box<Self>),
    /// Fields in the order of their first appearance.
    Struct(Vec<(String, Self)>),
}

/// Two values of a column that no type holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clash {
    /// Below the column: `[].role`, empty for the column itself.
    pub(crate) place: String,
    /// What the column was taken for.
    pub(crate) expected: String,
    /// What does not fit.
    pub(crate) found: String,
}

impl Kind {
    /// A list of chat messages, fields in alphabetical order as in the reference's files.
    pub(crate) fn messages() -> Self {
        let message = vec![("content".into(), Self::Text), ("role".into(), Self::Text)];
        Self::List(Box::new(Self::Struct(message)))
    }

    /// Widens the type so that it holds `value` too.
    pub(crate) fn include(&mut self, value: &Value) -> Result<(), Clash> {
        let seen = match value {
            Value::Null => return Ok(()),
            Value::Array(items) => {
                if matches!(self, Self::Null) {
                    *self = Self::List(Box::new(Self::Null));
                }
                let Self::List(element) = self else { return Err(self.clash(value)) };
                return items
                    .iter()
                    .try_for_each(|item| element.include(item).map_err(|c| c.below("[]")));
            }
            Value::Object(object) => {
                if matches!(self, Self::Null) {
                    *self = Self::Struct(Vec::new());
                }
                let Self::Struct(fields) = self else { return Err(self.clash(value)) };
                return object.iter().try_for_each(|(name, value)| {
                    let at = fields.iter().position(|(known, _)| known == name);
                    let at = at.unwrap_or_else(|| {
                        fields.push((name.clone(), Self::Null));
                        fields.len() - 1
                    });
                    fields[at].1.include(value).map_err(|c| c.below(&format!(".{name}")))
                });
            }
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Int,
            Value::Number(number) if number.is_f64() => Self::Float,
            // Above the largest 64-bit integer with a sign.
            Value::Number(_) => return Err(self.clash(value)),
            Value::String(text) if not_finite(text).is_some() => Self::NotFinite,
            Value::String(_) => Self::Text,
        };
        let wider = match (&*self, seen) {
            (Self::Null, seen) => seen,
            (own, seen) if *own == seen => seen,
            (Self::Single, Self::Int | Self::Float | Self::NotFinite) => Self::Single,
            (
                Self::Int | Self::Float | Self::NotFinite,
                Self::Int | Self::Float | Self::NotFinite,
            ) => Self::Float,
            (Self::Text, Self::NotFinite) | (Self::NotFinite, Self::Text) => Self::Text,
            _ => return Err(self.clash(value)),
        };
        *self = wider;
        Ok(())
    }

    fn clash(&self, value: &Value) -> Clash {
        Clash { place: String::new(), expected: self.to_string(), found: describe(value) }
    }
}

/// The number that goes by this name.
pub(crate) fn not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "inf" => Some(f64::INFINITY),
        "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

impl Clash {
    fn below(mut self, step: &str) -> Self {
        self.place.insert_str(0, step);
        self
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int64"),
            Self::Float => f.write_str("double"),
            Self::Single => f.write_str("float"),
            Self::NotFinite | Self::Text => f.write_str("string"),
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (i, (name, kind)) in fields.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{name}: {kind}")?;
                }
                f.write_str(">")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(values: &[Value], expected: &str) {
        let mut kind = Kind::Null;
        let found = values.iter().try_for_each(|value| kind.include(value));
        let found = match found {
            Ok(()) => kind.to_string(),
            Err(Clash { place, expected, found }) => format!("{place}: {expected}, {found}"),
        };
        assert_eq!(found, expected, "{values:?}");
    }

    #[test]
    fn a_type_holds_every_value() {
        check(&[json!(null)], "null");
        check(&[json!(1), json!(null), json!(-2)], "int64");
        check(&[json!(1), json!(0.5)], "double");
        check(&[json!(0.5), json!(1)], "double");
        check(&[json!("NaN")], "string");
        check(&[json!("NaN"), json!("inf"), json!(1)], "double");
        check(&[json!(1), json!("-inf")], "double");
        check(&[json!("NaN"), json!("text")], "string");
        check(&[json!("text"), json!("NaN")], "string");
        check(&[json!([]), json!([null, true])], "list<bool>");
        check(
            &[json!([{"b": 1}]), json!([{"a": "x", "b": null}])],
            "list<struct<b: int64, a: string>>",
        );
    }

    #[test]
    fn what_no_type_holds_is_named() {
        check(&[json!(1), json!("x")], ": int64, the string \"x\"");
        check(&[json!("x"), json!(1)], ": string, the number 1");
        check(&[json!(true), json!(1)], ": bool, the number 1");
        check(&[json!([1]), json!(["x"])], "[]: int64, the string \"x\"");
        check(&[json!({"a": [{"b": 1}]}), json!({"a": [{"b": []}]})], ".a[].b: int64, a list of 0");
        check(&[json!(1), json!({"a": 1})], ": int64, a struct with the fields a");
        check(&[json!(u64::MAX)], ": null, the number 18446744073709551615");
    }
}
