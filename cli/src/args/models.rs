//! Commands on models: import, export, merge, measure, talk, serve, and the speed of the engine.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::Target;
use super::cluster::default_models;

/// The number format of written weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stored {
    F32,
    Bf16,
    F16,
}

impl Stored {
    /// As it stands on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

/// What computes. What is not given is the worker's default.
#[derive(Debug, ClapArgs)]
pub struct Computing {
    /// What computes: auto (the first CUDA device if there is one, else the CPU), cpu, cuda or cuda:N [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Computing threads of the CPU; no result depends on it [default: the machine's cores, at most 16]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,
}

impl Computing {
    /// The worker's options with the same meaning.
    pub fn options(&self) -> impl Iterator<Item = OsString> {
        let all = [("--device", &self.device), ("--threads", &self.threads)];
        // In one word, so that a value such as -1 is refused for what it is.
        all.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_deref()?).into()))
    }
}

#[derive(Debug, ClapArgs)]
pub struct Import {
    /// GGUF file
    pub file: PathBuf,
    /// Folder to write: new, or empty
    pub dir: PathBuf,
    /// Number format of the weights; f32 keeps the file's values exactly, the others halve the size
    #[arg(long, value_enum, default_value_t = Stored::F32)]
    pub dtype: Stored,
}

#[derive(Debug, ClapArgs)]
pub struct Export {
    /// Member id, a role, `champion` or `base`; or a Hugging Face folder
    #[arg(default_value = "champion")]
    pub model: String,
    /// Folder to write: new, or empty [default: export/MEMBER in the run folder]
    #[arg(value_name = "DIR", conflicts_with = "to")]
    pub folder: Option<PathBuf>,
    /// Folder to write; a member's is replaced
    #[arg(long)]
    pub to: Option<PathBuf>,
    /// Number format of the weights [default: as they are]
    #[arg(long, value_enum)]
    pub dtype: Option<Stored>,
    /// Most bytes of weights in one file, such as 5GB or 500MB [default: one file for all]
    #[arg(long, value_name = "SIZE")]
    pub max_shard_size: Option<String>,
    /// Of a member that is an adapter, write its own files and name its base [default: the adapter merged into its base]
    #[arg(long, conflicts_with_all = ["dtype", "max_shard_size"])]
    pub adapter: bool,
    /// Evolution id [default: the only one]
    #[arg(long)]
    pub evolution: Option<String>,
    #[command(flatten)]
    pub target: Target,
    /// Artifact store, where it is not that of the run folder
    #[arg(long)]
    pub artifacts: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct Merge {
    /// Hugging Face folder of the base
    pub base: PathBuf,
    /// Folder of the adapter, in PEFT's layout
    pub adapter: PathBuf,
    /// Folder to write: new, or empty
    pub dir: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct Eval {
    /// Hugging Face folder, or a member of the run folder
    #[arg(default_value = "champion")]
    pub model: String,
    /// Recipe whose tasks are measured [default: the run folder's]
    #[arg(long)]
    pub recipe: Option<PathBuf>,
    /// Split: val or test
    #[arg(long, default_value = "val")]
    pub split: String,
    /// Seed that generated the tasks
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub computing: Computing,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, ClapArgs)]
pub struct Chat {
    /// Hugging Face folder, or a member of the run folder; with --server, the model's name there
    #[arg(default_value = "champion")]
    pub model: String,
    /// Talk to an inference server that speaks OpenAI's API: http://HOST:PORT or https://HOST, with the key in GALAPAGOS_ENGINE_KEY
    #[arg(long, value_name = "URL", conflicts_with_all = ["device", "threads"])]
    pub server: Option<String>,
    /// PEM file of certificates to trust beside the system's, for an https server of your own
    #[arg(long, value_name = "FILE", requires = "server")]
    pub server_ca: Option<PathBuf>,
    /// Send what is typed as it is, without the chat template
    #[arg(long, conflicts_with = "server")]
    pub raw: bool,
    #[command(flatten)]
    pub drawing: Drawing,
    #[command(flatten)]
    pub computing: Computing,
    #[command(flatten)]
    pub target: Target,
}

/// How answers are drawn. What is not given is the worker's default.
#[derive(Debug, ClapArgs)]
pub struct Drawing {
    /// 0 always takes the most probable token [default: 0]
    #[arg(long, value_name = "T")]
    pub temperature: Option<String>,
    /// Draw among this many most probable tokens [default: all]
    #[arg(long, value_name = "K")]
    pub top_k: Option<String>,
    /// Draw among the most probable tokens that together have this probability [default: 1]
    #[arg(long, value_name = "P")]
    pub top_p: Option<String>,
    /// Draw among tokens with at least this part of the greatest probability [default: 0]
    #[arg(long, value_name = "P")]
    pub min_p: Option<String>,
    /// Longest answer in tokens [default: 256]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<String>,
    /// Seed of the draws [default: 1]
    #[arg(long, value_name = "N")]
    pub seed: Option<String>,
}

impl Drawing {
    /// The worker's options with the same meaning.
    #[must_use]
    pub fn options(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("--temperature", &self.temperature),
            ("--top-k", &self.top_k),
            ("--top-p", &self.top_p),
            ("--min-p", &self.min_p),
            ("--max-tokens", &self.max_tokens),
            ("--seed", &self.seed),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }
}

#[derive(Debug, ClapArgs)]
pub struct Serve {
    /// Hugging Face folder, or a member of the run folder
    #[arg(default_value = "champion")]
    pub model: String,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8000")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub computing: Computing,
    /// Options of the server, after `--`; `galapagos worker serve --help` lists them
    #[arg(last = true)]
    pub options: Vec<OsString>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Measure the generation engine beside another one, in turns; exits 0 whatever the figures are
    Engine(BenchEngine),
    /// Measure training steps beside PyTorch, in turns; exits 0 whatever the figures are
    Train(BenchTrain),
    /// Measure searches over many trees, in turns with the same searches in lock-step; exits 0 whatever the figures are
    Search(BenchSearch),
    /// Measure how many checks of programs a second the sandbox makes; exits 0 whatever the figures are
    Sandbox(BenchSandbox),
}

#[derive(Debug, ClapArgs)]
pub struct BenchSandbox {
    /// Checks of each row
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub checks: u32,
    /// Checks at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
}

#[derive(Debug, ClapArgs)]
pub struct BenchSearch {
    /// Measured runs of each row and side; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,
    /// Computing threads of each side
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Measure this row only; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = ["heavy", "skewed", "even", "engine"])]
    pub only: Vec<String>,
    /// Small trees, to see that it works; the figures mean nothing
    #[arg(long)]
    pub quick: bool,
    /// Hugging Face folder [default: smollm2-135m in --models]
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Folder in which the default model is looked up
    #[arg(long, env = "GALAPAGOS_MODELS", default_value_os_t = default_models())]
    pub models: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct BenchEngine {
    /// transformers, vLLM (`make setup-vllm` installs it), or the engine itself with sharing off
    #[arg(long, default_value = "hf", value_parser = ["hf", "vllm", "self"])]
    pub against: String,
    /// Measured runs of each row and side; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,
    /// Computing threads of each side
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Number format of weights and cache on both sides
    #[arg(long, default_value = "bf16", value_parser = ["bf16", "f32"])]
    pub precision: String,
    /// Measure this row only; may be given more than once
    #[arg(long, value_name = "NAME",
          value_parser = ["decode-1", "decode-32", "samples-512", "samples-2048", "tree", "lora", "score"])]
    pub only: Vec<String>,
    /// Sixteenths of the lengths, to see that it works; the figures mean nothing
    #[arg(long)]
    pub quick: bool,
    /// Hugging Face folder [default: smollm2-135m in --models]
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Folder in which the default model is looked up
    #[arg(long, env = "GALAPAGOS_MODELS", default_value_os_t = default_models())]
    pub models: PathBuf,
    /// Python that has the peer installed [default: the one that set-up installs]
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct BenchTrain {
    /// PyTorch eager and its DistributedDataParallel, or the trainer itself with another setting
    #[arg(long, default_value = "torch", value_parser = ["torch", "self"])]
    pub against: String,
    /// Measured steps of each row and side; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    pub runs: u32,
    /// Computing threads of each side, bound to as many cores
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Measure this row only; may be given more than once
    #[arg(long, value_name = "NAME",
          value_parser = ["step-f32", "step-bf16", "answers-bf16", "ddp-2-f32", "ddp-2-bf16", "memory-f32", "memory-bf16",
                          "packing", "packing-sorted", "bf16", "scaling-2", "scaling-4"])]
    pub only: Vec<String>,
    /// Eighths of the lengths, to see that it works; the figures mean nothing
    #[arg(long)]
    pub quick: bool,
    /// Hugging Face folder [default: smollm2-135m in --models]
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Folder in which the default model is looked up
    #[arg(long, env = "GALAPAGOS_MODELS", default_value_os_t = default_models())]
    pub models: PathBuf,
    /// Python that has the peer installed [default: the one that set-up installs]
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,
}
