//! The command line of a rank: only what does not belong to the round, which comes on standard input.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::device::Place;

/// One rank of a training round. Reads rank commands as JSON lines on standard input and writes rank reports as JSON lines on
/// standard output; logs go to standard error. Normally started by galapagos-worker.
#[derive(Debug, Clone, Parser)]
#[command(name = "galapagos-trainer", version, after_help = crate::exit::TABLE)]
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
