//! Ends a wait that nothing else ends: a thread that acts when an armed deadline passes.
//!
//! A collective that hangs inside libtorch cannot be cancelled, so the action is normally [`exit_now`] with a code that the
//! parent knows, after a line that says what was waited for.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use galapagos_telemetry::clock::monotonic_ms;
use galapagos_telemetry::spawn_thread;

use crate::error::Error;
use crate::ffi;

/// Ends the process at once with exit code `code`: no destructors and no `atexit` handlers, which could wait for the
/// very collective that hangs. Buffered output is lost.
pub fn exit_now(code: u8) -> ! {
    ffi::gc_exit_now(i32::from(code))
}

/// A deadline that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// The watchdog's name.
    pub watchdog: String,
    /// What was being done, as given to [`Watchdog::arm`]: the culprit.
    pub culprit: String,
    pub limit_ms: u64,
    pub waited_ms: u64,
}

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { watchdog, culprit, limit_ms, waited_ms } = self;
        write!(f, "{watchdog}: `{culprit}` is not done after {waited_ms} ms (limit {limit_ms} ms)")
    }
}

/// A thread with at most one deadline. When it passes, the thread calls the action once and ends.
#[derive(Debug)]
pub struct Watchdog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    deadline: Option<Deadline>,
    armed_before: u64,
    stopped: bool,
}

#[derive(Debug, Clone)]
struct Deadline {
    number: u64,
    culprit: String,
    since_ms: u64,
    limit_ms: u64,
}

impl Watchdog {
    /// Starts the thread, with nothing armed.
    ///
    /// # Errors
    /// `Watchdog` if the operating system refuses a thread.
    pub fn start(name: &str, on_expired: impl FnOnce(Expired) + Send + 'static) -> Result<Self, Error> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let (watched, owned_name) = (Arc::clone(&shared), name.to_owned());
        let thread = spawn_thread(name.to_owned(), move || {
            if let Some(expired) = watched.watch(owned_name) {
                on_expired(expired);
            }
        });
        // Nobody joins it: it ends when the watchdog is dropped, or ends the process.
        drop(thread.map_err(|source| Error::Watchdog { name: name.to_owned(), source })?);
        Ok(Self { shared })
    }

    /// From now on, `culprit` has `limit` to finish, until the guard is dropped. Arming again replaces the deadline.
    pub fn arm(&self, culprit: impl Into<String>, limit: Duration) -> Armed<'_> {
        let mut state = self.shared.lock();
        state.armed_before += 1;
        let number = state.armed_before;
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        state.deadline = Some(Deadline { number, culprit: culprit.into(), since_ms: monotonic_ms(), limit_ms });
        self.shared.changed.notify_all();
        Armed { watchdog: self, number }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }
}

/// An armed deadline; dropping it disarms.
#[derive(Debug)]
#[must_use = "the deadline is disarmed when this is dropped"]
pub struct Armed<'a> {
    watchdog: &'a Watchdog,
    number: u64,
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        let mut state = self.watchdog.shared.lock();
        if state.deadline.as_ref().is_some_and(|deadline| deadline.number == self.number) {
            state.deadline = None;
            self.watchdog.shared.changed.notify_all();
        }
    }
}

impl Shared {
    /// A panic elsewhere must not switch the watchdog off.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a deadline passes; `None` if the watchdog is dropped first.
    fn watch(&self, watchdog: String) -> Option<Expired> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            let Some(deadline) = &state.deadline else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let waited_ms = monotonic_ms().saturating_sub(deadline.since_ms);
            let Some(left_ms) = deadline.limit_ms.checked_sub(waited_ms).filter(|left| *left > 0) else {
                let Deadline { culprit, limit_ms, .. } = deadline.clone();
                return Some(Expired { watchdog, culprit, limit_ms, waited_ms });
            };
            let wait = self.changed.wait_timeout(state, Duration::from_millis(left_ms));
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

    fn watched() -> (Watchdog, Receiver<Expired>) {
        let (tell, told) = sync_channel(1);
        (Watchdog::start("watchdog-test", move |expired| tell.send(expired).unwrap()).unwrap(), told)
    }

    #[test]
    fn a_passed_deadline_names_the_culprit() {
        let (watchdog, told) = watched();
        let _armed = watchdog.arm("step 7: backward", Duration::from_millis(30));
        let expired = told.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!((expired.culprit.as_str(), expired.limit_ms), ("step 7: backward", 30));
        assert!(expired.waited_ms >= 30);
        assert!(expired.to_string().starts_with("watchdog-test: `step 7: backward` is not done after"));
    }

    #[test]
    fn a_disarmed_deadline_does_nothing_and_the_next_one_counts() {
        let (watchdog, told) = watched();
        drop(watchdog.arm("step 1", Duration::from_millis(800)));
        let _replaced = watchdog.arm("step 2", Duration::from_millis(800));
        let first = watchdog.arm("step 3", Duration::from_secs(60));
        let _second = watchdog.arm("step 4", Duration::from_millis(1200));
        drop(first);
        assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap().culprit, "step 4");
    }

    #[test]
    fn a_dropped_watchdog_ends_its_thread_without_acting() {
        let (watchdog, told) = watched();
        drop(watchdog);
        let ended = told.recv_timeout(Duration::from_secs(20));
        assert_eq!(ended, Err(RecvTimeoutError::Disconnected), "the action was run or the thread did not end");
    }
}
