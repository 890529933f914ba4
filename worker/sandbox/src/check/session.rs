//! One request to one interpreter of the pool, and its answers under a deadline.

use galapagos_telemetry::clock::monotonic_ms;
use serde_json::{Map, Value};

use super::{Budget, Grade};
use crate::cage::{Cage, Event};
use crate::error::SandboxError;
use crate::pool::Pool;

/// An answer, or why there will be none.
pub(super) enum Heard {
    /// One line, which is an object, with its text.
    Answer(Map<String, Value>, Vec<u8>),
    /// The solution is at an end: what that is worth, and why.
    End(Grade, String),
}

/// A conversation with one interpreter.
#[derive(Debug)]
pub(super) struct Session {
    cage: Cage,
    deadline: u64,
    each_ms: u64,
}

impl Session {
    /// Takes an interpreter and sends it its request.
    pub(super) fn open(pool: &Pool, request: &Value, budget: Budget) -> Result<Self, SandboxError> {
        let mut cage = pool.take()?;
        cage.send(request.to_string().as_bytes());
        Ok(Self { cage, deadline: monotonic_ms() + budget.wall_ms, each_ms: budget.each_ms })
    }

    pub(super) fn say(&mut self, line: &[u8]) {
        self.cage.send(line);
    }

    /// The next answer, within the time of one test.
    pub(super) fn hear(&mut self) -> Result<Heard, SandboxError> {
        let now = monotonic_ms();
        self.hear_by(self.deadline.min(now + self.each_ms))
    }

    /// The next answer, within the time of the whole check.
    pub(super) fn hear_long(&mut self) -> Result<Heard, SandboxError> {
        self.hear_by(self.deadline)
    }

    fn hear_by(&mut self, deadline: u64) -> Result<Heard, SandboxError> {
        let (grade, why) = match self.cage.next(deadline)? {
            Event::Line(line) => match serde_json::from_slice(&line) {
                Ok(Value::Object(answer)) => return Ok(Heard::Answer(answer, line)),
                Ok(_) | Err(_) => (Grade::RuntimeError, "it wrote something else than an answer".to_owned()),
            },
            Event::Late => (Grade::Timeout, "it did not answer in time".to_owned()),
            Event::TooMuch => (Grade::RuntimeError, "it wrote more than it may".to_owned()),
            Event::Ended(ended) => {
                let how = match (ended.code, ended.signal) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, Some(signal)) => format!("signal {signal}"),
                    (None, None) => "no status".to_owned(),
                };
                (Grade::RuntimeError, format!("it ended with {how} before it answered"))
            }
        };
        Ok(Heard::End(grade, why))
    }

    /// Ends the interpreter. With what it left, a better reason for its end may be found.
    pub(super) fn close(self, why: String) -> String {
        let remains = self.cage.end();
        let last = String::from_utf8_lossy(&remains.err);
        let last = last.trim().lines().last().unwrap_or_default();
        if remains.out_of_memory {
            "it ran out of memory".to_owned()
        } else if last.is_empty() {
            why
        } else {
            format!("{why}; its last words: {}", last.chars().take(300).collect::<String>())
        }
    }
}

/// What the answer to loading a solution says: `None` if it is loaded.
pub(super) fn not_loaded(answer: &Map<String, Value>) -> Option<(Grade, String)> {
    if answer.get("loaded") == Some(&Value::Bool(true)) {
        return None;
    }
    if let Some(error) = answer.get("compile_error") {
        return Some((Grade::CompileError, text(error)));
    }
    Some(raised(answer))
}

/// What an answer says that holds no value.
pub(super) fn raised(answer: &Map<String, Value>) -> (Grade, String) {
    (Grade::RuntimeError, answer.get("raised").map_or_else(|| "it gave no value".to_owned(), text))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| "(no text)".to_owned(), |text| text.chars().take(500).collect())
}
