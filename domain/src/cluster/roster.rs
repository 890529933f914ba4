//! The roster: which workers are known, and whether they are heard from.
//!
//! ```text
//!   (unknown) ── register ──▶ Present ◀── register ── Away, Lost
//!                               │  └── session closed ──▶ Away ── silence limit ──▶ Lost
//!                               └── silence limit ───────────────────────────────▶ Lost
//! ```
//! What a worker holds stays its own while it is present or away, and goes back when it is lost or restarts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fence::Incarnation;
use crate::ids::WorkerId;
use crate::session::Registration;
use crate::time::Timestamp;

/// What is durable about a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownWorker {
    pub id: WorkerId,
    /// Of its latest session.
    pub incarnation: Incarnation,
    /// Of its latest process.
    pub boot_id: u64,
    pub slots: u32,
    /// `cpu` or `cuda`.
    pub device: String,
}

/// Whether a worker is heard from. Never durable: after a restart of the coordinator every worker is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Its session is open.
    Present { heard: Timestamp },
    /// Its session ended; it may come back and keep what it holds.
    Away { since: Timestamp },
    /// Given up; it holds nothing.
    Lost,
}

/// A worker of the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    pub known: KnownWorker,
    pub presence: Presence,
}

impl Worker {
    /// Whether a message can reach it, so that it may be given work.
    #[must_use]
    pub fn is_present(&self) -> bool {
        match self.presence {
            Presence::Present { .. } => true,
            Presence::Away { .. } | Presence::Lost => false,
        }
    }

    /// When it was last heard from; `None` once lost.
    #[must_use]
    pub fn heard(&self) -> Option<Timestamp> {
        match self.presence {
            Presence::Present { heard } => Some(heard),
            Presence::Away { since } => Some(since),
            Presence::Lost => None,
        }
    }
}

/// What a registration means for what the worker held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Return {
    /// A new process: it holds nothing.
    Restarted,
    /// The same process: it holds what it says it holds.
    Reconnected,
}

/// All known workers by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    workers: BTreeMap<WorkerId, Worker>,
}

impl Roster {
    /// The worker of that name.
    #[must_use]
    pub fn get(&self, id: &WorkerId) -> Option<&Worker> {
        self.workers.get(id)
    }

    /// All workers in order of name.
    pub fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values()
    }

    /// A worker read from the store: away from `now`.
    pub(super) fn restore(&mut self, known: KnownWorker, now: Timestamp) {
        self.workers.insert(known.id.clone(), Worker { known, presence: Presence::Away { since: now } });
    }

    /// Notes a new session; the incarnation grows.
    pub(super) fn register(&mut self, registration: &Registration, now: Timestamp) -> Return {
        let before = self.workers.get(&registration.worker).map(|worker| &worker.known);
        let incarnation = Incarnation(before.map_or(0, |known| known.incarnation.0) + 1);
        let same = before.is_some_and(|known| known.boot_id == registration.boot_id);
        let known = KnownWorker {
            id: registration.worker.clone(),
            incarnation,
            boot_id: registration.boot_id,
            slots: registration.slots,
            device: registration.device.clone(),
        };
        self.workers.insert(known.id.clone(), Worker { known, presence: Presence::Present { heard: now } });
        if same { Return::Reconnected } else { Return::Restarted }
    }

    pub(super) fn hear(&mut self, id: &WorkerId, now: Timestamp) {
        self.set(id, Presence::Present { heard: now });
    }

    pub(super) fn set(&mut self, id: &WorkerId, presence: Presence) {
        if let Some(worker) = self.workers.get_mut(id) {
            worker.presence = presence;
        }
    }

    /// Workers not heard from for longer than `limit_ms`, and not yet given up.
    pub(super) fn silent(&self, now: Timestamp, limit_ms: u64) -> Vec<WorkerId> {
        let silent = |worker: &&Worker| worker.heard().is_some_and(|heard| now.since(heard) > limit_ms);
        self.workers.values().filter(silent).map(|worker| worker.known.id.clone()).collect()
    }
}
