//! HTTP to an OpenAI-compatible server: one call, its deadline, and retries within a budget.
//!
//! What may pass by itself (no connection, 429, 5xx, a timeout) is tried again with growing pauses; what will not (another
//! 4xx, a redirection, a certificate that is not trusted) is an error at once, with the server's own words. Retries are paid from a budget that
//! successes refill, so that a server in trouble is not hit harder for it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Certificate, RequestBuilder, StatusCode};
use serde_json::Value;

/// The environment variable with the key of a server.
pub const KEY: &str = "GALAPAGOS_ENGINE_KEY";

/// Where the server is and how long to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Without `/v1`, for example `http://127.0.0.1:8000`.
    pub url: String,
    /// With https: a PEM file of certificates that are trusted beside the system's.
    pub ca: Option<PathBuf>,
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
        "`{url}` cannot be the address of an inference server; give http://HOST:PORT or https://HOST[:PORT], without /v1"
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
    /// The file of certificates cannot be used.
    #[error("cannot take certificates from {} (--engine-ca)", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection cannot be trusted, or is no TLS. Trying again would not help.
    #[error(
        "no secure connection to {url}; if a CA of your own signed the server's certificate, or it signed itself, name that \
         certificate's PEM file (--engine-ca)"
    )]
    Tls {
        /// What was called.
        url: String,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
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

/// Longest wait for a connection.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

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
    /// [`ClientError::Url`] and [`ClientError::Ca`] for what cannot be used; [`ClientError::Setup`] also when this machine has no
    /// certificates to trust.
    pub fn new(server: Server) -> Result<Self, ClientError> {
        let rest = ["http://", "https://"].iter().find_map(|scheme| server.url.strip_prefix(scheme));
        if rest.is_none_or(str::is_empty) || server.url.trim_end_matches('/').ends_with("/v1") {
            return Err(ClientError::Url { url: server.url });
        }
        // Another part of this process may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let secure = server.url.starts_with("https://");
        let certificates = match &server.ca {
            Some(path) if secure => certificates(path)?,
            Some(path) => {
                let source = format!("{} is no https address, so they would not be used", server.url);
                return Err(ClientError::Ca { path: path.clone(), source: source.into() });
            }
            None => Vec::new(),
        };
        let builder = reqwest::Client::builder()
            .timeout(server.timeout)
            .connect_timeout(server.timeout.min(LONGEST_CONNECT))
            .redirect(Policy::none());
        // A plain address must work on machines without certificates, too.
        let builder = if secure { builder.tls_certs_merge(certificates) } else { builder.tls_certs_only(certificates) };
        let http = builder.build().map_err(|source| ClientError::Setup { source })?;
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
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return broken(url, error),
    };
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let pause = seconds.map(Duration::from_secs);
    let text = match response.text().await {
        Ok(text) => text,
        Err(error) => return broken(url, error),
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

/// A call without an answer: it may pass, unless the two sides cannot trust or understand each other.
fn broken(url: &str, error: reqwest::Error) -> Result<Outcome, ClientError> {
    let error = error.without_url();
    match tls_error(&error) {
        Some(source) => Err(ClientError::Tls { url: url.to_owned(), source }),
        None => Ok(Outcome::MayPass { what: galapagos_telemetry::ErrorChain::new(&error).to_string(), pause: None }),
    }
}

fn tls_error(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let inner = inner.map(|inner| inner as &(dyn Error + 'static));
    let here = error.downcast_ref::<rustls::Error>().cloned();
    here.or_else(|| tls_error(inner?)).or_else(|| tls_error(error.source()?))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, ClientError> {
    let failed = |source: Box<dyn Error + Send + Sync>| ClientError::Ca { path: path.to_owned(), source };
    let text = std::fs::read(path).map_err(|error| failed(error.into()))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|error| failed(error.into()))?;
    if found.is_empty() {
        return Err(failed("it holds no certificate; a PEM file has lines `-----BEGIN CERTIFICATE-----`".into()));
    }
    Ok(found)
}

/// The message of an OpenAI error, or the beginning of whatever came.
fn quote(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let message = value.pointer("/error/message").or_else(|| value.get("message")).and_then(Value::as_str);
    message.unwrap_or(text).chars().take(LONGEST_QUOTE).collect()
}
