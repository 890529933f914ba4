//! `serve`: a model folder behind OpenAI's HTTP API.
//!
//! `http` reads requests and writes answers, `plan` turns one into what the engine is asked, `line` and `desk` own
//! the engine on a thread of their own. Prints one line when it serves; ends on SIGTERM, SIGINT, with its parent, or as an error
//! when the engine's thread dies.

pub mod adapters;
pub mod api;
mod desk;
pub mod http;
pub mod line;
pub mod plan;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use galapagos_model::detokenize::TokenTexts;
use galapagos_model::engine::{AdapterId, Engine, EngineError, EngineOptions};
use galapagos_model::lora::{Adapter, AdapterError};
use galapagos_model::probe::{Probe, ProbeError};
use galapagos_model::{
    FolderError, ModelConfig, ModelFolder, ModelKind, Precision, TokenizerError, WeightsError, weights_digest,
};
use galapagos_telemetry::{SpawnError, clock};
use tch::Device;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Serve;
use crate::device::DeviceError;
use crate::engine::tch::self_test;
use crate::ignored;
use desk::Desk;
use http::Server;
use line::Line;
use plan::Limits;

/// Key that clients must send.
const KEY: &str = "GALAPAGOS_SERVE_KEY";

/// Threads for connections; the engine has its own.
const IO_THREADS: usize = 2;

/// How long a server whose engine died waits for clients to read that.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a server cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot use the device of --device")]
    Device { source: DeviceError },
    #[error("cannot serve the model folder {}", path.display())]
    Folder { path: PathBuf, source: Box<FolderError> },
    #[error("{} has a {kind} head; only language models can be served", path.display())]
    Head { path: PathBuf, kind: ModelKind },
    #[error("cannot serve the tokenizer of {}", path.display())]
    Tokenizer { path: PathBuf, source: TokenizerError },
    #[error("the weights of {} cannot be hashed", path.display())]
    Digest { path: PathBuf, source: Box<WeightsError> },
    #[error("cannot serve the adapter {name}")]
    Adapter { name: String, source: Box<AdapterError> },
    #[error("two models would have the name {name}; give each --adapter a name of its own")]
    SameName { name: String },
    #[error("the engine cannot take the adapter {name}")]
    Load { name: String, source: EngineError },
    #[error("the engine cannot be started")]
    Engine { source: EngineError },
    #[error("{} cannot be computed on this machine: its kernels failed their self-test", path.display())]
    SelfTest { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("what is in {} does not compute here what it did when it was made, on the model that is served", path.display())]
    Probe { path: PathBuf, source: ProbeError },
    #[error("a thread is missing")]
    Thread { source: SpawnError },
    #[error("cannot listen on {address}")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("serving failed")]
    Io { source: std::io::Error },
    #[error("the engine died: {why}; the requests it held were told so. Start the server again")]
    EngineDied { why: String },
}

/// Serves until told to stop.
///
/// # Errors
/// [`ServeError`].
pub fn run(config: &Serve, out: &mut dyn Write) -> Result<(), ServeError> {
    let (desk, server) = prepare(config)?;
    let io = |source| ServeError::Io { source };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(IO_THREADS).enable_all().build().map_err(io)?;
    runtime.block_on(async {
        let listen = |source| ServeError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let line = Line::start(desk, Arc::clone(&server.tokenizer)).map_err(|source| ServeError::Thread { source })?;
        let names = server.names.join(", ");
        writeln!(out, "serving {names} at http://{address}/v1").and_then(|()| out.flush()).map_err(io)?;
        answer(listener, server.with_line(line), asked_to_end().map_err(io)?).await
    })
}

/// Answers until `end`, or until the engine dies: then those who wait are told, and nobody is kept longer than [`LAST_WORDS`].
async fn answer(
    listener: TcpListener,
    server: Server,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let life = server.line.life().clone();
    let died = life.clone().died();
    let end = async move {
        tokio::select! {
            () = end => {}
            () = died => {}
        }
    };
    let router = http::router(Arc::new(server));
    let mut served = pin!(axum::serve(listener, router).with_graceful_shutdown(end).into_future());
    let overdue = async {
        life.clone().died().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        ended = &mut served => ended.map_err(|source| ServeError::Io { source })?,
        () = overdue => {}
    }
    life.cause().map_or(Ok(()), |why| Err(ServeError::EngineDied { why }))
}

/// Done when the process is asked to end (SIGTERM, SIGINT).
pub(crate) fn asked_to_end() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// A server that only lacks its line.
struct Unlined {
    names: Vec<String>,
    runtime_adapters: bool,
    fingerprint: String,
    limits: Limits,
    tokenizer: Arc<galapagos_model::Tokenizer>,
}

impl Unlined {
    fn with_line(self, line: Line) -> Server {
        Server {
            line,
            names: RwLock::new(self.names),
            runtime_adapters: self.runtime_adapters,
            fingerprint: self.fingerprint,
            limits: self.limits,
            key: std::env::var(KEY).ok().filter(|key| !key.is_empty()),
            count: AtomicU64::new(0),
            started: clock::wall_ms() / 1000,
        }
    }
}

fn prepare(config: &Serve) -> Result<(Desk, Unlined), ServeError> {
    let device = |source| ServeError::Device { source };
    let place = config.computing.place().map_err(device)?;
    let path = config.model.clone();
    let folder = |source| ServeError::Folder { path: path.clone(), source: Box::new(source) };
    let opened = ModelFolder::open(&config.model).map_err(folder)?;
    if opened.config().kind != ModelKind::CausalLm {
        return Err(ServeError::Head { path, kind: opened.config().kind });
    }
    ignored::tell(&opened);
    let precision = config.dtype.map_or_else(|| place.precision(opened.config().hidden_size), Precision::from);
    place.check(precision).map_err(device)?;
    tracing::info!(threads = place.threads, "computing on {place} in {precision:?}");
    let model = opened.load(place.device).map_err(folder)?;
    let digest = weights_digest(model.parameters())
        .map_err(|source| ServeError::Digest { path: path.clone(), source: Box::new(source) })?;
    let limits = limits(opened.config(), config.seed);
    let tokenizer = Arc::new(opened.into_tokenizer());
    let tokens = |source| ServeError::Tokenizer { path: path.clone(), source };
    let texts = Arc::new(TokenTexts::new(Arc::clone(&tokenizer)).map_err(tokens)?);
    let options = options(config, precision, place.threads);
    let mut engine = Engine::new(&model, options).map_err(|source| ServeError::Engine { source })?;
    self_test(&engine).map_err(|source| ServeError::SelfTest { path: path.clone(), source })?;
    let probed = Probe::check_folder(&path, &mut engine, None);
    probed.map_err(|source| ServeError::Probe { path: path.clone(), source })?;
    engine.set_texts(Arc::clone(&texts));
    let (names, adapters) = load_adapters(config, model.config(), &mut engine)?;
    let desk = Desk::new(engine, texts, limits.ends.clone(), adapters);
    let (fingerprint, runtime_adapters) = (digest.to_hex()[..16].to_owned(), config.allow_runtime_adapters);
    Ok((desk, Unlined { names, runtime_adapters, fingerprint, limits, tokenizer }))
}

/// Names of all that is served, the model itself first, and the adapters among them.
fn load_adapters(
    config: &Serve,
    base: &ModelConfig,
    engine: &mut Engine,
) -> Result<(Vec<String>, BTreeMap<String, AdapterId>), ServeError> {
    let (mut names, mut adapters) = (vec![served_name(config)], BTreeMap::new());
    for (name, folder) in &config.adapters {
        if names.contains(name) {
            return Err(ServeError::SameName { name: name.clone() });
        }
        let unfit = |source| ServeError::Adapter { name: name.clone(), source: Box::new(source) };
        let adapter = Adapter::open(folder, base, Device::Cpu).map_err(unfit)?;
        let id = engine.add_adapter(&adapter).map_err(|source| ServeError::Load { name: name.clone(), source })?;
        let probed = Probe::check_folder(folder, engine, Some(id));
        probed.map_err(|source| ServeError::Probe { path: folder.clone(), source })?;
        adapters.insert(name.clone(), id);
        names.push(name.clone());
    }
    Ok((names, adapters))
}

fn limits(config: &ModelConfig, seed: u64) -> Limits {
    Limits {
        positions: config.max_position_embeddings,
        vocabulary: config.vocab_size,
        ends: config.eos_token_ids.clone(),
        seed,
    }
}

fn options(config: &Serve, precision: Precision, threads: usize) -> EngineOptions {
    EngineOptions {
        precision,
        threads,
        max_waiting: config.queue as usize,
        kv_bytes: usize::try_from(config.kv_mib << 20).unwrap_or(usize::MAX),
        ..EngineOptions::default()
    }
}

/// The given name, or the folder's; `.` and its like have one once they are resolved.
fn served_name(config: &Serve) -> String {
    let folder = || {
        let resolved = config.model.canonicalize();
        let name = resolved.as_deref().unwrap_or(&config.model).file_name();
        name.map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
    };
    config.name.clone().unwrap_or_else(folder)
}
