//! What the driver does to the world, behind one trait: keep, send, tell. No choices are made here.

use std::future::Future;
use std::sync::Arc;

use galapagos_domain::cluster::Write;
use galapagos_domain::fence::{Incarnation, LeaderEpoch};
use galapagos_domain::ids::{EvolutionId, WorkerId};
use galapagos_domain::session::CoordinatorMessage;
use galapagos_proto::status::{Kind, Refusal};

use crate::codec;
use crate::error::Error;
use crate::metrics::Metrics;
use crate::sessions::{Outbox, Sessions};
use crate::store::{Entry, MetaStore};
use crate::watch::Watchers;

/// The effects of decisions. Only `persist` can fail and only it waits; the rest queues.
pub(crate) trait Effects: Send {
    /// Makes all writes durable, or none. After an error the caller must stop.
    fn persist(&mut self, writes: Vec<Write>) -> impl Future<Output = Result<(), Error>> + Send;

    /// From now on `outbox` is the worker's stream.
    fn attach(&mut self, worker: WorkerId, incarnation: Incarnation, outbox: Outbox);

    /// Queues a message on the worker's stream; dropped if there is none.
    fn send(&mut self, worker: &WorkerId, message: CoordinatorMessage);

    /// Ends the worker's stream if it is of that incarnation.
    fn close(&mut self, worker: &WorkerId, incarnation: Incarnation, reason: String);

    /// Wakes those who watch the evolution.
    fn changed(&mut self, evolution: &EvolutionId);
}

/// The real ones.
#[derive(Debug)]
pub(crate) struct World {
    store: Arc<dyn MetaStore>,
    term: LeaderEpoch,
    sessions: Sessions,
    watchers: Watchers,
    metrics: Arc<Metrics>,
}

impl World {
    pub(crate) fn new(store: Arc<dyn MetaStore>, term: LeaderEpoch, watchers: Watchers, metrics: Arc<Metrics>) -> Self {
        Self { store, term, sessions: Sessions::default(), watchers, metrics }
    }
}

impl Effects for World {
    async fn persist(&mut self, writes: Vec<Write>) -> Result<(), Error> {
        let puts = writes
            .iter()
            .map(|Write::Put(record)| codec::encode(record).map(|(key, value)| Entry { key, value }))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Error::Encode { source })?;
        let timer = self.metrics.persist_timer();
        self.store.commit(self.term, puts).await.map_err(|source| Error::Persist { source })?;
        timer.observe();
        Ok(())
    }

    fn attach(&mut self, worker: WorkerId, incarnation: Incarnation, outbox: Outbox) {
        self.sessions.attach(worker, incarnation, outbox);
    }

    fn send(&mut self, worker: &WorkerId, message: CoordinatorMessage) {
        self.sessions.send(worker, message);
    }

    fn close(&mut self, worker: &WorkerId, incarnation: Incarnation, reason: String) {
        // Not `Fenced`, which would end the worker for good: one that was stopped or cut off may come back. A session that a
        // newer one replaced was ended by `attach`.
        self.sessions.close(worker, incarnation, Refusal::new(Kind::Deadline, reason));
    }

    fn changed(&mut self, evolution: &EvolutionId) {
        self.watchers.changed(evolution);
    }
}
