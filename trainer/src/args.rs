//! The command line: of a rank only what does not belong to the round, which comes on standard input; and of the benchmark.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::bench::options::Bench;

/// A rank, or a tool on the same trainer.
#[derive(Debug, Clone, Parser)]
#[command(name = "galapagos-trainer", version, after_help = crate::exit::TABLE)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct CommandLine {
    #[command(flatten)]
    pub rank: Option<Args>,
    #[command(subcommand)]
    pub tool: Option<Tool>,
}

/// What the trainer does besides rounds.
#[derive(Debug, Clone, Subcommand)]
pub enum Tool {
    /// Measure optimiser steps; exits 0 whatever the figures are
    #[command(subcommand)]
    Bench(Bench),
}

use crate::device::Place;

/// One rank of a training round. Reads rank commands as JSON lines on standard input and writes rank reports as JSON lines on
/// standard output; logs go to standard error. Normally started by galapagos-worker.
#[derive(Debug, Clone, Parser)]
pub struct Args {
    /// Artifact store: a folder or a file:// URL.
    #[arg(long, value_name = "LOCATION")]
    pub artifacts: String,
    /// Folder for fetched and unfinished checkpoints.
    #[arg(long, value_name = "DIR")]
    pub cache: PathBuf,
    /// Folder for run logs: a folder for each round, which TensorBoard and any reader of Parquet open. Rank 0 writes; none without it.
    #[arg(long, value_name = "DIR")]
    pub runs: Option<PathBuf>,
    /// Address of this machine that the other ranks connect to: loopback or private.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// End at once when standard input ends, which it does when the worker dies.
    #[arg(long)]
    pub lifeline: bool,
    /// What this rank computes on: cpu, cuda or cuda:N. All ranks of a round compute on the same kind.
    #[arg(long, value_name = "DEVICE", default_value_t = Place::Cpu)]
    pub device: Place,
    /// Threads of each tensor operation. More than one helps only on idle cores.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=1024))]
    pub threads: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(["galapagos-trainer"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn a_rank_is_started_by_its_options_and_the_benchmark_by_its_name() {
        let line = parsed("--artifacts A --cache C --bind 127.0.0.1 --lifeline --threads 3").unwrap();
        let rank = line.rank.unwrap();
        assert!(line.tool.is_none() && rank.lifeline && rank.threads == 3, "{rank:?}");
        let line = parsed("bench train --against torch --model M --only ddp-2-f32").unwrap();
        assert!(line.rank.is_none() && matches!(line.tool, Some(Tool::Bench(Bench::Train(_)))), "{line:?}");
        assert!(matches!(parsed("bench rank").unwrap().tool, Some(Tool::Bench(Bench::Rank))));
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for bad in [
            "",
            "--artifacts A",
            "--cache C --lifeline",
            "bench",
            "bench train --against nobody --model M",
            "bench train --against torch --model M --runs 0",
            "bench train --against torch --model M --only step",
            "--artifacts A --cache C bench rank",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
