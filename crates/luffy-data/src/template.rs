//! Chat templates, rendered as transformers renders them in Python.

use luffy_core::Message;
use minijinja::value::{Kwargs, Rest, Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value, syntax::SyntaxConfig};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

const NAME: &str = "chat";

/// A compiled template with the special tokens it may name.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: serde_json::Map<String, serde_json::Value>,
}

impl ChatTemplate {
    /// Compiles `source`; `special_tokens` become variables (`bos_token` and so on).
    pub(crate) fn new(
        source: &str,
        special_tokens: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_filter("tojson", tojson);
        environment.add_test("iterable", is_iterable);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_template_owned(NAME, source.to_owned())?;
        Ok(Self { environment, special_tokens })
    }

    /// The conversation as text.
    pub(crate) fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, Error> {
        let mut context = self.special_tokens.clone();
        let messages = messages
            .iter()
            .map(|message| serde_json::json!({ "role": message.role, "content": message.content }));
        context.insert("messages".into(), messages.collect());
        context.insert("add_generation_prompt".into(), add_generation_prompt.into());
        // transformers passes both as none where the caller has none.
        context.insert("tools".into(), serde_json::Value::Null);
        context.insert("documents".into(), serde_json::Value::Null);
        self.environment.get_template(NAME)?.render(Value::from(Serde(&context)))
    }
}

/// Python's notion: none cannot be iterated, an undefined variable can.
fn is_iterable(value: &Value) -> bool {
    !value.is_none()
        && (value.is_undefined() || value.kind() == ValueKind::String || value.try_iter().is_ok())
}

/// How a template refuses a conversation.
fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The date templates print when they ask for today's. A prompt that changes with the clock would make
/// a run depend on the day it ran, so it is one fixed day: the one Llama's templates fall back to,
/// Friday 26 July 2024, at midnight.
fn strftime_now(format: String) -> Result<String, Error> {
    let mut text = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        text.push_str(match chars.next() {
            Some('d') => "26",
            Some('b' | 'h') => "Jul",
            Some('B') => "July",
            Some('m') => "07",
            Some('y') => "24",
            Some('Y') => "2024",
            Some('a') => "Fri",
            Some('A') => "Friday",
            Some('j') => "208",
            Some('F') => "2024-07-26",
            Some('H' | 'M' | 'S') => "00",
            Some('I') => "12",
            Some('p') => "AM",
            Some('%') => "%",
            other => {
                let code = other.map(String::from).unwrap_or_default();
                let message = format!("strftime_now does not know the format code %{code}");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        });
    }
    Ok(text)
}

/// `json.dumps(value, ensure_ascii=False)`, with the arguments transformers forwards.
fn tojson(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<String, Error> {
    let [] = args.as_slice() else {
        let message = "tojson takes its options by name";
        return Err(Error::new(ErrorKind::TooManyArguments, message));
    };
    let ensure_ascii = kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sort_keys = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let indent = kwargs.get::<Option<usize>>("indent")?;
    let separators = kwargs.get::<Option<Vec<String>>>("separators")?;
    kwargs.assert_all_used()?;
    let failed = |e: serde_json::Error| {
        Error::new(ErrorKind::BadSerialization, format!("cannot write as JSON: {e}"))
    };
    let mut value = serde_json::to_value(value).map_err(failed)?;
    if sort_keys {
        value.sort_all_objects();
    }
    let (item, key) = match separators.as_deref() {
        None if indent.is_some() => (",", ": "),
        None => (", ", ": "),
        Some([item, key]) => (item.as_str(), key.as_str()),
        Some(_) => {
            let message = "separators of tojson are two strings";
            return Err(Error::new(ErrorKind::InvalidOperation, message));
        }
    };
    let spaces = " ".repeat(indent.unwrap_or(0));
    let pretty = indent.map(|_| PrettyFormatter::with_indent(spaces.as_bytes()));
    let mut bytes = Vec::new();
    let formatter = Python { item, key, ensure_ascii, pretty };
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(&value, &mut serializer).map_err(failed)?;
    Ok(String::from_utf8(bytes).expect("a JSON writer writes UTF-8"))
}

/// Separators and line breaks of Python's `json` module.
struct Python<'a> {
    item: &'a str,
    key: &'a str,
    ensure_ascii: bool,
    pretty: Option<PrettyFormatter<'a>>,
}

type Sink = std::io::Result<()>;

impl Python<'_> {
    fn separate<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> Sink {
        if !first {
            writer.write_all(self.item.as_bytes())?;
        }
        match &mut self.pretty {
            // Called as the first item so that it breaks the line and adds no comma of its own.
            Some(pretty) => pretty.begin_array_value(writer, true),
            None => Ok(()),
        }
    }
}

impl Formatter for Python<'_> {
    fn begin_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Sink {
        match &mut self.pretty {
            Some(pretty) => pretty.begin_array(writer),
            None => CompactFormatter.begin_array(writer),
        }
    }

    fn end_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Sink {
        match &mut self.pretty {
            Some(pretty) => pretty.end_array(writer),
            None => CompactFormatter.end_array(writer),
        }
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> Sink {
        self.separate(writer, first)
    }

    fn end_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Sink {
        self.pretty.as_mut().map_or(Ok(()), |pretty| pretty.end_array_value(writer))
    }

    fn begin_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Sink {
        match &mut self.pretty {
            Some(pretty) => pretty.begin_object(writer),
            None => CompactFormatter.begin_object(writer),
        }
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Sink {
        match &mut self.pretty {
            Some(pretty) => pretty.end_object(writer),
            None => CompactFormatter.end_object(writer),
        }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> Sink {
        self.separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Sink {
        writer.write_all(self.key.as_bytes())
    }

    fn end_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Sink {
        self.pretty.as_mut().map_or(Ok(()), |pretty| pretty.end_object_value(writer))
    }

    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> Sink {
        if !self.ensure_ascii || fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            if c.is_ascii() {
                write!(writer, "{c}")?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: &str) {
        let template = ChatTemplate::new(template, serde_json::Map::new()).unwrap();
        let text = template.render(&[Message::user("q \"é\"\n")], true).unwrap();
        assert_eq!(text, expected);
    }

    fn error(template: &str) -> String {
        let template = ChatTemplate::new(template, serde_json::Map::new()).unwrap();
        template.render(&[Message::user("q")], true).unwrap_err().to_string()
    }

    // Expected texts of this module: Python 3, jinja2 with trim_blocks and lstrip_blocks, and json.dumps
    // with ensure_ascii=False, as transformers sets them up.

    #[test]
    fn tojson_writes_like_python() {
        check("{{ messages|tojson }}", r#"[{"role": "user", "content": "q \"é\"\n"}]"#);
        check(
            "{{ {'a': [1, 2.5, none, true], 'b': {}}|tojson }}",
            r#"{"a": [1, 2.5, null, true], "b": {}}"#,
        );
        check("{{ '<a&b>'|tojson }}", r#""<a&b>""#);
        check(
            "{{ {'b': [1, 2], 'a': {}, 'c': []}|tojson(indent=2) }}",
            "{\n  \"b\": [\n    1,\n    2\n  ],\n  \"a\": {},\n  \"c\": []\n}",
        );
        check(
            "{{ {'b': 'é🙂', 'a': 1}|tojson(sort_keys=true, ensure_ascii=true) }}",
            r#"{"a": 1, "b": "\u00e9\ud83d\ude42"}"#,
        );
        check("{{ [1, {'a': 2}]|tojson(separators=(',', ':')) }}", r#"[1,{"a":2}]"#);
    }

    #[test]
    fn blocks_leave_no_white_space() {
        check(
            "{% if true %}\n  {% for m in messages %}\nx\n  {% endfor %}\n{% endif %}\nend\n",
            "x\nend",
        );
    }

    #[test]
    fn iterable_is_pythons() {
        check(
            "{{ tools is iterable }} {{ 'a' is iterable }} {{ [] is iterable }} {{ {} is iterable }} \
             {{ 3 is iterable }} {{ nothing is iterable }}",
            "False True True True False True",
        );
    }

    #[test]
    fn python_methods_and_variables_work() {
        check(
            "{{ '  a '.strip() }}{{ 'a b'.split(' ')[-1] }}{{ add_generation_prompt }}",
            "abTrue",
        );
        check("{{ messages[0].get('name', 'none') }}{{ bos_token }}", "none");
        check(
            "{% set ns = namespace(n=0) %}{% for i in [1, 2, 3] %}{% if i == 3 %}{% break %}{% endif %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
            "3",
        );
    }

    #[test]
    fn the_date_is_fixed() {
        check("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024");
        check("{{ strftime_now('%Y-%m-%d 100%%') }}", "2024-07-26 100%");
        assert!(error("{{ strftime_now('%Q') }}").contains("format code %Q"));
    }

    #[test]
    fn a_template_may_refuse() {
        assert!(
            error("{{ raise_exception('roles must alternate') }}").contains("roles must alternate")
        );
    }
}
