//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// A cluster in which language models evolve.
#[derive(Debug, Parser)]
#[command(name = "galapagos", version, about, max_term_width = 110, disable_help_subcommand = true)]
pub struct Args {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

impl Args {
    /// People at a terminal see warnings; a role's log has its story.
    #[must_use]
    pub fn default_log_filter(&self) -> &'static str {
        match self.command {
            Command::Coordinator(_) => "info",
            _ => "warn",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an evolution on a local cluster until it is done; on an unfinished folder, go on where it stopped
    Run(Run),
    /// Submit a recipe to a running coordinator
    Submit(Submit),
    /// List the evolutions of a coordinator
    List(Target),
    /// Show an evolution: recipe steps, members, scores
    Status(OneEvolution),
    /// Follow an evolution until it ends
    Watch(OneEvolution),
    /// End an evolution for good; what it made stays
    Cancel(OneEvolution),
    /// Give out no new work of an evolution until it is resumed
    Pause(OneEvolution),
    /// Go on with a paused evolution
    Resume(OneEvolution),
    /// Say what something is doing, what it waits for and who is in the way
    Explain(Explain),
    /// List the members of an evolution
    Members(OneEvolution),
    /// Show what a member descends from and the evidence for it
    Lineage(OneMember),
    /// List the workers and what their slots do
    Workers(Target),
    /// Turn a GGUF file into a Hugging Face folder
    Import(Import),
    /// Write a member, or a Hugging Face folder anew, as a Hugging Face folder
    Export(Export),
    /// Write a Hugging Face folder with a LoRA adapter merged into it
    Merge(Merge),
    /// Measure a member or a Hugging Face folder on the tasks of a recipe
    Eval(Eval),
    /// Talk to a member or a Hugging Face folder
    Chat(Chat),
    /// Serve a member or a Hugging Face folder to OpenAI's clients (chat, completions, streaming)
    Serve(Serve),
    /// Run a published system's honest experiment beside its negative control
    Reproduce(Reproduce),
    /// Measure the speed of a part of Galapagos beside what people use
    #[command(subcommand)]
    Bench(Bench),
    /// Explain a part of the recipe language
    Help(Help),
    /// Print a shell completion script
    Completions { shell: Shell },
    /// Run a coordinator
    Coordinator(Coordinator),
    /// Run a worker (starts the executable galapagos-worker with these arguments)
    #[command(disable_help_flag = true)]
    Worker(Passed),
    /// Run a trainer rank (starts the executable galapagos-trainer with these arguments)
    #[command(disable_help_flag = true)]
    Trainer(Passed),
}

/// How a local cluster is laid out.
#[derive(Debug, Clone, ClapArgs)]
pub struct Cluster {
    /// Worker processes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// Places of each worker; one job or one trainer rank runs on each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub slots: u32,
    /// Folder in which recipes' base models are looked up by name
    #[arg(long, env = "GALAPAGOS_MODELS", default_value_os_t = default_models())]
    pub models: PathBuf,
    #[command(flatten)]
    pub engine: Engine,
}

/// What generates the rollouts of a local cluster's workers.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct Engine {
    /// Generation engine of the workers: `tch` (built in), `openai` (a server, see --engine-url) or `mock` (for tests)
    #[arg(long, default_value = "tch")]
    pub engine: String,
    /// Folder of the base model on which checkpoints that are LoRA adapters stand
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
        ];
        let given = remote.into_iter().filter_map(|(name, value)| Some((name, value?)));
        std::iter::once(("--engine", OsString::from(&self.engine))).chain(given).collect()
    }
}

#[derive(Debug, ClapArgs)]
pub struct Run {
    /// Recipe file
    pub recipe: PathBuf,
    /// Folder of the run [default: .galapagos/RECIPE-NAME]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Everything random derives from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the recipe with all defaults and the plan, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Run the recipe's negative control instead of the recipe
    #[arg(long)]
    pub control: bool,
    /// Address of the coordinator
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Address of the metrics page
    #[arg(long, default_value = "127.0.0.1:0")]
    pub http: SocketAddr,
    #[command(flatten)]
    pub cluster: Cluster,
}

/// Which coordinator to ask. A run folder without a running coordinator is opened for the time of the command.
#[derive(Debug, Clone, ClapArgs)]
pub struct Target {
    /// Address of the coordinator, HOST:PORT
    #[arg(long, env = "GALAPAGOS_COORDINATOR", conflicts_with = "dir")]
    pub coordinator: Option<String>,
    /// Run folder [default: the newest in .galapagos]
    #[arg(long)]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub struct Submit {
    /// Recipe file
    pub recipe: PathBuf,
    /// Everything random derives from it
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, ClapArgs)]
pub struct OneEvolution {
    /// Evolution id [default: the only one]
    pub evolution: Option<String>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, ClapArgs)]
pub struct OneMember {
    /// Member id, a role, `champion` or `base`
    #[arg(default_value = "champion")]
    pub member: String,
    /// Evolution id [default: the only one]
    #[arg(long)]
    pub evolution: Option<String>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// Id of an evolution, job, round, member or worker [default: the only evolution]
    pub id: Option<String>,
    #[command(flatten)]
    pub target: Target,
}

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
    /// What computes: auto (the first CUDA device if there is one, else the CPU), cpu, cuda or cuda:N [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, ClapArgs)]
pub struct Chat {
    /// Hugging Face folder, or a member of the run folder
    #[arg(default_value = "champion")]
    pub model: String,
    /// Send what is typed as it is, without the chat template
    #[arg(long)]
    pub raw: bool,
    #[command(flatten)]
    pub drawing: Drawing,
    /// What computes: auto (the first CUDA device if there is one, else the CPU), cpu, cuda or cuda:N [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
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
    /// What computes: auto (the first CUDA device if there is one, else the CPU), cpu, cuda or cuda:N [default: auto]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Options of the server, after `--`; `galapagos worker serve --help` lists them
    #[arg(last = true)]
    pub options: Vec<OsString>,
    #[command(flatten)]
    pub target: Target,
}

#[derive(Debug, ClapArgs)]
pub struct Reproduce {
    /// Experiment: a name in recipes/experiments, or a file
    pub experiment: String,
    /// Only what the experiment's `quick` names: checks the control, not the claim
    #[arg(long)]
    pub quick: bool,
    /// Folder of the runs [default: .galapagos/reproduce-NAME]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub cluster: Cluster,
}

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Measure the generation engine beside another one, in turns; exits 0 whatever the figures are
    Engine(BenchEngine),
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
pub struct Help {
    /// `recipe` and a word of it (a verb, a field, an operator, ...), or a command
    #[arg(default_value = "recipe")]
    pub topic: Vec<String>,
    /// Print the whole recipe reference as Markdown
    #[arg(long, hide = true)]
    pub markdown: bool,
}

#[derive(Debug, ClapArgs)]
pub struct Coordinator {
    /// Folder of the metadata store
    #[arg(long)]
    pub store: PathBuf,
    /// Address for workers and clients; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7071")]
    pub listen: SocketAddr,
    /// Address of metrics and health
    #[arg(long, default_value = "127.0.0.1:7070")]
    pub http: SocketAddr,
    /// File to write the addresses to once it serves
    #[arg(long)]
    pub announce: Option<PathBuf>,
    /// End when standard input ends: the parent process holds the other end
    #[arg(long)]
    pub lifeline: bool,
}

/// Arguments for a sibling executable.
#[derive(Debug, ClapArgs)]
pub struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

fn default_models() -> PathBuf {
    let cache = std::env::var_os("GALAPAGOS_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/galapagos"));
    cache.or(home).unwrap_or_else(|| PathBuf::from(".galapagos")).join("models")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_said_of_the_engine_reaches_the_workers() {
        let line = "galapagos run r.yaml --engine openai --engine-url https://h --engine-model m --engine-update adapter \
                    --engine-base b --engine-ca c.pem --engine-timeout 9 --engine-tries 2";
        let Command::Run(run) = Args::parse_from(line.split_whitespace()).command else { panic!() };
        let mut passed: Vec<String> = run
            .cluster
            .engine
            .options()
            .into_iter()
            .map(|(name, value)| format!("{name} {}", value.to_string_lossy()))
            .collect();
        let mut wanted: Vec<String> =
            line.split(" --").skip(1).map(|option| format!("--{}", option.trim_end())).collect();
        passed.sort();
        wanted.sort();
        assert_eq!(passed, wanted);
    }
}
