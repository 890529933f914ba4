//! Waiting with an end: a deadline that knows what was waited for, and the only sleep of the harness.

use std::time::Duration;

use galapagos_telemetry::clock::monotonic_ms;

/// Between two looks at something that gives no event of its own (the process table, a file).
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A moment after which a wait has failed.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at_ms: u64,
    after: Duration,
}

impl Deadline {
    #[must_use]
    pub fn within(limit: Duration) -> Self {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Self { at_ms: monotonic_ms().saturating_add(limit_ms), after: limit }
    }

    #[must_use]
    pub fn passed(&self) -> bool {
        self.left().is_zero()
    }

    /// What is left; zero once passed.
    #[must_use]
    pub fn left(&self) -> Duration {
        Duration::from_millis(self.at_ms.saturating_sub(monotonic_ms()))
    }

    /// The whole limit.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.after
    }

    /// Looks until `look` finds something or the deadline passes.
    pub fn watch<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = look() {
                return Some(found);
            }
            if self.passed() {
                return None;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Looks until `look` finds something.
///
/// # Panics
/// After `limit`, with `what` was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    let found = Deadline::within(limit).watch(look);
    found.unwrap_or_else(|| panic!("waited {} s in vain: {what}", limit.as_secs()))
}
