//! Numbers of a JSON text as they are written: the parser rounds large integers, and may miss the nearest
//! double by a unit.

use serde_json::{Map, Number, Value};

/// A whole number that no type holds.
pub(crate) struct TooLarge {
    pub(crate) column: String,
    pub(crate) number: String,
}

/// Puts the nearest double wherever `record`, parsed from `text`, has one.
pub(crate) fn exact(text: &[u8], record: &mut Map<String, Value>) -> Result<(), TooLarge> {
    let written = written(text);
    let too_large = |column: &str, number: &str| TooLarge {
        column: column.to_owned(),
        number: number.to_owned(),
    };
    let n_numbers: usize = record.values().map(count).sum();
    if n_numbers != written.len() {
        // A name that stands twice hides its first value, so that nothing can be matched.
        let large = written.iter().find(|number| is_too_large(number));
        return large.map_or(Ok(()), |number| Err(too_large("(the line)", number)));
    }
    let mut written = written.into_iter();
    for (name, value) in record {
        replace(value, &mut written).map_err(|number| too_large(name, number))?;
    }
    Ok(())
}

/// Every number outside of strings, in order.
fn written(text: &[u8]) -> Vec<&str> {
    let mut numbers = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let begin = at;
        at += 1;
        match byte {
            b'"' => {
                while text.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if text[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let is_part =
                    |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
                at += text[at..].iter().take_while(|byte| is_part(byte)).count();
                numbers.extend(std::str::from_utf8(&text[begin..at]));
            }
            _ => {}
        }
    }
    numbers
}

fn is_too_large(number: &str) -> bool {
    let is_whole = !number.contains(['.', 'e', 'E']);
    is_whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err()
}

fn count(value: &Value) -> usize {
    match value {
        Value::Number(_) => 1,
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

fn replace<'a>(
    value: &mut Value,
    written: &mut impl Iterator<Item = &'a str>,
) -> Result<(), &'a str> {
    match value {
        Value::Number(number) => {
            let text = written.next().unwrap_or_default();
            if is_too_large(text) {
                return Err(text);
            }
            if number.is_f64()
                && let Some(exact) = text.parse().ok().and_then(Number::from_f64)
            {
                *number = exact;
            }
        }
        Value::Array(items) => {
            for item in items {
                replace(item, written)?;
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                replace(field, written)?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<String, String> {
        let mut record: Map<String, Value> = serde_json::from_str(text).unwrap();
        let outcome = exact(text.as_bytes(), &mut record);
        outcome.map_err(|TooLarge { column, number }| format!("{column}: {number}"))?;
        Ok(Value::Object(record).to_string())
    }

    #[test]
    fn numbers_are_written_as_they_were_read() {
        for text in [
            r#"{"a":0.1,"b":[0.30000000000000004,-1.5],"c":{"d":9007199254740993,"1.5\"2":"7"}}"#,
            r#"{"a":8.533011452281785e-298,"b":18446744073709551615,"c":-9223372036854775808}"#,
            r#"{"a":-0.0,"b":5e-324,"c":1.7976931348623157e+308,"d":"\\","e":31.245270191439438}"#,
        ] {
            assert_eq!(check(text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_number_that_no_type_holds_is_named_with_its_column() {
        let number = "123456789012345678901234567890";
        let expected = Err(format!("b: {number}"));
        assert_eq!(check(&format!(r#"{{"a":1,"b":[{{"c":{number}}}]}}"#)), expected);
        let expected = Err(format!("(the line): {number}"));
        assert_eq!(check(&format!(r#"{{"a":{number},"a":1}}"#)), expected);
    }
}
