//! Chat templates: the Jinja programs that turn messages into the text a model was tuned on.
//!
//! Rendered with the same rules as `transformers` (block trimming, Python methods on values, Python's JSON). A template
//! may refuse its input (`raise_exception`); asking for the current time is refused, as results must not depend on a clock.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, ErrorKind, Value, context};
use serde::{Deserialize, Serialize};

use crate::TokenizerError;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`; a template may know others.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl ChatMessage {
    /// A message of that role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// `bos_token`, `eos_token` and so on, by name.
    special_tokens: std::collections::BTreeMap<String, String>,
}

const NAME: &str = "chat_template";

impl ChatTemplate {
    /// Compiles `source`. `special_tokens` are the values of `bos_token`, `eos_token` and their like.
    ///
    /// # Errors
    /// [`TokenizerError::Template`] with the line of a syntax error.
    pub fn new(
        source: String,
        special_tokens: std::collections::BTreeMap<String, String>,
    ) -> Result<Self, TokenizerError> {
        let mut environment = Environment::new();
        let compiling = |source| TokenizerError::Template { doing: "compiling", source };
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(compiling)?;
        environment.set_syntax(syntax);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", tojson);
        environment.add_template_owned(NAME, source).map_err(compiling)?;
        Ok(Self { environment, special_tokens })
    }

    /// The text for `messages`; with `generation_prompt` it ends where the assistant is to speak.
    ///
    /// # Errors
    /// [`TokenizerError::Template`] when the template refuses the messages or uses what is not implemented.
    pub fn apply(&self, messages: &[ChatMessage], generation_prompt: bool) -> Result<String, TokenizerError> {
        let failed = |source| TokenizerError::Template { doing: "applying", source };
        let template = self.environment.get_template(NAME).map_err(failed)?;
        let given = context! {
            messages => Value::from(Serde(messages)),
            add_generation_prompt => generation_prompt,
            tools => Value::from(()),
            documents => Value::from(()),
        };
        template.render(context! { ..given, ..Value::from(Serde(&self.special_tokens)) }).map_err(failed)
    }
}

fn raise_exception(message: String) -> Result<String, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, format!("the template refuses: {message}")))
}

fn strftime_now(_format: String) -> Result<String, minijinja::Error> {
    Err(minijinja::Error::new(
        ErrorKind::InvalidOperation,
        "the template asks for the current date, which would make results differ from day to day; give the date in a \
         system message or use a template without strftime_now",
    ))
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn tojson(value: Value, kwargs: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    kwargs.assert_all_used()?;
    let mut out = Vec::new();
    let written = match indent {
        Some(width) => {
            let blanks = vec![b' '; width];
            let formatter = serde_json::ser::PrettyFormatter::with_indent(&blanks);
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, PythonSeparators)),
    };
    let failed = |message: String| minijinja::Error::new(ErrorKind::BadSerialization, message);
    written.map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8(out).map_err(|error| failed(error.to_string()))?;
    Ok(text)
}

/// `", "` between items and `": "` after keys, as Python writes them.
struct PythonSeparators;

impl serde_json::ser::Formatter for PythonSeparators {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, out: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, out: &mut W) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(source: &str) -> Result<String, TokenizerError> {
        let special = [("eos_token".to_owned(), "</s>".to_owned())].into();
        ChatTemplate::new(source.to_owned(), special)?.apply(&[ChatMessage::new("user", "hi <b>")], true)
    }

    #[test]
    fn renders_with_special_tokens_python_methods_and_json() {
        let text = apply(
            "{% for m in messages %}\n{{ m.role.upper() + eos_token + (m | tojson) }}\n{% endfor %}{% if add_generation_prompt and not tools %}go{% endif %}",
        );
        assert_eq!(text.unwrap(), "USER</s>{\"role\": \"user\", \"content\": \"hi <b>\"}\ngo");
    }

    #[test]
    fn a_refusal_says_why() {
        let error = apply("{{ raise_exception('roles must alternate') }}").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("roles must alternate"), "{cause}");
    }

    #[test]
    fn the_clock_is_refused() {
        let error = apply("{{ strftime_now('%Y') }}").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("differ from day to day"), "{cause}");
    }

    #[test]
    fn a_syntax_error_is_found_when_compiling() {
        assert!(matches!(apply("{% for %}"), Err(TokenizerError::Template { doing: "compiling", .. })));
    }
}
