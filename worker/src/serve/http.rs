//! The addresses: requests in, answers or streams out. What a model says comes from the [`Line`]; nothing is computed here.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream::{self, Stream, StreamExt, select_all};
use galapagos_telemetry::clock;
use tokio_stream::wrappers::ReceiverStream;

use super::adapters::{self, AdapterChange};
use super::api::error::ApiError;
use super::api::request::{ChatRequest, CompletionRequest, Prompt};
use super::api::response::{Heading, Kind, Part, Usage, models};
use super::line::{Answer, Ask, Line, News};
use super::plan::{Limits, Wanted, plan};

/// Largest body in bytes: a prompt of a million tokens written as ids.
const LARGEST_BODY: usize = 16 << 20;

/// What the handlers share.
#[derive(Debug)]
pub struct Server {
    /// The way to the engine.
    pub line: Line,
    /// Names clients may ask for; the first is the model itself, the others are its adapters.
    pub names: RwLock<Vec<String>>,
    /// Whether clients may change the adapters.
    pub runtime_adapters: bool,
    /// Digest of the weights.
    pub fingerprint: String,
    /// What the model can take.
    pub limits: Limits,
    /// Key that clients must send, if any.
    pub key: Option<String>,
    /// Requests so far.
    pub count: AtomicU64,
    /// Seconds since 1970 at the start.
    pub started: u64,
}

/// The addresses.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/load_lora_adapter", post(load))
        .route("/v1/unload_lora_adapter", post(unload))
        .route("/health", get(health))
        .route("/v1/models", get(list))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(completions))
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(server)
}

async fn nowhere(method: Method, uri: Uri, body: Result<Bytes, BytesRejection>) -> ApiError {
    // It is read to its end: after a body that nobody reads the connection is closed, maybe on the client's next request.
    drop(body);
    ApiError::no_route(method.as_str(), uri.path())
}

async fn health(State(server): State<Arc<Server>>) -> Result<&'static str, ApiError> {
    server.line.life().cause().map_or(Ok("ok"), |why| Err(ApiError::ended(&why)))
}

async fn list(State(server): State<Arc<Server>>, headers: HeaderMap) -> Result<Response, ApiError> {
    server.admit(&headers)?;
    Ok(Json(models(&server.names(), server.started, server.limits.positions)).into_response())
}

async fn load(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Result<String, ApiError> {
    server.admit(&headers)?;
    server.change_adapter(AdapterChange::load(&body)?, "added").await
}

async fn unload(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Result<String, ApiError> {
    server.admit(&headers)?;
    server.change_adapter(AdapterChange::unload(&body)?, "removed").await
}

async fn chat(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    server.admit(&headers)?;
    let request = ChatRequest::read(&body)?;
    let number = server.number();
    let adapter = server.model(&request.model)?;
    let prompt = server.line.tokenizer().encode_chat(&request.messages, true).map_err(|error| {
        ApiError::invalid(Some("messages"), format!("the chat template cannot take them: {}", chain(&error)))
    })?;
    let asked = (request.model.as_str(), request.log_probs.is_some(), request.common.return_token_ids);
    let heading = server.heading(Kind::Chat, number, asked);
    let max_tokens = request.max_tokens.or(Some(usize::MAX));
    let wanted = Wanted { prompt, max_tokens, log_probs: request.log_probs, number };
    let ask = plan(&server.limits, &request.common, wanted)?;
    let ask = Ask { adapter, ..ask };
    let usage = request.common.stream_options.unwrap_or_default().include_usage;
    server.answer(heading, vec![ask], request.common.stream, usage).await
}

async fn completions(State(server): State<Arc<Server>>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    server.admit(&headers)?;
    let request = CompletionRequest::read(&body)?;
    let number = server.number();
    let adapter = server.model(&request.model)?;
    let asked = (request.model.as_str(), request.log_probs.is_some(), request.common.return_token_ids);
    let heading = server.heading(Kind::Text, number, asked);
    let mut asks = Vec::new();
    for prompt in request.prompts {
        let tokens = match prompt {
            Prompt::Tokens(tokens) => tokens,
            Prompt::Text(text) => server.line.tokenizer().encode(&text).map_err(|error| {
                ApiError::invalid(Some("prompt"), format!("it cannot be tokenised: {}", chain(&error)))
            })?,
        };
        let (max_tokens, log_probs) = (request.max_tokens, request.log_probs);
        let wanted = Wanted { prompt: tokens, max_tokens, log_probs, number };
        let ask = plan(&server.limits, &request.common, wanted)?;
        asks.push(Ask { adapter: adapter.clone(), echo: request.echo, ..ask });
    }
    let usage = request.common.stream_options.unwrap_or_default().include_usage;
    server.answer(heading, asks, request.common.stream, usage).await
}

impl Server {
    fn number(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let Some(key) = &self.key else { return Ok(()) };
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match sent.and_then(|sent| sent.strip_prefix("Bearer ")) {
            Some(sent) if blake3::hash(sent.as_bytes()) == blake3::hash(key.as_bytes()) => Ok(()),
            Some(_) | None => Err(ApiError::unauthorised()),
        }
    }

    /// The adapter that `name` stands for; `None` for the model itself.
    fn model(&self, name: &str) -> Result<Option<String>, ApiError> {
        let names = self.names();
        match names.iter().position(|known| known == name) {
            Some(0) => Ok(None),
            Some(_) => Ok(Some(name.to_owned())),
            None => Err(ApiError::no_model(name, &names)),
        }
    }

    fn names(&self) -> RwLockReadGuard<'_, Vec<String>> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn change_adapter(&self, change: AdapterChange, done: &str) -> Result<String, ApiError> {
        if !self.runtime_adapters {
            let message = "adapters do not change here; start the server with --allow-runtime-adapters";
            return Err(ApiError::invalid(None, message));
        }
        let name = change.name().to_owned();
        if self.names().first() == Some(&name) {
            return Err(adapters::loaded_already(&name));
        }
        self.line.change_adapter(change).await?;
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        // Two changes of one adapter may come here in either order; the desk knows best, and says so to whoever asks.
        names.retain(|known| *known != name);
        if done == "added" {
            names.push(name.clone());
        }
        Ok(format!("Success: LoRA adapter '{name}' {done} successfully."))
    }

    fn heading(&self, kind: Kind, number: u64, (model, log_probs, token_ids): (&str, bool, bool)) -> Heading {
        Heading {
            kind,
            number,
            created: clock::wall_ms() / 1000,
            model: model.to_owned(),
            fingerprint: self.fingerprint.clone(),
            log_probs,
            token_ids,
        }
    }

    async fn answer(
        self: Arc<Self>,
        heading: Heading,
        asks: Vec<Ask>,
        streamed: bool,
        usage: bool,
    ) -> Result<Response, ApiError> {
        let prompts: Vec<Vec<u32>> = asks.iter().map(|ask| ask.prompt.clone()).collect();
        let samples = asks.first().map_or(1, |ask| ask.samples);
        let mut answers = Vec::new();
        for ask in asks {
            answers.push(self.line.ask(ask)?);
        }
        if streamed {
            let prompt_tokens = prompts.iter().map(Vec::len).sum();
            return Ok(stream_out(heading, answers, samples, usage.then_some(prompt_tokens)));
        }
        let (parts, usage) = collect(answers, samples, &prompts).await?;
        Ok(Json(heading.whole(&parts, usage, &prompts)).into_response())
    }
}

/// News of all answers, the sample's index replaced by the choice's.
fn merged(answers: Vec<Answer>, samples: usize) -> impl Stream<Item = News> + Unpin + Send {
    let renumber = move |(place, answer): (usize, Answer)| {
        ReceiverStream::new(answer.news).map(move |news| match news {
            News::Part(part) => News::Part(Part { index: place * samples + part.index, ..part }),
            other => other,
        })
    };
    select_all(answers.into_iter().enumerate().map(renumber).map(StreamExt::boxed))
}

async fn collect(answers: Vec<Answer>, samples: usize, prompts: &[Vec<u32>]) -> Result<(Vec<Part>, Usage), ApiError> {
    let choices = answers.len() * samples;
    let mut parts: Vec<Part> = (0..choices).map(|index| Part { index, ..Part::default() }).collect();
    let mut usage = Usage { prompt: prompts.iter().map(Vec::len).sum(), ..Usage::default() };
    let mut news = merged(answers, samples);
    while let Some(news) = news.next().await {
        match news {
            News::Part(part) => {
                usage.completion += if part.echo { 0 } else { part.tokens.len() };
                let whole = &mut parts[part.index];
                whole.text.push_str(&part.text);
                whole.tokens.extend(part.tokens);
                whole.finish = whole.finish.or(part.finish);
            }
            News::Cached(tokens) => usage.cached += tokens,
            News::Failed(error) => return Err(error),
        }
    }
    match parts.iter().all(|part| part.finish.is_some()) {
        true => Ok((parts, usage)),
        false => Err(ApiError::cut_off()),
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>;

/// `usage` holds the number of prompt tokens if the counts are wanted.
fn stream_out(heading: Heading, answers: Vec<Answer>, samples: usize, usage: Option<usize>) -> Response {
    let choices = answers.len() * samples;
    let opening: Vec<_> = match heading.kind {
        Kind::Chat => (0..choices).map(|index| heading.opening(index)).collect(),
        Kind::Text => Vec::new(),
    };
    let state = Streaming {
        heading,
        lengths: vec![0; choices],
        open: choices,
        counts: Usage { prompt: usage.unwrap_or(0), ..Usage::default() },
        tell_usage: usage.is_some(),
        ended: false,
    };
    let news = merged(answers, samples).map(Some).chain(stream::once(async { None }));
    let chunks = news.scan(state, |state, news| {
        let chunks = if state.ended { None } else { Some(state.chunks(news)) };
        async move { chunks }
    });
    let data = stream::iter(opening)
        .chain(chunks.flat_map(stream::iter))
        .map(|value| Event::default().data(value.to_string()));
    let done = stream::once(async { Event::default().data("[DONE]") });
    let all: Chunks = Box::pin(data.chain(done).map(Ok));
    Sse::new(all).into_response()
}

struct Streaming {
    heading: Heading,
    /// Characters sent of each choice.
    lengths: Vec<usize>,
    /// Choices that have not ended.
    open: usize,
    counts: Usage,
    tell_usage: bool,
    ended: bool,
}

impl Streaming {
    /// What to send for `news`; `None` is the end of all of it.
    fn chunks(&mut self, news: Option<News>) -> Vec<serde_json::Value> {
        match news {
            Some(News::Part(part)) => {
                let offset = self.lengths[part.index];
                self.lengths[part.index] += part.text.chars().count();
                self.counts.completion += if part.echo { 0 } else { part.tokens.len() };
                self.open -= usize::from(part.finish.is_some());
                vec![self.heading.chunk(&part, offset)]
            }
            Some(News::Cached(tokens)) => {
                self.counts.cached += tokens;
                Vec::new()
            }
            Some(News::Failed(error)) => {
                self.ended = true;
                vec![error.body()]
            }
            None if self.open > 0 => vec![ApiError::cut_off().body()],
            None if self.tell_usage => vec![self.heading.closing(self.counts)],
            None => Vec::new(),
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    galapagos_telemetry::ErrorChain::new(error).to_string()
}
