//! One process of a comparison, spoken to in JSON lines. Every answer has a deadline; the process ends with its standard input, and is
//! killed when it is dropped.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{self, ChildStdin, ChildStdout};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::cores;
use super::protocol::Command;

/// The longest wait for one answer: loading, or one step on a slow machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(1200);

/// Lines of the process's log that a failure quotes.
const TAIL_LINES: usize = 12;

/// Why a process gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    #[error("cannot start {who} with {} on cores {cores:?}", program.display())]
    Start { who: String, program: PathBuf, cores: Vec<usize>, source: io::Error },
    #[error("{who} ended while it should {doing}; the end of its log:\n{tail}")]
    Ended { who: String, doing: &'static str, tail: String },
    #[error("cannot exchange lines with {who}")]
    Pipe { who: String, source: io::Error },
    #[error("{who} did not answer `{doing}` within {} s", limit.as_secs())]
    Silent { who: String, doing: &'static str, limit: Duration },
    #[error("{who} cannot {doing}: {message}")]
    Failed { who: String, doing: &'static str, message: String },
    #[error("what {who} says to `{doing}` cannot be read")]
    Answer { who: String, doing: &'static str, source: serde_json::Error },
}

/// What is started.
#[derive(Debug, Clone)]
pub struct Program {
    /// For people: `our rank 0`.
    pub who: String,
    pub path: PathBuf,
    pub args: Vec<std::ffi::OsString>,
    pub threads: u32,
    pub cores: Vec<usize>,
    /// Where its standard error goes.
    pub log: PathBuf,
}

/// A running process.
#[derive(Debug)]
pub struct Child {
    runtime: Rc<Runtime>,
    who: String,
    child: process::Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

impl Child {
    /// Starts it on its cores.
    ///
    /// # Errors
    /// [`ChildError::Start`].
    pub fn start(runtime: &Rc<Runtime>, program: Program) -> Result<Self, ChildError> {
        let spawned = {
            let _entered = runtime.enter();
            cores::bound(&program.cores, || spawn(&program))
        };
        let Program { who, path, cores, log, .. } = program;
        let failed = |source| ChildError::Start { who: who.clone(), program: path, cores, source };
        let mut child = spawned.map_err(failed)?;
        let missing = || ChildError::Pipe { who: who.clone(), source: io::ErrorKind::BrokenPipe.into() };
        let commands = child.stdin.take().ok_or_else(missing)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(missing)?).lines();
        Ok(Self { runtime: Rc::clone(runtime), who, child, commands, answers, log })
    }

    /// Gives a command without waiting for its answer, so that several processes work at once.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn tell(&mut self, command: &Command) -> Result<(), ChildError> {
        let doing = name(command);
        let unreadable = |source| ChildError::Answer { who: self.who.clone(), doing, source };
        let line = serde_json::to_string(command).map_err(unreadable)? + "\n";
        let Self { runtime, commands, .. } = self;
        match runtime.block_on(commands.write_all(line.as_bytes())) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(self.ended(doing)),
            Err(source) => Err(ChildError::Pipe { who: self.who.clone(), source }),
        }
    }

    /// Waits for the answer to `command`.
    ///
    /// # Errors
    /// [`ChildError`].
    pub fn answer<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T, ChildError> {
        let doing = name(command);
        let Self { runtime, answers, .. } = self;
        // The timer belongs to the runtime: it is made inside.
        let answer = match runtime.block_on(async { timeout(ANSWER_LIMIT, answers.next_line()).await }) {
            Err(_) => return Err(ChildError::Silent { who: self.who.clone(), doing, limit: ANSWER_LIMIT }),
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) => return Err(self.ended(doing)),
            Ok(Err(source)) => return Err(ChildError::Pipe { who: self.who.clone(), source }),
        };
        let unreadable = |source| ChildError::Answer { who: self.who.clone(), doing, source };
        let value: Value = serde_json::from_str(&answer).map_err(unreadable)?;
        if let Some(message) = value.get("error").and_then(Value::as_str) {
            return Err(ChildError::Failed { who: self.who.clone(), doing, message: message.to_owned() });
        }
        serde_json::from_value(value).map_err(unreadable)
    }

    fn ended(&self, doing: &'static str) -> ChildError {
        ChildError::Ended { who: self.who.clone(), doing, tail: tail(&self.log) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It holds nothing worth a gentle end, and its memory must be free before others are measured. It may be gone already.
        let Self { runtime, child, .. } = self;
        let _ = runtime.block_on(child.kill());
    }
}

fn spawn(program: &Program) -> io::Result<process::Child> {
    process::Command::new(&program.path)
        .args(&program.args)
        .env("OMP_NUM_THREADS", program.threads.to_string())
        // What a user has who sets nothing, on both sides.
        .env_remove("OMP_WAIT_POLICY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&program.log)?)
        .kill_on_drop(true)
        .spawn()
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Listen => "listen",
        Command::Load(_) => "load",
        Command::Step => "step",
        Command::Memory => "memory",
    }
}

fn tail(log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
