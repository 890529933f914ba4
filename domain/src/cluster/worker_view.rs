//! What people and scripts see of the workers: the documented JSON of `galapagos workers --json`.

use serde::{Deserialize, Serialize};

use crate::fence::{FencingToken, Incarnation};
use crate::ids::WorkerId;

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    pub name: WorkerId,
    pub incarnation: Incarnation,
    pub liveness: Liveness,
    /// Since it was last heard from; absent once lost.
    pub silent_ms: Option<u64>,
    /// `cpu` or `cuda`.
    pub device: String,
    /// As many as the worker has; taken ones first.
    pub slots: Vec<SlotView>,
}

/// Whether a worker is heard from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// Its session is open.
    Present,
    /// Its session ended; what it holds is kept until the silence limit.
    Away,
    /// Given up.
    Lost,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotView {
    Free,
    /// A job's attempt.
    Job {
        id: String,
        token: FencingToken,
        since_ms: u64,
    },
    /// A round's rank.
    Rank {
        round: String,
        rank: u32,
        token: FencingToken,
        since_ms: u64,
    },
}
