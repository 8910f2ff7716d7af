//! A row of the input, which leaves with its verdict.

use luffy_core::{Outcome, Reason, Response, Task, Verdict};
use luffy_reward::GradingValues;
use serde_json::value::RawValue;

use crate::rows::{Fields, RowWriter};

/// The fields that grading adds. A row that has them already, graded before, gets new ones.
const ADDED: [&str; 5] = ["correct", "verdict", "reason", "extracted", "reward"];

/// A JSON object as it was written: fields in their order, values to the letter.
#[derive(Debug)]
pub(super) struct Row<'a> {
    fields: Fields<'a>,
    response: String,
    golds: Vec<String>,
}

/// A row with its verdict.
#[derive(Debug)]
pub(super) struct Graded {
    /// A line of JSON with its end.
    pub(super) bytes: Vec<u8>,
    pub(super) reason: Reason,
    /// `None` for an unusable gold.
    pub(super) reward: Option<f32>,
}

impl<'a> Row<'a> {
    /// Reads a line; the error says in a few words what is wrong with it.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, String> {
        let fields = Fields::parse(line)?;
        let response = fields.get("response").ok_or("no `response`")?;
        let response =
            serde_json::from_str(response.get()).map_err(|_| "`response` is no text".to_owned())?;
        let golds = golds(&fields)?.ok_or("no `gold` and no `golds`")?;
        Ok(Self { fields, response, golds })
    }

    /// What the verifier is told of the problem.
    pub(super) fn task(&self, id: String) -> Task {
        Task {
            id,
            source: String::new(),
            messages: vec![],
            golds: self.golds.clone(),
            demonstrations: vec![],
            extra: serde_json::Map::new(),
        }
    }

    pub(super) fn response(&self) -> Response<'_> {
        Response::complete(&self.response)
    }

    /// The row with the fields that a verdict adds, at its end.
    pub(super) fn graded(&self, verdict: &Verdict, values: GradingValues) -> Graded {
        let reward = values.reward(verdict);
        let extracted = verdict.extracted.as_ref().map(|extracted| &extracted.text);
        let outcome = verdict.outcome();
        let bytes = RowWriter::pass(&self.fields, &ADDED)
            .add("correct", &(outcome == Outcome::Correct))
            .add("verdict", &outcome)
            .add("reason", &verdict.reason)
            .add("extracted", &extracted)
            .add("reward", &reward)
            .finish();
        Graded { bytes, reason: verdict.reason, reward }
    }
}

/// The golds of a row, those of `gold` and then those of `golds`; `None` if it has neither field.
pub(crate) fn golds(fields: &Fields<'_>) -> Result<Option<Vec<String>>, String> {
    let mut golds = None;
    for name in ["gold", "golds"] {
        if let Some(value) = fields.get(name) {
            let golds = golds.get_or_insert_with(Vec::new);
            read_golds(value, golds).map_err(|what| format!("`{name}` {what}"))?;
        }
    }
    Ok(golds)
}

/// Adds the golds that a value holds: a text, a number as it is written, or a list of them. A null holds
/// none.
fn read_golds(value: &RawValue, golds: &mut Vec<String>) -> Result<(), String> {
    let items: Vec<&RawValue> = if value.get().starts_with('[') {
        serde_json::from_str(value.get()).map_err(|error| error.to_string())?
    } else {
        vec![value]
    };
    for item in items {
        match item.get() {
            "null" => {}
            text if text.starts_with('"') => {
                golds.push(serde_json::from_str(text).map_err(|error| error.to_string())?);
            }
            number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                golds.push(number.to_owned());
            }
            _ => return Err("is no text, no number and no list of them".to_owned()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use luffy_core::Extracted;

    use super::*;

    fn graded(line: &str, reason: Reason, extracted: Option<&str>) -> String {
        let extracted = extracted.map(|text| Extracted { text: text.to_owned(), span: 0..0 });
        let verdict = Verdict { reason, extracted, work: 0 };
        let values = GradingValues { correct: 1.0, incorrect: -0.1, malformed: -1.0 };
        let row = Row::parse(line.as_bytes()).expect("a row");
        String::from_utf8(row.graded(&verdict, values).bytes).expect("JSON is UTF-8")
    }

    #[test]
    fn other_fields_pass_to_the_letter_and_in_order() {
        let line = r#"{"z": 1.50e3, "gold":"5", "big":123456789012345678901, "é":"\u00e9", "response":"", "a":{ "b":[1, 2] }}"#;
        assert_eq!(
            graded(line, Reason::Different, Some("a\"b")),
            r#"{"z":1.50e3,"gold":"5","big":123456789012345678901,"é":"\u00e9","response":"","a":{ "b":[1, 2] },"correct":false,"verdict":"incorrect","reason":"different","extracted":"a\"b","reward":-0.1}
"#
        );
    }

    #[test]
    fn fields_of_an_earlier_grading_are_replaced() {
        let line = r#"{"reward":7,"response":"","correct":"?","gold":1,"reason":0,"verdict":0,"extracted":0}"#;
        assert_eq!(
            graded(line, Reason::BadGold, None),
            r#"{"response":"","gold":1,"correct":false,"verdict":"bad-gold","reason":"bad-gold","extracted":null,"reward":null}
"#
        );
        let once = graded(line, Reason::Exact, Some("1"));
        assert_eq!(graded(&once, Reason::Exact, Some("1")), once);
    }

    #[test]
    fn golds_are_texts_numbers_or_lists_of_them() {
        let golds = |fields: &str| {
            let line = format!("{{\"response\":\"\",{fields}}}");
            Row::parse(line.as_bytes()).map(|row| row.golds)
        };
        let of = |golds: &[&str]| Ok(golds.iter().map(|gold| (*gold).to_owned()).collect());
        assert_eq!(golds(r#""gold":"a\nb""#), of(&["a\nb"]));
        assert_eq!(golds(r#""gold":142.0"#), of(&["142.0"]));
        assert_eq!(golds(r#""golds":["1", -2e5, null]"#), of(&["1", "-2e5"]));
        assert_eq!(golds(r#""golds":3,"gold":["4"]"#), of(&["4", "3"]));
        assert_eq!(golds(r#""gold":null"#), of(&[]));
        assert_eq!(golds(r#""golds":[]"#), of(&[]));
        for value in ["true", "{}", "[[1]]", "[true]"] {
            let error = golds(&format!("\"gold\":{value}")).unwrap_err();
            assert_eq!(error, "`gold` is no text, no number and no list of them", "{value}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        for (line, what) in [
            ("{\"response\":\"", "not a JSON object: EOF while parsing"),
            ("[1]", "not a JSON object: invalid type: sequence, expected an object"),
            ("{}", "no `response`"),
            ("{\"gold\":1,\"response\":5}", "`response` is no text"),
            ("{\"response\":\"\"}", "no `gold` and no `golds`"),
        ] {
            let error = Row::parse(line.as_bytes()).unwrap_err();
            assert!(error.starts_with(what), "{line}: {error}");
        }
        assert!(Row::parse(b"{\"gold\":1,\"response\":\"\xff\"}").is_err());
        assert!(Row::parse(b"\xef\xbb\xbf{\"gold\":1,\"response\":\"\"}\r\n").is_ok());
    }
}
