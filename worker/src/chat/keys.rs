//! What a person does at the terminal while a program computes: lines, their end, and Ctrl-C, which interrupts an answer first and
//! ends the program the second time.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use galapagos_telemetry::{SpawnError, spawn_thread};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Nothing is being computed.
const WAITING: u8 = 0;
/// An answer is on its way.
const ANSWERING: u8 = 1;
/// The answer on its way is not wanted any more.
const INTERRUPTED: u8 = 2;
/// The program is to end.
const LEAVING: u8 = 3;

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
pub struct Interrupts(Arc<AtomicU8>);

impl Interrupts {
    /// An answer begins.
    pub fn answer_begins(&self) {
        self.change(|state| if state == WAITING { ANSWERING } else { state });
    }

    /// The answer has ended, by itself or not.
    pub fn answer_ended(&self) {
        self.change(|state| if state == LEAVING { LEAVING } else { WAITING });
    }

    /// Whether the answer on its way is to be given up.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        matches!(self.0.load(Ordering::SeqCst), INTERRUPTED | LEAVING)
    }

    /// Whether the program is to end.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.0.load(Ordering::SeqCst) == LEAVING
    }

    /// Ctrl-C was pressed.
    fn press(&self) {
        self.change(|state| if state == ANSWERING { INTERRUPTED } else { LEAVING });
    }

    fn change(&self, next: impl Fn(u8) -> u8) {
        // The closure always gives a value, so this cannot fail.
        let _always = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| Some(next(state)));
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
        interrupts.answer_begins();
        assert!(!interrupts.is_interrupted());
        interrupts.press();
        assert!(interrupts.is_interrupted() && !interrupts.is_leaving());
        interrupts.answer_ended();
        assert!(!interrupts.is_interrupted());
        interrupts.press();
        assert!(interrupts.is_leaving());
    }

    #[test]
    fn two_presses_during_one_answer_end_the_program() {
        let interrupts = Interrupts::default();
        interrupts.answer_begins();
        interrupts.press();
        interrupts.press();
        interrupts.answer_ended();
        assert!(interrupts.is_leaving());
        interrupts.answer_begins();
        assert!(interrupts.is_interrupted(), "no answer begins any more");
    }
}
