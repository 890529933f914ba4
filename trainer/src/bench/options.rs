//! The command line of `galapagos-trainer bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::rows::RowName;

#[derive(Debug, Clone, Subcommand)]
pub enum Bench {
    /// Measure optimiser steps beside another trainer, in turns
    Train(TrainBench),
    /// One rank of a comparison, started by `train`: commands on standard input, answers on standard output
    #[command(hide = true)]
    Rank,
}

/// What is compared with. Rows about this trainer alone compare it with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Against {
    /// PyTorch eager, in a Python of its own
    Torch,
    /// This trainer: only the rows that compare it with itself
    #[value(name = "self")]
    #[serde(rename = "self")]
    Itself,
}

#[derive(Debug, Clone, Args)]
pub struct TrainBench {
    /// What to compare with
    #[arg(long, value_enum)]
    pub against: Against,
    /// Hugging Face folder of a language model
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Measured steps of each row and side; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,
    /// Computing threads of each side, bound to as many cores
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Measure this row only; may be given more than once
    #[arg(long, value_enum, value_name = "NAME")]
    pub only: Vec<RowName>,
    /// Eighths of the lengths, to see that it works; the figures mean nothing
    #[arg(long)]
    pub quick: bool,
    /// Python that has the peer installed
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
