//! Watching an evolution: complete snapshots, level-triggered. A watcher that is slow or was away misses only snapshots
//! that a later one replaces. Ends after the final one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use galapagos_domain::cluster::EvolutionView;
use galapagos_domain::ids::EvolutionId;
use galapagos_proto::status::{Kind, Refusal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::handle::{Handle, unknown_evolution};

/// Least time between two snapshots to one watcher.
const THROTTLE: Duration = Duration::from_millis(200);

/// Most time between two snapshots: elapsed times grow without any change.
const REFRESH: Duration = Duration::from_secs(1);

/// Who watches what. Clones share the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watchers(Arc<Mutex<BTreeMap<EvolutionId, watch::Sender<()>>>>);

impl Watchers {
    /// Wakes the watchers of an evolution, and forgets it if there are none.
    pub(crate) fn changed(&self, evolution: &EvolutionId) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(evolution).is_some_and(|sender| sender.send(()).is_err()) {
            all.remove(evolution);
        }
    }

    fn subscribe(&self, evolution: &EvolutionId) -> watch::Receiver<()> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(evolution.clone()).or_insert_with(|| watch::channel(()).0).subscribe()
    }
}

/// Snapshots of an evolution, the present one first.
///
/// # Errors
/// If there is no such evolution, or the driver does not answer. The stream itself ends with an error in the same cases.
pub(crate) async fn snapshots(
    handle: Handle,
    watchers: &Watchers,
    evolution: EvolutionId,
) -> Result<BoxStream<'static, Result<EvolutionView, Refusal>>, Refusal> {
    handle.view(&evolution).await?.ok_or_else(|| unknown_evolution(&evolution))?;
    let changes = watchers.subscribe(&evolution);
    let watching = Watching { handle, changes, evolution, sent: None, over: false };
    Ok(stream::unfold(watching, Watching::next).boxed())
}

struct Watching {
    handle: Handle,
    changes: watch::Receiver<()>,
    evolution: EvolutionId,
    sent: Option<Instant>,
    over: bool,
}

impl Watching {
    async fn next(mut self) -> Option<(Result<EvolutionView, Refusal>, Self)> {
        if self.over {
            return None;
        }
        if let Some(sent) = self.sent {
            tokio::time::sleep_until(sent + THROTTLE).await;
            if let Ok(Err(_closed)) = tokio::time::timeout_at(sent + REFRESH, self.changes.changed()).await {
                self.over = true;
                return Some((Err(Refusal::new(Kind::Stopping, "the coordinator stops; watch again later")), self));
            }
        }
        // Seen before the view is taken: a change after this wakes us again.
        self.changes.mark_unchanged();
        let item = match self.handle.view(&self.evolution).await {
            Ok(Some(view)) => Ok(view),
            Ok(None) => Err(unknown_evolution(&self.evolution)),
            Err(refusal) => Err(refusal),
        };
        self.over = item.as_ref().map_or(true, |view| view.status.is_final());
        self.sent = Some(Instant::now());
        Some((item, self))
    }
}
