//! The session between a worker and the coordinator: every message either may send. `proto` puts it on the wire.
//!
//! Reports that must not be lost (`JobDone`, `JobFailed`, `RankReady`, `RankVoted`, `RankFailed`) are kept by the worker
//! and sent again after a reconnect until the coordinator acknowledges their token; a stale token is acknowledged too and
//! then forgotten, so that nobody waits on it.

use serde::{Deserialize, Serialize};

use crate::fence::{FencingToken, Incarnation, LeaderEpoch};
use crate::ids::{RoundId, WorkerId};
use crate::job::{JobFailure, JobOutput, JobSpec};
use crate::round::{RankProgress, RankSpec, Vote};

/// Version of the session protocol; a worker with another version is refused at registration.
pub const PROTOCOL_VERSION: u32 = 11;

/// The first message of a worker's session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub worker: WorkerId,
    /// Drawn once per process: a new one means that the worker restarted and holds nothing.
    pub boot_id: u64,
    pub protocol_version: u32,
    pub slots: u32,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Tokens of the attempts and ranks that this process still holds (running, or done and not acknowledged).
    pub held: Vec<FencingToken>,
}

/// Worker to coordinator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerMessage {
    Register(Registration),
    /// Alive, whatever the slots do.
    Heartbeat,
    JobProgress {
        token: FencingToken,
        done: u64,
        total: u64,
        tokens: u64,
    },
    JobDone {
        token: FencingToken,
        output: JobOutput,
    },
    JobFailed {
        token: FencingToken,
        failure: JobFailure,
    },
    /// The rank's process is up; rank 0 adds the rendezvous address.
    RankReady {
        round: RoundId,
        token: FencingToken,
        rank: u32,
        rendezvous: Option<String>,
    },
    RankProgress {
        round: RoundId,
        token: FencingToken,
        rank: u32,
        progress: RankProgress,
    },
    RankVoted {
        round: RoundId,
        token: FencingToken,
        rank: u32,
        vote: Vote,
    },
    RankFailed {
        round: RoundId,
        token: FencingToken,
        rank: u32,
        failure: JobFailure,
    },
}

/// Coordinator to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoordinatorMessage {
    Registered {
        incarnation: Incarnation,
        leader_epoch: LeaderEpoch,
        heartbeat_ms: u64,
    },
    /// Run this attempt.
    Lease {
        token: FencingToken,
        attempt: u32,
        job: Box<JobSpec>,
    },
    /// Stop this attempt and forget it.
    Revoke {
        token: FencingToken,
        reason: String,
    },
    /// Start this rank's process and report `RankReady`.
    PrepareRank(Box<RankSpec>),
    /// All ranks are ready: train. May come again after a reconnect; a rank that trains already ignores it.
    StartRank {
        round: RoundId,
        token: FencingToken,
        rank: u32,
        rendezvous: String,
    },
    /// Kill all of this try's ranks on this worker.
    KillRanks {
        round: RoundId,
        token: FencingToken,
        reason: String,
    },
    /// States of the round after steps below `before`, or all of them, are not needed any more: drop them. Sent once, to one worker; what
    /// is not dropped then costs space and nothing else.
    DropStates {
        round: RoundId,
        before: Option<u64>,
    },
    /// The report with this token (and rank, for ranks) is durable, or stale: forget it.
    Acknowledge {
        token: FencingToken,
        rank: Option<u32>,
    },
}
