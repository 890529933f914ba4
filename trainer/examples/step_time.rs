//! Times optimiser steps of SmolLM2 as the quickstart runs them on each rank: 4 sequences of about 217 tokens (8 records behind a
//! shared prefix), micro batches of 2, bf16, one thread. Prints wall and CPU seconds of each step.
//!
//! `cargo run --release -p galapagos-trainer --example step_time [FOLDER]`

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use galapagos_collective::{Group, GroupSpec, Store};
use galapagos_domain::ids::{Digest, JobId, Name};
use galapagos_domain::recipe::train::{Loss, Train};
use galapagos_domain::seed::Seed;
use galapagos_domain::trajectory::{Credit, Outcome, Trajectory, Verdict};
use galapagos_model::ModelFolder;
use galapagos_telemetry::clock::monotonic_ms;
use galapagos_trainer::data::{Dataset, Limits};
use galapagos_trainer::objective::Objective;
use galapagos_trainer::step::{Frozen, Spent, Training};
use galapagos_trainer::subject::Subject;
use tch::{Device, Kind};

const RECORDS: u32 = 32;
const STEPS: u32 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    tch::set_num_threads(1);
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => models_folder()?.join("smollm2-135m"),
    };
    let model = ModelFolder::open(&folder)?.load(Device::Cpu)?.copy_to(Kind::Float, Device::Cpu)?;
    let config = model.config();
    let limits = Limits {
        positions: config.max_position_embeddings,
        vocabulary: config.vocab_size,
        classes: 0,
        start: Digest::of(b"bench"),
    };
    let train = train()?;
    let rows = (0..RECORDS).map(record).collect::<Result<Vec<_>, _>>()?;
    let data = Dataset::new(&rows, &train, limits, Seed(1))?;

    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let timeout = Duration::from_secs(60);
    let store = Store::listen(host, timeout)?;
    let spec = GroupSpec { prefix: "step-time".to_owned(), rank: 0, world_size: 1, host, timeout };
    let group = Group::gloo(&store, &spec)?;
    let (subject, frozen) = (Subject { model, adapter: None }, Frozen::default());
    let mut training = Training::new(&subject, &frozen, &group, &train)?;
    let objective = Objective::new(&train);
    for (batch, step) in data.batches(0).zip(1..) {
        let lengths: Vec<_> = batch.iter().map(|item| item.tokens()).collect();
        let (wall, cpu) = (monotonic_ms(), cpu_seconds()?);
        let mut spent = Spent::begin();
        let measured = training.measure(&objective, (&batch, data.least()), &mut spent)?;
        training.update(train.lr, measured.grad_norm)?;
        spent.optimiser();
        let (wall, cpu) = ((monotonic_ms() - wall) as f64 / 1e3, cpu_seconds()? - cpu);
        let (loss, time) = (measured.loss, spent.time());
        println!("step {step}: sequences {lengths:?}, loss {loss:.3}, wall {wall:.2} s, CPU {cpu:.2} s, {time:?}");
    }
    Ok(())
}

fn models_folder() -> Result<PathBuf, Box<dyn Error>> {
    if let Some(folder) = std::env::var_os("GALAPAGOS_MODELS") {
        return Ok(PathBuf::from(folder));
    }
    let home = std::env::var_os("HOME").ok_or("set HOME or GALAPAGOS_MODELS, or name a model folder")?;
    Ok(PathBuf::from(home).join(".cache/galapagos/models"))
}

fn train() -> Result<Train, Box<dyn Error>> {
    let train = Train::new(Name::new("policy")?, Name::new("samples")?, Loss::Nll, 5e-5);
    Ok(Train { data_epochs: STEPS, batch: 4, micro_batch: 2, pack: 8, warmup: 0.0, floor: 1.0, ..train })
}

/// 65 tokens of prefix, 15 of question, 4 of answer.
fn record(n: u32) -> Result<Trajectory, Box<dyn Error>> {
    let token = |i: u32| 100 + (i * 7919 + n * 104_729) % 40_000;
    let prompt = (0..65).map(|i| 100 + i * 13).chain((0..15).map(token));
    Ok(Trajectory {
        job: JobId::new("bench")?,
        task_set: Name::new("bench")?,
        task: format!("train/{n}"),
        sample: 0,
        policy: Digest::of(b"bench"),
        prompt_tokens: prompt.collect(),
        prefix_len: 65,
        completion_tokens: (15..19).map(token).collect(),
        log_probs: Vec::new(),
        completion: String::new(),
        verdict: Verdict { outcome: Outcome::Pass, reason: String::new() },
        credit: Credit::default(),
    })
}

/// Processor time of all threads of this process: fields 14 and 15 of its stat line, in hundredths of a second on Linux.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("the stat line has no command name")?;
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(ticks as f64 / 100.0)
}
