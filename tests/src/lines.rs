//! Reads the standard output of a process on a thread of its own, line by line, so that a wait for the next line can end.

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use galapagos_telemetry::spawn_thread;

use crate::deadline::Deadline;

/// More lines than a run prints, so that it never blocks on us.
const CAPACITY: usize = 100_000;

/// The lines still to come.
#[derive(Debug)]
pub struct Lines {
    lines: Receiver<String>,
}

/// What a wait for a line brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Line(String),
    /// The other side closed its output.
    End,
    Nothing,
}

impl Lines {
    /// Starts reading.
    #[track_caller]
    pub fn read(output: impl Read + Send + 'static) -> Self {
        let (send, lines) = sync_channel(CAPACITY);
        let body = move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        };
        match spawn_thread("stdout", body) {
            Ok(thread) => drop(thread),
            Err(error) => panic!("{error}"),
        }
        Self { lines }
    }

    /// The next line before the deadline.
    pub fn next(&self, deadline: &Deadline) -> Heard {
        match self.lines.recv_timeout(deadline.left()) {
            Ok(line) => Heard::Line(line),
            Err(RecvTimeoutError::Timeout) => Heard::Nothing,
            Err(RecvTimeoutError::Disconnected) => Heard::End,
        }
    }
}
