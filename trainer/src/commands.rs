//! Reads what the worker writes on standard input, on a thread of its own, so that the end of the input ends this process even
//! while the main thread waits inside a collective.

use std::io::{self, BufRead};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use galapagos_collective::exit_now;
use galapagos_domain::round::{RankCommand, RankSpec};
use galapagos_telemetry::{SpawnError, spawn_thread};

use crate::exit::Exit;

/// The commands as they come.
#[derive(Debug)]
pub struct Commands {
    lines: Receiver<Result<RankCommand, CommandError>>,
}

/// The worker said something else than it should.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("standard input ended before {awaited} came")]
    Ended { awaited: &'static str },
    #[error("standard input cannot be read")]
    Read { source: io::Error },
    #[error("line {number} on standard input is not a rank command")]
    Parse { number: usize, source: serde_json::Error },
    #[error("the {got} command came where {awaited} should come")]
    Order { awaited: &'static str, got: &'static str },
}

/// `prepare`, `start`, and one more that would be a mistake.
const CAPACITY: usize = 3;

impl Commands {
    /// Starts to read standard input. With `lifeline` its end ends the process at once, with [`Exit::Orphaned`].
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn watch(lifeline: bool) -> Result<Self, SpawnError> {
        let (tell, lines) = sync_channel(CAPACITY);
        let watcher = spawn_thread("commands", move || {
            forward(io::stdin().lock(), &tell);
            if lifeline {
                tracing::warn!("standard input ended: the worker is gone, so this rank ends");
                exit_now(Exit::Orphaned.code());
            }
        })?;
        // Nobody joins it: it lives as long as the process.
        drop(watcher);
        Ok(Self { lines })
    }

    /// Waits for the first command. Its sender owns the deadline.
    ///
    /// # Errors
    /// [`CommandError`] if something else comes.
    pub fn prepare(&self) -> Result<RankSpec, CommandError> {
        let awaited = "the rank spec";
        match self.next(awaited)? {
            RankCommand::Prepare(spec) => Ok(*spec),
            RankCommand::Start { .. } => Err(CommandError::Order { awaited, got: "start" }),
        }
    }

    /// Waits for the second command and returns the rendezvous address. The coordinator owns the deadline: it waits for the
    /// other ranks, and kills this one through the worker if they do not come.
    ///
    /// # Errors
    /// [`CommandError`] if something else comes.
    pub fn start(&self) -> Result<String, CommandError> {
        let awaited = "the start of the round";
        match self.next(awaited)? {
            RankCommand::Start { rendezvous } => Ok(rendezvous),
            RankCommand::Prepare(_) => Err(CommandError::Order { awaited, got: "prepare" }),
        }
    }

    fn next(&self, awaited: &'static str) -> Result<RankCommand, CommandError> {
        self.lines.recv().map_err(|_| CommandError::Ended { awaited })?
    }
}

/// Parses lines until the input ends.
fn forward(input: impl BufRead, tell: &SyncSender<Result<RankCommand, CommandError>>) {
    for (line, number) in input.lines().zip(1..) {
        let command = match line {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => serde_json::from_str(&line).map_err(|source| CommandError::Parse { number, source }),
            Err(source) => Err(CommandError::Read { source }),
        };
        let unreadable = matches!(command, Err(CommandError::Read { .. }));
        if tell.try_send(command).is_err() {
            tracing::warn!("line {number} on standard input came after the last command and is ignored");
        }
        if unreadable {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(input: &str) -> Commands {
        let (tell, lines) = sync_channel(CAPACITY);
        forward(input.as_bytes(), &tell);
        Commands { lines }
    }

    #[test]
    fn what_came_instead_is_named() {
        let start = r#"{"start":{"rendezvous":"127.0.0.1:1"}}"#;
        assert_eq!(commands(start).start().unwrap(), "127.0.0.1:1");
        let error = commands(start).prepare().unwrap_err().to_string();
        assert_eq!(error, "the start command came where the rank spec should come");
        let error = commands("").start().unwrap_err().to_string();
        assert_eq!(error, "standard input ended before the start of the round came");
        let error = commands("\nhello\n").prepare().unwrap_err().to_string();
        assert_eq!(error, "line 2 on standard input is not a rank command");
    }
}
