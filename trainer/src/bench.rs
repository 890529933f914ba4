//! `bench train`: optimiser steps beside PyTorch's, or beside this trainer with another setting: the same model, batch, number format,
//! threads and cores, in turns in one run. Every side is processes of its own, so that memory can be compared and ranks can be. A row
//! whose sides do not compute the same losses is an error.
//!
//! Read in this order: `rows` (what is measured), `compare` (how), `side`, `child` and `protocol` (processes), `rank` (what ours does;
//! the peer's is `scripts/bench/peer_torch.py`), `report`.

mod child;
mod compare;
mod cores;
pub mod options;
mod protocol;
pub mod rank;
mod report;
pub mod rows;
mod side;

use std::io::{self, Write};
use std::path::PathBuf;

use galapagos_model::{FolderError, ModelFolder};
use galapagos_telemetry::machine;

use compare::{RowError, compare};
use options::TrainBench;
use report::{LeftOut, Load, Machine, Report};
use rows::{RowName, Scale};
use side::Starter;

/// The version that `tch` is bound to; another one does not link.
const LIBTORCH: &str = "2.13.0";

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("cannot measure with the model")]
    Model { source: FolderError },
    #[error("`{row}` has nothing to compare with under --against self; choose among: {possible}")]
    NoRival { row: &'static str, possible: String },
    #[error("`{row}` needs {needed} positions, the model has {limit}; choose shorter rows with --only, or --quick")]
    TooLong { row: &'static str, needed: usize, limit: usize },
    #[error("`{row}` {why}")]
    Cores { row: &'static str, why: String },
    #[error("--threads {threads} needs as many cores; this process may use {cores}")]
    Threads { threads: u32, cores: usize },
    #[error("there is no Python with the peer at {}; install it with `make setup`, or name one with --python", python.display())]
    NoPython { python: PathBuf },
    #[error("cannot prepare the processes of the benchmark")]
    Prepare { source: io::Error },
    #[error("the training benchmark stopped")]
    Row { source: RowError },
    #[error("cannot write the result")]
    Output { source: io::Error },
    #[error("cannot encode the result as JSON")]
    Json { source: serde_json::Error },
}

/// Measures and prints. Progress goes to `log`, two lines a row.
///
/// # Errors
/// [`BenchError`]; figures that miss their targets are no error.
pub fn train(config: &TrainBench, out: &mut dyn Write, log: &mut dyn Write) -> Result<(), BenchError> {
    let start = machine::load();
    let chosen = chosen(config)?;
    let folder = ModelFolder::open(&config.model).map_err(|source| BenchError::Model { source })?;
    let scale = if config.quick { Scale::Quick } else { Scale::Full };
    let vocabulary = folder.config().vocab_size;
    check_lengths(&chosen, scale, folder.config().max_position_embeddings)?;
    let python = config.python.clone().unwrap_or_else(|| cache().join("venv/bin/python"));
    if !python.is_file() && chosen.iter().any(|row| row.rival() == rows::Rival::Torch) {
        return Err(BenchError::NoPython { python });
    }
    let starter = Starter::new(config.model.clone(), python);
    let mut starter = starter.map_err(|source| BenchError::Prepare { source })?;
    if config.threads as usize > starter.cores() {
        return Err(BenchError::Threads { threads: config.threads, cores: starter.cores() });
    }
    let (chosen, left_out) = possible(config, chosen, starter.cores())?;
    let multiplies_bf16 = machine::multiplies_bf16();
    let mut rows = Vec::with_capacity(chosen.len());
    for row in chosen {
        let work = row.work(scale, vocabulary);
        note(log, row, &format!("{} steps of each side", config.runs))?;
        let (sizes, target) = ((config.threads, config.runs), row.target(multiplies_bf16));
        let measured =
            compare(&mut starter, (row, &work), sizes, target).map_err(|source| BenchError::Row { source })?;
        note(log, row, &format!("{:.1} against {:.1} {}", measured.ours, measured.peer, measured.unit))?;
        rows.push(measured);
    }
    let report = Report {
        bench: "train",
        against: config.against,
        model: config.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        quick: config.quick,
        machine: Machine::here(config.threads, multiplies_bf16),
        peer: rows.iter().find(|row| row.rival == rows::Rival::Torch).map(|row| row.peer_about.clone()),
        load: Load { start, end: machine::load() },
        rows,
        left_out,
    };
    print(&report, config.json, out)
}

fn check_lengths(chosen: &[RowName], scale: Scale, limit: usize) -> Result<(), BenchError> {
    for row in chosen {
        let needed = row.work(scale, 1).longest();
        if needed > limit {
            return Err(BenchError::TooLong { row: row.text(), needed, limit });
        }
    }
    Ok(())
}

fn note(log: &mut dyn Write, row: RowName, text: &str) -> Result<(), BenchError> {
    writeln!(log, "bench: {}: {text}", row.text()).map_err(|source| BenchError::Output { source })
}

fn print(report: &Report, json: bool, out: &mut dyn Write) -> Result<(), BenchError> {
    if !json {
        return report.table(out).map_err(|source| BenchError::Output { source });
    }
    let text = serde_json::to_string_pretty(report).map_err(|source| BenchError::Json { source })?;
    writeln!(out, "{text}").map_err(|source| BenchError::Output { source })
}

/// The rows asked for; without `--only`, all that have another side.
fn chosen(config: &TrainBench) -> Result<Vec<RowName>, BenchError> {
    let possible: Vec<RowName> = RowName::ALL.into_iter().filter(|row| row.fits(config.against)).collect();
    if let Some(row) = config.only.iter().find(|row| !possible.contains(row)) {
        let names: Vec<&str> = possible.iter().map(|row| row.text()).collect();
        return Err(BenchError::NoRival { row: row.text(), possible: names.join(", ") });
    }
    Ok(possible.into_iter().filter(|row| config.only.is_empty() || config.only.contains(row)).collect())
}

/// The rows that this machine has the cores for, and those that it has not: an error if one of them was asked for by name.
fn possible(
    config: &TrainBench,
    chosen: Vec<RowName>,
    cores: usize,
) -> Result<(Vec<RowName>, Vec<LeftOut>), BenchError> {
    let (mut kept, mut left_out) = (Vec::new(), Vec::new());
    for row in chosen {
        // Four ranks on two cores still say something of scaling: the work is the same.
        let needed = (row.ranks() as usize).min(2);
        if needed <= cores {
            kept.push(row);
            continue;
        }
        let why = format!("needs {needed} cores; this process may use {cores}");
        if config.only.contains(&row) {
            return Err(BenchError::Cores { row: row.text(), why });
        }
        left_out.push(LeftOut { name: row, why });
    }
    Ok((kept, left_out))
}

/// Where `make setup` installs.
fn cache() -> PathBuf {
    let named = std::env::var_os("GALAPAGOS_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/galapagos"));
    named.or_else(home).unwrap_or_else(|| PathBuf::from(".galapagos"))
}
