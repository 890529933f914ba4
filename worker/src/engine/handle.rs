//! The way to an engine from any thread: a bounded queue to the one OS thread that owns it.
//!
//! Commands run one at a time in the order they came; a stream is a command, too, and whoever has one asks the engine through it.
//! A command that panics costs its caller an error and the engine its state: a fresh engine takes the thread over, so that one bad input
//! does not end the worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use galapagos_domain::ids::Digest;
use galapagos_domain::recipe::Characters;
use galapagos_domain::seed::Seed;
use galapagos_telemetry::{SpawnError, spawn_thread};

use super::conversation::{ChatBatch, Reply};
use super::stream::{self, Askers, Stream};
use super::{Batch, CheckpointDir, Codec, Completion, Engine, EngineError, Fed, ScoreBatch, Watch};

/// Waiting commands; more callers than this wait to hand theirs in.
const QUEUE: usize = 4;

type Command = Box<dyn FnOnce(&mut dyn Engine) + Send>;

/// Cheap to clone; the engine's thread ends with the last clone.
#[derive(Clone)]
pub struct EngineHandle {
    commands: SyncSender<Command>,
    askers: Askers,
}

impl std::fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineHandle").finish_non_exhaustive()
    }
}

impl EngineHandle {
    /// Starts the thread; `make` builds the engine on it, and again after a panic.
    ///
    /// # Errors
    /// If the operating system refuses a thread.
    pub fn start(make: impl Fn() -> Box<dyn Engine> + Send + 'static) -> Result<Self, SpawnError> {
        let (commands, queue) = sync_channel(QUEUE);
        drop(spawn_thread("engine", move || serve(&queue, &make))?);
        Ok(Self { commands, askers: Askers::default() })
    }

    /// [`Engine::codec`].
    ///
    /// # Errors
    /// As the engine, and [`EngineError::Panicked`].
    pub fn codec(&self, checkpoint: &CheckpointDir) -> Result<Arc<dyn Codec>, EngineError> {
        let checkpoint = checkpoint.clone();
        self.call(move |engine| engine.codec(&checkpoint))
    }

    /// [`Engine::generate`]. A batch that is cancelled while it waits in the queue is not started.
    ///
    /// # Errors
    /// As the engine, and [`EngineError::Panicked`].
    pub fn generate(&self, batch: Batch, watch: Watch) -> Result<Vec<Completion>, EngineError> {
        self.call(move |engine| {
            if watch.cancel.is_raised() {
                return Err(EngineError::Cancelled);
            }
            engine.generate(&batch, &watch)
        })
    }

    /// [`Engine::chat`]. As [`EngineHandle::generate`], not started once it is cancelled.
    ///
    /// # Errors
    /// As the engine, and [`EngineError::Panicked`].
    pub fn chat(&self, batch: ChatBatch, watch: Watch) -> Result<Vec<Reply>, EngineError> {
        self.call(move |engine| {
            if watch.cancel.is_raised() {
                return Err(EngineError::Cancelled);
            }
            engine.chat(&batch, &watch)
        })
    }

    /// [`Engine::score`].
    ///
    /// # Errors
    /// As the engine, and [`EngineError::Panicked`].
    pub fn score(&self, batch: ScoreBatch, watch: Watch) -> Result<Vec<f32>, EngineError> {
        self.call(move |engine| engine.score(&batch, &watch))
    }

    /// [`Engine::stream`]: the asking end of one, which begins when the engine is free. As a batch, it is not started once it is
    /// cancelled.
    ///
    /// # Errors
    /// [`EngineError::Panicked`] if the engine's thread is gone, [`EngineError::Streaming`] if this thread has a stream already; what the
    /// stream ends with is told by the stream.
    pub fn stream(&self, watch: Watch) -> Result<Stream, EngineError> {
        self.free()?;
        let (stream, mut channels, ended) = stream::pair();
        let command: Command = Box::new(move |engine| {
            let end = if watch.cancel.is_raised() {
                Err(EngineError::Cancelled)
            } else {
                engine.stream(&mut channels, &watch)
            };
            // The word first, then the silence that makes the other end look for it.
            drop(ended.send(end));
            drop(channels);
        });
        self.commands.send(command).map_err(|_| EngineError::Panicked)?;
        Ok(stream.of(&self.askers))
    }

    /// [`Engine::fed`].
    ///
    /// # Errors
    /// [`EngineError::Panicked`].
    pub fn fed(&self) -> Result<Option<Fed>, EngineError> {
        self.call(|engine| Ok(engine.fed()))
    }

    /// [`Engine::inspect`].
    ///
    /// # Errors
    /// As the engine, and [`EngineError::Panicked`].
    pub fn inspect(&self, folder: PathBuf) -> Result<Digest, EngineError> {
        self.call(move |engine| engine.inspect(&folder))
    }

    /// [`Engine::initialise`].
    ///
    /// # Errors
    /// As the engine, and [`EngineError::Panicked`].
    pub fn initialise(&self, shape: Characters, seed: Seed, folder: PathBuf) -> Result<Digest, EngineError> {
        self.call(move |engine| engine.initialise(&shape, seed, &folder))
    }

    /// That this thread does not keep the engine busy itself.
    fn free(&self) -> Result<(), EngineError> {
        if self.askers.asks() { Err(EngineError::Streaming) } else { Ok(()) }
    }

    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Engine) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.free()?;
        let (reply, answer) = sync_channel(1);
        let command: Command = Box::new(move |engine| {
            // A caller that no longer waits needs no answer.
            drop(reply.send(work(engine)));
        });
        self.commands.send(command).map_err(|_| EngineError::Panicked)?;
        answer.recv().unwrap_or(Err(EngineError::Panicked))
    }
}

fn serve(queue: &Receiver<Command>, make: &dyn Fn() -> Box<dyn Engine>) {
    let mut engine = make();
    while let Ok(command) = queue.recv() {
        if catch_unwind(AssertUnwindSafe(|| command(engine.as_mut()))).is_err() {
            tracing::error!("the engine panicked; a fresh one takes over");
            engine = make();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::cancel::Cancel;

    /// Panics when asked to inspect; counts how often it was made.
    struct Fragile;

    impl Engine for Fragile {
        fn codec(&mut self, _: &CheckpointDir) -> Result<Arc<dyn Codec>, EngineError> {
            Err(EngineError::Cancelled)
        }
        fn generate(&mut self, _: &Batch, _: &Watch) -> Result<Vec<Completion>, EngineError> {
            Ok(Vec::new())
        }
        fn chat(&mut self, _: &ChatBatch, _: &Watch) -> Result<Vec<Reply>, EngineError> {
            Ok(Vec::new())
        }
        fn score(&mut self, _: &ScoreBatch, _: &Watch) -> Result<Vec<f32>, EngineError> {
            Ok(vec![1.0])
        }
        fn inspect(&mut self, _: &std::path::Path) -> Result<Digest, EngineError> {
            panic!("this engine breaks here")
        }
        fn initialise(&mut self, _: &Characters, _: Seed, _: &std::path::Path) -> Result<Digest, EngineError> {
            Err(EngineError::Cancelled)
        }
    }

    fn checkpoint() -> CheckpointDir {
        CheckpointDir { checkpoint: Digest::of(b"c"), weights: Digest::of(b"w"), path: PathBuf::from("c"), base: None }
    }

    #[test]
    fn a_panic_costs_one_answer_and_a_fresh_engine_serves_the_next() {
        let made = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&made);
        let handle = EngineHandle::start(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::new(Fragile)
        })
        .unwrap();
        let batch = ScoreBatch { checkpoint: checkpoint(), prefix: Vec::new(), sequences: Vec::new() };
        assert!(matches!(handle.inspect(PathBuf::from("x")), Err(EngineError::Panicked)));
        assert_eq!(handle.score(batch, Watch::nobody()).unwrap(), [1.0]);
        assert_eq!(made.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn who_has_a_stream_is_refused_what_it_would_wait_for_in_vain() {
        let handle = EngineHandle::start(|| Box::new(Fragile)).unwrap();
        let stream = handle.stream(Watch::nobody()).unwrap();
        assert!(matches!(handle.codec(&checkpoint()), Err(EngineError::Streaming)));
        assert!(matches!(handle.stream(Watch::nobody()), Err(EngineError::Streaming)));
        stream.finish().unwrap();
        assert!(matches!(handle.codec(&checkpoint()), Err(EngineError::Cancelled)), "the engine itself says so");
        drop(handle.stream(Watch::nobody()).unwrap());
        assert!(matches!(handle.codec(&checkpoint()), Err(EngineError::Cancelled)), "as soon as it is dropped");
    }

    #[test]
    fn a_batch_cancelled_in_the_queue_is_not_started() {
        let handle = EngineHandle::start(|| Box::new(Fragile)).unwrap();
        let cancel = Cancel::default();
        cancel.raise();
        let batch = Batch {
            checkpoint: checkpoint(),
            prefix: vec![],
            requests: vec![],
            stop: vec![],
            terminator: None,
            max_tokens: 1,
        };
        let watch = Watch { cancel, ..Watch::nobody() };
        assert!(matches!(handle.generate(batch, watch), Err(EngineError::Cancelled)));
    }
}
