//! Our side of a comparison: a process that holds one rank's [`Training`] and steps when it is told to, over and over on one batch.
//! Data, loss, gradients and update are those of a round; weights start from a folder and are thrown away.

use std::io::{self, BufRead, Write};
use std::net::{AddrParseError, IpAddr, Ipv4Addr};
use std::time::Duration;

use galapagos_collective::{Group, GroupSpec, Store};
use galapagos_domain::ids::{Digest, InvalidId, JobId, Name};
use galapagos_domain::recipe::train::{Adamw, Loss, Optimiser, Train};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Credit, Trajectory, Verdict};
use galapagos_model::{FolderError, ModelFolder, WeightsError};
use galapagos_telemetry::{machine, memory, report};
use serde::Serialize;
use serde_json::json;
use tch::{Device, Kind};

use super::LIBTORCH;
use super::protocol::{Command, Listening, Load, Loaded, Memory, Parts, Stepped};
use crate::RankError;
use crate::data::item::Item;
use crate::data::{DataError, Dataset, Limits};
use crate::objective::Objective;
use crate::step::{Frozen, Spent, Training};
use crate::subject::Subject;

/// The longest wait for other ranks: they load the model, and a step may be slow.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Why a rank of the benchmark ended early.
#[derive(Debug, thiserror::Error)]
pub enum BenchRankError {
    #[error("cannot exchange lines")]
    Lines { source: io::Error },
    #[error("a command cannot be read")]
    Command { source: serde_json::Error },
    #[error("`{what}` came before `load`")]
    NotLoaded { what: &'static str },
    #[error("cannot load the model")]
    Model { source: Box<FolderError> },
    #[error("cannot widen the weights")]
    Weights { source: Box<WeightsError> },
    #[error("cannot use the batch")]
    Data { source: DataError },
    #[error("the batch has no sequences, or one of a single token, or nothing of it is learned")]
    Batch,
    #[error("cannot name the batch's records")]
    Name { source: InvalidId },
    #[error("`{text}` is no address of a rendezvous")]
    Address { text: String, source: AddrParseError },
    #[error("cannot meet the other ranks")]
    Group { source: galapagos_collective::Error },
    #[error("cannot train")]
    Train { source: Box<RankError> },
    #[error("loss {loss} and gradient norm {grad_norm} are not both numbers")]
    NotFinite { loss: f64, grad_norm: f64 },
    #[error("the system does not say how much memory this process has")]
    Memory,
}

impl From<RankError> for BenchRankError {
    fn from(source: RankError) -> Self {
        Self::Train { source: Box::new(source) }
    }
}

/// Answers commands until the input ends. A failure is answered too, and ends it.
///
/// # Errors
/// [`BenchRankError`].
pub fn serve(input: impl BufRead, output: impl Write) -> Result<(), BenchRankError> {
    let mut lines = Lines { input, output };
    let served = commands(&mut lines);
    if let Err(error) = &served {
        lines.answer(&json!({ "error": report(error) }))?;
    }
    served
}

fn commands<I: BufRead, O: Write>(lines: &mut Lines<I, O>) -> Result<(), BenchRankError> {
    let (mut store, mut loads) = (None, 0);
    let mut next = lines.next()?;
    while let Some(command) = next {
        next = match command {
            Command::Listen => {
                let listening = Store::listen(LOCALHOST, TIMEOUT).map_err(|source| BenchRankError::Group { source })?;
                lines.answer(&Listening { address: listening.addr().to_string() })?;
                store = Some(listening);
                lines.next()?
            }
            Command::Load(load) => {
                loads += 1;
                loaded(&load, (store.take(), loads), lines)?
            }
            Command::Step => return Err(BenchRankError::NotLoaded { what: "step" }),
            Command::Memory => return Err(BenchRankError::NotLoaded { what: "memory" }),
        };
    }
    Ok(())
}

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Lines<I, O> {
    input: I,
    output: O,
}

impl<I: BufRead, O: Write> Lines<I, O> {
    fn next(&mut self) -> Result<Option<Command>, BenchRankError> {
        let mut line = String::new();
        match self.input.read_line(&mut line).map_err(|source| BenchRankError::Lines { source })? {
            0 => Ok(None),
            _ => serde_json::from_str(&line).map(Some).map_err(|source| BenchRankError::Command { source }),
        }
    }

    fn answer(&mut self, answer: &impl Serialize) -> Result<(), BenchRankError> {
        let line = serde_json::to_string(answer).map_err(|source| BenchRankError::Command { source })?;
        let written = writeln!(self.output, "{line}").and_then(|()| self.output.flush());
        written.map_err(|source| BenchRankError::Lines { source })
    }
}

/// Steps until another command comes, which is returned.
fn loaded<I: BufRead, O: Write>(
    load: &Load,
    (store, loads): (Option<Store>, u32),
    lines: &mut Lines<I, O>,
) -> Result<Option<Command>, BenchRankError> {
    let start_bytes = memory::resident_bytes().ok_or(BenchRankError::Memory)?;
    tch::set_num_threads(i32::try_from(load.threads).unwrap_or(i32::MAX));
    let model = |source| BenchRankError::Model { source: Box::new(source) };
    let folder = ModelFolder::open(&load.model).map_err(model)?;
    let stored = folder.load(Device::Cpu).map_err(model)?;
    let model = stored
        .copy_to(Kind::Float, Device::Cpu)
        .map_err(|source| BenchRankError::Weights { source: Box::new(source) })?;
    drop(stored);
    let limits = Limits {
        positions: model.config().max_position_embeddings,
        vocabulary: model.config().vocab_size,
        images: false,
        classes: 0,
        start: Digest::of(b"bench"),
    };
    let train = train(load)?;
    let (batch, least) = batch(load, &train, limits)?;
    let group = group(load, store, loads)?;
    let (subject, frozen) = (Subject { model, adapter: None }, Frozen::default());
    let mut training = Training::new(&subject, &frozen, &group, &train)?;
    let objective = Objective::new(&train);
    lines.answer(&Loaded {
        versions: json!({ "galapagos": env!("CARGO_PKG_VERSION"), "libtorch": LIBTORCH }),
        settings: json!({ "threads": tch::get_num_threads(), "optimiser": "adamw", "layout": load.layout }),
    })?;
    loop {
        match lines.next()? {
            Some(Command::Step) => {
                lines.answer(&step(&mut training, &objective, (&batch, least), load.lr)?)?;
            }
            Some(Command::Memory) => {
                let peak_bytes = memory::peak_resident_bytes().ok_or(BenchRankError::Memory)?;
                lines.answer(&Memory { start_bytes, peak_bytes })?;
            }
            other => return Ok(other),
        }
    }
}

fn step(
    training: &mut Training<'_>,
    objective: &Objective,
    batch: (&[Item], usize),
    lr: f64,
) -> Result<Stepped, BenchRankError> {
    let mut spent = Spent::begin();
    let (measured, seconds, cpu_seconds) = machine::timed(|| {
        let measured = training.measure(objective, batch, &mut spent)?;
        training.update(lr, measured.grad_norm)?;
        spent.optimiser();
        Ok::<_, RankError>(measured)
    });
    let measured = measured?;
    let (loss, grad_norm) = (measured.loss, measured.grad_norm);
    if !measured.is_finite() {
        return Err(BenchRankError::NotFinite { loss, grad_norm });
    }
    let time = spent.time();
    let of = |ms: u32| f64::from(ms) / 1e3;
    let time = Parts {
        data: of(time.data_ms),
        forward: of(time.forward_ms),
        backward: of(time.backward_ms),
        communication: of(time.communication_ms),
        optimiser: of(time.optimiser_ms),
    };
    Ok(Stepped { seconds, cpu_seconds, loss, grad_norm, time })
}

fn group(load: &Load, store: Option<Store>, loads: u32) -> Result<Group, BenchRankError> {
    let failed = |source| BenchRankError::Group { source };
    let store = match (store, &load.rendezvous) {
        (Some(store), _) => store,
        (None, Some(text)) => {
            let address = text.parse().map_err(|source| BenchRankError::Address { text: text.clone(), source })?;
            Store::connect(address, TIMEOUT).map_err(failed)?
        }
        (None, None) => Store::listen(LOCALHOST, TIMEOUT).map_err(failed)?,
    };
    let Load { rank, world_size, .. } = *load;
    let prefix = format!("bench-{loads}");
    Group::gloo(&store, &GroupSpec { prefix, rank, world_size, host: LOCALHOST, timeout: TIMEOUT }).map_err(failed)
}

fn train(load: &Load) -> Result<Train, BenchRankError> {
    let name = |text: &str| Name::new(text).map_err(|source| BenchRankError::Name { source });
    let train = Train::new(name("policy")?, name("bench")?, Loss::Nll, load.lr);
    Ok(Train {
        ranks: load.world_size,
        batch: u32::try_from(load.sequences.len()).unwrap_or(u32::MAX),
        micro_batch: load.micro_batch,
        clip: load.clip,
        precision: load.precision,
        optimiser: Optimiser::Adamw(Adamw { betas: load.betas, eps: load.eps }),
        layout: load.layout,
        ..train
    })
}

/// The batch as a round makes it of records, and how many items a micro-batch needs.
fn batch(load: &Load, train: &Train, limits: Limits) -> Result<(Vec<Item>, usize), BenchRankError> {
    let record = |(number, tokens): (usize, &Vec<u32>)| record(number, tokens, load.answer);
    let records = load.sequences.iter().enumerate().map(record).collect::<Result<Vec<_>, _>>()?;
    let data = Dataset::new(&records, train, limits, Seed(1)).map_err(|source| BenchRankError::Data { source })?;
    let batch = data.batches(0).next().ok_or(BenchRankError::Batch)?;
    Ok((batch, data.least()))
}

/// A record whose completion is the last `answer` tokens, of a short one all but the first.
fn record(number: usize, tokens: &[u32], answer: usize) -> Result<Trajectory, BenchRankError> {
    if tokens.len() < 2 || answer == 0 {
        return Err(BenchRankError::Batch);
    }
    let (prompt, completion) = tokens.split_at(tokens.len().saturating_sub(answer).max(1));
    let named = |source| BenchRankError::Name { source };
    Ok(Trajectory {
        job: JobId::new("bench").map_err(named)?,
        task_set: Name::new("bench").map_err(named)?,
        task: number.to_string(),
        sample: 0,
        policy: Digest::of(b"bench"),
        prompt_tokens: prompt.to_vec(),
        prefix_len: 0,
        completion_tokens: completion.to_vec(),
        log_probs: Vec::new(),
        completion: String::new(),
        verdict: Verdict::pass(String::new()),
        scores: Vec::new(),
        leaf: None,
        credit: Credit::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(input: &str) -> (Result<(), BenchRankError>, String) {
        let mut output = Vec::new();
        let ended = serve(input.as_bytes(), &mut output);
        (ended, String::from_utf8(output).unwrap())
    }

    #[test]
    fn what_goes_wrong_is_answered_and_ends_it() {
        assert!(told("").0.is_ok());
        let (ended, text) = told("{\"command\":\"step\"}\n");
        assert!(ended.is_err() && text.contains("`step` came before `load`"), "{text}");
        let (ended, text) = told("{\"command\":\"fly\"}\n");
        assert!(ended.is_err() && text.contains("cannot be read"), "{text}");
    }

    #[test]
    fn the_last_tokens_are_learned_and_one_at_least_is_not() {
        for (answer, prompt, completion) in
            [(1, vec![7, 8], vec![9]), (2, vec![7], vec![8, 9]), (5, vec![7], vec![8, 9])]
        {
            let record = record(3, &[7, 8, 9], answer).unwrap();
            assert_eq!((record.prompt_tokens, record.completion_tokens), (prompt, completion));
        }
        assert!(record(0, &[7], 1).is_err() && record(0, &[7, 8], 0).is_err());
    }
}
