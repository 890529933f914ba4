//! What a person does at the terminal while a program computes: lines, their end, and Ctrl-C, which interrupts an answer first and
//! ends the program the second time.

use std::io::{self, BufRead};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use galapagos_telemetry::{SpawnError, spawn_thread};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::cancel::Cancel;

/// Why nobody can be heard.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("cannot watch for Ctrl-C")]
    Signals { source: io::Error },
    #[error("a thread is missing")]
    Thread { source: SpawnError },
}

/// What became of Ctrl-C.
#[derive(Debug, Clone, Default)]
pub struct Interrupts(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    /// Nothing is being computed.
    #[default]
    Waiting,
    /// An answer is on its way, until this is raised.
    Answering(Cancel),
    /// The program is to end.
    Leaving,
}

impl Interrupts {
    /// An answer begins. What is given is raised when it is not wanted any more.
    #[must_use]
    pub fn answer_begins(&self) -> Cancel {
        let cancel = Cancel::default();
        let mut state = self.state();
        match *state {
            State::Waiting | State::Answering(_) => *state = State::Answering(cancel.clone()),
            State::Leaving => cancel.raise(),
        }
        cancel
    }

    /// The answer has ended, by itself or not.
    pub fn answer_ended(&self) {
        let mut state = self.state();
        if !matches!(*state, State::Leaving) {
            *state = State::Waiting;
        }
    }

    /// Whether the program is to end.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(*self.state(), State::Leaving)
    }

    /// Ctrl-C was pressed.
    fn press(&self) {
        let mut state = self.state();
        match &*state {
            State::Answering(cancel) if !cancel.is_raised() => cancel.raise(),
            State::Waiting | State::Answering(_) | State::Leaving => *state = State::Leaving,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines of standard input and Ctrl-C, each heard by a thread of its own. The threads end with the process.
#[derive(Debug)]
pub struct Keys {
    lines: Receiver<io::Result<Option<String>>>,
    interrupts: Interrupts,
}

impl Keys {
    /// Begins to listen.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn listen() -> Result<Self, KeysError> {
        let (say, lines) = sync_channel(1);
        let interrupts = Interrupts::default();
        watch_signals(interrupts.clone(), say.clone())?;
        drop(spawn_thread("input", move || read_lines(&say)).map_err(|source| KeysError::Thread { source })?);
        Ok(Self { lines, interrupts })
    }

    /// See [`Interrupts`].
    #[must_use]
    pub fn interrupts(&self) -> &Interrupts {
        &self.interrupts
    }

    /// The next line without its end; `None` when there are no more, or Ctrl-C was pressed.
    ///
    /// # Errors
    /// If standard input cannot be read.
    pub fn line(&self) -> io::Result<Option<String>> {
        let line = self.lines.recv().unwrap_or(Ok(None))?;
        Ok(line.filter(|_| !self.interrupts.is_leaving()))
    }
}

fn read_lines(say: &SyncSender<io::Result<Option<String>>>) {
    let mut input = io::stdin().lock();
    loop {
        let mut line = String::new();
        let read = input.read_line(&mut line);
        let more = matches!(read, Ok(bytes) if bytes > 0);
        let heard = read.map(|bytes| (bytes > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned()));
        if say.send(heard).is_err() || !more {
            return;
        }
    }
}

fn watch_signals(interrupts: Interrupts, wake: SyncSender<io::Result<Option<String>>>) -> Result<(), KeysError> {
    let failed = |source| KeysError::Signals { source };
    let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let mut pressed = {
        let _entered = runtime.enter();
        signal(SignalKind::interrupt()).map_err(failed)?
    };
    let listen = move || {
        runtime.block_on(async {
            while pressed.recv().await.is_some() {
                interrupts.press();
                if interrupts.is_leaving() {
                    // When it is full there is a line to be heard, which wakes the listener as well.
                    drop(wake.try_send(Ok(None)));
                }
            }
        });
    };
    drop(spawn_thread("signals", listen).map_err(|source| KeysError::Thread { source })?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_press_ends_the_answer_and_the_second_the_program() {
        let interrupts = Interrupts::default();
        let cancel = interrupts.answer_begins();
        assert!(!cancel.is_raised());
        interrupts.press();
        assert!(cancel.is_raised() && !interrupts.is_leaving());
        interrupts.answer_ended();
        assert!(!interrupts.answer_begins().is_raised());
        interrupts.answer_ended();
        interrupts.press();
        assert!(interrupts.is_leaving());
    }

    #[test]
    fn two_presses_during_one_answer_end_the_program() {
        let interrupts = Interrupts::default();
        let cancel = interrupts.answer_begins();
        interrupts.press();
        interrupts.press();
        interrupts.answer_ended();
        assert!(cancel.is_raised() && interrupts.is_leaving());
        assert!(interrupts.answer_begins().is_raised(), "no answer begins any more");
    }
}
