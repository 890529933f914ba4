//! What figures were measured on, as reports say it: processor, cores, load, versions; and how long something took.

use galapagos_telemetry::machine;
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
        Self {
            cpu: machine::processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads,
            galapagos: env!("CARGO_PKG_VERSION"),
            libtorch: LIBTORCH,
        }
    }
}

/// The version that `tch` is bound to; another one does not link.
const LIBTORCH: &str = "2.13.0";

/// Wall and processor time of something, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Seconds {
    pub wall: f64,
    /// Of all threads of the process.
    pub processor: f64,
}

/// Runs `work` and measures it in this process.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Seconds) {
    let (result, wall, processor) = machine::timed(work);
    (result, Seconds { wall, processor })
}
