//! Interpreters that wait for work: started ahead by a thread of the pool's own, used for one solution, then thrown away.
//!
//! A pool never waits longer than a start: when it is empty, whoever asks starts an interpreter. Dropping it leaves no process.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use galapagos_telemetry::clock::monotonic_ms;
use galapagos_telemetry::{ErrorChain, ThreadHandle, spawn_thread};

use crate::cage::{Cage, Event};
use crate::error::SandboxError;
use crate::sandbox::Sandbox;

/// From the start of the interpreter to its first line.
const READY_LIMIT_MS: u64 = 20_000;
/// An interpreter that nobody used is replaced after this time.
const MOST_AGE_MS: u64 = 600_000;
/// After a failed start the next one waits, lest a broken host be kept busy with it.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Waiting {
    cage: Cage,
    since_ms: u64,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    closing: bool,
    /// Of all interpreters that were started, how many somebody had to wait for.
    cold: u64,
}

#[derive(Debug)]
struct Shared {
    sandbox: Arc<Sandbox>,
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

/// A pool of warm interpreters.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    filler: Option<ThreadHandle<()>>,
}

impl Pool {
    /// A pool that keeps `size` interpreters ready; with 0, each check starts its own.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn new(sandbox: Arc<Sandbox>, size: usize) -> Result<Self, SandboxError> {
        let state = Mutex::new(State::default());
        let shared = Arc::new(Shared { sandbox, size, state, changed: Condvar::new() });
        let filler = (size > 0).then(|| {
            let shared = Arc::clone(&shared);
            spawn_thread("sandbox-pool", move || shared.fill())
        });
        let filler = filler.transpose().map_err(|source| SandboxError::Thread { source })?;
        Ok(Self { shared, filler })
    }

    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.shared.sandbox
    }

    /// Interpreters that wait now.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// The numbers of the launchers of the interpreters that wait now.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        self.shared.lock().waiting.iter().map(|waiting| waiting.cage.process()).collect()
    }

    /// How often the pool was empty and whoever asked had to wait for a start.
    #[must_use]
    pub fn cold_starts(&self) -> u64 {
        self.shared.lock().cold
    }

    /// An interpreter for one solution: a waiting one, or a new one.
    pub(crate) fn take(&self) -> Result<Cage, SandboxError> {
        self.sandbox().check_floor()?;
        let waiting = self.shared.lock().waiting.pop_front();
        self.shared.changed.notify_all();
        if let Some(waiting) = waiting {
            match ready(waiting.cage) {
                Ok(cage) => return Ok(cage),
                // Killed from outside while it waited; nothing ran in it yet.
                Err(error) => tracing::warn!("an interpreter of the pool was lost: {}", ErrorChain::new(&error)),
            }
        }
        self.shared.lock().cold += 1;
        ready(self.shared.sandbox.interpreter()?)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(filler) = self.filler.take()
            && let Err(error) = filler.join()
        {
            tracing::error!("{error}");
        }
        // The interpreters that wait end with the last owner of `shared`, which is this one.
    }
}

impl Shared {
    /// What others did under the lock is whole: they only push, pop and count.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill(&self) {
        let mut state = self.lock();
        while !state.closing {
            let now = monotonic_ms();
            if state.waiting.front().is_some_and(|oldest| now - oldest.since_ms >= MOST_AGE_MS) {
                let old = state.waiting.pop_front();
                drop(state);
                drop(old);
                state = self.lock();
            } else if state.waiting.len() < self.size {
                drop(state);
                let started = self.sandbox.interpreter();
                state = self.lock();
                match started {
                    Ok(cage) => state.waiting.push_back(Waiting { cage, since_ms: monotonic_ms() }),
                    Err(error) => {
                        tracing::error!("no sandboxed interpreter: {}", ErrorChain::new(&error));
                        state = self.pause(state, PAUSE);
                    }
                }
                self.changed.notify_all();
            } else {
                state = self.pause(state, Duration::from_millis(MOST_AGE_MS));
            }
        }
    }

    fn pause<'a>(&'a self, state: MutexGuard<'a, State>, longest: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Waits until the interpreter has said that it is ready, which one that has waited said long ago. The thread that fills the
/// pool does not wait for it, so that several get ready at a time.
fn ready(mut cage: Cage) -> Result<Cage, SandboxError> {
    match cage.next(monotonic_ms() + READY_LIMIT_MS)? {
        Event::Line(line) if line == br#"{"ready":true}"# => Ok(cage),
        Event::Late => Err(SandboxError::Slow { what: "get Python ready", limit_ms: READY_LIMIT_MS }),
        Event::Line(_) | Event::Ended(_) | Event::TooMuch => {
            let said = cage.end().err;
            let said: String = String::from_utf8_lossy(&said).trim().chars().take(500).collect();
            Err(SandboxError::Harness { what: format!("Python did not get ready: {said}") })
        }
    }
}
