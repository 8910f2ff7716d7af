//! The types of columns, found by looking at every value.

use std::fmt;

use serde_json::{Number, Value, json};

use crate::columns::describe;

/// What the values of a column have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing seen but null.
    Null,
    Bool,
    Int,
    /// Whole numbers, some of which a double would round.
    Wide,
    /// Numbers, some with a fraction; single precision only where a schema says so.
    Float,
    Single,
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
    /// What the column was taken for; `None` if no column holds the value.
    pub(crate) expected: Option<String>,
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
            value if not_finite(value).is_some() => Self::Float,
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
            Value::Number(number) if number.as_i64().is_some_and(is_wide) => Self::Wide,
            Value::Number(number) if number.is_i64() => Self::Int,
            Value::Number(number) if number.is_f64() => Self::Float,
            // Above the largest 64-bit integer with a sign.
            Value::Number(_) => return Err(Clash { expected: None, ..self.clash(value) }),
            Value::String(_) => Self::Text,
        };
        let wider = match (&*self, seen) {
            (Self::Null, seen) => seen,
            (own, seen) if *own == seen => seen,
            (Self::Single, Self::Int | Self::Float) => Self::Single,
            (Self::Int, Self::Float) | (Self::Float, Self::Int) => Self::Float,
            (Self::Int, Self::Wide) | (Self::Wide, Self::Int) => Self::Wide,
            _ => return Err(self.clash(value)),
        };
        *self = wider;
        Ok(())
    }

    fn clash(&self, value: &Value) -> Clash {
        let beyond = |is_wide| if is_wide { " that a double would round" } else { "" };
        let expected = format!("{self}{}", beyond(*self == Self::Wide));
        let rounds =
            matches!(self, Self::Float | Self::Single) && value.as_i64().is_some_and(is_wide);
        let found = format!("{}{}", describe(value), beyond(rounds));
        Clash { place: String::new(), expected: Some(expected), found }
    }
}

/// Whether a double would round it.
fn is_wide(number: i64) -> bool {
    number as f64 as i128 != i128::from(number)
}

/// The field of a number that JSON cannot write, in the notation of `MongoDB`: `{"$numberDouble": "NaN"}`. A
/// text of that name is a text.
const NOT_FINITE: &str = "$numberDouble";

/// The number that JSON cannot write.
pub(crate) fn not_finite(value: &Value) -> Option<f64> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    match object.get(NOT_FINITE)?.as_str()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Any number as JSON.
pub(crate) fn number(number: f64) -> Value {
    let name = match Number::from_f64(number) {
        Some(number) => return Value::Number(number),
        None if number.is_nan() => "NaN",
        None if number > 0.0 => "Infinity",
        None => "-Infinity",
    };
    json!({ NOT_FINITE: name })
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
            Self::Int | Self::Wide => f.write_str("int64"),
            Self::Float => f.write_str("double"),
            Self::Single => f.write_str("float"),
            Self::Text => f.write_str("string"),
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

    fn check(values: &[Value], expected: &str) {
        let mut kind = Kind::Null;
        let found = values.iter().try_for_each(|value| kind.include(value));
        let found = match found {
            Ok(()) => kind.to_string(),
            Err(Clash { place, expected, found }) => {
                format!("{place}: {}, {found}", expected.as_deref().unwrap_or("none"))
            }
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
        check(&[number(f64::NAN), json!(1)], "double");
        check(&[json!(1), number(f64::NEG_INFINITY), number(f64::INFINITY)], "double");
        check(&[json!({ "$numberDouble": "1" })], "struct<$numberDouble: string>");
        check(&[json!(1), json!(9_007_199_254_740_993_i64), json!(i64::MAX)], "int64");
        check(&[json!(9_007_199_254_740_992_i64), json!(0.5), json!(i64::MIN)], "double");
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
        check(&[json!(u64::MAX)], ": none, the number 18446744073709551615");
        check(&[json!(2.5), json!("NaN")], ": double, the string \"NaN\"");
        check(&[json!("NaN"), json!(2.5)], ": string, the number 2.5");
        check(
            &[json!(9_007_199_254_740_993_i64), json!(1.5)],
            ": int64 that a double would round, the number 1.5",
        );
        check(
            &[json!(1.5), json!(9_007_199_254_740_993_i64)],
            ": double, the number 9007199254740993 that a double would round",
        );
    }
}
