//! The live streams to workers. Each has a bounded queue: a worker that does not read its messages is disconnected with
//! that reason instead of filling the coordinator's memory. A message for a worker without a stream is dropped; the
//! cluster's deadlines and the worker's registration repair that.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use galapagos_domain::fence::Incarnation;
use galapagos_domain::ids::WorkerId;
use galapagos_domain::session::CoordinatorMessage;
use galapagos_proto::status::{Kind, Refusal};
use tokio::sync::{mpsc, watch};

/// Messages that may wait for one worker: more than any worker has slots, several times over.
const QUEUE: usize = 256;

/// The coordinator's end of one stream. Clones share the stream.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    queue: mpsc::Sender<CoordinatorMessage>,
    ending: Arc<watch::Sender<Option<Refusal>>>,
}

/// What the worker is sent: messages, then the reason of the end.
pub(crate) type Outgoing = BoxStream<'static, Result<CoordinatorMessage, Refusal>>;

/// Learns that the coordinator ended the stream.
#[derive(Debug)]
pub(crate) struct Ended(watch::Receiver<Option<Refusal>>);

/// A new stream.
pub(crate) fn open() -> (Outbox, Outgoing, Ended) {
    open_with(QUEUE)
}

fn open_with(capacity: usize) -> (Outbox, Outgoing, Ended) {
    let (queue, messages) = mpsc::channel(capacity);
    let (ending, ended) = watch::channel(None);
    let outbox = Outbox { queue, ending: Arc::new(ending) };
    let reader = Reader { messages, ended: Ended(ended.clone()), over: false };
    (outbox, stream::unfold(reader, Reader::next).boxed(), Ended(ended))
}

struct Reader {
    messages: mpsc::Receiver<CoordinatorMessage>,
    ended: Ended,
    over: bool,
}

impl Reader {
    async fn next(mut self) -> Option<(Result<CoordinatorMessage, Refusal>, Self)> {
        if self.over {
            return None;
        }
        // The end overtakes what is queued: a worker that is cut off must not act on older orders.
        let item = tokio::select! {
            biased;
            reason = self.ended.reason() => Err(reason),
            message = self.messages.recv() => message.ok_or_else(stopping),
        };
        self.over = item.is_err();
        Some((item, self))
    }
}

impl Ended {
    /// Returns why the stream ended, once it did.
    pub(crate) async fn reason(&mut self) -> Refusal {
        match self.0.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_else(stopping),
            Err(_driver_gone) => stopping(),
        }
    }
}

fn stopping() -> Refusal {
    Refusal::new(Kind::Stopping, "the coordinator stops; connect again when another runs")
}

impl Outbox {
    /// Ends the stream; the first reason stays.
    pub(crate) fn end(&self, reason: Refusal) {
        self.ending.send_if_modified(|ending| {
            let first = ending.is_none();
            if first {
                *ending = Some(reason);
            }
            first
        });
    }
}

/// All live streams, one a worker.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: BTreeMap<WorkerId, Session>,
}

#[derive(Debug)]
struct Session {
    incarnation: Incarnation,
    outbox: Outbox,
}

impl Sessions {
    /// A worker's new stream; an older one of the same worker ends.
    pub(crate) fn attach(&mut self, worker: WorkerId, incarnation: Incarnation, outbox: Outbox) {
        let reason = format!("a newer session of worker {worker} took over");
        if let Some(older) = self.live.insert(worker, Session { incarnation, outbox }) {
            older.outbox.end(Refusal::new(Kind::Fenced, reason));
        }
    }

    /// Queues a message.
    pub(crate) fn send(&mut self, worker: &WorkerId, message: CoordinatorMessage) {
        let Some(session) = self.live.get(worker) else {
            tracing::debug!(%worker, "no session; message dropped");
            return;
        };
        match session.outbox.queue.try_send(message) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => {
                tracing::debug!(%worker, "the worker is gone; message dropped");
                self.live.remove(worker);
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                let reason = format!("worker {worker} left {QUEUE} messages unread; register again");
                tracing::warn!(%worker, "{reason}");
                session.outbox.end(Refusal::new(Kind::SlowReader, reason));
                self.live.remove(worker);
            }
        }
    }

    /// Ends a worker's stream if it is of that incarnation.
    pub(crate) fn close(&mut self, worker: &WorkerId, incarnation: Incarnation, reason: Refusal) {
        if self.live.get(worker).is_some_and(|session| session.incarnation == incarnation)
            && let Some(session) = self.live.remove(worker)
        {
            session.outbox.end(reason);
        }
    }
}

impl Drop for Sessions {
    /// The driver ended: so does every stream, whoever else holds an end of it.
    fn drop(&mut self) {
        for session in self.live.values() {
            session.outbox.end(stopping());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use galapagos_domain::fence::FencingToken;

    fn worker() -> WorkerId {
        WorkerId::new("w1").unwrap()
    }

    fn revoke(token: u64) -> CoordinatorMessage {
        CoordinatorMessage::Revoke { token: FencingToken(token), reason: "test".to_owned() }
    }

    #[tokio::test]
    async fn messages_arrive_in_order() {
        let (outbox, mut outgoing, _ended) = open();
        let mut sessions = Sessions::default();
        sessions.attach(worker(), Incarnation(1), outbox);
        sessions.send(&worker(), revoke(1));
        sessions.send(&worker(), revoke(2));
        assert_eq!(outgoing.next().await, Some(Ok(revoke(1))));
        assert_eq!(outgoing.next().await, Some(Ok(revoke(2))));
    }

    #[tokio::test]
    async fn a_worker_that_does_not_read_is_cut_off_with_the_reason() {
        let (outbox, mut outgoing, mut ended) = open_with(2);
        let mut sessions = Sessions::default();
        sessions.attach(worker(), Incarnation(1), outbox);
        for token in 1..=3 {
            sessions.send(&worker(), revoke(token));
        }
        assert_eq!(ended.reason().await.kind, Kind::SlowReader);
        assert_eq!(outgoing.next().await.unwrap().unwrap_err().kind, Kind::SlowReader);
        assert_eq!(outgoing.next().await, None);
    }

    #[tokio::test]
    async fn a_newer_session_ends_the_older_and_is_not_closed_in_its_name() {
        let (older, _outgoing, mut older_ended) = open();
        let (newer, mut outgoing, _ended) = open();
        let mut sessions = Sessions::default();
        sessions.attach(worker(), Incarnation(1), older);
        sessions.attach(worker(), Incarnation(2), newer);
        assert_eq!(older_ended.reason().await.kind, Kind::Fenced);
        sessions.close(&worker(), Incarnation(1), stopping());
        sessions.send(&worker(), revoke(1));
        assert_eq!(outgoing.next().await, Some(Ok(revoke(1))));
    }

    #[tokio::test]
    async fn the_end_of_the_coordinator_ends_every_stream() {
        let (outbox, mut outgoing, _ended) = open();
        let mut sessions = Sessions::default();
        let _held_by_its_reader = outbox.clone();
        sessions.attach(worker(), Incarnation(1), outbox);
        drop(sessions);
        assert_eq!(outgoing.next().await.unwrap().unwrap_err().kind, Kind::Stopping);
    }
}
