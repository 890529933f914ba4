//! `galapagos watch`: follow an evolution, whatever happens to the connection, until it ends.

use std::time::Duration;

use galapagos_domain::cluster::EvolutionView;
use galapagos_domain::cluster::view::Status;
use galapagos_proto::client::{Address, admin, connect};
use galapagos_proto::v1;
use galapagos_telemetry::clock;
use tonic::transport::Channel;

use super::print;
use crate::args::{OneEvolution, Target};
use crate::client::{Client, announced, call, view};
use crate::error::{Error, Exit};
use crate::local::RunFolder;
use crate::outcome::Final;
use crate::render::live::{Live, Mode};

/// Pause between attempts to reach a coordinator that is away.
const RECONNECT: Duration = Duration::from_millis(200);
/// How long a coordinator may be away before following it ends with an error.
const AWAY_LIMIT_MS: u64 = 120_000;

/// Where the coordinator is found, again and again: it may come back on another port.
#[derive(Debug, Clone)]
pub enum Whereabouts {
    Folder(RunFolder),
    Address(String),
}

impl Whereabouts {
    async fn channel(&self) -> Option<Channel> {
        match self {
            Self::Folder(folder) => announced(folder).await,
            Self::Address(address) => connect(&Address::new(address)).await.ok(),
        }
    }

    /// Waits for the coordinator to answer.
    ///
    /// # Errors
    /// [`Error::Failed`] if it stays away longer than two minutes.
    pub async fn reach(&self) -> Result<Channel, Error> {
        let since_ms = clock::monotonic_ms();
        loop {
            if let Some(channel) = self.channel().await {
                return Ok(channel);
            }
            if clock::monotonic_ms().saturating_sub(since_ms) > AWAY_LIMIT_MS {
                let message =
                    format!("no coordinator has answered for {} s ({self:?}); is it running?", AWAY_LIMIT_MS / 1000);
                return Err(Error::Failed { message });
            }
            tokio::time::sleep(RECONNECT).await;
        }
    }
}

/// `galapagos watch`.
///
/// # Errors
/// If there is no such evolution, or the coordinator stays away.
pub async fn run(args: &OneEvolution, json: bool) -> Result<Exit, Error> {
    let mut client = Client::open(&args.target).await?;
    let evolution = client.resolve(args.evolution.as_deref()).await?;
    let snapshot = client.get(&evolution).await?;
    let whereabouts = match (&args.target, &client.folder) {
        (Target { coordinator: Some(address), .. }, _) => Whereabouts::Address(address.clone()),
        (_, Some(folder)) => Whereabouts::Folder(folder.clone()),
        (_, None) => unreachable!("a client is opened by address or by folder"),
    };
    let running = announced_or_address(&whereabouts).await;
    client.close().await?;
    let mut live = Live::new(Mode::of(json));
    if !snapshot.status.is_final() && !running {
        live.show(&snapshot).map_err(|source| Error::Output { source })?;
        let message = format!("{evolution} is unfinished and no coordinator runs; go on with `galapagos run`");
        return Err(Error::Failed { message });
    }
    let last = if snapshot.status.is_final() { snapshot } else { follow(&whereabouts, &evolution, &mut live).await? };
    live.show(&last).map_err(|source| Error::Output { source })?;
    live.end();
    finish(&last, json)
}

async fn announced_or_address(whereabouts: &Whereabouts) -> bool {
    whereabouts.channel().await.is_some()
}

fn finish(view: &EvolutionView, json: bool) -> Result<Exit, Error> {
    if json {
        print(&serde_json::json!({ "final": Final::of(view) }).to_string())?;
    } else {
        print(&format!("{}: {}", view.id, format!("{:?}", view.status).to_lowercase()))?;
    }
    match view.status {
        Status::Failed => {
            Err(Error::Failed { message: format!("{} failed: {}", view.id, view.failure.join("\n  caused by: ")) })
        }
        Status::Done | Status::Running | Status::Paused | Status::Cancelled => Ok(Exit::from(view.status)),
    }
}

/// Shows snapshots until a final one, which is returned. Goes on through restarts of the coordinator.
///
/// # Errors
/// If the coordinator stays away, refuses, or standard output is closed.
pub async fn follow(whereabouts: &Whereabouts, evolution: &str, live: &mut Live) -> Result<EvolutionView, Error> {
    loop {
        let mut service = admin(whereabouts.reach().await?);
        let request = v1::WatchRequest { evolution_id: evolution.to_owned() };
        let mut snapshots = match service.watch(request).await {
            Ok(stream) => stream.into_inner(),
            Err(status) => {
                retry_if_transient(status).await?;
                continue;
            }
        };
        loop {
            match snapshots.message().await {
                Ok(Some(answer)) => {
                    let snapshot = view(answer.evolution)?;
                    live.show(&snapshot).map_err(|source| Error::Output { source })?;
                    if snapshot.status.is_final() {
                        return Ok(snapshot);
                    }
                }
                Ok(None) => break,
                Err(status) => {
                    retry_if_transient(status).await?;
                    break;
                }
            }
        }
    }
}

async fn retry_if_transient(status: tonic::Status) -> Result<(), Error> {
    let error = call("follow the evolution")(status);
    match &error {
        Error::Call { source, .. } if source.kind.is_transient() => {
            tokio::time::sleep(RECONNECT).await;
            Ok(())
        }
        _ => Err(error),
    }
}
