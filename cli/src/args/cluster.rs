//! How a local cluster is laid out, and what generates its rollouts.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;

/// How a local cluster is laid out.
#[derive(Debug, Clone, ClapArgs)]
pub struct Cluster {
    /// Worker processes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// Places of each worker; one job or one trainer rank runs on each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub slots: u32,
    /// Computing threads of each worker's engine; no result depends on it [default: the machine's cores divided among the workers, at
    /// most 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Folder in which recipes' base models are looked up by name
    #[arg(long, env = "GALAPAGOS_MODELS", default_value_os_t = default_models())]
    pub models: PathBuf,
    #[command(flatten)]
    pub engine: Engine,
}

/// Threads of an engine, unless somebody says otherwise, at most.
const MOST_THREADS: u32 = 16;

impl Cluster {
    /// Computing threads of each worker's engine on a machine with `cores` cores.
    #[must_use]
    pub fn threads_each(&self, cores: usize) -> u32 {
        let shared = u32::try_from(cores).unwrap_or(u32::MAX) / self.workers.max(1);
        self.threads.unwrap_or_else(|| shared.clamp(1, MOST_THREADS))
    }
}

/// What generates and checks the rollouts of a local cluster's workers.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Engine {
    /// Generation engine of the workers: `tch` (built in), `openai` (a server, see --engine-url) or `mock` (for tests)
    #[arg(long, default_value = "tch")]
    pub engine: String,
    /// Folder of the base model of LoRA adapters that name none: those that a recipe names as its base
    #[arg(long, value_name = "DIR")]
    pub engine_base: Option<PathBuf>,
    /// With `--engine openai`: the server, http://HOST:PORT or https://HOST
    #[arg(long, value_name = "URL")]
    pub engine_url: Option<String>,
    /// With `--engine openai`: the model's name there
    #[arg(long, value_name = "NAME")]
    pub engine_model: Option<String>,
    /// With `--engine openai`: how new versions get there: fixed, adapter, endpoint, or hook=PROGRAM
    #[arg(long, value_name = "WAY")]
    pub engine_update: Option<String>,
    /// What the workers' engines compute on: auto (the first CUDA device if there is one, else the CPU), cpu, cuda or cuda:N [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// With an https server of your own: PEM file of certificates to trust beside the system's
    #[arg(long, value_name = "FILE")]
    pub engine_ca: Option<PathBuf>,
    /// With `--engine openai`: seconds for one try of one request [default: 600]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub engine_timeout: Option<u64>,
    /// With `--engine openai`: tries of one request that fails in a way that may pass [default: 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub engine_tries: Option<u32>,
    /// What this host must have before code of models runs on it: strict, namespaces or process; below it such jobs are refused [default: strict]
    #[arg(long, value_name = "FLOOR", value_parser = ["strict", "namespaces", "process"])]
    pub sandbox_floor: Option<String>,
    /// Python that code of models runs with [default: python3 of the search path]
    #[arg(long, value_name = "PATH")]
    pub sandbox_python: Option<PathBuf>,
}

impl Engine {
    /// The worker's options with the same meaning.
    #[must_use]
    pub fn options(&self) -> Vec<(&'static str, OsString)> {
        let text = |value: &Option<String>| value.as_ref().map(OsString::from);
        let path = |value: &Option<PathBuf>| value.as_ref().map(OsString::from);
        let remote = [
            ("--engine-base", path(&self.engine_base)),
            ("--engine-url", text(&self.engine_url)),
            ("--engine-model", text(&self.engine_model)),
            ("--engine-update", text(&self.engine_update)),
            ("--engine-ca", path(&self.engine_ca)),
            ("--engine-timeout", text(&self.engine_timeout.map(|seconds| seconds.to_string()))),
            ("--engine-tries", text(&self.engine_tries.map(|tries| tries.to_string()))),
            ("--device", text(&self.device)),
            ("--sandbox-floor", text(&self.sandbox_floor)),
            ("--sandbox-python", path(&self.sandbox_python)),
        ];
        let given = remote.into_iter().filter_map(|(name, value)| Some((name, value?)));
        std::iter::once(("--engine", OsString::from(&self.engine))).chain(given).collect()
    }
}

pub(super) fn default_models() -> PathBuf {
    let cache = std::env::var_os("GALAPAGOS_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/galapagos"));
    cache.or(home).unwrap_or_else(|| PathBuf::from(".galapagos")).join("models")
}
