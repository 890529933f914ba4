//! `worker.proto`: every message of a worker's session.

use galapagos_domain::fence::{Incarnation, LeaderEpoch};
use galapagos_domain::session::{CoordinatorMessage, Registration, WorkerMessage};

use super::{ConvertError, Fields, all_into};
use crate::v1;
use crate::v1::coordinator_message::Kind as Down;
use crate::v1::worker_message::Kind as Up;

impl From<Registration> for v1::Register {
    fn from(registration: Registration) -> Self {
        Self {
            worker_id: registration.worker.into(),
            boot_id: registration.boot_id,
            protocol_version: registration.protocol_version,
            slots: registration.slots,
            device: registration.device,
            held: all_into(registration.held),
        }
    }
}

impl TryFrom<v1::Register> for Registration {
    type Error = ConvertError;
    fn try_from(wire: v1::Register) -> Result<Self, ConvertError> {
        let fields = Fields("Register");
        if wire.slots == 0 {
            return Err(fields.out_of_range("slots", wire.slots, "the numbers from 1"));
        }
        Ok(Self {
            worker: fields.id("worker_id", &wire.worker_id)?,
            boot_id: wire.boot_id,
            protocol_version: wire.protocol_version,
            slots: wire.slots,
            device: fields.text("device", wire.device)?,
            held: wire.held.into_iter().map(|token| fields.token(Some(token))).collect::<Result<_, _>>()?,
        })
    }
}

impl From<WorkerMessage> for v1::WorkerMessage {
    fn from(message: WorkerMessage) -> Self {
        let kind = match message {
            WorkerMessage::Register(registration) => Up::Register(registration.into()),
            WorkerMessage::Heartbeat => Up::Heartbeat(v1::Heartbeat {}),
            WorkerMessage::JobProgress { token, done, total, tokens } => {
                Up::JobProgress(v1::JobProgress { token: Some(token.into()), done, total, tokens })
            }
            WorkerMessage::JobDone { token, output } => {
                Up::JobDone(v1::JobDone { token: Some(token.into()), output: Some(output.into()) })
            }
            WorkerMessage::JobFailed { token, failure } => {
                Up::JobFailed(v1::JobFailed { token: Some(token.into()), failure: Some(failure.into()) })
            }
            WorkerMessage::RankReady { round, token, rank, rendezvous } => {
                Up::RankReady(v1::RankReady { round_id: round.into(), token: Some(token.into()), rank, rendezvous })
            }
            WorkerMessage::RankProgress { round, token, rank, progress } => Up::RankProgressed(v1::RankProgressed {
                round_id: round.into(),
                token: Some(token.into()),
                rank,
                progress: Some(progress.into()),
            }),
            WorkerMessage::RankVoted { round, token, rank, vote } => Up::RankVoted(v1::RankVoted {
                round_id: round.into(),
                token: Some(token.into()),
                rank,
                vote: Some(vote.into()),
            }),
            WorkerMessage::RankFailed { round, token, rank, failure } => Up::RankFailed(v1::RankFailed {
                round_id: round.into(),
                token: Some(token.into()),
                rank,
                failure: Some(failure.into()),
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::WorkerMessage> for WorkerMessage {
    type Error = ConvertError;
    fn try_from(wire: v1::WorkerMessage) -> Result<Self, ConvertError> {
        match Fields("WorkerMessage").required("kind", wire.kind)? {
            Up::Register(register) => Ok(Self::Register(register.try_into()?)),
            Up::Heartbeat(v1::Heartbeat {}) => Ok(Self::Heartbeat),
            Up::JobProgress(report) => {
                let token = Fields("JobProgress").token(report.token)?;
                Ok(Self::JobProgress { token, done: report.done, total: report.total, tokens: report.tokens })
            }
            Up::JobDone(report) => {
                let fields = Fields("JobDone");
                Ok(Self::JobDone {
                    token: fields.token(report.token)?,
                    output: fields.message("output", report.output)?,
                })
            }
            Up::JobFailed(report) => {
                let fields = Fields("JobFailed");
                Ok(Self::JobFailed {
                    token: fields.token(report.token)?,
                    failure: fields.message("failure", report.failure)?,
                })
            }
            Up::RankReady(report) => report.try_into(),
            Up::RankProgressed(report) => report.try_into(),
            Up::RankVoted(report) => report.try_into(),
            Up::RankFailed(report) => report.try_into(),
        }
    }
}

impl TryFrom<v1::RankReady> for WorkerMessage {
    type Error = ConvertError;
    fn try_from(report: v1::RankReady) -> Result<Self, ConvertError> {
        let fields = Fields("RankReady");
        Ok(Self::RankReady {
            round: fields.id("round_id", &report.round_id)?,
            token: fields.token(report.token)?,
            rank: report.rank,
            rendezvous: report.rendezvous,
        })
    }
}

impl TryFrom<v1::RankProgressed> for WorkerMessage {
    type Error = ConvertError;
    fn try_from(report: v1::RankProgressed) -> Result<Self, ConvertError> {
        let fields = Fields("RankProgressed");
        Ok(Self::RankProgress {
            round: fields.id("round_id", &report.round_id)?,
            token: fields.token(report.token)?,
            rank: report.rank,
            progress: fields.message("progress", report.progress)?,
        })
    }
}

impl TryFrom<v1::RankVoted> for WorkerMessage {
    type Error = ConvertError;
    fn try_from(report: v1::RankVoted) -> Result<Self, ConvertError> {
        let fields = Fields("RankVoted");
        Ok(Self::RankVoted {
            round: fields.id("round_id", &report.round_id)?,
            token: fields.token(report.token)?,
            rank: report.rank,
            vote: fields.message("vote", report.vote)?,
        })
    }
}

impl TryFrom<v1::RankFailed> for WorkerMessage {
    type Error = ConvertError;
    fn try_from(report: v1::RankFailed) -> Result<Self, ConvertError> {
        let fields = Fields("RankFailed");
        Ok(Self::RankFailed {
            round: fields.id("round_id", &report.round_id)?,
            token: fields.token(report.token)?,
            rank: report.rank,
            failure: fields.message("failure", report.failure)?,
        })
    }
}

impl From<CoordinatorMessage> for v1::CoordinatorMessage {
    fn from(message: CoordinatorMessage) -> Self {
        let kind = match message {
            CoordinatorMessage::Registered { incarnation, leader_epoch, heartbeat_ms } => {
                Down::Registered(v1::Registered {
                    incarnation: incarnation.0,
                    leader_epoch: leader_epoch.0,
                    heartbeat_ms,
                })
            }
            CoordinatorMessage::Lease { token, attempt, job } => {
                Down::Lease(v1::Lease { token: Some(token.into()), attempt, job: Some((*job).into()) })
            }
            CoordinatorMessage::Revoke { token, reason } => {
                Down::Revoke(v1::Revoke { token: Some(token.into()), reason })
            }
            CoordinatorMessage::PrepareRank(rank) => Down::PrepareRank(v1::PrepareRank { rank: Some((*rank).into()) }),
            CoordinatorMessage::StartRank { round, token, rank, rendezvous } => {
                Down::StartRank(v1::StartRank { round_id: round.into(), token: Some(token.into()), rank, rendezvous })
            }
            CoordinatorMessage::KillRanks { round, token, reason } => {
                Down::KillRanks(v1::KillRanks { round_id: round.into(), token: Some(token.into()), reason })
            }
            CoordinatorMessage::DropStates { round, before } => {
                Down::DropStates(v1::DropStates { round_id: round.into(), before })
            }
            CoordinatorMessage::Acknowledge { token, rank } => {
                Down::Acknowledge(v1::Acknowledge { token: Some(token.into()), rank })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::CoordinatorMessage> for CoordinatorMessage {
    type Error = ConvertError;
    fn try_from(wire: v1::CoordinatorMessage) -> Result<Self, ConvertError> {
        match Fields("CoordinatorMessage").required("kind", wire.kind)? {
            Down::Registered(registered) => Ok(Self::Registered {
                incarnation: Incarnation(registered.incarnation),
                leader_epoch: LeaderEpoch(registered.leader_epoch),
                heartbeat_ms: registered.heartbeat_ms,
            }),
            Down::Lease(lease) => {
                let fields = Fields("Lease");
                if lease.attempt == 0 {
                    return Err(fields.out_of_range("attempt", lease.attempt, "the numbers from 1"));
                }
                let job = Box::new(fields.message("job", lease.job)?);
                Ok(Self::Lease { token: fields.token(lease.token)?, attempt: lease.attempt, job })
            }
            Down::Revoke(revoke) => {
                Ok(Self::Revoke { token: Fields("Revoke").token(revoke.token)?, reason: revoke.reason })
            }
            Down::PrepareRank(prepare) => {
                Ok(Self::PrepareRank(Box::new(Fields("PrepareRank").message("rank", prepare.rank)?)))
            }
            Down::StartRank(start) => {
                let fields = Fields("StartRank");
                Ok(Self::StartRank {
                    round: fields.id("round_id", &start.round_id)?,
                    token: fields.token(start.token)?,
                    rank: start.rank,
                    rendezvous: fields.text("rendezvous", start.rendezvous)?,
                })
            }
            Down::KillRanks(kill) => {
                let fields = Fields("KillRanks");
                Ok(Self::KillRanks {
                    round: fields.id("round_id", &kill.round_id)?,
                    token: fields.token(kill.token)?,
                    reason: kill.reason,
                })
            }
            Down::DropStates(drop) => {
                let round = Fields("DropStates").id("round_id", &drop.round_id)?;
                Ok(Self::DropStates { round, before: drop.before })
            }
            Down::Acknowledge(acknowledge) => {
                let token = Fields("Acknowledge").token(acknowledge.token)?;
                Ok(Self::Acknowledge { token, rank: acknowledge.rank })
            }
        }
    }
}
