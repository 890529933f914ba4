//! The worker process: puts store, engine, crew and session together, and ends them in order. `run` returns when the
//! session has ended; SIGTERM and SIGINT ask it to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use galapagos_artifacts::ArtifactStore;
use galapagos_telemetry::{SpawnError, TaskError};
use tch::Device;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::checkpoints::Checkpoints;
use crate::code::Code;
use crate::config::{EngineKind, Run};
use crate::crew::Crew;
use crate::device::{DeviceError, Place};
use crate::engine::mock::MockEngine;
use crate::engine::openai::{self, OpenAiEngine};
use crate::engine::tch::TchEngine;
use crate::engine::{Engine, EngineHandle};
use crate::jobs::{KEEP_EVERY_MS, Workshop};
use crate::session::{Identity, Session, SessionError};
use crate::trainer_proc::Trainer;

/// Events that may wait for the session; work that has more to say waits.
const EVENTS: usize = 256;

/// Threads for store and rank input and output; the work itself has threads of its own.
const IO_THREADS: usize = 2;

/// Why a worker could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("the runtime cannot be built")]
    Runtime { source: std::io::Error },
    #[error("cannot watch for signals")]
    Signals { source: std::io::Error },
    #[error("cannot use the artifact store")]
    Store { source: Box<galapagos_artifacts::Error> },
    #[error("cannot use the device of --device")]
    Device { source: DeviceError },
    #[error("cannot use the inference server")]
    Engine { source: openai::client::ClientError },
    #[error("a thread is missing")]
    Thread { source: SpawnError },
    #[error("cannot say where this executable lies; give --trainer-bin")]
    Sibling { source: std::io::Error },
    #[error("the session failed")]
    Session { source: SessionError },
    #[error("the session's thread failed")]
    SessionThread { source: TaskError },
}

impl NodeError {
    /// Whether the coordinator will never take this worker.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Session { source: SessionError::Refused { .. } })
    }
}

/// Runs the worker until it is asked to stop or refused.
///
/// # Errors
/// [`NodeError`].
pub fn run(config: Run) -> Result<(), NodeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(IO_THREADS)
        .thread_name("io")
        .enable_all()
        .build()
        .map_err(|source| NodeError::Runtime { source })?;
    let leave = watch_signals(&runtime)?;
    let place = place(&config)?;
    let shop = workshop(&config, place, &runtime)?;
    let (say, events) = mpsc::channel(EVENTS);
    let crew = Crew::new(shop, trainer(&config, place)?, say);
    let session = Session {
        identity: Identity { device: place.to_string(), ..Identity::new(config.name.clone(), config.slots) },
        endpoint: config.coordinator,
        hands: Box::new(crew),
        events,
        leave,
    };
    let thread = session.start().map_err(|source| NodeError::Thread { source })?;
    let ended = thread.join().map_err(|source| NodeError::SessionThread { source });
    // What still runs was given back or refused: its tasks are dropped here, which kills the ranks' process groups.
    runtime.shutdown_background();
    ended?.map_err(|source| NodeError::Session { source })
}

fn watch_signals(runtime: &Runtime) -> Result<watch::Receiver<bool>, NodeError> {
    let _entered = runtime.enter();
    let failed = |source| NodeError::Signals { source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (ask, asked) = watch::channel(false);
    drop(galapagos_telemetry::spawn_task("signals", async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        ask.send_replace(true);
        // The sender stays: a dropped one would look like a process that ends.
        std::future::pending::<()>().await;
    }));
    Ok(asked)
}

/// Where the engine computes; the mock computes nothing.
fn place(config: &Run) -> Result<Place, NodeError> {
    match config.engine {
        EngineKind::Mock => Ok(Place::CPU),
        EngineKind::Tch | EngineKind::OpenAi => {
            Ok(Place::find(config.device).map_err(|source| NodeError::Device { source })?.with_threads(config.threads))
        }
    }
}

fn workshop(config: &Run, place: Place, runtime: &Runtime) -> Result<Workshop, NodeError> {
    let store =
        ArtifactStore::open(&config.artifacts).map_err(|source| NodeError::Store { source: Box::new(source) })?;
    let make = engine_maker(config, place, runtime)?;
    let engine = EngineHandle::start(make).map_err(|source| NodeError::Thread { source })?;
    Ok(Workshop {
        checkpoints: Checkpoints::new(store.clone(), config.cache.clone()),
        store,
        engine,
        models: config.models.clone(),
        engine_base: config.engine_base.clone(),
        code: Arc::new(Code::walled(&config.walls)),
        keep_every_ms: KEEP_EVERY_MS,
        runtime: runtime.handle().clone(),
    })
}

fn engine_maker(
    config: &Run,
    place: Place,
    runtime: &Runtime,
) -> Result<Box<dyn Fn() -> Box<dyn Engine> + Send>, NodeError> {
    match config.engine {
        EngineKind::Tch => {
            let base = config.engine_base.clone();
            Ok(Box::new(move || Box::new(TchEngine::on(place).standing_on(base.clone()))))
        }
        EngineKind::Mock => Ok(Box::new(|| Box::new(MockEngine))),
        EngineKind::OpenAi => {
            let remote = &config.remote;
            let server = openai::client::Server {
                url: remote.engine_url.clone().unwrap_or_default(),
                ca: remote.engine_ca.clone(),
                key: std::env::var(openai::client::KEY).ok(),
                timeout: Duration::from_secs(remote.engine_timeout),
                tries: remote.engine_tries,
            };
            let client = openai::client::Client::new(server).map_err(|source| NodeError::Engine { source })?;
            let client = Arc::new(client);
            let options = openai::Options {
                model: remote.engine_model.clone().unwrap_or_default(),
                update: remote.engine_update.clone(),
                base: config.engine_base.clone(),
            };
            let handle = runtime.handle().clone();
            let make =
                move || OpenAiEngine::new(options.clone(), Arc::clone(&client), handle.clone()).computing_on(place);
            Ok(Box::new(move || Box::new(make())))
        }
    }
}

fn trainer(config: &Run, place: Place) -> Result<Trainer, NodeError> {
    let program = match &config.trainer_bin {
        Some(program) => program.clone(),
        None => sibling("galapagos-trainer").map_err(|source| NodeError::Sibling { source })?,
    };
    Ok(Trainer {
        program,
        artifacts: config.artifacts.clone(),
        cache: config.cache.clone(),
        runs: config.runs.clone(),
        bind: config.bind.to_string(),
        device: match place.device {
            Device::Cuda(number) => format!("cuda:{number}"),
            _ => "cpu".to_owned(),
        },
    })
}

fn sibling(name: &str) -> std::io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(name))
}
