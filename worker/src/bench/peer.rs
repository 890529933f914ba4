//! The other side of a comparison as a Python process that speaks JSON lines (`scripts/bench/peer_protocol.py`). Its scripts
//! are part of this executable and written to a temporary folder. Every answer has a deadline; the process ends with its
//! standard input.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::machine::Seconds;
use super::options::{Against, EngineBench};
use super::rows::Work;
use super::runner::{Outcome, RunError, Runner};

const PROTOCOL: &str = include_str!("../../../scripts/bench/peer_protocol.py");
const HF: &str = include_str!("../../../scripts/bench/peer_hf.py");
const VLLM: &str = include_str!("../../../scripts/bench/peer_vllm.py");

/// The longest wait for one answer: loading, or one run of the longest row on a slow machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(1800);

/// Lines of the peer's standard error that a failure quotes.
const TAIL_LINES: usize = 12;

/// Why the peer gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error(
        "there is no Python with the peer at {}; install it with `{install}`, or name one with --python",
        python.display()
    )]
    NoPython { python: PathBuf, install: &'static str },
    #[error("cannot write the peer's scripts")]
    Scripts { source: io::Error },
    #[error("cannot start the peer with {}", python.display())]
    Start { python: PathBuf, source: io::Error },
    #[error(
        "the peer ended while it should {doing}; the end of its log:\n{tail}\n(`{install}` installs what it needs)"
    )]
    Ended { doing: String, tail: String, install: &'static str },
    #[error("cannot exchange lines with the peer")]
    Pipe { source: io::Error },
    #[error("the peer did not answer `{doing}` within {} s", limit.as_secs())]
    Silent { doing: String, limit: Duration },
    #[error("the peer cannot {doing}: {message}\n(`{install}` installs what it needs)")]
    Failed { doing: String, message: String, install: &'static str },
    #[error("the peer's answer to `{doing}` cannot be read")]
    Answer { doing: String, source: serde_json::Error },
}

/// A loaded peer.
#[derive(Debug)]
pub struct Peer {
    runtime: Runtime,
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    install: &'static str,
    scores: bool,
    /// Scripts and standard error.
    folder: TempDir,
    /// Versions and settings as the peer reports them.
    pub about: About,
}

/// What the peer says of itself.
#[derive(Debug, Clone, Default, Deserialize, serde::Serialize)]
pub struct About {
    pub versions: Value,
    pub settings: Value,
}

#[derive(Debug, Deserialize)]
struct Measured {
    seconds: f64,
    cpu_seconds: f64,
    #[serde(default)]
    tokens: Vec<Vec<u32>>,
    #[serde(default)]
    log_probs: Vec<Vec<f32>>,
}

impl Peer {
    /// Starts the process and loads the model.
    ///
    /// # Errors
    /// [`PeerError`], with the command that installs what is missing.
    pub fn start(config: &EngineBench) -> Result<Self, PeerError> {
        let (script, folder_name, install) = match config.against {
            Against::Vllm => (VLLM, "venv-vllm", "make setup-vllm"),
            Against::Hf | Against::Itself => (HF, "venv", "make setup"),
        };
        let python = config.python.clone().unwrap_or_else(|| cache().join(folder_name).join("bin/python"));
        if !python.is_file() {
            return Err(PeerError::NoPython { python, install });
        }
        let folder = scripts(script).map_err(|source| PeerError::Scripts { source })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| PeerError::Pipe { source })?;
        let spawned = {
            let _entered = runtime.enter();
            spawn(&python, folder.path(), config.threads)
        };
        let mut child = spawned.map_err(|source| PeerError::Start { python, source })?;
        let missing = || PeerError::Pipe { source: io::Error::from(io::ErrorKind::BrokenPipe) };
        let commands = child.stdin.take().ok_or_else(missing)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(missing)?).lines();
        let mut peer = Self {
            runtime,
            child,
            commands,
            answers,
            install,
            scores: config.against == Against::Hf,
            folder,
            about: About::default(),
        };
        let load = json!({
            "command": "load",
            "model": config.model,
            "precision": config.precision,
            "threads": config.threads,
        });
        peer.about = peer.ask(&load)?;
        Ok(peer)
    }

    /// Whether it can score.
    #[must_use]
    pub fn scores(&self) -> bool {
        self.scores
    }

    /// Natural log-probabilities of the continuations' tokens, measured like a run.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn score(&mut self, prompt: &[u32], continuations: &[Vec<u32>]) -> Result<Outcome, PeerError> {
        self.measure(&json!({ "command": "score", "prompt": prompt, "continuations": continuations }))
    }

    fn measure(&mut self, message: &Value) -> Result<Outcome, PeerError> {
        let measured: Measured = self.ask(message)?;
        let seconds = Seconds { wall: measured.seconds, processor: measured.cpu_seconds };
        Ok(Outcome { seconds, tokens: measured.tokens, log_probs: measured.log_probs, counts: None })
    }

    fn ask<T: DeserializeOwned>(&mut self, message: &Value) -> Result<T, PeerError> {
        let doing = message["command"].as_str().unwrap_or_default().to_owned();
        let line = format!("{message}\n");
        let Self { runtime, commands, answers, .. } = self;
        let exchange = async {
            commands.write_all(line.as_bytes()).await?;
            answers.next_line().await
        };
        // The timer belongs to the runtime: it is made inside.
        let exchanged = runtime.block_on(async { timeout(ANSWER_LIMIT, exchange).await });
        let answer = match exchanged {
            Err(_) => return Err(PeerError::Silent { doing, limit: ANSWER_LIMIT }),
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) => return Err(self.ended(doing)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Err(self.ended(doing)),
            Ok(Err(source)) => return Err(PeerError::Pipe { source }),
        };
        let unreadable = |source| PeerError::Answer { doing: doing.clone(), source };
        let value: Value = serde_json::from_str(&answer).map_err(unreadable)?;
        if let Some(message) = value.get("error").and_then(Value::as_str) {
            return Err(PeerError::Failed { doing, message: message.to_owned(), install: self.install });
        }
        serde_json::from_value(value).map_err(unreadable)
    }

    fn ended(&mut self, doing: String) -> PeerError {
        let log = std::fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        PeerError::Ended { doing, tail, install: self.install }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It holds nothing worth a gentle end; the error means that it is gone already.
        let _ = self.child.start_kill();
    }
}

impl Runner for Peer {
    fn run(&mut self, work: &Work, seed: u64) -> Result<Outcome, RunError> {
        let message = match work {
            Work::Generate(requests) => json!({
                "command": "generate",
                "prompts": requests.prompts,
                "samples": requests.samples,
                "new_tokens": vec![requests.new_tokens; requests.prompts.len()],
                "temperature": requests.temperature,
                "seed": seed,
            }),
            Work::Tree(tree) => {
                let rounds: Vec<Vec<_>> = tree
                    .rounds
                    .iter()
                    .map(|round| round.iter().map(|one| (one.problem, one.parent, one.new_tokens)).collect())
                    .collect();
                json!({ "command": "tree", "prompts": tree.prompts, "rounds": rounds, "temperature": 1.0, "seed": seed })
            }
            Work::Score { prompt, continuations } => return Ok(self.score(prompt, continuations)?),
            Work::Adapters { .. } => return Err(RunError::Unsupported { what: "adapters beside a peer" }),
        };
        Ok(self.measure(&message)?)
    }
}

const LOG: &str = "stderr.log";

fn scripts(peer: &str) -> io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("galapagos-bench-").tempdir()?;
    std::fs::write(folder.path().join("peer_protocol.py"), PROTOCOL)?;
    std::fs::write(folder.path().join("peer.py"), peer)?;
    Ok(folder)
}

fn spawn(python: &Path, folder: &Path, threads: u32) -> io::Result<Child> {
    let log = std::fs::File::create(folder.join(LOG))?;
    Command::new(python)
        .arg(folder.join("peer.py"))
        .env("OMP_NUM_THREADS", threads.to_string())
        // What a user has who sets nothing.
        .env_remove("OMP_WAIT_POLICY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
}

/// Where `make setup` installs.
fn cache() -> PathBuf {
    let named = std::env::var_os("GALAPAGOS_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/galapagos"));
    named.or_else(home).unwrap_or_else(|| PathBuf::from(".galapagos"))
}
