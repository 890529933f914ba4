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
    /// Tokens a second between the two latest reports of new steps.
    pub rate: Option<f64>,
    /// When the latest report of a new step came.
    pub advanced: Timestamp,
}

impl RankLease {
    fn new(worker: WorkerId, now: Timestamp) -> Self {
        Self { worker, heard: now, progress: None, rate: None, advanced: now }
    }

    /// Takes a progress report. One that tells no new step leaves the rate as it is.
    pub fn say(&mut self, now: Timestamp, progress: RankProgress) {
        match self.progress {
            Some(before) if before.step == progress.step => {}
            Some(before) if before.step < progress.step => {
                let (ms, tokens) = (now.since(self.advanced), progress.tokens.checked_sub(before.tokens));
                self.rate = tokens.filter(|_| ms > 0).map(|tokens| tokens as f64 * 1e3 / ms as f64);
                self.advanced = now;
            }
            // The first one, or one from before: nothing to compare with.
            Some(_) | None => {
                self.rate = None;
                self.advanced = now;
            }
        }
        self.progress = Some(progress);
    }
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
        let ranks = table.workers.iter().map(|worker| RankLease::new(worker.clone(), now)).collect();
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

    /// Slots in use by each evolution that has any.
    pub fn in_use(&self) -> BTreeMap<&EvolutionId, u32> {
        let mut in_use = BTreeMap::new();
        for lease in self.by_token.values() {
            let slots = match lease {
                Lease::Attempt(_) => 1,
                Lease::Try(round_try) => round_try.ranks.len() as u32,
            };
            *in_use.entry(lease.evolution()).or_default() += slots;
        }
        in_use
    }

    /// Slots of a worker that are taken.
    pub fn taken(&self, worker: &WorkerId) -> u32 {
        self.by_token.values().map(|lease| lease.slots_on(worker)).sum()
    }
}

impl Lease {
    pub fn evolution(&self) -> &EvolutionId {
        match self {
            Self::Attempt(attempt) => &attempt.evolution,
            Self::Try(round_try) => &round_try.evolution,
        }
    }

    /// How many slots of `worker` it takes.
    pub fn slots_on(&self, worker: &WorkerId) -> u32 {
        match self {
            Self::Attempt(attempt) => u32::from(attempt.worker == *worker),
            Self::Try(round_try) => round_try.ranks.iter().map(|rank| u32::from(rank.worker == *worker)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_between_reports_of_new_steps() {
        let mut rank = RankLease::new(WorkerId::new("w1").unwrap(), Timestamp(0));
        let said = |step, tokens| RankProgress { tokens, ..RankProgress::begin(step, 10) };
        rank.say(Timestamp(5_000), said(1, 700));
        assert_eq!(rank.rate, None, "loading took time too");
        rank.say(Timestamp(6_000), said(3, 1_700));
        assert_eq!(rank.rate, Some(1_000.0));
        rank.say(Timestamp(9_000), said(3, 1_700));
        assert_eq!(rank.rate, Some(1_000.0), "the same step again, as around a checkpoint");
        rank.say(Timestamp(10_000), said(4, 2_100));
        assert_eq!(rank.rate, Some(100.0), "the checkpoint's time counts");
        rank.say(Timestamp(11_000), said(2, 1_200));
        assert_eq!(rank.rate, None, "it went back");
    }
}
