//! `galapagos coordinator`: serve until told to end.

use galapagos_coordinator::{Config, Coordinator};
use galapagos_telemetry::lifeline;
use tokio::signal::unix::{SignalKind, signal};

use crate::args;
use crate::error::{Error, Exit};

/// Serves until SIGTERM, Ctrl-C or a failure that forbids going on.
///
/// # Errors
/// If the store or a port is refused, or the coordinator stops by itself.
pub async fn run(args: args::Coordinator) -> Result<Exit, Error> {
    if args.lifeline {
        lifeline::spawn_watch().map_err(|error| Error::Failed { message: error.to_string() })?;
    }
    let mut config = Config::new(args.store, args.listen, args.http);
    config.announce = args.announce;
    let mut coordinator = Coordinator::start(config).await.map_err(|source| Error::Coordinator { source })?;
    eprintln!("coordinator: serving at {}, metrics at http://{}/metrics", coordinator.addr(), coordinator.http());
    let mut terminate = signal(SignalKind::terminate()).map_err(|source| Error::Runtime { source })?;
    tokio::select! {
        ended = coordinator.ended() => ended.map_err(|source| Error::Coordinator { source })?,
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(|source| Error::Runtime { source })?,
    }
    coordinator.stop().await.map_err(|source| Error::Coordinator { source })?;
    Ok(Exit::Done)
}
