//! `bench sandbox`: checks of programs a second, with warm interpreters and with cold ones.

use std::io::{self, Write};
use std::sync::Arc;

use galapagos_sandbox::bench::{self, Row};
use galapagos_telemetry::machine::load;
use serde::Serialize;

use super::machine::{Load, Machine};
use super::options::SandboxBench;
use crate::sandbox::{SandboxError, WallsError};

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum SandboxBenchError {
    #[error("there is no sandbox to measure")]
    Walls { source: WallsError },
    #[error("the sandbox's benchmark stopped")]
    Check { source: SandboxError },
    #[error("cannot write the result")]
    Output { source: io::Error },
    #[error("cannot encode the result as JSON")]
    Json { source: serde_json::Error },
}

#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    machine: Machine,
    load: Load,
    rows: Vec<Row>,
}

/// Measures and prints; figures below their target are no error.
///
/// # Errors
/// [`SandboxBenchError`].
pub fn run(config: &SandboxBench, out: &mut dyn Write) -> Result<(), SandboxBenchError> {
    let start = load();
    let sandbox = Arc::new(config.sandbox.sandbox().map_err(|source| SandboxBenchError::Walls { source })?);
    let (checks, threads) = (config.checks as usize, config.threads as usize);
    let rows = bench::run(&sandbox, checks, threads).map_err(|source| SandboxBenchError::Check { source })?;
    let load = Load { start, end: load() };
    let report = Report { bench: "sandbox", machine: Machine::here(config.threads), load, rows };
    if config.json {
        let text = serde_json::to_string_pretty(&report).map_err(|source| SandboxBenchError::Json { source })?;
        return writeln!(out, "{text}").map_err(|source| SandboxBenchError::Output { source });
    }
    table(&report, out).map_err(|source| SandboxBenchError::Output { source })
}

fn table(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let Report { machine, load, rows, .. } = report;
    let cpu = machine.cpu.as_deref().unwrap_or("unknown processor");
    writeln!(
        out,
        "{} checks at a time; {cpu}, {} cores; load {} -> {}",
        machine.threads,
        machine.cores,
        shown(load.start),
        shown(load.end)
    )?;
    writeln!(out, "row           checks/s  p50 ms  p99 ms  cold starts  target  met")?;
    for Row { name, ours, p50_ms, p99_ms, cold_starts, target, met, .. } in rows {
        let met = met.map_or("-", |met| if met { "yes" } else { "no" });
        writeln!(
            out,
            "{name:<13} {ours:>8.1}  {p50_ms:>6.1}  {p99_ms:>6.1}  {cold_starts:>11}  {:>6}  {met}",
            shown(*target)
        )?;
    }
    Ok(())
}
