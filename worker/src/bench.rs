//! `bench engine`: the generation engine beside another one, on the same work, with the same number format and threads, in
//! turns in one run. Figures are tokens per second of the wall clock, prompts included, from the median of all runs; a row
//! whose sides do not compute the same thing is an error.
//!
//! Read in this order: `rows` (what is measured), `compare` (how), `ours` and `peer` (the sides), `floor` (what the machine
//! would allow), `report`.

mod adapters;
mod agreement;
mod compare;
mod floor;
mod machine;
pub mod options;
mod ours;
mod peer;
mod probe;
mod prompts;
mod report;
pub mod rows;
mod runner;
pub mod sandbox;
pub mod search;

mod tree;

use std::io::{self, Write};

use galapagos_model::profile::Profile;
use galapagos_model::{Decoder, FolderError, ModelFolder, TokenizerError};
use galapagos_telemetry::machine::load;
use tch::{Device, TchError};

use compare::{Plan, RowError, Side, Sides, compare};
use floor::Size;
use machine::{Load, Machine};
use options::{Against, BenchPrecision, EngineBench};
use ours::{Ours, Sharing};
use peer::{Peer, PeerError};
use probe::probe;
use prompts::Prompts;
use report::{KvBytes, Report};
use rows::{Rival, RowName, Scale, Work};
use runner::{Outcome, RunError, Runner};

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("cannot measure with the model")]
    Model { source: FolderError },
    #[error("the model's tokenizer cannot encode the benchmark's prompts")]
    Prompts { source: TokenizerError },
    #[error("`{row}` has nothing to compare with under --against {against}; choose among: {possible}")]
    NoRival { row: &'static str, against: &'static str, possible: String },
    #[error("`{row}` needs {needed} positions, the model has {limit}; choose shorter rows with --only, or --quick")]
    TooLong { row: &'static str, needed: usize, limit: usize },
    #[error("cannot measure the machine")]
    Probe { source: TchError },
    #[error("the engine cannot be started")]
    Engine { source: RunError },
    #[error("the peer cannot be used")]
    Peer { source: PeerError },
    #[error("the engine benchmark stopped")]
    Row { source: RowError },
    #[error("cannot write the result")]
    Output { source: io::Error },
    #[error("cannot encode the result as JSON")]
    Json { source: serde_json::Error },
}

/// Measures and prints. Progress goes to `log`, a line a row.
///
/// # Errors
/// [`BenchError`]; figures below their targets are no error.
pub fn engine(config: &EngineBench, out: &mut dyn Write, log: &mut dyn Write) -> Result<(), BenchError> {
    let start = load();
    let chosen = chosen(config)?;
    let folder = ModelFolder::open(&config.model).map_err(|source| BenchError::Model { source })?;
    let scale = if config.quick { Scale::Quick } else { Scale::Full };
    let prompts =
        Prompts::new(|text| folder.tokenizer().encode(text)).map_err(|source| BenchError::Prompts { source })?;
    check_lengths(&chosen, scale, &prompts, folder.config().max_position_embeddings)?;
    let bytes = match config.precision {
        BenchPrecision::Bf16 => 2,
        BenchPrecision::F32 => 4,
    };
    tch::set_num_threads(i32::try_from(config.threads).unwrap_or(i32::MAX));
    let speed = probe(config.precision.into(), scale).map_err(|source| BenchError::Probe { source })?;
    // As in a worker: the engine's own threads compute, and libtorch's would spin on their cores.
    tch::set_num_threads(1);
    let model = folder.load(Device::Cpu).map_err(|source| BenchError::Model { source })?;
    let size = Size::of(model.config(), model.parameters(), bytes);
    let mut sides = Both::new(config, &model, &chosen)?;
    let plan = Plan {
        prompts: &prompts,
        scale,
        runs: config.runs,
        against: config.against,
        precision: config.precision,
        size,
        speed,
    };
    let mut rows = Vec::with_capacity(chosen.len());
    for (row, rival) in chosen {
        let note = |log: &mut dyn Write, text: &str| {
            writeln!(log, "bench: {}: {text}", row.text()).map_err(|source| BenchError::Output { source })
        };
        note(log, &format!("{} runs of each side", config.runs))?;
        let measured = compare(&plan, row, rival, &mut sides).map_err(|source| BenchError::Row { source })?;
        note(log, &format!("{:.1} against {:.1} tokens/s", measured.ours, measured.peer))?;
        rows.push(measured);
    }
    let report = Report {
        bench: "engine",
        against: config.against,
        model: config.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        precision: config.precision,
        quick: config.quick,
        machine: Machine::here(config.threads),
        peer: sides.peer.as_ref().map(|peer| peer.about.clone()),
        load: Load { start, end: load() },
        speed,
        kv: KvBytes { formula: size.kv_bytes() as u64, engine: sides.engine.kv_bytes() },
        rows,
    };
    print(&report, config.json, out)
}

fn print(report: &Report, json: bool, out: &mut dyn Write) -> Result<(), BenchError> {
    if !json {
        return report.table(out).map_err(|source| BenchError::Output { source });
    }
    let text = serde_json::to_string_pretty(report).map_err(|source| BenchError::Json { source })?;
    writeln!(out, "{text}").map_err(|source| BenchError::Output { source })
}

/// The rows asked for with what stands on their other side; without `--only`, all that have one.
fn chosen(config: &EngineBench) -> Result<Vec<(RowName, Rival)>, BenchError> {
    let possible: Vec<(RowName, Rival)> =
        RowName::ALL.iter().filter_map(|row| Some((*row, row.rival(config.against)?))).collect();
    for row in &config.only {
        if !possible.iter().any(|(name, _)| name == row) {
            let names: Vec<&str> = possible.iter().map(|(name, _)| name.text()).collect();
            let against = match config.against {
                Against::Hf => "hf",
                Against::Vllm => "vllm",
                Against::Itself => "self",
            };
            return Err(BenchError::NoRival { row: row.text(), against, possible: names.join(", ") });
        }
    }
    let asked = |(row, _): &(RowName, Rival)| config.only.is_empty() || config.only.contains(row);
    Ok(possible.into_iter().filter(asked).collect())
}

fn check_lengths(chosen: &[(RowName, Rival)], scale: Scale, prompts: &Prompts, limit: usize) -> Result<(), BenchError> {
    for (row, _) in chosen {
        let needed = row.work(scale, prompts, 1).longest();
        if needed > limit {
            return Err(BenchError::TooLong { row: row.text(), needed, limit });
        }
    }
    Ok(())
}

/// The engines and the peer that the chosen rows need.
#[derive(Debug)]
struct Both {
    engine: Ours,
    /// With sharing off, which also keeps it from finding again what `engine` was asked.
    second: Option<Ours>,
    peer: Option<Peer>,
}

impl Both {
    fn new(config: &EngineBench, model: &Decoder, chosen: &[(RowName, Rival)]) -> Result<Self, BenchError> {
        let needs = |rival| chosen.iter().any(|(_, found)| *found == rival);
        let engine = |sharing| Ours::new(model, config.precision.into(), config.threads, sharing);
        // First, because a missing peer is the likeliest failure.
        let peer = needs(Rival::Peer).then(|| Peer::start(config)).transpose();
        let peer = peer.map_err(|source| BenchError::Peer { source })?;
        let engines = || {
            let two = needs(Rival::SharingOff) || needs(Rival::OneAdapterAtATime);
            let mut both = (engine(Sharing::On)?, two.then(|| engine(Sharing::Off)).transpose()?);
            if needs(Rival::OneAdapterAtATime) {
                both.0.add_adapters(rows::ADAPTERS)?;
                both.1.as_mut().map_or(Ok(()), |second| second.add_adapters(rows::ADAPTERS))?;
            }
            Ok(both)
        };
        let (engine, second) = engines().map_err(|source| BenchError::Engine { source })?;
        Ok(Self { engine, second, peer })
    }
}

impl Sides for Both {
    fn run(&mut self, side: Side, work: &Work, seed: u64) -> Result<Outcome, RunError> {
        let missing = RunError::Unsupported { what: "a row that it was not started for" };
        match side {
            Side::Ours => self.engine.run(work, seed, false),
            Side::Other(Rival::OneAdapterAtATime) => self.second.as_mut().ok_or(missing)?.run(work, seed, true),
            Side::Other(Rival::SharingOff) => self.second.as_mut().ok_or(missing)?.run(work, seed, false),
            Side::Other(Rival::Peer) => self.peer.as_mut().ok_or(missing)?.run(work, seed),
        }
    }

    fn profile(&mut self, work: &Work, seed: u64) -> Result<Profile, RunError> {
        self.engine.profile(work, seed)
    }

    fn judge(&mut self, prompt: &[u32], continuations: &[Vec<u32>]) -> Result<Option<Vec<Vec<f32>>>, RunError> {
        match &mut self.peer {
            Some(peer) if peer.scores() => Ok(Some(peer.score(prompt, continuations)?.log_probs)),
            Some(_) | None => Ok(None),
        }
    }
}
