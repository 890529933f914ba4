//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use clap_complete::Shell;

mod cluster;
mod models;

pub use cluster::Cluster;
pub use models::{Bench, BenchEngine, BenchSandbox, BenchSearch, BenchTrain, Chat, Eval, Export, Import, Merge, Serve};

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
    /// Show a search tree, or list them
    Tree(Tree),
    /// List the workers and what their slots do
    Workers(Target),
    /// Turn a GGUF file into a Hugging Face folder
    Import(Import),
    /// Write a member (an adapter merged into its base), or a Hugging Face folder anew, as a Hugging Face folder
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
    /// Artifact store of the cluster, for rows of data sets [default: that of the run folder]
    #[arg(long, value_name = "LOCATION")]
    pub artifacts: Option<String>,
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
pub struct Tree {
    /// SET/TASK of the tree, for example digits/train/17 [default: list them]
    pub id: Option<String>,
    /// Evolution id [default: the only one]
    #[arg(long)]
    pub evolution: Option<String>,
    /// Recipe step that searched, for example g2/forest [default: the newest that has the tree]
    #[arg(long, value_name = "STEP")]
    pub step: Option<String>,
    /// Deepest nodes that are shown
    #[arg(long, default_value_t = u32::MAX, hide_default_value = true)]
    pub depth: u32,
    /// Write an interactive page instead
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Artifact store of the cluster [default: that of the run folder]
    #[arg(long, value_name = "LOCATION")]
    pub artifacts: Option<String>,
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

#[derive(Debug, Clone, ClapArgs)]
pub struct Reproduce {
    /// Experiment: a name in recipes/experiments, or a file
    pub experiment: Option<String>,
    /// Tell which experiments there are, what they cost, and what is known of them
    #[arg(long)]
    pub list: bool,
    /// All whose evidence is missing or out of date; a command that was interrupted goes on
    #[arg(long, conflicts_with_all = ["quick", "dir"])]
    pub all: bool,
    /// Write a page, its figures and a record into this folder [with --all and --list: docs/evidence]
    #[arg(long, value_name = "FOLDER", conflicts_with = "quick")]
    pub evidence: Option<PathBuf>,
    /// Only what the experiment's `quick` names: checks the control, not the claim
    #[arg(long)]
    pub quick: bool,
    /// Print which runs it would make and what each costs at most; start nothing
    #[arg(long, conflicts_with_all = ["list", "all", "evidence"])]
    pub dry_run: bool,
    /// So many runs at once, each with a local cluster of its own
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub at_once: u8,
    /// Folder of the runs [default: .galapagos/reproduce-NAME]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    #[command(flatten)]
    pub cluster: Cluster,
}

#[derive(Debug, ClapArgs)]
pub struct Help {
    /// `recipe` and a word of it (a verb, a field, an operator, ...), or a command
    #[arg(default_value = "recipe")]
    pub topic: Vec<String>,
    /// Print the whole recipe reference as Markdown
    #[arg(long, hide = true)]
    pub markdown: bool,
    /// Print a JSON Schema of recipes, for editors
    #[arg(long)]
    pub schema: bool,
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
    /// Seconds that a round which lost a rank waits for a worker to join before it goes on with the ranks that are left. Fewer ranks
    /// compute the same batches, but not the same bytes
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub regroup: u64,
    /// Seconds without progress after which a training rank counts as hanging: its round is tried anew. A step must take less
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(4..=86_400))]
    pub stall: u64,
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
                    --engine-base b --engine-ca c.pem --engine-timeout 9 --engine-tries 2 --sandbox-floor process \
                    --sandbox-python /p";
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

    #[test]
    fn workers_share_the_cores_unless_somebody_says_otherwise() {
        let threads = |line: &str, cores| match Args::parse_from(line.split_whitespace()).command {
            Command::Run(run) => run.cluster.threads_each(cores),
            _ => panic!("{line}"),
        };
        assert_eq!([1, 2, 5, 64].map(|cores| threads("galapagos run r.yaml", cores)), [1, 1, 2, 16]);
        assert_eq!(threads("galapagos run r.yaml --workers 1 --threads 40", 64), 40);
    }
}
