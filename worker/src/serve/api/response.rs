//! Answers out: whole completions and the chunks of a stream, for both kinds of request.

use serde_json::{Map, Value, json};

/// Which kind of request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chat,
    Text,
}

impl Kind {
    fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl",
            Self::Text => "cmpl",
        }
    }

    fn object(self, streamed: bool) -> &'static str {
        match (self, streamed) {
            (Self::Chat, false) => "chat.completion",
            (Self::Chat, true) => "chat.completion.chunk",
            (Self::Text, _) => "text_completion",
        }
    }
}

/// One token as the answer lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenInfo {
    pub id: u32,
    pub text: String,
    /// `None` for the first token of an echoed prompt, which nothing predicts.
    pub log_prob: Option<f32>,
    /// Other candidates with their log-probabilities, most probable first.
    pub top: Vec<(String, f32)>,
}

/// A part of one choice: some text, the tokens it came from, and the end if it ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Part {
    /// Index of the choice.
    pub index: usize,
    pub text: String,
    pub tokens: Vec<TokenInfo>,
    /// `stop` or `length`.
    pub finish: Option<&'static str>,
    /// Whether it repeats the prompt.
    pub echo: bool,
}

/// Tokens read and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt: usize,
    pub completion: usize,
    /// Prompt tokens that were not computed again.
    pub cached: usize,
}

impl Usage {
    fn json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        })
    }
}

/// What every message of one answer repeats.
#[derive(Debug, Clone)]
pub struct Heading {
    pub kind: Kind,
    /// Number of the request at this server.
    pub number: u64,
    /// Seconds since 1970.
    pub created: u64,
    pub model: String,
    /// Digest of the weights that answer.
    pub fingerprint: String,
    /// Whether log-probabilities were asked for.
    pub log_probs: bool,
    /// Whether token ids were asked for.
    pub token_ids: bool,
}

impl Heading {
    fn base(&self, streamed: bool) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("id".to_owned(), format!("{}-{}", self.kind.id_prefix(), self.number).into());
        map.insert("object".to_owned(), self.kind.object(streamed).into());
        map.insert("created".to_owned(), self.created.into());
        map.insert("model".to_owned(), self.model.clone().into());
        map.insert("system_fingerprint".to_owned(), self.fingerprint.clone().into());
        map
    }

    /// The whole answer. `prompts` are the token ids of each prompt, told if they were asked for.
    #[must_use]
    pub fn whole(&self, parts: &[Part], usage: Usage, prompts: &[Vec<u32>]) -> Value {
        let mut map = self.base(false);
        let per_prompt = parts.len() / prompts.len().max(1);
        let choice = |part: &Part| {
            let mut choice = self.choice(part, false, 0);
            if self.token_ids && self.kind == Kind::Text {
                choice["prompt_token_ids"] = json!(prompts[part.index / per_prompt.max(1)]);
            }
            choice
        };
        if self.token_ids && self.kind == Kind::Chat {
            // A conversation is one prompt, and stands where vLLM has it.
            map.insert("prompt_token_ids".to_owned(), json!(prompts.first()));
        }
        map.insert("choices".to_owned(), parts.iter().map(choice).collect());
        map.insert("usage".to_owned(), usage.json());
        Value::Object(map)
    }

    /// One chunk of a stream; `offset` is the length of the choice's text before it.
    #[must_use]
    pub fn chunk(&self, part: &Part, offset: usize) -> Value {
        let mut map = self.base(true);
        map.insert("choices".to_owned(), json!([self.choice(part, true, offset)]));
        Value::Object(map)
    }

    /// The chunk that begins a choice of a streamed chat.
    #[must_use]
    pub fn opening(&self, index: usize) -> Value {
        let mut map = self.base(true);
        let delta = json!({"role": "assistant", "content": ""});
        let choice = json!([{"index": index, "delta": delta, "logprobs": null, "finish_reason": null}]);
        map.insert("choices".to_owned(), choice);
        Value::Object(map)
    }

    /// The chunk with the token counts that ends a stream.
    #[must_use]
    pub fn closing(&self, usage: Usage) -> Value {
        let mut map = self.base(true);
        map.insert("choices".to_owned(), json!([]));
        map.insert("usage".to_owned(), usage.json());
        Value::Object(map)
    }

    fn choice(&self, part: &Part, streamed: bool, offset: usize) -> Value {
        let mut choice = match (self.kind, streamed) {
            (Kind::Chat, false) => json!({"message": {"role": "assistant", "content": part.text, "refusal": null}}),
            (Kind::Chat, true) if part.text.is_empty() => json!({"delta": {}}),
            (Kind::Chat, true) => json!({"delta": {"content": part.text}}),
            (Kind::Text, _) => json!({"text": part.text}),
        };
        choice["index"] = json!(part.index);
        choice["finish_reason"] = json!(part.finish);
        choice["logprobs"] = match (self.log_probs, self.kind) {
            (false, _) => Value::Null,
            (true, Kind::Chat) => chat_log_probs(&part.tokens),
            (true, Kind::Text) => text_log_probs(&part.tokens, offset),
        };
        if self.token_ids {
            choice["token_ids"] = part.tokens.iter().map(|token| token.id).collect();
        }
        choice
    }
}

fn chat_log_probs(tokens: &[TokenInfo]) -> Value {
    let entry =
        |text: &str, log_prob: Option<f32>| json!({"token": text, "logprob": log_prob, "bytes": text.as_bytes()});
    let content = tokens.iter().map(|token| {
        let mut item = entry(&token.text, token.log_prob);
        item["top_logprobs"] = token.top.iter().map(|(text, log_prob)| entry(text, Some(*log_prob))).collect();
        item
    });
    json!({"content": content.collect::<Vec<_>>(), "refusal": null})
}

fn text_log_probs(tokens: &[TokenInfo], mut offset: usize) -> Value {
    let offsets = tokens.iter().map(|token| {
        let at = offset;
        offset += token.text.chars().count();
        at
    });
    let top = |token: &TokenInfo| -> Value {
        token.top.iter().map(|(text, log_prob)| (text.clone(), json!(log_prob))).collect::<Map<_, _>>().into()
    };
    json!({
        "text_offset": offsets.collect::<Vec<_>>(),
        "tokens": tokens.iter().map(|token| &token.text).collect::<Vec<_>>(),
        "token_logprobs": tokens.iter().map(|token| token.log_prob).collect::<Vec<_>>(),
        "top_logprobs": tokens.iter().map(top).collect::<Vec<_>>(),
    })
}

/// The list of models.
#[must_use]
pub fn models(ids: &[String], created: u64, longest: usize) -> Value {
    let model = |id: &String| json!({"id": id, "object": "model", "created": created, "owned_by": "galapagos", "max_model_len": longest});
    json!({"object": "list", "data": ids.iter().map(model).collect::<Vec<_>>()})
}
