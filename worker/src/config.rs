//! The command line. `galapagos` starts this executable with exactly these arguments.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use galapagos_domain::ids::WorkerId;
use galapagos_model::Precision;

use crate::bench::options::Bench;
use crate::device::{DeviceError, Place, Wanted, cores};
use crate::engine::openai::update::Update;
use crate::sandbox::Walls;
use crate::session::Endpoint;
use crate::size;

/// Exit codes, for `--help`.
const EXITS: &str = "Exit codes:
  0  done; for `run`: asked to stop, and everything was given back
  1  failed, with the causes on standard error
  2  wrong command line, or a device that is not there
  3  cancelled: the parent process is gone (with --lifeline)
  4  refused by the coordinator for good: another protocol version, or the same name elsewhere";

/// A worker of a Galapagos cluster, and tools that need the same engine.
#[derive(Debug, Parser)]
#[command(name = "galapagos-worker", version, after_help = EXITS)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take work from a coordinator until told to stop
    Run(Box<Run>),
    /// Measure a Hugging Face folder on the tasks of a recipe
    Eval(Eval),
    /// Write a Hugging Face folder with a LoRA adapter merged into it
    Merge(Merge),
    /// Talk to a Hugging Face folder, or to a model at a server; reads lines from standard input
    Chat(Chat),
    /// Turn a GGUF file into a Hugging Face folder
    Import(Import),
    /// Write a Hugging Face folder anew, its weights in another number format
    Export(Export),
    /// Measure the speed of a part of this executable
    #[command(subcommand)]
    Bench(Bench),
    /// Serve a Hugging Face folder to OpenAI's clients
    Serve(Serve),
    /// Serve the built-in environments over HTTP, each at /NAME
    Environments(Environments),
    /// Say which walls this host allows around code of models, and whether they meet the floor
    Sandbox(Sandbox),
}

#[derive(Debug, Clone, Args)]
pub struct Environments {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// End when standard input closes: for a parent that may die
    #[arg(long, hide = true)]
    pub lifeline: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Sandbox {
    #[command(flatten)]
    pub walls: Walls,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
    /// The built-in engine
    Tch,
    /// A server that speaks OpenAI's completions, such as vLLM
    #[value(name = "openai")]
    OpenAi,
    /// Deterministic, without weights: for tests
    Mock,
}

#[derive(Debug, Clone, Args)]
pub struct Run {
    /// Name of this worker, unique in the cluster
    #[arg(long)]
    pub name: WorkerId,
    /// The coordinator: HOST:PORT, or @FILE that it announces itself in
    #[arg(long, value_name = "ADDRESS")]
    pub coordinator: Endpoint,
    /// Artifact store: a folder or a file:// URL
    #[arg(long, value_name = "LOCATION")]
    pub artifacts: String,
    /// Folder for fetched checkpoints; may be shared by workers and trainers of one machine
    #[arg(long, value_name = "DIR")]
    pub cache: PathBuf,
    /// Folder that holds base models by name
    #[arg(long, value_name = "DIR")]
    pub models: PathBuf,
    /// Attempts and ranks at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub slots: u32,
    #[arg(long, value_enum, default_value_t = EngineKind::Tch)]
    pub engine: EngineKind,
    /// What computes: auto (the first CUDA device if there is one, else the CPU), cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: Wanted,
    /// Computing threads of the CPU; no result depends on it
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: u16,
    /// Folder of the base model of LoRA adapters that name none: those that a recipe names as its base. Adapters that rounds make know theirs
    #[arg(long, value_name = "DIR")]
    pub engine_base: Option<PathBuf>,
    #[command(flatten)]
    pub walls: Walls,
    #[command(flatten)]
    pub remote: Remote,
    /// Address of this machine that trainer ranks on other machines connect to: loopback or private. What they exchange is not encrypted
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// The trainer [default: galapagos-trainer beside this executable]
    #[arg(long, value_name = "PATH")]
    pub trainer_bin: Option<PathBuf>,
    /// Folder for the run logs of rounds whose rank 0 runs here: TensorBoard event files and steps.parquet, a folder for each round [default:
    /// none are written]
    #[arg(long, value_name = "DIR")]
    pub runs: Option<PathBuf>,
    /// End when standard input ends, which it does when the parent process dies
    #[arg(long)]
    pub lifeline: bool,
}

/// The server of `--engine openai`.
#[derive(Debug, Clone, Args)]
pub struct Remote {
    /// The inference server: http://HOST:PORT or https://HOST. A key is read from GALAPAGOS_ENGINE_KEY
    #[arg(long, value_name = "URL", required_if_eq("engine", "openai"))]
    pub engine_url: Option<String>,
    /// The model's name there
    #[arg(long, value_name = "NAME", required_if_eq("engine", "openai"))]
    pub engine_model: Option<String>,
    /// How new versions get there: `fixed` (others do it), `adapter` (vLLM's runtime LoRA loading), `endpoint` (SGLang's
    /// update_weights_from_disk) or `hook=PROGRAM`, called with the checkpoint's folder. The served version is checked always
    #[arg(long, value_name = "WAY", default_value = "fixed", value_parser = parse_update)]
    pub engine_update: Update,
    /// PEM file of certificates to trust beside the system's, for an https server of your own
    #[arg(long, value_name = "FILE", requires = "engine_url")]
    pub engine_ca: Option<PathBuf>,
    /// Seconds for one try of one request
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub engine_timeout: u64,
    /// Tries of one request that fails in a way that may pass
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub engine_tries: u32,
}

fn parse_update(text: &str) -> Result<Update, String> {
    match (text, text.strip_prefix("hook=")) {
        ("fixed", _) => Ok(Update::Fixed),
        ("adapter", _) => Ok(Update::Adapter),
        ("endpoint", _) => Ok(Update::Endpoint),
        (_, Some(program)) if !program.is_empty() => Ok(Update::Hook { program: program.to_owned() }),
        _ => Err("must be fixed, adapter, endpoint or hook=PROGRAM".to_owned()),
    }
}

/// What computes in a program that has the machine to itself.
#[derive(Debug, Clone, Copy, Args)]
pub struct Computing {
    /// What computes: auto (the first CUDA device if there is one, else the CPU), cpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: Wanted,
    /// Computing threads of the CPU; no result depends on it [default: the machine's cores, at most 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

impl Computing {
    /// The device and its threads.
    ///
    /// # Errors
    /// As [`Place::find`].
    pub fn place(&self) -> Result<Place, DeviceError> {
        Ok(Place::find(self.device)?.with_threads(self.threads.unwrap_or_else(cores)))
    }
}

/// A part of a task set that may be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MeasuredSplit {
    Train,
    Val,
    Test,
}

#[derive(Debug, Clone, Args)]
pub struct Eval {
    /// Hugging Face folder, or with --base the folder of an adapter
    pub model: PathBuf,
    /// Hugging Face folder of the base that the adapter stands on
    #[arg(long, value_name = "DIR")]
    pub base: Option<PathBuf>,
    /// Recipe whose tasks are measured
    #[arg(long)]
    pub recipe: PathBuf,
    #[arg(long, value_enum, default_value_t = MeasuredSplit::Val)]
    pub split: MeasuredSplit,
    /// Seed that generated the tasks: the evolution's
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Tasks per set [default: all]
    #[arg(long)]
    pub n: Option<u32>,
    #[command(flatten)]
    pub computing: Computing,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Merge {
    /// Hugging Face folder of the base
    pub base: PathBuf,
    /// Folder of the adapter, in PEFT's layout
    pub adapter: PathBuf,
    /// Folder to write: new, or empty
    pub dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Chat {
    /// Hugging Face folder, or with --base the folder of an adapter; with --server, the model's name there
    pub model: PathBuf,
    /// Hugging Face folder of the base that the adapter stands on
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    pub base: Option<PathBuf>,
    /// An inference server that speaks OpenAI's API: http://HOST:PORT or https://HOST. A key is read from GALAPAGOS_ENGINE_KEY
    #[arg(long, value_name = "URL", conflicts_with_all = ["device", "threads"])]
    pub server: Option<String>,
    /// PEM file of certificates to trust beside the system's, for an https server of your own
    #[arg(long, value_name = "FILE", requires = "server")]
    pub server_ca: Option<PathBuf>,
    /// Continue what is typed as it is, without the chat template
    #[arg(long, conflicts_with = "server")]
    pub raw: bool,
    /// 0 always takes the most probable token
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f64,
    /// Draw among this many most probable tokens [default: all]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub top_k: Option<u32>,
    /// Draw among the most probable tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    pub top_p: f64,
    /// Draw among tokens with at least this part of the greatest probability
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub min_p: f64,
    /// Longest answer in tokens
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: u32,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub computing: Computing,
}

/// The number format of written weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stored {
    F32,
    Bf16,
    F16,
}

#[derive(Debug, Clone, Args)]
pub struct Import {
    /// GGUF file
    pub file: PathBuf,
    /// Folder to write: new, or empty
    pub dir: PathBuf,
    /// Number format of the weights; f32 keeps the file's values exactly
    #[arg(long, value_enum, default_value_t = Stored::F32)]
    pub dtype: Stored,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Export {
    /// Hugging Face folder
    pub model: PathBuf,
    /// Folder to write: new, or empty
    pub dir: PathBuf,
    /// Number format of the weights [default: as they are]
    #[arg(long, value_enum)]
    pub dtype: Option<Stored>,
    /// Most bytes of weights in one file, such as 5GB or 500MB; a larger tensor has a file of its own [default: one file]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub max_shard_size: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// Hugging Face folder
    pub model: PathBuf,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    /// Name clients ask for [default: the folder's name]
    #[arg(long)]
    pub name: Option<String>,
    /// An adapter folder in PEFT's layout, served as model NAME; may be given several times
    #[arg(long = "adapter", value_name = "NAME=DIR", value_parser = parse_adapter)]
    pub adapters: Vec<(String, PathBuf)>,
    /// Let clients load and unload adapters (POST /v1/load_lora_adapter and /v1/unload_lora_adapter, as vLLM's): they may then
    /// name any folder that this process can read
    #[arg(long)]
    pub allow_runtime_adapters: bool,
    /// Number format of weights and cache [default: bf16, but f32 for small models and for devices without bfloat16]
    #[arg(long, value_enum)]
    pub dtype: Option<NumberFormat>,
    #[command(flatten)]
    pub computing: Computing,
    /// Memory of the key/value cache in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    pub kv_mib: u64,
    /// Requests that may wait; further ones are answered with 429
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub queue: u32,
    /// Seed of requests that bring none
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// End when standard input ends, which it does when the parent process dies
    #[arg(long)]
    pub lifeline: bool,
}

/// Number format of weights and cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NumberFormat {
    F32,
    Bf16,
}

impl From<NumberFormat> for Precision {
    fn from(format: NumberFormat) -> Self {
        match format {
            NumberFormat::F32 => Self::F32,
            NumberFormat::Bf16 => Self::Bf16,
        }
    }
}

fn parse_adapter(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, folder)) if !name.is_empty() && !folder.is_empty() => Ok((name.to_owned(), folder.into())),
        _ => Err("must be NAME=DIR".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_that_a_local_cluster_gives_are_read() {
        let line = "galapagos-worker run --name w1 --coordinator @/tmp/c.json --artifacts /tmp/a --cache /tmp/c \
                    --models /tmp/m --slots 2 --engine mock --trainer-bin /bin/t --runs /tmp/r --lifeline";
        let Command::Run(run) = Arguments::parse_from(line.split_whitespace()).command else { panic!() };
        assert_eq!((run.name.as_str(), run.slots, run.engine, run.lifeline), ("w1", 2, EngineKind::Mock, true));
        assert_eq!(run.runs, Some(PathBuf::from("/tmp/r")));
        assert_eq!(run.coordinator, Endpoint::Announced(PathBuf::from("/tmp/c.json")));
    }

    #[test]
    fn a_remote_engine_needs_an_address_and_a_name() {
        let line = "w run --name w1 --coordinator h:1 --artifacts a --cache c --models m --engine openai";
        assert!(Arguments::try_parse_from(line.split_whitespace()).is_err());
        let line = format!("{line} --engine-url http://h:1 --engine-model m --engine-update hook=/bin/reload");
        let Command::Run(run) = Arguments::parse_from(line.split_whitespace()).command else { panic!() };
        assert_eq!(run.remote.engine_update, Update::Hook { program: "/bin/reload".into() });
        let adapter = line.replace("hook=/bin/reload", "adapter");
        assert!(Arguments::try_parse_from(adapter.split_whitespace()).is_ok(), "adapters of rounds know their base");
        let bad = line.replace("hook=/bin/reload", "hook=");
        assert!(Arguments::try_parse_from(bad.split_whitespace()).is_err());
    }

    #[test]
    fn no_slots_and_impossible_names_are_refused() {
        for bad in ["--name w1 --slots 0", "--name /w"] {
            let line = format!("w run --coordinator h:1 --artifacts a --cache c --models m {bad}");
            assert!(Arguments::try_parse_from(line.split_whitespace()).is_err(), "{bad}");
        }
    }
}
