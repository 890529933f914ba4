//! The operating system's side of a rank: a process group of its own, pipes, a tail of its standard error.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use galapagos_domain::round::RankCommand;
use galapagos_telemetry::{TaskHandle, spawn_task};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tracing::Instrument;

use super::Trainer;
use super::lines::Lines;

/// Lines of standard error that a failure report quotes.
const TAIL_LINES: usize = 20;

/// A rank reads its commands at once, or it hangs.
const TELL_LIMIT: Duration = Duration::from_secs(10);

/// From the end of a process to the end of its standard error; a grandchild could hold it open.
const TAIL_LIMIT: Duration = Duration::from_secs(2);

/// No process.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpawnFailed {
    #[error("cannot start the trainer {}; set its place with --trainer-bin", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("the trainer process has no pipes")]
    NoPipes,
}

/// A running rank. Dropping it kills its process group.
pub(super) struct Child {
    process: tokio::process::Child,
    /// `None` once everything in it was killed: the number may then be another's.
    group: Option<Pid>,
    commands: ChildStdin,
    pub(super) lines: Lines<ChildStdout>,
    tail: TaskHandle<VecDeque<String>>,
}

impl Child {
    pub(super) fn start(trainer: &Trainer) -> Result<Self, SpawnFailed> {
        let mut command = Command::new(&trainer.program);
        command
            .args(["--artifacts", &trainer.artifacts, "--cache"])
            .arg(&trainer.cache)
            .args(["--bind", &trainer.bind, "--device", &trainer.device, "--lifeline"])
            .args(trainer.runs.iter().flat_map(|runs| ["--runs".as_ref(), runs.as_os_str()]))
            // Spinning OpenMP threads on shared cores stop everybody's work.
            .env("OMP_NUM_THREADS", "1")
            .env("OMP_WAIT_POLICY", "PASSIVE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let failed = |source| SpawnFailed::Spawn { program: trainer.program.clone(), source };
        let mut process = command.spawn().map_err(failed)?;
        let group = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pipes = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(commands), Some(output), Some(errors)) = pipes else { return Err(SpawnFailed::NoPipes) };
        let tail = spawn_task("rank-stderr", log_and_keep(errors).in_current_span());
        Ok(Self { process, group, commands, lines: Lines::new(output), tail })
    }

    /// Writes one command line.
    pub(super) async fn tell(&mut self, command: &RankCommand) -> io::Result<()> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        let write = async {
            self.commands.write_all(&line).await?;
            self.commands.flush().await
        };
        timeout(TELL_LIMIT, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Waits for the end of the process.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Kills what is left of the group, and waits until the process is gone. Its status is its own if it ended before.
    pub(super) async fn kill(&mut self) -> io::Result<ExitStatus> {
        self.kill_group();
        self.group = None;
        self.wait().await
    }

    /// The last lines of standard error; the process must have ended.
    pub(super) async fn stderr_tail(self) -> String {
        let mut this = self;
        let tail = timeout(TAIL_LIMIT, &mut this.tail).await;
        let lines = tail.ok().and_then(Result::ok).unwrap_or_default();
        Vec::from(lines).join("\n")
    }

    fn kill_group(&self) {
        let Some(group) = self.group else { return };
        // ESRCH means that the whole group has ended already, which is what is wanted.
        if let Err(error) = kill_process_group(group, Signal::KILL)
            && error != rustix::io::Errno::SRCH
        {
            tracing::error!("cannot kill a trainer's process group: {error}");
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill_group();
    }
}

async fn log_and_keep(errors: ChildStderr) -> VecDeque<String> {
    let mut lines = BufReader::new(errors).lines();
    let mut tail = VecDeque::with_capacity(TAIL_LINES);
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!("{line}");
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    tail
}
