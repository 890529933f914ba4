//! The two clocks, and the only place that may read them: deciding code takes `now` as an argument instead.
//!
//! Use [`monotonic_ms`] for deadlines and durations inside one process, [`wall_ms`] only for what people read. Order
//! between processes comes from fencing tokens and leader epochs, never from either clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the first reading in this process. Never goes back; means nothing in another process.
#[must_use]
pub fn monotonic_ms() -> u64 {
    u64::try_from(elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The same in nanoseconds: for profiles.
#[must_use]
pub fn monotonic_ns() -> u64 {
    u64::try_from(elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that the ban points to")]
fn elapsed() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Milliseconds since 1970-01-01 UTC. May jump either way when the machine's clock is set; 0 on a clock before 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock that the ban points to")]
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_advances_in_milliseconds() {
        let before = monotonic_ms();
        std::thread::sleep(Duration::from_millis(20));
        let passed = monotonic_ms() - before;
        assert!((19..20_000).contains(&passed), "20 ms of sleep measured as {passed} ms");
    }

    #[test]
    fn wall_is_in_milliseconds_since_1970() {
        let year = 1970 + wall_ms() / (365 * 24 * 3_600_000);
        assert!((2025..2200).contains(&year), "the wall clock says {year}");
    }
}
