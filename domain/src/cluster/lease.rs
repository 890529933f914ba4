//! The tokens in force and what is only known while this coordinator lives: since when, and the latest progress. The durable
//! half of a lease is in the job's or round's record; this table is rebuilt from the records when a coordinator starts.

use std::collections::{BTreeMap, BTreeSet};

use crate::fence::FencingToken;
use crate::ids::{EvolutionId, JobId, RoundId, WorkerId};
use crate::round::{RankProgress, RankTable};
use crate::time::Timestamp;

/// What a token in force stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lease {
    Attempt(AttemptLease),
    Try(TryLease),
}

/// A worker runs an attempt of a job.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AttemptLease {
    pub job: JobId,
    pub evolution: EvolutionId,
    pub worker: WorkerId,
    pub since: Timestamp,
    pub progress: Option<JobProgress>,
}

/// What a running attempt last said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JobProgress {
    pub done: u64,
    pub total: u64,
    pub tokens: u64,
}

/// Workers run the ranks of a round's try.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TryLease {
    pub round: RoundId,
    pub evolution: EvolutionId,
    /// Since the ranks were told to prepare.
    pub since: Timestamp,
    pub ranks: Vec<RankLease>,
}

/// One rank of a try.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RankLease {
    pub worker: WorkerId,
    /// Its latest report; the start of training before the first.
    pub heard: Timestamp,
    pub progress: Option<RankProgress>,
}

/// All tokens in force.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Leases {
    by_token: BTreeMap<FencingToken, Lease>,
}

impl Leases {
    pub fn grant_attempt(&mut self, token: FencingToken, lease: AttemptLease) {
        self.by_token.insert(token, Lease::Attempt(lease));
    }

    pub fn grant_try(&mut self, table: &RankTable, round: RoundId, evolution: EvolutionId, now: Timestamp) {
        let rank = |worker: &WorkerId| RankLease { worker: worker.clone(), heard: now, progress: None };
        let ranks = table.workers.iter().map(rank).collect();
        self.by_token.insert(table.token, Lease::Try(TryLease { round, evolution, since: now, ranks }));
    }

    pub fn end(&mut self, token: FencingToken) {
        self.by_token.remove(&token);
    }

    pub fn get(&self, token: FencingToken) -> Option<&Lease> {
        self.by_token.get(&token)
    }

    pub fn iter(&self) -> impl Iterator<Item = (FencingToken, &Lease)> {
        self.by_token.iter().map(|(token, lease)| (*token, lease))
    }

    pub fn attempt(&self, token: FencingToken) -> Option<&AttemptLease> {
        match self.by_token.get(&token)? {
            Lease::Attempt(attempt) => Some(attempt),
            Lease::Try(_) => None,
        }
    }

    pub fn attempt_mut(&mut self, token: FencingToken) -> Option<&mut AttemptLease> {
        match self.by_token.get_mut(&token)? {
            Lease::Attempt(attempt) => Some(attempt),
            Lease::Try(_) => None,
        }
    }

    pub fn round_try(&self, token: FencingToken) -> Option<&TryLease> {
        match self.by_token.get(&token)? {
            Lease::Try(round_try) => Some(round_try),
            Lease::Attempt(_) => None,
        }
    }

    pub fn round_try_mut(&mut self, token: FencingToken) -> Option<&mut TryLease> {
        match self.by_token.get_mut(&token)? {
            Lease::Try(round_try) => Some(round_try),
            Lease::Attempt(_) => None,
        }
    }

    /// The tokens under which a worker holds slots, smallest first.
    pub fn of_worker(&self, worker: &WorkerId) -> BTreeSet<FencingToken> {
        self.iter().filter(|(_, lease)| lease.slots_on(worker) > 0).map(|(token, _)| token).collect()
    }

    /// Slots of a worker that are taken.
    pub fn taken(&self, worker: &WorkerId) -> u32 {
        self.by_token.values().map(|lease| lease.slots_on(worker)).sum()
    }
}

impl Lease {
    /// How many slots of `worker` it takes.
    pub fn slots_on(&self, worker: &WorkerId) -> u32 {
        match self {
            Self::Attempt(attempt) => u32::from(attempt.worker == *worker),
            Self::Try(round_try) => round_try.ranks.iter().map(|rank| u32::from(rank.worker == *worker)).sum(),
        }
    }
}
