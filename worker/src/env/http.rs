//! Environments behind HTTP, protocol version 1 (docs/environments.md): a server, its sessions, and calls that end by a deadline.
//!
//! Every call may be sent again: steps have numbers, and a server applies each number once. So broken connections are tried again within
//! the call's deadline; a server that stays away is [`EnvError::Dead`], one that is silent [`EnvError::Timeout`], never a reward.

mod call;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;

use self::call::Caller;
use self::wire::{Info, State};
use super::{EnvError, Environment, Legal, Start, Turn};

/// The version of the protocol that is spoken here.
pub const PROTOCOL: u32 = 1;

/// Where a server is and how long it is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// For example `http://127.0.0.1:8080`.
    pub url: String,
    /// For one call with all its tries.
    pub deadline: Duration,
    /// Tries of a call whose connection breaks, at least 1.
    pub tries: u32,
}

impl Options {
    /// A minute a call, three tries.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), deadline: Duration::from_secs(60), tries: 3 }
    }
}

/// A server whose protocol was checked. Clones share its connections.
#[derive(Debug, Clone)]
pub struct HttpServer {
    caller: Arc<Caller>,
    name: Arc<str>,
    max_batch: usize,
}

/// A session of a server: one episode at a time. Dropped, it closes the session without waiting.
#[derive(Debug)]
pub struct HttpEnvironment {
    server: HttpServer,
    session: Option<String>,
    /// Whether the last call to the session failed in a way that leaves it at work, or lost.
    doubtful: bool,
    /// Of the running episode.
    state: Option<State>,
}

impl HttpServer {
    /// Asks the server what it speaks and serves. Calls run on `runtime` and block the calling thread, which must be none of it.
    ///
    /// # Errors
    /// [`EnvError::Protocol`] for another version; [`EnvError::Dead`], [`EnvError::Timeout`]; [`EnvError::Config`] for a useless URL.
    pub fn connect(options: Options, runtime: Handle) -> Result<Self, EnvError> {
        let caller = Caller::new(options, runtime)?;
        let info: Info = caller.read(caller.get("info")?)?;
        if info.protocol != PROTOCOL {
            return Err(caller.protocol(format!("it speaks version {}, and {PROTOCOL} is spoken here", info.protocol)));
        }
        Ok(Self { caller: Arc::new(caller), name: info.environment.into(), max_batch: info.max_batch.max(1) })
    }

    /// The name of the environment it serves.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An environment; its session is made at the first reset.
    #[must_use]
    pub fn environment(&self) -> HttpEnvironment {
        HttpEnvironment { server: self.clone(), session: None, doubtful: false, state: None }
    }

    /// One turn of many episodes, in as few calls as the server allows; `turns` pairs environments of this server with actions. Answers are
    /// in order, each with its own error.
    ///
    /// # Errors
    /// Each as [`Environment::step`].
    pub fn step_all(&self, turns: &mut [(&mut HttpEnvironment, Vec<Option<&str>>)]) -> Vec<Result<Turn, EnvError>> {
        let mut all = Vec::with_capacity(turns.len());
        for chunk in turns.chunks_mut(self.max_batch) {
            let asked: Vec<Result<Value, EnvError>> =
                chunk.iter().map(|(environment, actions)| environment.step_body(actions)).collect();
            let calls: Vec<Value> = asked.iter().flatten().cloned().collect();
            let results = if calls.is_empty() { Ok(Vec::new()) } else { self.batch(&calls) };
            let mut results = results.map(Vec::into_iter);
            for ((environment, _), asked) in chunk.iter_mut().zip(asked) {
                let answer = asked.and_then(|_| match &mut results {
                    Ok(results) => {
                        results.next().unwrap_or_else(|| Err(self.caller.protocol("a result is missing".to_owned())))
                    }
                    Err(error) => Err(self.caller.again(error)),
                });
                all.push(environment.told(answer).and_then(|answer| environment.stepped(answer)));
            }
        }
        all
    }

    fn batch(&self, calls: &[Value]) -> Result<Vec<Result<Value, EnvError>>, EnvError> {
        let answer = self.caller.post("batch", json!({ "calls": calls }))?;
        let results = answer.get("results").and_then(Value::as_array).filter(|results| results.len() == calls.len());
        let results =
            results.ok_or_else(|| self.caller.protocol(format!("a batch of {} has other results", calls.len())))?;
        Ok(results.iter().map(|result| self.caller.unwrap("step", result.clone())).collect())
    }
}

impl HttpEnvironment {
    fn state(&self, call: &'static str) -> Result<&State, EnvError> {
        let environment = || self.server.name.to_string();
        self.state.as_ref().ok_or_else(|| EnvError::Order {
            environment: environment(),
            call,
            when: "before the first reset",
        })
    }

    fn of_player<T: Clone>(&self, call: &'static str, player: usize, of: fn(&State) -> &[T]) -> Result<T, EnvError> {
        let state = self.state(call)?;
        of(state).get(player).cloned().ok_or_else(|| EnvError::Players {
            environment: self.server.name.to_string(),
            players: state.players,
            given: format!("player {player} was asked about (they count from 0)"),
        })
    }

    fn step_body(&self, actions: &[Option<&str>]) -> Result<Value, EnvError> {
        let environment = || self.server.name.to_string();
        let state = self.state("step")?;
        if state.done.is_some() {
            return Err(EnvError::Order { environment: environment(), call: "step", when: "after the end" });
        }
        if actions.len() != state.players {
            let given = format!("{} actions were given", actions.len());
            return Err(EnvError::Players { environment: environment(), players: state.players, given });
        }
        let deadline = self.server.caller.deadline_ms();
        let (session, turn) = (&self.session, state.turn + 1);
        Ok(json!({"call": "step", "session": session, "turn": turn, "actions": actions, "deadline_ms": deadline}))
    }

    /// Takes over the answer to a step.
    fn stepped(&mut self, answer: Value) -> Result<Turn, EnvError> {
        let caller = &self.server.caller;
        let answer: wire::Answer = caller.read(answer)?;
        let state = self.state("step")?;
        let (next, turn) = state.step(answer).map_err(|problem| caller.protocol(problem))?;
        self.state = Some(next);
        Ok(turn)
    }

    /// An answer of the session; notes whether the session can be trusted.
    fn told<T>(&mut self, answer: Result<T, EnvError>) -> Result<T, EnvError> {
        self.doubtful = answer.as_ref().is_err_and(EnvError::may_pass);
        answer
    }

    fn part(&mut self) {
        if let Some(session) = self.session.take() {
            self.server.caller.post_and_forget("close", json!({ "session": session }));
        }
    }

    /// The session's id; made if there is none that can be trusted.
    fn session(&mut self) -> Result<String, EnvError> {
        if std::mem::take(&mut self.doubtful) {
            self.part();
        }
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let caller = &self.server.caller;
        let made = caller.post("create", json!({"protocol": PROTOCOL, "deadline_ms": caller.deadline_ms()}))?;
        let session = made.get("session").and_then(Value::as_str).map(str::to_owned);
        let session = session.ok_or_else(|| caller.protocol("`create` gave no session".to_owned()))?;
        self.session = Some(session.clone());
        Ok(session)
    }
}

impl Environment for HttpEnvironment {
    fn name(&self) -> &str {
        &self.server.name
    }

    fn reset(&mut self, start: &Start) -> Result<Vec<String>, EnvError> {
        let session = self.session()?;
        // Whatever comes of it, the episode before is gone.
        self.state = None;
        let body = json!({"session": session, "start": start, "deadline_ms": self.server.caller.deadline_ms()});
        let answer = self.server.caller.post("reset", body);
        let (answer, caller) = (self.told(answer)?, &self.server.caller);
        let state = State::first(caller.read(answer)?).map_err(|problem| caller.protocol(problem))?;
        let observations = state.observations.clone();
        self.state = Some(state);
        Ok(observations)
    }

    fn players(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.players)
    }

    fn max_turns(&self) -> u32 {
        self.state.as_ref().map_or(0, |state| state.max_turns)
    }

    fn observe(&self, player: usize) -> Result<String, EnvError> {
        self.of_player("observe", player, |state| &state.observations)
    }

    fn legal(&self, player: usize) -> Result<Legal, EnvError> {
        self.of_player("legal", player, |state| &state.legal)
    }

    fn step(&mut self, actions: &[Option<&str>]) -> Result<Turn, EnvError> {
        let body = self.step_body(actions)?;
        let answer = self.server.caller.post("step", body);
        let answer = self.told(answer)?;
        self.stepped(answer)
    }

    fn score(&self, player: usize) -> Result<f64, EnvError> {
        self.of_player("score", player, |state| &state.scores)
    }

    /// Never one: such an episode is played again.
    fn snapshot(&self) -> Result<Option<Vec<u8>>, EnvError> {
        self.state("snapshot").map(|_| None)
    }

    fn restore(&mut self, _snapshot: &[u8]) -> Result<(), EnvError> {
        let problem = "environments behind HTTP have none; they are played again".to_owned();
        Err(EnvError::Snapshot { environment: self.server.name.to_string(), problem })
    }
}

impl Drop for HttpEnvironment {
    fn drop(&mut self) {
        self.part();
    }
}
