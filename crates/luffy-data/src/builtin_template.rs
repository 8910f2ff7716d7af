//! Chat templates that can be asked for by name.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::DataError;

/// A chat template that replaces the model's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSource {
    /// Where it comes from, for messages: a built-in name or a file.
    pub origin: String,
    /// The template, in Jinja.
    pub text: String,
}

/// ChatML with a system text of its own; the system message of the data is left out.
struct Frame {
    system: &'static str,
    /// Follows every question.
    suffix: &'static str,
}

impl Frame {
    fn text(&self) -> String {
        let Self { system, suffix } = self;
        format!(
            "{{{{- '<|im_start|>system\\n' + {system:?} + '<|im_end|>\\n' -}}}}\n\
             {{%- for message in messages if message['role'] != 'system' -%}}\n\
             {{{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] -}}}}\n\
             {{%- if message['role'] == 'user' -%}}{{{{- {suffix:?} -}}}}{{%- endif -%}}\n\
             {{{{- '<|im_end|>\\n' -}}}}\n\
             {{%- endfor -%}}\n\
             {{%- if add_generation_prompt -%}}{{{{- '<|im_start|>assistant\\n' -}}}}{{%- endif -%}}\n"
        )
    }
}

const QWEN: Frame = Frame {
    system: "Please reason step by step, and put your final answer within \\boxed{}.",
    suffix: "",
};
const SIMPLERL: Frame = Frame {
    system: "You are a helpful assistant.",
    suffix: "\nPlease reason step by step, and put your final answer within \\boxed{}.",
};

/// The question alone: no roles, no special tokens, no system text.
const NONE: &str = "{%- for message in messages if message['role'] != 'system' -%}\n\
                    {{- message['content'] -}}\n\
                    {%- if not loop.last -%}{{- '\\n' -}}{%- endif -%}\n\
                    {%- endfor -%}\n";

/// Names the reference evaluates with and whose texts it takes from a model that we have not seen.
const UNKNOWN: [&str; 3] = ["prime", "prime-sft", "prime-code"];

impl TemplateSource {
    /// What a setting asks for: a built-in name, or else a file.
    ///
    /// | name | what |
    /// |---|---|
    /// | `own`, or nothing | the model's own template: `None` |
    /// | `qwen` | ChatML; the system text asks for steps and a box |
    /// | `simplerl` | ChatML; a plain system text, the same request after the question |
    /// | `none` | the question alone |
    ///
    /// All three leave out the system message of the data, as the reference does when it evaluates.
    ///
    /// # Errors
    /// If the file cannot be read or is not UTF-8. The reference has three more names, `prime`,
    /// `prime-sft` and `prime-code`; their texts are not ours to give, and asking for one says so.
    pub fn find(name: &str) -> Result<Option<Self>, DataError> {
        let text = match name {
            "" | "own" => return Ok(None),
            "qwen" => QWEN.text(),
            "simplerl" => SIMPLERL.text(),
            "none" => NONE.to_owned(),
            _ if UNKNOWN.contains(&name) => {
                return Err(DataError::TemplateName { name: name.to_owned() });
            }
            path => {
                let path = Path::new(path);
                let bytes = fs::read(path).map_err(|e| match e.kind() {
                    // A name without a folder was hardly meant as a file.
                    ErrorKind::NotFound if path.components().count() == 1 => {
                        DataError::NoTemplate { name: name.to_owned() }
                    }
                    _ => DataError::read(path, e),
                })?;
                String::from_utf8(bytes).map_err(|_| DataError::Template {
                    origin: path.display().to_string(),
                    message: "the file is not UTF-8".into(),
                })?
            }
        };
        Ok(Some(Self { origin: name.to_owned(), text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::ChatTemplate;
    use luffy_core::Message;

    fn render(name: &str, generate: bool) -> String {
        let source = TemplateSource::find(name).unwrap().unwrap();
        let system = Message { role: "system".into(), content: "data's own".into() };
        ChatTemplate::new(&source.text, serde_json::Map::new())
            .unwrap()
            .render(&[system, Message::user("1+1?\n")], generate)
            .unwrap()
    }

    #[test]
    fn names_render_as_described() {
        let request = "Please reason step by step, and put your final answer within \\boxed{}.";
        assert_eq!(
            render("qwen", true),
            format!(
                "<|im_start|>system\n{request}<|im_end|>\n<|im_start|>user\n1+1?\n<|im_end|>\n\
                 <|im_start|>assistant\n"
            )
        );
        assert_eq!(
            render("simplerl", false),
            format!(
                "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n\
                 <|im_start|>user\n1+1?\n\n{request}<|im_end|>\n"
            )
        );
        assert_eq!(render("none", true), "1+1?\n");
    }

    #[test]
    fn the_request_follows_questions_alone() {
        let source = TemplateSource::find("simplerl").unwrap().unwrap();
        let answer = Message { role: "assistant".into(), content: "2".into() };
        let text = ChatTemplate::new(&source.text, serde_json::Map::new())
            .unwrap()
            .render(&[Message::user("1+1?"), answer, Message::user("sure?")], false)
            .unwrap();
        assert_eq!(text.matches("Please reason").count(), 2);
        assert!(text.contains("<|im_start|>assistant\n2<|im_end|>\n"), "{text}");
    }

    #[test]
    fn own_is_no_replacement_and_anything_else_is_a_file() {
        assert_eq!(TemplateSource::find("own").unwrap(), None);
        assert_eq!(TemplateSource::find("").unwrap(), None);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chat.jinja");
        fs::write(&path, "{{ bos_token }}").unwrap();
        let name = path.display().to_string();
        let found = TemplateSource::find(&name).unwrap().unwrap();
        assert_eq!(found, TemplateSource { origin: name, text: "{{ bos_token }}".into() });
    }
}
