//! One supervised child process: start, restart after a death, stop.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use galapagos_telemetry::clock;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

/// The exit code of a child that refuses its configuration or its data.
const REFUSED: i32 = 4;
/// Exit codes by which a child says that a restart cannot help: bad usage, refused.
const HOPELESS: [i32; 2] = [2, REFUSED];
/// A process that ran shorter than this has "died at once".
const SHORT_LIFE_MS: u64 = 2_000;
/// Deaths at once in a row after which the process is given up.
const MAX_SHORT_LIVES: u32 = 5;
/// Lines of a log that an error shows.
const TAIL_LINES: usize = 12;

/// A process of the local cluster that cannot be kept alive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot find the executable `{}`; build it with `make build`, it must lie beside `galapagos`", path.display())]
    MissingExecutable { path: PathBuf },
    #[error("cannot find the path of this executable")]
    Own { source: io::Error },
    #[error("cannot start {name} (`{}`)", path.display())]
    Spawn { name: String, path: PathBuf, source: io::Error },
    #[error("{name} {status} and cannot go on; the end of its log, `{}`:\n{tail}", log.display())]
    Failed { name: String, status: ExitStatus, log: PathBuf, tail: String },
}

impl Error {
    /// Whether the process ended because it refuses what it was given, and not because it failed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Failed { status, .. } => status.code() == Some(REFUSED),
            Self::MissingExecutable { .. } | Self::Own { .. } | Self::Spawn { .. } => false,
        }
    }
}

/// What to run and where its log goes.
#[derive(Debug, Clone)]
pub struct Program {
    pub name: String,
    path: PathBuf,
    args: Vec<OsString>,
    log: PathBuf,
}

impl Program {
    /// A program without arguments yet.
    pub fn new(name: &str, path: PathBuf, log: PathBuf) -> Self {
        Self { name: name.to_owned(), path, args: Vec::new(), log }
    }

    /// Adds one argument.
    pub fn arg(&mut self, arg: impl Into<OsString>) -> &mut Self {
        self.args.push(arg.into());
        self
    }

    /// Adds an option and its value.
    pub fn option(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.arg(name).arg(value)
    }

    fn start(&self) -> Result<Child, Error> {
        let failed = |source| Error::Spawn { name: self.name.clone(), path: self.path.clone(), source };
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        Command::new(&self.path)
            .args(&self.args)
            // Of libtorch: the processes share the machine's cores. The engine's threads are an option of the worker.
            .env("OMP_NUM_THREADS", "1")
            .env("OMP_WAIT_POLICY", "PASSIVE")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // Out of the terminal's foreground group: Ctrl-C reaches the supervisor alone.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)
    }

    fn failed(&self, status: ExitStatus) -> Error {
        Error::Failed { name: self.name.clone(), status, log: self.log.clone(), tail: tail(&self.log) }
    }
}

/// The executable `name` beside this one.
///
/// # Errors
/// If there is none.
pub fn sibling(name: &str) -> Result<PathBuf, Error> {
    let own = std::env::current_exe().map_err(|source| Error::Own { source })?;
    let path = own.with_file_name(name);
    if path.is_file() { Ok(path) } else { Err(Error::MissingExecutable { path }) }
}

/// Keeps one process running until `stopping` turns true or a restart cannot help, which is reported.
pub async fn supervise(program: Program, mut stopping: watch::Receiver<bool>, fatal: mpsc::Sender<Error>) {
    if let Err(error) = keep_running(&program, &mut stopping).await {
        // The receiver is gone only when the whole cluster is: nobody is left to tell.
        drop(fatal.send(error).await);
    }
}

async fn keep_running(program: &Program, stopping: &mut watch::Receiver<bool>) -> Result<(), Error> {
    let mut short_lives = 0;
    loop {
        let started_ms = clock::monotonic_ms();
        let mut child = program.start()?;
        // Waiting would close the child's standard input, which is its lifeline.
        let lifeline = child.stdin.take();
        let ended = tokio::select! {
            status = child.wait() => Some(status),
            () = told_to_stop(stopping) => None,
        };
        let status = match ended {
            Some(status) => status,
            None => {
                ask_to_end(&child);
                child.wait().await
            }
        };
        drop(lifeline);
        let status =
            status.map_err(|source| Error::Spawn { name: program.name.clone(), path: program.path.clone(), source })?;
        if *stopping.borrow() {
            return Ok(());
        }
        let lived_ms = clock::monotonic_ms().saturating_sub(started_ms);
        short_lives = if lived_ms < SHORT_LIFE_MS && status.code().is_some() { short_lives + 1 } else { 0 };
        if status.code().is_some_and(|code| HOPELESS.contains(&code)) || short_lives >= MAX_SHORT_LIVES {
            return Err(program.failed(status));
        }
        tracing::warn!(process = program.name, %status, lived_ms, "process ended; starting it again");
        pause_before_restart(short_lives, stopping).await;
    }
}

/// Waits 50 ms, doubled for every death at once, so that a failing process does not spin.
async fn pause_before_restart(short_lives: u32, stopping: &mut watch::Receiver<bool>) {
    let pause = Duration::from_millis(50 << short_lives.min(6));
    // Either outcome leads to the next turn of the loop, which looks at `stopping` itself.
    drop(tokio::time::timeout(pause, told_to_stop(stopping)).await);
}

/// Waits until the cluster is to stop; a supervisor that is gone wants that too.
async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stop| *stop).await);
}

fn ask_to_end(child: &Child) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
        tracing::debug!(%error, "the process ended before it was asked to");
    }
}

/// The last lines of a log, indented; says so if it cannot be read.
pub fn tail(log: &Path) -> String {
    match std::fs::read_to_string(log) {
        Ok(text) => {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| format!("  {line}\n")).collect()
        }
        Err(error) => format!("  (the log cannot be read: {error})\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn shell(at: &Path, script: &str) -> Program {
        let mut program = Program::new("script", PathBuf::from("/bin/sh"), at.join("log"));
        program.arg("-c").arg(script);
        program
    }

    #[tokio::test]
    async fn a_killed_process_is_started_again_and_ends_when_asked() {
        let at = tempfile::tempdir().unwrap();
        let (stop, stopping) = watch::channel(false);
        let (fatal, mut failures) = mpsc::channel(1);
        // Killed the first time, it lives on the second time and reports that through a file.
        let script = format!(
            "cd {} && if [ -e once ]; then mv once twice; exec cat; fi; touch once; kill -9 $$",
            at.path().display()
        );
        let task = galapagos_telemetry::spawn_task("test", supervise(shell(at.path(), &script), stopping, fatal));
        let seen = async {
            while !at.path().join("twice").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, seen).await.expect("the process was not started again");
        stop.send_replace(true);
        tokio::time::timeout(DEADLINE, task).await.expect("the process did not end").unwrap();
        assert!(failures.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_refusal_is_reported_with_the_end_of_the_log() {
        let at = tempfile::tempdir().unwrap();
        let (_stop, stopping) = watch::channel(false);
        let (fatal, mut failures) = mpsc::channel(1);
        supervise(shell(at.path(), "echo the store is newer >&2; exit 4"), stopping, fatal).await;
        let message = failures.recv().await.unwrap().to_string();
        assert!(message.contains("the store is newer") && message.contains("exit status: 4"), "{message}");
    }
}
