//! The built-in environments behind HTTP (docs/environments.md, protocol version 1), each at its own address `/NAME`: what their sessions
//! hold and what each call answers. `http` reads requests and writes answers.
//!
//! Steps are numbered: a turn that was played is answered again without being played again, so a client may send any call twice.

pub mod http;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use galapagos_telemetry::clock;
use serde::Deserialize;
use serde_json::{Value, json};

use super::http::PROTOCOL;
use super::{EnvError, Environment, Start, Turn, builtin};

/// Most calls of a batch.
pub const MOST_CALLS: usize = 256;

/// Most sessions of all environments together.
pub const MOST_SESSIONS: usize = 4096;

/// A session that nobody asks for so long may be dropped.
const IDLE: Duration = Duration::from_secs(3600);

/// Why a call was not answered as asked, in the protocol's words.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    BadRequest(String),
    #[error("this server speaks protocol {PROTOCOL}, the client {0}")]
    Protocol(Value),
    #[error("no session `{0}`: it was closed, was idle too long, or the server is a new one")]
    NoSession(String),
    #[error("turn {played} was played last, turn {asked} was asked for")]
    WrongTurn { played: u32, asked: u32 },
    #[error("all {MOST_SESSIONS} sessions are in use")]
    Busy,
    #[error("{0}")]
    Environment(EnvError),
}

impl Refusal {
    /// The protocol's word for it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::Protocol(_) => "protocol",
            Self::NoSession(_) => "no_session",
            Self::WrongTurn { .. } => "wrong_turn",
            Self::Busy => "busy",
            Self::Environment(_) => "environment",
        }
    }

    /// As an answer.
    #[must_use]
    pub fn as_json(&self) -> Value {
        json!({"error": {"kind": self.kind(), "message": galapagos_telemetry::ErrorChain::new(self).to_string()}})
    }
}

/// What the environment says of a call that is out of order is the client's mistake.
impl From<EnvError> for Refusal {
    fn from(error: EnvError) -> Self {
        match error {
            EnvError::Unknown { .. }
            | EnvError::Config { .. }
            | EnvError::Instance { .. }
            | EnvError::Order { .. }
            | EnvError::Players { .. } => Self::BadRequest(galapagos_telemetry::ErrorChain::new(&error).to_string()),
            EnvError::Snapshot { .. }
            | EnvError::Diverged { .. }
            | EnvError::Dead { .. }
            | EnvError::Timeout { .. }
            | EnvError::Busy { .. }
            | EnvError::Protocol { .. }
            | EnvError::Failed { .. } => Self::Environment(error),
        }
    }
}

/// An episode and its last answer.
struct Played {
    environment: Box<dyn Environment>,
    turn: u32,
    /// Of the last turn.
    actions: Option<Vec<Option<String>>>,
    /// `None` before the first reset, and after a step that broke off: nobody knows how much of it was done.
    answer: Option<Value>,
}

struct Session {
    used_at_ms: u64,
    played: Arc<Mutex<Played>>,
}

/// All sessions of all environments.
pub struct Host {
    /// Tells sessions of this server from those of an earlier one at the same address.
    started_ms: u64,
    made: AtomicU64,
    sessions: Mutex<HashMap<String, Session>>,
}

impl Default for Host {
    fn default() -> Self {
        Self { started_ms: clock::wall_ms(), made: AtomicU64::new(0), sessions: Mutex::default() }
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("sessions", &locked(&self.sessions).len()).finish()
    }
}

/// A thread that panicked in a session has left no answer in it, so the lock is good for whoever comes next.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct Create {
    protocol: Value,
}

#[derive(Deserialize)]
struct Reset {
    session: String,
    start: Start,
}

#[derive(Deserialize)]
struct Step {
    session: String,
    turn: u32,
    actions: Vec<Option<String>>,
}

#[derive(Deserialize)]
struct OfSession {
    session: String,
}

#[derive(Deserialize)]
struct Batch {
    calls: Vec<Value>,
}

fn read<T: for<'de> Deserialize<'de>>(call: &str, body: Value) -> Result<T, Refusal> {
    serde_json::from_value(body).map_err(|error| Refusal::BadRequest(format!("`{call}` cannot be read: {error}")))
}

impl Host {
    /// What `GET /v1/info` tells of an environment.
    ///
    /// # Errors
    /// [`Refusal::BadRequest`] if none has the name.
    pub fn info(environment: &str) -> Result<Value, Refusal> {
        let environment = builtin(environment)?;
        Ok(json!({"protocol": PROTOCOL, "environment": environment.name(), "max_batch": MOST_CALLS}))
    }

    /// The answer to one call.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn call(&self, environment: &str, call: &str, body: Value) -> Result<Value, Refusal> {
        match call {
            "create" => self.create(environment, read(call, body)?),
            "reset" => self.reset(read(call, body)?),
            "step" => self.step(read(call, body)?),
            "observe" => {
                let of: OfSession = read(call, body)?;
                let played = self.session(&of.session)?;
                locked(&played).answer.clone().ok_or_else(|| Refusal::BadRequest("observe before reset".to_owned()))
            }
            "close" => {
                let of: OfSession = read(call, body)?;
                locked(&self.sessions).remove(&of.session);
                Ok(json!({}))
            }
            "batch" => self.batch(environment, read(call, body)?),
            other => {
                let known = "create, reset, step, observe, close, batch";
                Err(Refusal::BadRequest(format!("no call is named `{other}`; known are {known}")))
            }
        }
    }

    fn create(&self, environment: &str, asked: Create) -> Result<Value, Refusal> {
        if asked.protocol != json!(PROTOCOL) {
            return Err(Refusal::Protocol(asked.protocol));
        }
        let environment = builtin(environment)?;
        let now = clock::wall_ms();
        let mut sessions = locked(&self.sessions);
        if sessions.len() >= MOST_SESSIONS {
            let idle_ms = u64::try_from(IDLE.as_millis()).unwrap_or(u64::MAX);
            sessions.retain(|_, session| now.saturating_sub(session.used_at_ms) <= idle_ms);
        }
        if sessions.len() >= MOST_SESSIONS {
            return Err(Refusal::Busy);
        }
        let key = format!("{:x}-{}", self.started_ms, self.made.fetch_add(1, Ordering::Relaxed));
        let played = Played { environment, turn: 0, actions: None, answer: None };
        sessions.insert(key.clone(), Session { used_at_ms: now, played: Arc::new(Mutex::new(played)) });
        Ok(json!({ "session": key }))
    }

    fn session(&self, key: &str) -> Result<Arc<Mutex<Played>>, Refusal> {
        let mut sessions = locked(&self.sessions);
        let session = sessions.get_mut(key).ok_or_else(|| Refusal::NoSession(key.to_owned()))?;
        session.used_at_ms = clock::wall_ms();
        Ok(Arc::clone(&session.played))
    }

    fn reset(&self, asked: Reset) -> Result<Value, Refusal> {
        let played = self.session(&asked.session)?;
        let mut played = locked(&played);
        // Until the reset is through there is no episode to step in.
        played.answer = None;
        let observations = played.environment.reset(&asked.start)?;
        let players = played.environment.players();
        (played.turn, played.actions) = (0, None);
        let turn = Turn {
            rewards: vec![0.0; players],
            observations,
            taken: vec![super::Taken::NotAsked; players],
            done: None,
            info: serde_json::Map::new(),
        };
        let mut answer = played.told(&turn)?;
        answer["players"] = json!(players);
        answer["max_turns"] = json!(played.environment.max_turns());
        played.answer = Some(answer.clone());
        Ok(answer)
    }

    fn step(&self, asked: Step) -> Result<Value, Refusal> {
        let played = self.session(&asked.session)?;
        let mut played = locked(&played);
        let Some(last) = &played.answer else {
            let why = "no episode to step in: it was not reset, or broke off in an earlier step";
            return Err(Refusal::BadRequest(why.to_owned()));
        };
        if asked.turn == played.turn && played.actions.as_ref() == Some(&asked.actions) {
            return Ok(last.clone());
        }
        if asked.turn != played.turn.saturating_add(1) {
            return Err(Refusal::WrongTurn { played: played.turn, asked: asked.turn });
        }
        let actions: Vec<Option<&str>> = asked.actions.iter().map(Option::as_deref).collect();
        let before = played.answer.take();
        let turn = match played.environment.step(&actions) {
            Ok(turn) => turn,
            Err(error @ (EnvError::Order { .. } | EnvError::Players { .. })) => {
                // Nothing was played.
                played.answer = before;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        };
        (played.turn, played.actions) = (asked.turn, Some(asked.actions));
        let answer = played.told(&turn)?;
        played.answer = Some(answer.clone());
        Ok(answer)
    }

    fn batch(&self, environment: &str, asked: Batch) -> Result<Value, Refusal> {
        if asked.calls.len() > MOST_CALLS {
            return Err(Refusal::BadRequest(format!("a batch holds {MOST_CALLS} calls at most")));
        }
        let one = |mut body: Value| {
            let name = body.get_mut("call").map(Value::take).and_then(|name| name.as_str().map(str::to_owned));
            let answer = match name.as_deref() {
                None | Some("batch" | "info") => {
                    Err(Refusal::BadRequest("a batch holds create, reset, step, observe and close".to_owned()))
                }
                Some(name) => self.call(environment, name, body),
            };
            answer.unwrap_or_else(|refusal| refusal.as_json())
        };
        Ok(json!({"results": asked.calls.into_iter().map(one).collect::<Vec<_>>()}))
    }
}

impl Played {
    /// What a turn brought, and what may be done now.
    fn told(&self, turn: &Turn) -> Result<Value, Refusal> {
        let players = 0..self.environment.players();
        let scores = players.clone().map(|player| self.environment.score(player)).collect::<Result<Vec<_>, _>>()?;
        let legal = players.map(|player| self.environment.legal(player)).collect::<Result<Vec<_>, _>>()?;
        let mut answer = json!({"turn": self.turn, "scores": scores, "legal": legal});
        let Value::Object(fields) = &mut answer else { return Ok(answer) };
        if let Ok(Value::Object(of_turn)) = serde_json::to_value(turn) {
            fields.extend(of_turn);
        }
        Ok(answer)
    }
}
