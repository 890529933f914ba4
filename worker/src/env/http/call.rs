//! One call to a server of environments: its deadline, tries of a broken connection, and what an answer means.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Handle;

use super::super::EnvError;
use super::{Options, PROTOCOL};

/// Largest answer that is read.
const MOST_BYTES: usize = 16 << 20;

/// First pause before another try; doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Longest piece of an answer that is repeated in an error.
const LONGEST_QUOTE: usize = 300;

/// How long a session that nobody needs any more is said goodbye to.
const GOODBYE: Duration = Duration::from_secs(5);

/// Makes calls to one server.
#[derive(Debug)]
pub(super) struct Caller {
    options: Options,
    http: reqwest::Client,
    runtime: Handle,
}

impl Caller {
    pub(super) fn new(options: Options, runtime: Handle) -> Result<Self, EnvError> {
        let bad = |problem: String| EnvError::Config { environment: options.url.clone(), problem };
        let rest = ["http://", "https://"].iter().find_map(|scheme| options.url.strip_prefix(scheme));
        if rest.is_none_or(str::is_empty) || options.deadline.is_zero() || options.tries == 0 {
            return Err(bad("give http://HOST:PORT, a deadline above 0 and at least one try".to_owned()));
        }
        // Another part of this process may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = reqwest::Client::builder().redirect(Policy::none());
        // A plain address must work on machines without certificates, too.
        let builder = if options.url.starts_with("https://") { builder } else { builder.tls_certs_only([]) };
        let failed = |error: reqwest::Error| {
            bad(format!("HTTP cannot be set up: {}", galapagos_telemetry::ErrorChain::new(&error)))
        };
        let http = builder.build().map_err(failed)?;
        Ok(Self { options, http, runtime })
    }

    /// The deadline of one call, for the server to keep to.
    pub(super) fn deadline_ms(&self) -> u64 {
        u64::try_from(self.options.deadline.as_millis()).unwrap_or(u64::MAX).max(1)
    }

    pub(super) fn get(&self, call: &'static str) -> Result<Value, EnvError> {
        self.wait(call, |url| self.http.get(url))
    }

    pub(super) fn post(&self, call: &'static str, body: Value) -> Result<Value, EnvError> {
        self.wait(call, |url| self.http.post(url).json(&body))
    }

    /// Posts without waiting for an answer.
    pub(super) fn post_and_forget(&self, call: &'static str, body: Value) {
        let request = self.http.post(self.url(call)).json(&body).timeout(GOODBYE);
        let _inside = self.runtime.enter();
        drop(galapagos_telemetry::spawn_task("env-goodbye", async move { drop(request.send().await) }));
    }

    /// An answer as what it should be.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: Value) -> Result<T, EnvError> {
        serde_json::from_value(answer).map_err(|error| self.protocol(format!("an answer cannot be read: {error}")))
    }

    pub(super) fn protocol(&self, problem: String) -> EnvError {
        EnvError::Protocol { address: self.options.url.clone(), problem }
    }

    /// The same error for another of those that a call was made for.
    pub(super) fn again(&self, error: &EnvError) -> EnvError {
        let address = self.options.url.clone();
        let problem = error.to_string();
        match error {
            EnvError::Timeout { call, waited_ms, .. } => EnvError::Timeout { address, call, waited_ms: *waited_ms },
            EnvError::Dead { problem, .. } => EnvError::Dead { address, problem: problem.clone() },
            EnvError::Busy { problem, .. } => EnvError::Busy { address, problem: problem.clone() },
            EnvError::Failed { call, problem, .. } => EnvError::Failed { address, call, problem: problem.clone() },
            EnvError::Protocol { problem, .. } => EnvError::Protocol { address, problem: problem.clone() },
            EnvError::Unknown { .. }
            | EnvError::Config { .. }
            | EnvError::Instance { .. }
            | EnvError::Order { .. }
            | EnvError::Players { .. }
            | EnvError::Snapshot { .. }
            | EnvError::Diverged { .. } => EnvError::Protocol { address, problem },
        }
    }

    /// The answer, or the error that it holds.
    pub(super) fn unwrap(&self, call: &'static str, answer: Value) -> Result<Value, EnvError> {
        let Some(error) = answer.get("error") else { return Ok(answer) };
        let text = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (address, problem) = (self.options.url.clone(), text("message"));
        Err(match text("kind").as_str() {
            "no_session" => EnvError::Dead { address, problem },
            "busy" => EnvError::Busy { address, problem },
            "environment" => EnvError::Failed { address, call, problem },
            kind => EnvError::Protocol { address, problem: format!("`{call}` was refused ({kind}): {problem}") },
        })
    }

    fn url(&self, call: &str) -> String {
        format!("{}/v{PROTOCOL}/{call}", self.options.url.trim_end_matches('/'))
    }

    fn wait(&self, call: &'static str, request: impl Fn(String) -> RequestBuilder) -> Result<Value, EnvError> {
        if Handle::try_current().is_ok() {
            let environment = self.options.url.clone();
            return Err(EnvError::Order {
                environment,
                call,
                when: "on a thread that runs tasks; call it from a thread of its own",
            });
        }
        let asked = async { tokio::time::timeout(self.options.deadline, self.ask(call, request)).await };
        self.runtime.block_on(asked).unwrap_or_else(|_| Err(self.timeout(call)))
    }

    async fn ask(&self, call: &'static str, request: impl Fn(String) -> RequestBuilder) -> Result<Value, EnvError> {
        let mut pause = FIRST_PAUSE;
        for number in 1.. {
            match self.once(call, request(self.url(call))).await {
                Err(error @ EnvError::Dead { .. }) if number < self.options.tries => {
                    tracing::warn!("{error}; try {number} of {}", self.options.tries);
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Ok(answer) => return self.unwrap(call, answer),
                Err(error) => return Err(error),
            }
        }
        Err(self.timeout(call))
    }

    /// One try; [`EnvError::Dead`] if the connection broke.
    async fn once(&self, call: &'static str, request: RequestBuilder) -> Result<Value, EnvError> {
        let response = request.send().await.map_err(|error| self.broken(error))?;
        let status = response.status();
        let body = self.body(call, response).await?;
        match serde_json::from_slice::<Value>(&body) {
            // An error of the protocol comes with an error status, and both say so.
            Ok(answer) if status.is_success() != answer.get("error").is_some() => Ok(answer),
            Ok(_) | Err(_) => Err(self.foreign(call, status, &body)),
        }
    }

    /// An answer that no server of the protocol gives: perhaps a proxy's, whose server is away.
    fn foreign(&self, call: &'static str, status: StatusCode, body: &[u8]) -> EnvError {
        let text: String = String::from_utf8_lossy(body).chars().take(LONGEST_QUOTE).collect();
        let problem = format!("`{call}` was answered with {status}: {text}");
        let away = [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];
        if away.contains(&status) {
            EnvError::Dead { address: self.options.url.clone(), problem }
        } else {
            self.protocol(problem)
        }
    }

    async fn body(&self, call: &'static str, mut response: Response) -> Result<Vec<u8>, EnvError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(self.protocol(format!("`{call}` was answered with more than {MOST_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn broken(&self, error: reqwest::Error) -> EnvError {
        let problem = galapagos_telemetry::ErrorChain::new(&error.without_url()).to_string();
        EnvError::Dead { address: self.options.url.clone(), problem }
    }

    fn timeout(&self, call: &'static str) -> EnvError {
        EnvError::Timeout { address: self.options.url.clone(), call, waited_ms: self.deadline_ms() }
    }
}
