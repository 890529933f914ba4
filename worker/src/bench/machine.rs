//! What figures were measured on: processor, cores, load, versions; and the clocks they were measured with.

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The machine and the settings of this process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    pub cpu: Option<String>,
    /// Logical processors that this process may use.
    pub cores: usize,
    /// Computing threads of each side.
    pub threads: u32,
    pub galapagos: &'static str,
    pub libtorch: &'static str,
}

/// Mean number of runnable processes over the last minute; near the number of cores or above, figures cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    pub start: Option<f64>,
    pub end: Option<f64>,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn here(threads: u32) -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self {
            cpu: field(&info, "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads,
            galapagos: env!("CARGO_PKG_VERSION"),
            libtorch: LIBTORCH,
        }
    }
}

/// The version that `tch` is bound to; another one does not link.
const LIBTORCH: &str = "2.13.0";

/// The load now; `None` where the system does not say.
#[must_use]
pub fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Wall and processor time of something, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Seconds {
    pub wall: f64,
    /// Of all threads of the process.
    pub processor: f64,
}

/// Runs `work` and measures it in this process.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Seconds) {
    let (wall, processor) = (reading(ClockId::Monotonic), reading(ClockId::ProcessCPUTime));
    let result = work();
    let wall = reading(ClockId::Monotonic) - wall;
    (result, Seconds { wall, processor: reading(ClockId::ProcessCPUTime) - processor })
}

fn reading(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The value of the first line `key : value`.
fn field(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_wall_and_processor_time() {
        let (sum, seconds) = timed(|| (0..3_000_000_u64).fold(0_u64, |sum, x| std::hint::black_box(sum ^ x)));
        assert!(sum < u64::MAX && seconds.wall > 0.0 && seconds.processor > 0.0, "{seconds:?}");
    }

    #[test]
    fn the_processors_name_is_read() {
        assert_eq!(field("a : b\nmodel name\t: Some CPU @ 2 GHz\n", "model name").as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(field("", "model name"), None);
    }
}
