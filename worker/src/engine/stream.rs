//! Work that comes while other work runs: a search does not know its next request before the answer to its last one, and must not
//! wait for those of others.
//!
//! [`Engine::stream`] runs until its [`Flow`] ends; [`Stream`] is the flow's other end, for the thread that
//! asks. As for batches, an answer is a function of what was asked alone.

mod lists;

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use galapagos_domain::job::Sampling;
use galapagos_domain::recipe::verify::Dropout;
use galapagos_domain::seed::Seed;

pub(super) use self::lists::compute;
use super::{Batch, CheckpointDir, Codec, Completion, Engine, EngineError, Request, Watch};

/// Asked and not taken by the engine; who asks more waits.
const ASKED: usize = 256;

/// Given and not taken by whoever asked; the engine keeps the rest itself and never waits.
const GIVEN: usize = 256;

/// One thing that is asked of an engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Comes back with the answer.
    pub id: u64,
    pub checkpoint: Arc<CheckpointDir>,
    pub what: Wanted,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    Completions(Continue),
    /// What the scalar or class head says behind these tokens: one number, or one for each class.
    Numbers(Vec<u32>),
    /// The log-probability, at temperature 1, of each of the tokens `next` as the one that comes behind.
    Likely {
        behind: Vec<u32>,
        next: Vec<u32>,
    },
    /// The numbers with parts of the last hidden state left out, at random by `seed`: mask after mask.
    Masked {
        tokens: Vec<u32>,
        dropout: Dropout,
        seed: Seed,
    },
}

/// Completions of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Continue {
    /// The whole prompt; what it shares with others is computed once.
    pub prompt: Vec<u32>,
    /// At least 1.
    pub samples: u32,
    /// Sample i draws from a stream of (seed, i).
    pub seed: Seed,
    pub sampling: Arc<Sampling>,
    pub stop: Arc<Stop>,
    pub max_tokens: u32,
}

impl Continue {
    /// A batch of this request alone, for engines that know lists only.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if a text ends it, which such engines do not look for.
    pub(super) fn alone(self, checkpoint: &CheckpointDir) -> Result<Batch, EngineError> {
        let Self { prompt, samples, seed, sampling, stop, max_tokens } = self;
        if let Some(text) = stop.texts.first() {
            return Err(EngineError::Unsupported { what: format!("end completions at the text {text:?}") });
        }
        let requests = vec![Request { prompt, samples, seed, sampling }];
        let (tokens, terminator) = (stop.tokens.clone(), stop.terminator);
        Ok(Batch { checkpoint: checkpoint.clone(), prefix: Vec::new(), requests, stop: tokens, terminator, max_tokens })
    }
}

/// What ends a completion; it is its last token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stop {
    pub tokens: Vec<u32>,
    /// The character that every stop token with a text holds.
    pub terminator: Option<char>,
    /// Texts; the token that completes one is the last.
    pub texts: Vec<String>,
}

impl Stop {
    /// The end of sequence, and `until` if there is one. A single character is found by its tokens, which every engine can do.
    ///
    /// # Errors
    /// As [`Codec::stop_tokens`].
    pub fn at(codec: &dyn Codec, until: Option<&str>) -> Result<Self, EngineError> {
        let mut characters = until.unwrap_or_default().chars();
        let (terminator, texts) = match (characters.next(), characters.next()) {
            (None, _) => (None, Vec::new()),
            (Some(one), None) => (Some(one), Vec::new()),
            (Some(_), Some(_)) => (None, until.map(str::to_owned).into_iter().collect()),
        };
        Ok(Self { tokens: codec.stop_tokens(terminator)?, terminator, texts })
    }
}

/// The answer to an [`Asked`].
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// In order of sample.
    Completions(Vec<Completion>),
    Numbers(Vec<f32>),
    /// It is too long for the model, as said here; asked again, it would be so again.
    Refused(String),
}

/// What a flow has for an engine.
#[derive(Debug)]
pub enum Next {
    Asked(Box<Asked>),
    /// Nothing for now.
    Nothing,
    /// Nothing any more; what runs is to be finished.
    End,
    /// Nobody wants the answers.
    Gone,
}

/// Where an engine gets its work from, and where it puts the answers.
pub trait Flow {
    /// The next piece of work. Waits for one if `wait`.
    fn take(&mut self, wait: bool) -> Next;

    /// Hands an answer over; never waits. False if nobody wants it, nor any other.
    fn give(&mut self, id: u64, given: Given) -> bool;
}

/// The engine's end of a pair of channels.
pub(super) struct Channels {
    asked: Receiver<Asked>,
    given: SyncSender<(u64, Given)>,
    /// Answers that nobody had room for yet.
    kept: VecDeque<(u64, Given)>,
}

impl Channels {
    /// Hands over what was kept, as far as there is room. False if nobody wants it any more.
    fn flush(&mut self) -> bool {
        while let Some(next) = self.kept.pop_front() {
            match self.given.try_send(next) {
                Ok(()) => {}
                Err(TrySendError::Full(next)) => {
                    self.kept.push_front(next);
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        true
    }
}

impl Flow for Channels {
    fn take(&mut self, wait: bool) -> Next {
        if !self.flush() {
            return Next::Gone;
        }
        if wait {
            // Nothing runs: whoever asks has all answers or takes them now.
            for kept in self.kept.drain(..) {
                if self.given.send(kept).is_err() {
                    return Next::Gone;
                }
            }
            return self.asked.recv().map_or(Next::End, |asked| Next::Asked(Box::new(asked)));
        }
        match self.asked.try_recv() {
            Ok(asked) => Next::Asked(Box::new(asked)),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Disconnected) => Next::End,
        }
    }

    fn give(&mut self, id: u64, given: Given) -> bool {
        self.kept.push_back((id, given));
        self.flush()
    }
}

/// The asking end of a running stream; dropping it ends the stream.
#[derive(Debug)]
pub struct Stream {
    asked: SyncSender<Asked>,
    given: Receiver<(u64, Given)>,
    end: Receiver<Result<(), EngineError>>,
    /// Counts the stream as its thread's, as long as there is one.
    asking: Option<Asking>,
}

/// Threads that hold the asking end of a stream of an engine. The engine does nothing else until such a stream ends, so that whoever asked
/// it for something else on the same thread would wait for itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Askers(Arc<Mutex<Vec<ThreadId>>>);

impl Askers {
    /// Counts this thread in.
    pub(super) fn enter(&self) -> Asking {
        let thread = thread::current().id();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Asking { askers: self.clone(), thread }
    }

    /// Whether this thread holds a stream.
    pub(super) fn asks(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&thread::current().id())
    }
}

/// One stream of a thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Asking {
    askers: Askers,
    thread: ThreadId,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut threads = self.askers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = threads.iter().position(|thread| *thread == self.thread) {
            threads.swap_remove(place);
        }
    }
}

/// Both ends of a stream, and where its result is to go.
pub(super) fn pair() -> (Stream, Channels, SyncSender<Result<(), EngineError>>) {
    let (ask, asked) = sync_channel(ASKED);
    let (give, given) = sync_channel(GIVEN);
    let (ended, end) = sync_channel(1);
    let channels = Channels { asked, given: give, kept: VecDeque::new() };
    (Stream { asked: ask, given, end, asking: None }, channels, ended)
}

impl Stream {
    /// The same, counted as this thread's.
    pub(super) fn of(self, askers: &Askers) -> Self {
        Self { asking: Some(askers.enter()), ..self }
    }

    /// Asks for something; takes answers meanwhile, so that neither side waits for the other.
    ///
    /// # Errors
    /// What the stream ended with.
    pub fn ask(&self, asked: Asked, answers: &mut VecDeque<(u64, Given)>) -> Result<(), EngineError> {
        let mut asked = asked;
        loop {
            match self.asked.try_send(asked) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(self.failed()),
                Err(TrySendError::Full(back)) => {
                    asked = back;
                    // The engine has enough to do: its next answer frees a place.
                    answers.push_back(self.answer()?);
                }
            }
        }
    }

    /// The next answer, whichever comes first. Only to be called while something is asked for.
    ///
    /// # Errors
    /// What the stream ended with.
    pub fn answer(&self) -> Result<(u64, Given), EngineError> {
        self.given.recv().map_err(|_| self.failed())
    }

    /// As [`Stream::answer`]; nothing if none comes in time.
    ///
    /// # Errors
    /// What the stream ended with.
    pub fn answer_within(&self, within: Duration) -> Result<Option<(u64, Given)>, EngineError> {
        match self.given.recv_timeout(within) {
            Ok(given) => Ok(Some(given)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(self.failed()),
        }
    }

    /// Ends the stream and waits for its last word.
    ///
    /// # Errors
    /// What the stream ended with.
    pub fn finish(self) -> Result<(), EngineError> {
        let Self { asked, given, end, asking } = self;
        drop(asked);
        drop(given);
        drop(asking);
        end.recv().unwrap_or(Err(EngineError::Panicked))
    }

    fn failed(&self) -> EngineError {
        match self.end.recv() {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => EngineError::Panicked,
        }
    }
}

/// A stream for engines that know lists only: what has come is computed together, then what has come meanwhile.
///
/// # Errors
/// As the engine.
pub(super) fn in_waves<E: Engine + ?Sized>(
    engine: &mut E,
    flow: &mut dyn Flow,
    watch: &Watch,
) -> Result<(), EngineError> {
    loop {
        let mut wave = Vec::new();
        loop {
            match flow.take(wave.is_empty()) {
                Next::Asked(asked) => wave.push(*asked),
                Next::Nothing => break,
                Next::Gone => return Ok(()),
                Next::End if wave.is_empty() => return Ok(()),
                Next::End => break,
            }
        }
        if watch.cancel.is_raised() {
            return Err(EngineError::Cancelled);
        }
        for (id, given) in compute(engine, wave, watch)? {
            if !flow.give(id, given) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use galapagos_domain::ids::Digest;

    use super::*;

    fn asked(id: u64) -> Asked {
        let digest = Digest::of(b"m");
        let folder = CheckpointDir { checkpoint: digest, weights: digest, path: std::path::PathBuf::new(), base: None };
        Asked { id, checkpoint: Arc::new(folder), what: Wanted::Numbers(vec![1]) }
    }

    #[test]
    fn neither_side_waits_for_the_other_however_much_is_asked() {
        let (stream, mut channels, ended) = pair();
        let count = 4 * (ASKED + GIVEN) as u64;
        let engine = std::thread::scope(|scope| {
            let engine = scope.spawn(move || {
                // Answers come while more is asked for, and nobody takes them until all is asked.
                let mut taken = 0;
                loop {
                    match channels.take(taken % 7 == 0) {
                        Next::Asked(asked) => {
                            taken += 1;
                            assert!(channels.give(asked.id, Given::Numbers(vec![0.5])));
                        }
                        Next::Nothing => {}
                        Next::End | Next::Gone => break,
                    }
                    if taken == count {
                        break;
                    }
                }
                while !channels.kept.is_empty() && channels.flush() {
                    std::thread::yield_now();
                }
                drop(ended.send(Ok(())));
                taken
            });
            let mut early = VecDeque::new();
            for id in 0..count {
                stream.ask(asked(id), &mut early).unwrap();
            }
            let mut ids: Vec<u64> = early.into_iter().map(|(id, _)| id).collect();
            while ids.len() < count as usize {
                ids.push(stream.answer().unwrap().0);
            }
            assert_eq!(ids, (0..count).collect::<Vec<_>>());
            engine.join().unwrap()
        });
        assert_eq!(engine, count);
        stream.finish().unwrap();
    }

    #[test]
    fn an_engine_learns_that_nobody_listens_and_who_asks_what_ended_the_stream() {
        let (stream, mut channels, _ended) = pair();
        drop(stream);
        assert!(!channels.give(1, Given::Numbers(vec![0.5])));
        let (stream, channels, ended) = pair();
        ended.send(Err(EngineError::Cancelled)).unwrap();
        drop(channels);
        assert!(matches!(stream.answer(), Err(EngineError::Cancelled)));
    }
}
