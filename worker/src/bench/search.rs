//! `bench search`: searches over many trees, each going on as soon as its own answers are there, beside the same searches in
//! lock-step (every round of all trees waits for its slowest step, as batch-at-a-time drivers do), and beside the engine alone with
//! the very requests of the search, all known at once. Both sides make the same trees, which is checked.
//!
//! Every side has an engine of its own and sees the same seeds, so that none finds what another computed.

mod work;

use std::io::{self, Write};

use clap::ValueEnum;
use galapagos_telemetry::SpawnError;
use galapagos_telemetry::machine::load;
use serde::Serialize;

use super::machine::{Load, Machine};
use super::options::SearchBench;
use crate::engine::EngineError;
use crate::jobs::JobError;
use crate::search::{ForestError, Pace};
use work::{Grown, Mix, Side, Size};

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowName {
    /// One step in sixty-four has 512 tokens, the others 8.
    Heavy,
    /// One step in eight has 64 tokens, the others 8.
    Skewed,
    /// All steps are alike.
    Even,
    /// The skewed searches beside the engine alone.
    Engine,
}

impl RowName {
    const ALL: [Self; 4] = [Self::Heavy, Self::Skewed, Self::Even, Self::Engine];

    fn text(self) -> &'static str {
        match self {
            Self::Heavy => "heavy",
            Self::Skewed => "skewed",
            Self::Even => "even",
            Self::Engine => "engine",
        }
    }

    fn mix(self) -> Mix {
        match self {
            Self::Heavy => Mix::Uneven { every: 64, long: 512 },
            Self::Skewed | Self::Engine => Mix::Uneven { every: 8, long: 64 },
            Self::Even => Mix::Even,
        }
    }

    /// The ratio that is aimed at.
    fn target(self) -> Option<f64> {
        match self {
            Self::Heavy | Self::Skewed => Some(2.0),
            Self::Even => None,
            Self::Engine => Some(0.9),
        }
    }

    fn rival(self) -> &'static str {
        match self {
            Self::Heavy | Self::Skewed | Self::Even => "lock-step",
            Self::Engine => "the engine alone",
        }
    }
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum SearchBenchError {
    #[error("the engine cannot be started")]
    Spawn { source: SpawnError },
    #[error("cannot measure with the model")]
    Model { source: EngineError },
    #[error("the benchmark's problems cannot be written in the model's vocabulary")]
    Tasks { source: JobError },
    #[error("the search stopped")]
    Search { source: ForestError },
    #[error("the two sides made different trees from seed {seed}: nothing was measured")]
    Different { seed: u64 },
    #[error("cannot write the result")]
    Output { source: io::Error },
    #[error("cannot encode the result as JSON")]
    Json { source: serde_json::Error },
}

/// One row of the result.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    against: &'static str,
    ours: f64,
    peer: f64,
    unit: &'static str,
    ratio: f64,
    target: Option<f64>,
    met: Option<bool>,
    /// Share of the tokens that models were to read whose keys and values were found, on our side.
    prefix_hits: Option<f64>,
    /// Nodes of all trees, and tokens sampled for them, in one run.
    nodes: u64,
    tokens: u64,
    ours_runs: Vec<f64>,
    peer_runs: Vec<f64>,
}

/// What `bench search --json` prints.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    model: String,
    quick: bool,
    machine: Machine,
    load: Load,
    size: Size,
    rows: Vec<Row>,
}

/// Measures and prints. Progress goes to `log`.
///
/// # Errors
/// [`SearchBenchError`]; figures below their targets are no error.
pub fn run(config: &SearchBench, out: &mut dyn Write, log: &mut dyn Write) -> Result<(), SearchBenchError> {
    let start = load();
    let size = if config.quick { Size::QUICK } else { Size::FULL };
    let rows: Vec<RowName> =
        RowName::ALL.into_iter().filter(|row| config.only.is_empty() || config.only.contains(row)).collect();
    let mut measured = Vec::with_capacity(rows.len());
    for row in rows {
        writeln!(log, "bench: {}: {} runs of each side", row.text(), config.runs).map_err(output)?;
        measured.push(measure(config, row, size)?);
    }
    let report = Report {
        bench: "search",
        model: config.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        quick: config.quick,
        machine: Machine::here(config.threads),
        load: Load { start, end: load() },
        size,
        rows: measured,
    };
    if config.json {
        let text = serde_json::to_string_pretty(&report).map_err(|source| SearchBenchError::Json { source })?;
        return writeln!(out, "{text}").map_err(output);
    }
    table(&report, out).map_err(output)
}

fn output(source: io::Error) -> SearchBenchError {
    SearchBenchError::Output { source }
}

fn measure(config: &SearchBench, row: RowName, size: Size) -> Result<Row, SearchBenchError> {
    let side = |pace| Side::new(config, (size, row.mix()), pace);
    let (ours, peer) = (side(Pace::Free)?, side(Pace::Lockstep)?);
    let (mut ours_runs, mut peer_runs) = (Vec::new(), Vec::new());
    let (mut nodes, mut tokens) = (0, 0);
    // The first run of each side is not counted: it makes the engine's pages.
    for seed in 0..=u64::from(config.runs) {
        let (grown, peer_seconds) = turn(row, (&ours, &peer), seed)?;
        if seed > 0 {
            (nodes, tokens) = (grown.nodes(), grown.tokens());
            let amount = if row == RowName::Engine { tokens } else { nodes } as f64;
            ours_runs.push(amount / grown.seconds);
            peer_runs.push(amount / peer_seconds);
        }
    }
    let fed = ours.engine().fed().map_err(|source| SearchBenchError::Model { source })?;
    let (ours, peer) = (median(&ours_runs), median(&peer_runs));
    let ratio = ours / peer;
    Ok(Row {
        name: row.text(),
        against: row.rival(),
        ours,
        peer,
        unit: if row == RowName::Engine { "tokens/s" } else { "nodes/s" },
        ratio,
        target: row.target(),
        met: row.target().map(|target| ratio >= target),
        prefix_hits: fed.map(|fed| fed.found as f64 / (fed.found + fed.computed).max(1) as f64),
        nodes,
        tokens,
        ours_runs,
        peer_runs,
    })
}

/// One run of each side, the first of them in turns: what ours grew, and how long the other side took for the same.
fn turn(row: RowName, (ours, peer): (&Side, &Side), seed: u64) -> Result<(Grown, f64), SearchBenchError> {
    if row == RowName::Engine {
        // What it is asked is known only once the search has asked it.
        let grown = ours.search(seed)?;
        let seconds = peer.alone(&grown.asked)?;
        return Ok((grown, seconds));
    }
    let (grown, other) = if seed.is_multiple_of(2) {
        let grown = ours.search(seed)?;
        (grown, peer.search(seed)?)
    } else {
        let other = peer.search(seed)?;
        (ours.search(seed)?, other)
    };
    if grown.trees != other.trees {
        return Err(SearchBenchError::Different { seed });
    }
    Ok((grown, other.seconds))
}

fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn table(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let Report { model, machine, load, size, .. } = report;
    let shown = |load: Option<f64>| load.map_or_else(|| "-".to_owned(), |load| format!("{load:.1}"));
    writeln!(
        out,
        "{model}, {} threads; {}, {} cores; load {} -> {}",
        machine.threads,
        machine.cpu.as_deref().unwrap_or("unknown processor"),
        machine.cores,
        shown(load.start),
        shown(load.end),
    )?;
    writeln!(out, "{} trees of {} growths, {} children each", size.problems, size.growths, size.children)?;
    writeln!(
        out,
        "{:<8}  {:>8}  {:>8}  {:<8}  {:>5}  {:>6}  {:<3}  {:>11}  against",
        "row", "ours", "peer", "unit", "ratio", "target", "met", "prefix hits"
    )?;
    for row in &report.rows {
        let met = row.met.map_or("-", |met| if met { "yes" } else { "no" });
        let target = row.target.map_or_else(|| "-".to_owned(), |target| format!("{target:.1}"));
        let hits = row.prefix_hits.map_or_else(|| "-".to_owned(), |hits| format!("{:.0}%", 100.0 * hits));
        writeln!(
            out,
            "{:<8}  {:>8.1}  {:>8.1}  {:<8}  {:>5.2}  {target:>6}  {met:<3}  {hits:>11}  {}",
            row.name, row.ours, row.peer, row.unit, row.ratio, row.against
        )?;
    }
    if report.quick {
        writeln!(out, "--quick: small trees, the figures mean nothing")?;
    }
    Ok(())
}
