//! The executable `galapagos-sandbox`: the launcher that the worker starts for each program of a model, and `probe` for people.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use galapagos_sandbox::{Settings, launch, probe};

fn main() -> ExitCode {
    let stage = std::env::args().nth(1);
    if stage.as_deref() != Some("probe") {
        return launch::main(stage.as_deref());
    }
    let launcher = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let probed = probe(&Settings::new(launcher));
    let (text, code) = match probed {
        Ok(probe) => (probe.to_string(), ExitCode::SUCCESS),
        Err(error) => (format!("{}\n", galapagos_telemetry::report(&error)), ExitCode::FAILURE),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
