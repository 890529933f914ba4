//! Rank processes: one `galapagos-trainer` per rank, started, listened to and killed here. The trainer is a sibling
//! executable; nothing of it is linked.
//!
//! A rank is expendable: stopping it is SIGKILL to its process group. Its standard input is its lifeline, so it also ends
//! if this process dies by whatever cause.

mod child;
mod lines;
#[cfg(test)]
mod tests;

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use galapagos_domain::ids::RoundId;
use galapagos_domain::job::{FailureClass, JobFailure};
use galapagos_domain::round::{RankCommand, RankReport, RankSpec};
use galapagos_telemetry::{ErrorChain, spawn_task};
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::Instrument;

use crate::session::{End, WorkEvent};
use crate::slots::Key;
use child::{Child, SpawnFailed};

/// How trainers are started.
#[derive(Debug, Clone)]
pub struct Trainer {
    pub program: PathBuf,
    /// Location of the artifact store.
    pub artifacts: String,
    pub cache: PathBuf,
    /// Folder for run logs, one folder a round; none are written without it.
    pub runs: Option<PathBuf>,
    /// Address of this machine that the other ranks connect to.
    pub bind: String,
    /// What ranks compute on: the worker's own device.
    pub device: String,
}

/// From a rank's last line, or the end of its output, to the end of its process.
const EXIT_LIMIT: Duration = Duration::from_secs(10);

/// Commands that may wait for a rank: it gets two in its life.
const COMMANDS: usize = 4;

/// The handle on a running rank.
#[derive(Debug)]
pub struct Rank {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Train { rendezvous: String },
    Kill { reason: String },
}

impl Rank {
    /// Tells the rank that all are ready. False if its process is gone already.
    pub fn train(&self, rendezvous: String) -> bool {
        self.commands.try_send(Command::Train { rendezvous }).is_ok()
    }

    /// Whether its process ended and said so.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.commands.is_closed()
    }

    /// Kills the rank. False if its process is gone already.
    pub fn kill(&self, reason: String) -> bool {
        self.commands.try_send(Command::Kill { reason }).is_ok()
    }
}

/// Starts a rank's process on the current runtime. What it says, and that it ended, goes into `events`. Dropping the
/// handle kills it.
#[must_use]
pub fn start(trainer: &Trainer, spec: Box<RankSpec>, events: mpsc::Sender<WorkEvent>) -> Rank {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (round, rank, token) = (spec.round.id.clone(), spec.rank, spec.token);
    let key = Key::rank(token, rank);
    let span = tracing::info_span!("rank", %round, rank, %token);
    let supervisor = Supervisor { trainer: trainer.clone(), round, key, inbox, events };
    drop(spawn_task(format!("rank-{rank}"), supervisor.run(spec).instrument(span)));
    Rank { commands }
}

struct Supervisor {
    trainer: Trainer,
    round: RoundId,
    key: Key,
    inbox: mpsc::Receiver<Command>,
    events: mpsc::Sender<WorkEvent>,
}

/// Why listening ended.
enum Heard {
    /// A vote or a failure.
    LastLine(RankReport),
    Killed,
    /// The process no longer talks: it is ending.
    Lost(String),
    /// The process talks nonsense: it is not waited for.
    Broken(String),
}

impl Supervisor {
    async fn run(mut self, spec: Box<RankSpec>) {
        let end = match Child::start(&self.trainer) {
            Ok(child) => self.supervise(child, spec).await,
            Err(error) => self.not_started(&error),
        };
        // Without a reader the worker is ending, and nobody waits for this.
        drop(self.events.send(WorkEvent::Ended { key: self.key, end }).await);
    }

    fn not_started(&self, error: &SpawnFailed) -> End {
        tracing::error!("{}", ErrorChain::new(error));
        let failure = crate::failure::report(FailureClass::Transient, error);
        End::RankFailed { round: self.round.clone(), failure }
    }

    async fn supervise(&mut self, mut child: Child, spec: Box<RankSpec>) -> End {
        let heard = match child.tell(&RankCommand::Prepare(spec)).await {
            Ok(()) => self.listen(&mut child).await,
            Err(error) => Heard::Lost(format!("it does not read its commands: {error}")),
        };
        match heard {
            Heard::LastLine(report) => {
                if timeout(EXIT_LIMIT, child.wait()).await.is_err() {
                    tracing::warn!("the rank said its last line but does not end; killed");
                }
                drop(child.kill().await);
                // Passed on only now: whoever hears of the vote may count on the slot.
                drop(self.say(report).await);
                End::RankSaidAll
            }
            Heard::Killed => {
                drop(child.kill().await);
                End::Stopped { round: Some(self.round.clone()) }
            }
            Heard::Lost(why) => self.post_mortem(child, why, EXIT_LIMIT).await,
            Heard::Broken(why) => self.post_mortem(child, why, Duration::ZERO).await,
        }
    }

    /// Passes a report on; fails if the worker is ending.
    async fn say(&self, report: RankReport) -> Result<(), mpsc::error::SendError<WorkEvent>> {
        self.events.send(WorkEvent::Rank { round: self.round.clone(), key: self.key, report }).await
    }

    /// Passes lines on until the last one, which it returns.
    async fn listen(&mut self, child: &mut Child) -> Heard {
        loop {
            tokio::select! {
                line = child.lines.next() => match line {
                    Ok(Some(report)) => {
                        if matches!(report, RankReport::Voted(_) | RankReport::Failed(_)) {
                            return Heard::LastLine(report);
                        }
                        if self.say(report).await.is_err() {
                            return Heard::Killed;
                        }
                    }
                    Ok(None) => return Heard::Lost("its output ended without a last line".to_owned()),
                    Err(error) => return Heard::Broken(error.to_string()),
                },
                command = self.inbox.recv() => match command {
                    Some(Command::Train { rendezvous }) => {
                        if let Err(error) = child.tell(&RankCommand::Start { rendezvous }).await {
                            return Heard::Lost(format!("it does not read its commands: {error}"));
                        }
                    }
                    Some(Command::Kill { reason }) => {
                        tracing::info!("killed: {reason}");
                        return Heard::Killed;
                    }
                    None => return Heard::Killed,
                },
            }
        }
    }

    /// Lets the process end by itself within `patience`, so that its exit status tells why; then makes sure that it is
    /// gone.
    async fn post_mortem(&self, mut child: Child, why: String, patience: Duration) -> End {
        let by_itself = matches!(timeout(patience, child.wait()).await, Ok(Ok(_)));
        // The status of a process that ended before is its own.
        let (class, status) = match child.kill().await {
            Ok(status) if by_itself => (class_of(status), status.to_string()),
            Ok(status) => (FailureClass::Transient, status.to_string()),
            Err(error) => (FailureClass::Transient, format!("its end cannot be waited for: {error}")),
        };
        let chain =
            vec![format!("the trainer process of {} failed: {why}", self.key), format!("its process: {status}")];
        let mut failure = JobFailure { class, chain };
        let tail = child.stderr_tail().await;
        if !tail.is_empty() {
            failure.chain.push(format!("its last words on standard error:\n{tail}"));
        }
        tracing::warn!("{}", failure.chain.join("; "));
        End::RankFailed { round: self.round.clone(), failure }
    }
}

/// A process that somebody else killed says nothing about its work; one that crashed does.
fn class_of(status: ExitStatus) -> FailureClass {
    let killed = [Signal::KILL, Signal::TERM, Signal::INT];
    if killed.iter().any(|signal| status.signal() == Some(signal.as_raw())) {
        FailureClass::Lost
    } else {
        FailureClass::Transient
    }
}
