//! The command line of `galapagos-worker bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use galapagos_model::Precision;
use serde::Serialize;

use super::rows::RowName;
use crate::sandbox::Walls;

#[derive(Debug, Clone, Subcommand)]
pub enum Bench {
    /// Measure the generation engine beside another one, in turns
    Engine(EngineBench),
    /// Measure searches over many trees, in turns with the same searches in lock-step
    Search(SearchBench),
    /// Measure how many checks of programs a second the sandbox makes
    Sandbox(SandboxBench),
}

#[derive(Debug, Clone, Args)]
pub struct SandboxBench {
    /// Checks of each row
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub checks: u32,
    /// Checks at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    #[command(flatten)]
    pub sandbox: Walls,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What the engine is compared with. Rows that the peer has no counterpart for compare the engine with itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Against {
    /// transformers, in a Python of its own
    Hf,
    /// vLLM, in a Python of its own
    Vllm,
    /// This engine with sharing off, or one adapter after another
    #[value(name = "self")]
    #[serde(rename = "self")]
    Itself,
}

/// Number format of weights and cache, on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BenchPrecision {
    Bf16,
    F32,
}

impl From<BenchPrecision> for Precision {
    fn from(precision: BenchPrecision) -> Self {
        match precision {
            BenchPrecision::Bf16 => Self::Bf16,
            BenchPrecision::F32 => Self::F32,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct EngineBench {
    /// What to compare with
    #[arg(long, value_enum)]
    pub against: Against,
    /// Hugging Face folder of a language model
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Measured runs of each row and side; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,
    /// Computing threads of each side
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    #[arg(long, value_enum, default_value_t = BenchPrecision::Bf16)]
    pub precision: BenchPrecision,
    /// Measure this row only; may be given more than once
    #[arg(long, value_enum, value_name = "NAME")]
    pub only: Vec<RowName>,
    /// Sixteenths of the lengths, to see that it works; the figures mean nothing
    #[arg(long)]
    pub quick: bool,
    /// Python that has the peer installed
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct SearchBench {
    /// Hugging Face folder of a language model
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Measured runs of each row and side; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,
    /// Computing threads of each side
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Measure this row only; may be given more than once
    #[arg(long, value_enum, value_name = "NAME")]
    pub only: Vec<super::search::RowName>,
    /// A quarter of the problems and of the tree, to see that it works; the figures mean nothing
    #[arg(long)]
    pub quick: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}
