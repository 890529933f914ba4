//! HTTP to an OpenAI-compatible server: one call, its deadline, and retries within a budget.
//!
//! What may pass by itself (no connection, 429, 5xx, a timeout) is tried again with growing pauses; what will not (another
//! 4xx, an answer that is no JSON) is an error at once, with the server's own words. Retries are paid from a budget that
//! successes refill, so that a server in trouble is not hit harder for it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

/// Where the server is and how long to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Without `/v1`, for example `http://127.0.0.1:8000`.
    pub url: String,
    /// Sent as `Authorization: Bearer`.
    pub key: Option<String>,
    /// For one try of one call.
    pub timeout: Duration,
    /// Tries of one call, at least 1.
    pub tries: u32,
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL cannot be used.
    #[error(
        "`{url}` cannot be the address of an inference server; give http://HOST:PORT (https needs a proxy that ends TLS)"
    )]
    Url {
        /// As given.
        url: String,
    },
    /// The client cannot be made.
    #[error("cannot set up HTTP")]
    Setup {
        /// What the library said.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused the request.
    #[error("{url} answered {status}: {message}")]
    Refused {
        /// What was called.
        url: String,
        /// The status.
        status: StatusCode,
        /// The server's own words.
        message: String,
    },
    /// All tries failed in ways that may pass.
    #[error("{url} failed {tries} times, the last time with: {last}")]
    GaveUp {
        /// What was called.
        url: String,
        /// Tries made.
        tries: u32,
        /// The last failure.
        last: String,
    },
    /// An answer that does not hold what the call promises.
    #[error("{url} answered, but {problem}")]
    Answer {
        /// What was called.
        url: String,
        /// What is missing or wrong.
        problem: String,
    },
}

impl ClientError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::GaveUp { .. })
    }
}

/// Retries that may be outstanding before successes refill the budget.
const BUDGET: i64 = 40;

/// Parts of a retry that a success earns; a retry costs [`RETRY_COST`].
const SUCCESS_EARNS: i64 = 1;
const RETRY_COST: i64 = 4;

/// First pause; doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Longest piece of a server's answer that is repeated in an error.
const LONGEST_QUOTE: usize = 600;

/// A connection pool to one server.
#[derive(Debug)]
pub struct Client {
    server: Server,
    http: reqwest::Client,
    budget: AtomicI64,
}

enum Outcome {
    Done(Value),
    MayPass { what: String, pause: Option<Duration> },
}

impl Client {
    /// A client of `server`; connects at the first call.
    ///
    /// # Errors
    /// [`ClientError::Url`] for an address that is not plain HTTP.
    pub fn new(server: Server) -> Result<Self, ClientError> {
        let plain = server.url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty());
        if !plain || server.url.trim_end_matches('/').ends_with("/v1") {
            return Err(ClientError::Url { url: server.url });
        }
        let http = reqwest::Client::builder().timeout(server.timeout).build();
        let http = http.map_err(|source| ClientError::Setup { source })?;
        Ok(Self { server, http, budget: AtomicI64::new(BUDGET * RETRY_COST) })
    }

    /// Posts `body` to `path` and gives the JSON answer; an empty or textual answer is `null`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        let url = self.url(path);
        self.call(&url, || self.http.post(&url).json(body)).await
    }

    /// Gets `path`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        let url = self.url(path);
        self.call(&url, || self.http.get(&url)).await
    }

    /// The full address of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url.trim_end_matches('/'))
    }

    async fn call(&self, url: &str, request: impl Fn() -> RequestBuilder) -> Result<Value, ClientError> {
        let mut pause = FIRST_PAUSE;
        for number in 1.. {
            let request = match &self.server.key {
                Some(key) => request().bearer_auth(key),
                None => request(),
            };
            let (what, asked) = match once(url, request).await? {
                Outcome::Done(value) => {
                    self.earn();
                    return Ok(value);
                }
                Outcome::MayPass { what, pause } => (what, pause),
            };
            let paid = number < self.server.tries && self.budget.fetch_sub(RETRY_COST, Ordering::Relaxed) >= RETRY_COST;
            if !paid {
                return Err(ClientError::GaveUp { url: url.to_owned(), tries: number, last: what });
            }
            let wait = asked.unwrap_or(pause).min(LONGEST_PAUSE);
            tracing::warn!("{url}: {what}; try {number} of {}, the next in {wait:?}", self.server.tries);
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(ClientError::GaveUp { url: url.to_owned(), tries: u32::MAX, last: "too many tries".to_owned() })
    }

    fn earn(&self) {
        let full = |budget: i64| (budget < BUDGET * RETRY_COST).then_some(budget + SUCCESS_EARNS);
        let _full_already = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, full);
    }
}

async fn once(url: &str, request: RequestBuilder) -> Result<Outcome, ClientError> {
    let may_pass = |error: reqwest::Error| Outcome::MayPass {
        what: galapagos_telemetry::ErrorChain::new(&error.without_url()).to_string(),
        pause: None,
    };
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Ok(may_pass(error)),
    };
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let pause = seconds.map(Duration::from_secs);
    let text = match response.text().await {
        Ok(text) => text,
        Err(error) => return Ok(may_pass(error)),
    };
    if status.is_success() {
        return Ok(Outcome::Done(serde_json::from_str(&text).unwrap_or(Value::Null)));
    }
    let message = quote(&text);
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT {
        return Ok(Outcome::MayPass { what: format!("{status}: {message}"), pause });
    }
    Err(ClientError::Refused { url: url.to_owned(), status, message })
}

/// The message of an OpenAI error, or the beginning of whatever came.
fn quote(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let message = value.pointer("/error/message").or_else(|| value.get("message")).and_then(Value::as_str);
    message.unwrap_or(text).chars().take(LONGEST_QUOTE).collect()
}
