//! `galapagos coordinator`: serve until told to end.

use galapagos_coordinator::Config;
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
    let mut terminate = signal(SignalKind::terminate()).map_err(|source| Error::Runtime { source })?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|source| Error::Runtime { source })?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let mut config = Config::new(args.store);
    config.listen = args.listen;
    config.http = args.http;
    config.announce = args.announce;
    config.limits.regroup_ms = args.regroup * 1000;
    config.limits.stall_limit_ms = args.stall * 1000;
    galapagos_coordinator::run(config, stop).await.map_err(|source| Error::Coordinator { source })?;
    Ok(Exit::Done)
}
