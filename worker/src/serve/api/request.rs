//! Requests in: read field by field, so that an unknown or unsupported one is an error that names it.

use std::collections::BTreeMap;

use galapagos_model::ChatMessage;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;

/// Fields both kinds of request have.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<i64>,
    pub min_p: Option<f64>,
    pub repetition_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
    pub frequency_penalty: Option<f64>,
    pub logit_bias: Option<BTreeMap<String, f64>>,
    pub n: Option<usize>,
    pub seed: Option<u64>,
    pub stop: Option<OneOrMany>,
    pub stop_token_ids: Option<Vec<u32>>,
    pub ignore_eos: bool,
    pub stream: bool,
    pub stream_options: Option<StreamOptions>,
    pub return_token_ids: bool,
    pub guided_regex: Option<String>,
    pub guided_json: Option<Value>,
    pub guided_choice: Option<Vec<String>>,
    pub guided_grammar: Option<String>,
    pub structured_outputs: Option<StructuredOutputs>,
    pub response_format: Option<ResponseFormat>,
}

/// What follows the last token of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamOptions {
    /// A last chunk with the token counts.
    pub include_usage: bool,
}

/// The form of the answer as vLLM names it from 0.12; exactly one of these.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StructuredOutputs {
    pub regex: Option<String>,
    pub json: Option<Value>,
    pub json_object: Option<bool>,
    pub choice: Option<Vec<String>>,
    /// Lark.
    pub grammar: Option<String>,
}

/// A string or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    /// The strings.
    #[must_use]
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// The form of the answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
}

/// A JSON schema as OpenAI wraps it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct NamedSchema {
    pub schema: Value,
}

/// `POST /v1/chat/completions`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    pub model: String,
    pub messages: Vec<ChatMessage>,
    pub max_tokens: Option<usize>,
    /// Candidates listed beside each token; `None` for no log-probabilities at all.
    pub log_probs: Option<usize>,
    pub common: Common,
}

/// `POST /v1/completions`.
#[derive(Debug, Clone, PartialEq)]
pub struct CompletionRequest {
    pub model: String,
    pub prompts: Vec<Prompt>,
    pub max_tokens: Option<usize>,
    /// As in [`ChatRequest`].
    pub log_probs: Option<usize>,
    /// Whether the answer begins with the prompt.
    pub echo: bool,
    pub common: Common,
}

/// What to continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
}

/// Fields that change no answer here.
const HARMLESS: [&str; 8] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "skip_special_tokens",
];

/// Candidates listed beside a token, at most.
const MOST_LOG_PROBS: usize = 20;

impl ChatRequest {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`ApiError`] with status 400 names the field.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let model = fields.need("model")?;
        let messages: Vec<Message> = fields.need("messages")?;
        if messages.is_empty() {
            return Err(ApiError::invalid(Some("messages"), "`messages` is empty; give at least one message"));
        }
        let limit: Option<usize> = fields.take("max_completion_tokens")?;
        let max_tokens = limit.or(fields.take("max_tokens")?);
        let wanted: bool = fields.take("logprobs")?.unwrap_or(false);
        let candidates: Option<usize> = fields.take("top_logprobs")?;
        let log_probs = match (wanted, candidates) {
            (false, Some(n)) if n > 0 => {
                return Err(ApiError::invalid(Some("top_logprobs"), "`top_logprobs` needs `logprobs` to be true"));
            }
            (false, _) => None,
            (true, candidates) => Some(few("top_logprobs", candidates.unwrap_or(0))?),
        };
        let messages = messages.into_iter().map(Message::plain).collect::<Result<_, _>>()?;
        Ok(Self { model, messages, max_tokens, log_probs, common: fields.common()? })
    }
}

impl CompletionRequest {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`ApiError`] with status 400 names the field.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of(body)?;
        let model = fields.need("model")?;
        let prompts = prompts(fields.need("prompt")?)?;
        let max_tokens = fields.take("max_tokens")?;
        let log_probs = fields.take("logprobs")?.map(|n| few("logprobs", n)).transpose()?;
        let echo = fields.take("echo")?.unwrap_or(false);
        Ok(Self { model, prompts, max_tokens, log_probs, echo, common: fields.common()? })
    }
}

fn few(field: &str, n: usize) -> Result<usize, ApiError> {
    if n > MOST_LOG_PROBS {
        return Err(ApiError::invalid(Some(field), format!("`{field}` is {n}; it must be at most {MOST_LOG_PROBS}")));
    }
    Ok(n)
}

fn prompts(value: Value) -> Result<Vec<Prompt>, ApiError> {
    let wrong = || {
        let message = "`prompt` must be a string, a list of strings, a list of token ids, or a list of such lists";
        ApiError::invalid(Some("prompt"), message)
    };
    let one = |value: &Value| match value {
        Value::String(text) => Some(Prompt::Text(text.clone())),
        Value::Array(items) => items.iter().map(token).collect::<Option<Vec<_>>>().map(Prompt::Tokens),
        _ => None,
    };
    let prompts = match &value {
        Value::Array(items) if items.first().is_some_and(|item| !item.is_number()) => {
            items.iter().map(one).collect::<Option<Vec<_>>>()
        }
        other => one(other).map(|prompt| vec![prompt]),
    };
    prompts.filter(|prompts| !prompts.is_empty()).ok_or_else(wrong)
}

fn token(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// A message whose content is a string or a list of text parts.
#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

impl Message {
    fn plain(self) -> Result<ChatMessage, ApiError> {
        let unsupported = |what: &str| {
            ApiError::invalid(Some("messages"), format!("a message has {what}, which is not supported; only text is"))
        };
        let known = |(key, value): &(&String, &Value)| value.is_null() || ["name", "refusal"].contains(&key.as_str());
        if let Some((key, _)) = self.rest.iter().find(|entry| !known(entry)) {
            return Err(unsupported(&format!("`{key}`")));
        }
        let content = match self.content {
            None => return Err(unsupported("no content")),
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => {
                let text = |part: Part| match (part.kind.as_str(), part.text) {
                    ("text", Some(text)) => Ok(text),
                    (kind, _) => Err(unsupported(&format!("a part of type `{kind}`"))),
                };
                parts.into_iter().map(text).collect::<Result<Vec<_>, _>>()?.concat()
            }
        };
        Ok(ChatMessage::new(self.role, content))
    }
}

/// The fields that are left to read.
struct Fields(Map<String, Value>);

impl Fields {
    fn of(body: &[u8]) -> Result<Self, ApiError> {
        let broken = |error| ApiError::invalid(None, format!("the body is not a JSON object: {error}"));
        let mut fields: Map<String, Value> = serde_json::from_slice(body).map_err(broken)?;
        // Clients send null for what they leave to the server.
        fields.retain(|key, value| !value.is_null() && !HARMLESS.contains(&key.as_str()));
        Ok(Self(fields))
    }

    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let wrong = |error| ApiError::invalid(Some(name), format!("`{name}` cannot be read: {error}"));
        self.0.remove(name).map(|value| serde_json::from_value(value).map_err(wrong)).transpose()
    }

    fn need<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, ApiError> {
        self.take(name)?.ok_or_else(|| ApiError::invalid(Some(name), format!("`{name}` is missing")))
    }

    /// The rest, which must be fields that both kinds of request have.
    fn common(self) -> Result<Common, ApiError> {
        let mut common = Map::new();
        for (name, value) in self.0 {
            let one = Map::from_iter([(name.clone(), value.clone())]);
            if let Err(error) = serde_json::from_value::<Common>(Value::Object(one)) {
                let text = error.to_string();
                let message = match text.starts_with("unknown field") {
                    true => format!("`{name}` is not supported by this server; leave it out"),
                    false => format!("`{name}` cannot be read: {text}"),
                };
                return Err(ApiError::invalid(Some(&name), message));
            }
            common.insert(name, value);
        }
        serde_json::from_value(Value::Object(common)).map_err(|error| ApiError::invalid(None, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: Value) -> Result<ChatRequest, ApiError> {
        ChatRequest::read(body.to_string().as_bytes())
    }

    #[test]
    fn a_clients_usual_request_is_read() {
        let body = serde_json::json!({
            "model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
            "max_completion_tokens": 5, "stop": "x", "logprobs": true, "top_logprobs": 2, "temperature": 0.5, "tools": null, "user": "u",
        });
        let request = chat(body).unwrap();
        assert_eq!(request.messages, [ChatMessage::new("user", "ab")]);
        assert_eq!((request.max_tokens, request.log_probs), (Some(5), Some(2)));
        assert_eq!(request.common.stop.unwrap().into_vec(), ["x"]);
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let with = |field: &str, value: Value| {
            let mut body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
            body[field] = value;
            chat(body).unwrap_err().body().to_string()
        };
        for (field, value) in [
            ("tools", serde_json::json!([1])),
            ("temperature", Value::from("hot")),
            ("top_logprobs", Value::from(3)),
            ("messages", Value::Array(vec![])),
            ("stream_options", serde_json::json!({"other": 1})),
            ("structured_outputs", serde_json::json!({"structural_tag": "x"})),
        ] {
            let text = with(field, value);
            assert!(text.contains(&format!("`{field}`")), "{field}: {text}");
        }
        let image = serde_json::json!([{"role": "user", "content": [{"type": "image_url"}]}]);
        assert!(with("messages", image).contains("image_url"));
    }

    #[test]
    fn prompts_have_four_forms() {
        let read = |prompt: Value| {
            let body = serde_json::json!({"model": "m", "prompt": prompt});
            CompletionRequest::read(body.to_string().as_bytes()).map(|request| request.prompts)
        };
        assert_eq!(read("a".into()).unwrap(), [Prompt::Text("a".into())]);
        assert_eq!(read(serde_json::json!([1, 2])).unwrap(), [Prompt::Tokens(vec![1, 2])]);
        assert_eq!(read(serde_json::json!([[1], [2]])).unwrap().len(), 2);
        assert_eq!(read(serde_json::json!(["a", "b"])).unwrap().len(), 2);
        for bad in [serde_json::json!([-1]), serde_json::json!(7), serde_json::json!([[1.5]])] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
