//! What the worker knows and decides: messages of the coordinator and events of the work in, orders to the hands out.
//! Pure: no clock, no IO. Reports leave through the outbox, which the session empties onto the wire.

use std::collections::BTreeSet;

use galapagos_domain::fence::FencingToken;
use galapagos_domain::ids::{RoundId, WorkerId};
use galapagos_domain::job::{JobFailure, JobOutput, JobSpec};
use galapagos_domain::round::{RankReport, RankSpec};
use galapagos_domain::session::{CoordinatorMessage, WorkerMessage};

use crate::failure::{lost, transient};
use crate::outbox::Outbox;
use crate::slots::{Admission, Key, Slots, Stop};

/// Work for a place.
#[derive(Debug, Clone, PartialEq)]
pub enum Assignment {
    Attempt { attempt: u32, job: Box<JobSpec> },
    Rank(Box<RankSpec>),
}

/// What the hands must do.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    Start {
        key: Key,
        work: Assignment,
    },
    /// Stop the attempt or kill the rank, then say [`WorkEvent::Ended`].
    Stop {
        key: Key,
        reason: String,
    },
    /// Drop states of a round that are not needed any more.
    DropStates {
        round: RoundId,
        before: Option<u64>,
    },
    /// Tell the rank that all are ready.
    Train {
        key: Key,
        rendezvous: String,
    },
}

/// What the work says.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkEvent {
    Progress {
        token: FencingToken,
        done: u64,
        total: u64,
        tokens: u64,
    },
    /// A line of a rank's process.
    Rank {
        round: RoundId,
        key: Key,
        report: RankReport,
    },
    /// The place is free: nothing of this work runs any more.
    Ended {
        key: Key,
        end: End,
    },
}

/// How work ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Done(JobOutput),
    Failed(JobFailure),
    /// The rank's process ended after its last line, which was reported when it came.
    RankSaidAll,
    /// A rank's process ended, or could not be started, and its last line is missing.
    RankFailed {
        round: RoundId,
        failure: JobFailure,
    },
    /// It was told to.
    Stopped {
        round: Option<RoundId>,
    },
}

/// See the head of this file.
#[derive(Debug)]
pub struct Desk {
    worker: WorkerId,
    slots: Slots<Assignment>,
    outbox: Outbox,
    /// Stopped because this worker ends, and not by the coordinator: it must be told.
    abandoned: BTreeSet<Key>,
    leaving: bool,
}

impl Desk {
    /// A worker with nothing to do.
    #[must_use]
    pub fn new(worker: WorkerId, slots: u32) -> Self {
        Self { worker, slots: Slots::new(slots), outbox: Outbox::default(), abandoned: BTreeSet::new(), leaving: false }
    }

    /// The tokens of everything here: running, waiting, or done and not acknowledged.
    #[must_use]
    pub fn held(&self) -> Vec<FencingToken> {
        let keys = self.slots.keys().into_iter().chain(self.outbox.keys());
        keys.map(|key| key.token).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The reports to send.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// Whether nothing runs and nothing is left to report.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.slots.is_empty() && self.outbox.is_empty()
    }

    /// Whether nothing runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty()
    }

    /// The coordinator said something.
    pub fn told(&mut self, message: CoordinatorMessage) -> Vec<Order> {
        match message {
            CoordinatorMessage::Registered { .. } => Vec::new(),
            CoordinatorMessage::Lease { token, attempt, job } => {
                self.admit(Key::attempt(token), Assignment::Attempt { attempt, job })
            }
            CoordinatorMessage::PrepareRank(spec) => {
                self.admit(Key::rank(spec.token, spec.rank), Assignment::Rank(spec))
            }
            CoordinatorMessage::StartRank { round, token, rank, rendezvous } => {
                self.train(&round, Key::rank(token, rank), rendezvous)
            }
            CoordinatorMessage::Revoke { token, reason } => self.revoke(token, &reason),
            CoordinatorMessage::KillRanks { token, reason, round: _ } => self.revoke(token, &reason),
            CoordinatorMessage::DropStates { round, before } => vec![Order::DropStates { round, before }],
            CoordinatorMessage::Acknowledge { token, rank } => {
                self.outbox.acknowledged(Key { token, rank });
                Vec::new()
            }
        }
    }

    /// The work said something. The message, if any, is progress: worth sending now or never.
    pub fn happened(&mut self, event: WorkEvent) -> (Vec<Order>, Option<WorkerMessage>) {
        match event {
            WorkEvent::Progress { token, done, total, tokens } => {
                let works = self.slots.works(Key::attempt(token));
                (Vec::new(), works.then_some(WorkerMessage::JobProgress { token, done, total, tokens }))
            }
            WorkEvent::Rank { round, key, report } if self.slots.works(key) => {
                (Vec::new(), self.rank_said(round, key, report))
            }
            WorkEvent::Rank { .. } => (Vec::new(), None),
            WorkEvent::Ended { key, end } => (self.ended(key, end), None),
        }
    }

    /// This worker ends: no new work, and what runs is stopped and given back.
    pub fn leave(&mut self, reason: &str) -> Vec<Order> {
        self.leaving = true;
        let mut orders = Vec::new();
        for key in self.slots.keys() {
            match self.slots.stop(key) {
                Stop::Now => {
                    self.abandoned.insert(key);
                    orders.push(Order::Stop { key, reason: reason.to_owned() });
                }
                Stop::Dropped(work) => {
                    self.refuse(key, &work, lost(format!("worker {} is being stopped", self.worker)))
                }
                Stop::Nothing => {}
            }
        }
        orders
    }

    fn admit(&mut self, key: Key, work: Assignment) -> Vec<Order> {
        if self.outbox.holds(key) && !self.slots.holds(key) {
            return Vec::new();
        }
        if self.leaving {
            self.refuse(key, &work, lost(format!("worker {} is being stopped", self.worker)));
            return Vec::new();
        }
        match self.slots.admit(key, work.clone()) {
            Admission::Start(work) => vec![Order::Start { key, work }],
            Admission::Waits | Admission::Known => Vec::new(),
            Admission::Refused { holders } => {
                let holders = holders.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let why = format!("worker {} has no slot for {key}; held by {holders}", self.worker);
                self.refuse(key, &work, transient(why));
                Vec::new()
            }
        }
    }

    fn refuse(&mut self, key: Key, work: &Assignment, failure: JobFailure) {
        tracing::warn!("refused: {}", failure.chain.join(": "));
        let round = match work {
            Assignment::Attempt { .. } => None,
            Assignment::Rank(spec) => Some(spec.round.id.clone()),
        };
        self.report_failure(key, round, failure);
    }

    fn report_failure(&mut self, key: Key, round: Option<RoundId>, failure: JobFailure) {
        match (key.rank, round) {
            (Some(rank), Some(round)) => {
                self.outbox.keep(WorkerMessage::RankFailed { round, token: key.token, rank, failure });
            }
            (Some(_), None) | (None, _) => {
                self.outbox.keep(WorkerMessage::JobFailed { token: key.token, failure });
            }
        }
    }

    fn train(&mut self, round: &RoundId, key: Key, rendezvous: String) -> Vec<Order> {
        if self.slots.works(key) {
            return vec![Order::Train { key, rendezvous }];
        }
        if !self.outbox.holds(key) {
            let failure = lost(format!("worker {} has no process for {key}", self.worker));
            self.report_failure(key, Some(round.clone()), failure);
        }
        Vec::new()
    }

    fn revoke(&mut self, token: FencingToken, reason: &str) -> Vec<Order> {
        self.outbox.forget_token(token);
        self.abandoned.retain(|key| key.token != token);
        let keys = self.slots.keys().into_iter().filter(|key| key.token == token);
        let mut orders = Vec::new();
        for key in keys.collect::<Vec<_>>() {
            if self.slots.stop(key) == Stop::Now {
                orders.push(Order::Stop { key, reason: reason.to_owned() });
            }
        }
        orders
    }

    fn rank_said(&mut self, round: RoundId, key: Key, report: RankReport) -> Option<WorkerMessage> {
        let (token, rank) = (key.token, key.rank?);
        let message = match report {
            RankReport::Progress(progress) => {
                return Some(WorkerMessage::RankProgress { round, token, rank, progress });
            }
            RankReport::Ready { rendezvous } => WorkerMessage::RankReady { round, token, rank, rendezvous },
            RankReport::Voted(vote) => {
                self.slots.clear(key);
                WorkerMessage::RankVoted { round, token, rank, vote }
            }
            RankReport::Failed(failure) => {
                self.slots.clear(key);
                WorkerMessage::RankFailed { round, token, rank, failure }
            }
        };
        self.outbox.keep(message);
        None
    }

    fn ended(&mut self, key: Key, end: End) -> Vec<Order> {
        let wanted = self.slots.works(key) || self.abandoned.remove(&key);
        if wanted {
            self.report_end(key, end);
        }
        let next = self.slots.ended(key);
        next.map(|(key, work)| Order::Start { key, work }).into_iter().collect()
    }

    fn report_end(&mut self, key: Key, end: End) {
        match end {
            End::Done(output) => {
                self.outbox.keep(WorkerMessage::JobDone { token: key.token, output });
            }
            End::Failed(failure) => self.report_failure(key, None, failure),
            End::RankFailed { round, failure } => self.report_failure(key, Some(round), failure),
            End::RankSaidAll => {}
            End::Stopped { round } => {
                self.report_failure(key, round, lost(format!("worker {} was stopped", self.worker)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
