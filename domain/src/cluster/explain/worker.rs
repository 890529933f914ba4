//! What a worker does, and whether it is heard from.

use super::{Explanation, Subject, span};
use crate::cluster::ClusterState;
use crate::cluster::roster::{Presence, Worker};
use crate::cluster::worker_view::SlotView;
use crate::time::Timestamp;

impl ClusterState {
    pub(super) fn explain_worker(&self, now: Timestamp, worker: &Worker) -> Explanation {
        let view = self.worker_view(now, worker);
        let limit = span(self.limits.silence_limit_ms);
        let heard = view.silent_ms.map(span).unwrap_or_default();
        let (state, helps) = match worker.presence {
            Presence::Present { .. } => (format!("connected, heard {heard} ago"), None),
            Presence::Away { .. } => (
                format!("not connected for {heard}; what it holds is kept until {limit} of silence"),
                Some("see that the worker runs and reaches the coordinator".to_owned()),
            ),
            Presence::Lost => (
                format!("lost: not heard for more than {limit}; what it held went to others"),
                Some("start it again: it may come back under its name".to_owned()),
            ),
        };
        let slots = view.slots.iter().map(|slot| match slot {
            SlotView::Free => "a free slot".to_owned(),
            SlotView::Job { id, since_ms, .. } => format!("job {id} for {}", span(*since_ms)),
            SlotView::Rank { round, rank, since_ms, .. } => {
                format!("rank {rank} of round {round} for {}", span(*since_ms))
            }
        });
        let head = format!("incarnation {}, {} slots, {}", view.incarnation.0, worker.known.slots, view.device);
        Explanation {
            id: view.name.to_string(),
            subject: Subject::Worker,
            state,
            facts: std::iter::once(head).chain(slots).collect(),
            waits_for: None,
            culprit: None,
            helps,
        }
    }
}
