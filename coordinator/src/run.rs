//! Wires a coordinator and ends it: listen, open the store, load the state, serve, announce; at the end stop in order.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use galapagos_domain::cluster::ClusterState;
use galapagos_domain::fence::LeaderEpoch;
use galapagos_proto::announce::{ANNOUNCE_VERSION, Announcement};
use galapagos_telemetry::{TaskHandle, spawn_task};
use tokio::net::TcpListener;

use crate::codec;
use crate::config::Config;
use crate::driver::{self, Driver};
use crate::effects::World;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::stop::{self, Stopper};
use crate::store::embedded::EmbeddedStore;
use crate::store::{MetaStore, StoreError};
use crate::watch::Watchers;
use crate::{grpc, handle, http};

/// Open calls may take this long to end after the stop; then they are cut.
const DRAIN: Duration = Duration::from_secs(3);

/// Runs a coordinator until `stop` completes, or until it fails.
///
/// # Errors
/// [`Error`] says what could not be done and what would help. After an error nothing was acknowledged that is not durable.
pub async fn run(config: Config, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
    let grpc = listen(config.listen, "--listen").await?;
    let http = listen(config.http, "--http").await?;
    let announce = config.announce.clone();
    let store = open(&config).map_err(|source| Error::Open { source })?;
    let coordinator = Coordinator::start(config, Arc::new(store), grpc, http).await?;
    if let Some(path) = &announce {
        coordinator.announcement.write(path).map_err(|source| Error::Announce { source })?;
    }
    let Announcement { addr, http, leader_epoch, .. } = &coordinator.announcement;
    tracing::info!(%addr, %http, leader_epoch, "coordinator serves");
    let announced = coordinator.announcement.clone();
    let result = coordinator.serve(stop).await;
    if let Some(path) = &announce {
        withdraw(path, &announced);
    }
    result
}

struct Coordinator {
    announcement: Announcement,
    stopper: Stopper,
    driver: TaskHandle<Result<(), Error>>,
    grpc: TaskHandle<Result<(), Error>>,
    http: TaskHandle<Result<(), Error>>,
}

impl Coordinator {
    async fn start(
        config: Config,
        store: Arc<dyn MetaStore>,
        grpc: TcpListener,
        http: TcpListener,
    ) -> Result<Self, Error> {
        let term = store.start_term().await.map_err(|source| Error::Open { source })?;
        let records = load(store.as_ref()).await?;
        let (state, first) =
            ClusterState::load(records, term, driver::now(), config.limits).map_err(|source| Error::Load { source })?;
        let announcement = announcement(&grpc, &http, term)?;
        let metrics = Arc::new(Metrics::new(term));
        let watchers = Watchers::default();
        let (handle, mailbox) = handle::open();
        let (stopper, stop) = stop::signal();
        let world = World::new(store, term, watchers.clone(), Arc::clone(&metrics));
        let driver = Driver::new(state, world, mailbox, Arc::clone(&metrics));
        Ok(Self {
            announcement,
            stopper,
            driver: spawn_task("driver", driver.run(first, stop.clone())),
            grpc: spawn_task("grpc", grpc::serve(grpc, handle.clone(), watchers, stop.clone())),
            http: spawn_task("http", http::serve(http, handle, metrics, stop)),
        })
    }

    /// Waits for the stop or the first failure, then ends all parts.
    async fn serve(mut self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let first = tokio::select! {
            () = stop => Ok(Ok(())),
            ended = &mut self.driver => ended,
            ended = &mut self.grpc => ended,
            ended = &mut self.http => ended,
        };
        self.stopper.stop();
        let first = first.map_err(|source| Error::Task { source }).and_then(|result| result);
        // The driver's turn under way may still be committing: wait for it, however slow the disk is.
        let driver = if self.driver.is_finished() { Ok(()) } else { ended(&mut self.driver).await };
        for server in [&mut self.grpc, &mut self.http] {
            if !server.is_finished() && tokio::time::timeout(DRAIN, &mut *server).await.is_err() {
                tracing::warn!(server = server.name(), "open calls were cut after {} s", DRAIN.as_secs());
                server.abort();
            }
        }
        first.and(driver)
    }
}

async fn ended(task: &mut TaskHandle<Result<(), Error>>) -> Result<(), Error> {
    task.await.map_err(|source| Error::Task { source })?
}

async fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse { address, option, source },
        _ => Error::Listen { address, option, source },
    })
}

/// Opens the store; names the process that holds it, if its announce file does.
fn open(config: &Config) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(&config.store).map_err(|error| match error {
        StoreError::InUse { path, holder: None } => {
            let announced = config.announce.as_deref().and_then(|path| Announcement::read(path).ok());
            StoreError::InUse { path, holder: announced.map(|announcement| announcement.pid) }
        }
        other => other,
    })
}

async fn load(store: &dyn MetaStore) -> Result<Vec<galapagos_domain::cluster::Record>, Error> {
    let all = store.load().await.map_err(|source| Error::Open { source })?;
    all.iter().map(|entry| codec::decode(&entry.key, &entry.value).map_err(|source| Error::Record { source })).collect()
}

fn announcement(grpc: &TcpListener, http: &TcpListener, term: LeaderEpoch) -> Result<Announcement, Error> {
    let address = |listener: &TcpListener| listener.local_addr().map_err(|source| Error::Http { source });
    Ok(Announcement {
        version: ANNOUNCE_VERSION,
        addr: address(grpc)?,
        http: address(http)?,
        pid: std::process::id(),
        leader_epoch: term.0,
    })
}

/// Removes the announce file if it is still ours.
fn withdraw(path: &Path, ours: &Announcement) {
    if Announcement::read(path).is_ok_and(|found| found == *ours)
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::warn!(path = %path.display(), %error, "could not remove the announce file");
    }
}
