//! A round under way: the try in force, who is ready, who voted, how it ended. A round commits as a whole or not at all:
//! any failure ends the whole try, and the next try has a new fencing token.
//!
//! ```text
//!             begin                  all ready               all votes agree
//!   Waiting ─────────▶ Preparing ───────────────▶ Running ─────────────────▶ Committed
//!      ▲                   │                         │
//!      ├── fail, lose ─────┴─────────────────────────┤
//!      │                                             └── beyond the budget, or votes of no use ──▶ Failed
//!   Waiting, Preparing, Running ── revoke ──▶ Revoked
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Limits;
use super::ballot::{self, Ballot};
use super::job::Consequence;
use crate::fence::FencingToken;
use crate::ids::{MemberId, WorkerId};
use crate::job::{FailureClass, JobFailure};
use crate::round::{RankTable, RoundSpec, Saved, Vote};

/// One round and its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub spec: RoundSpec,
    /// Every try so far, in order; the last one is in force unless the round waits.
    pub tries: Vec<RankTable>,
    /// Tries that failed by a report, a stall or a disagreement.
    pub failures: Vec<FailedTry>,
    /// Tries that ended because a worker was lost or forgot its ranks, or a rank was killed.
    pub losses: u32,
    /// The in-round checkpoint that the next try goes on from.
    #[serde(default)]
    pub saved: Option<Saved>,
    /// World sizes of the tries whose steps are in `saved`, in order, without repetition.
    #[serde(default)]
    pub worlds: Vec<u32>,
    pub state: RoundState,
}

/// Where a round stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundState {
    /// Waits for as many free slots as it has ranks, all at once.
    Waiting,
    Preparing(Preparing),
    Running(Running),
    Committed(Committed),
    Failed(Failed),
    Revoked(Revoked),
}

/// The ranks' processes start and load data and weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparing {
    pub table: RankTable,
    pub ready: BTreeSet<u32>,
    /// Where the ranks will meet; rank 0 says it with its `RankReady`.
    pub rendezvous: Option<String>,
}

/// The ranks train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub table: RankTable,
    pub rendezvous: String,
    pub votes: BTreeMap<u32, Vote>,
}

/// Ended with a new member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Committed {
    pub token: FencingToken,
    pub member: MemberId,
    /// Rank 0's vote.
    pub vote: Vote,
}

/// Ended without a member; its evolution failed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Outermost cause first.
    pub chain: Vec<String>,
}

/// Not needed any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    pub reason: String,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTry {
    pub token: FencingToken,
    /// The rank and worker at fault, where one is.
    pub culprit: Option<(u32, WorkerId)>,
    pub chain: Vec<String>,
}

/// What a rank's `RankReady` brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// The token or the rank is not in force: nothing changed.
    Stale,
    /// Others are still missing.
    Noted,
    /// The last one: every rank starts at this rendezvous.
    AllReady(String),
    /// Every rank is ready and rank 0 named no rendezvous.
    NoRendezvous,
}

/// What a rank's vote brought.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Count {
    /// The token or the rank is not in force: nothing changed.
    Stale,
    /// Others are still missing.
    Noted,
    /// The last one.
    Complete(Box<Ballot>),
}

impl Round {
    /// A round that nobody has tried.
    #[must_use]
    pub fn new(spec: RoundSpec) -> Self {
        Self {
            spec,
            tries: Vec::new(),
            failures: Vec::new(),
            losses: 0,
            saved: None,
            worlds: Vec::new(),
            state: RoundState::Waiting,
        }
    }

    /// The ranks of the try in force.
    #[must_use]
    pub fn table(&self) -> Option<&RankTable> {
        match &self.state {
            RoundState::Preparing(preparing) => Some(&preparing.table),
            RoundState::Running(running) => Some(&running.table),
            RoundState::Waiting | RoundState::Committed(_) | RoundState::Failed(_) | RoundState::Revoked(_) => None,
        }
    }

    /// Whether `token` is that of the try in force.
    #[must_use]
    pub fn is_current(&self, token: FencingToken) -> bool {
        self.table().is_some_and(|table| table.token == token)
    }

    /// Whether `token` was minted for this round.
    #[must_use]
    pub fn knows(&self, token: FencingToken) -> bool {
        self.tries.iter().any(|table| table.token == token)
    }

    /// Whether an in-round checkpoint of the try in force is newer than the one known.
    #[must_use]
    pub(super) fn is_news(&self, token: FencingToken, saved: Saved) -> bool {
        self.is_current(token) && self.saved.is_none_or(|known| known.step < saved.step)
    }

    /// The ranks of the try in force stored a checkpoint: the next try goes on from it.
    pub(super) fn save(&mut self, saved: Saved) {
        self.saved = Some(saved);
        self.note_world();
    }

    /// The world sizes behind the weights, with the try in force.
    pub(super) fn note_world(&mut self) {
        let Some(world) = self.table().map(|table| table.workers.len() as u32) else { return };
        if self.worlds.last() != Some(&world) {
            self.worlds.push(world);
        }
    }

    /// `Waiting -> Preparing`.
    pub(super) fn begin(&mut self, table: RankTable) {
        self.tries.push(table.clone());
        self.state = RoundState::Preparing(Preparing { table, ready: BTreeSet::new(), rendezvous: None });
    }

    /// A rank is ready; `Preparing -> Running` with the last one.
    pub(super) fn ready(&mut self, token: FencingToken, rank: u32, rendezvous: Option<String>) -> Readiness {
        let RoundState::Preparing(preparing) = &mut self.state else { return Readiness::Stale };
        if preparing.table.token != token || rank as usize >= preparing.table.workers.len() {
            return Readiness::Stale;
        }
        preparing.ready.insert(rank);
        if rank == 0 {
            preparing.rendezvous = rendezvous;
        }
        if preparing.ready.len() < preparing.table.workers.len() {
            return Readiness::Noted;
        }
        let Some(rendezvous) = preparing.rendezvous.clone() else { return Readiness::NoRendezvous };
        let table = preparing.table.clone();
        self.state = RoundState::Running(Running { table, rendezvous: rendezvous.clone(), votes: BTreeMap::new() });
        Readiness::AllReady(rendezvous)
    }

    /// A rank votes; the last vote brings the ballot, on which the caller commits or fails the try.
    pub(super) fn vote(&mut self, token: FencingToken, rank: u32, vote: Vote) -> Count {
        let RoundState::Running(running) = &mut self.state else { return Count::Stale };
        let unknown = running.table.token != token || rank as usize >= running.table.workers.len();
        if unknown || running.votes.contains_key(&rank) {
            return Count::Stale;
        }
        running.votes.insert(rank, vote);
        if running.votes.len() < running.table.workers.len() {
            return Count::Noted;
        }
        Count::Complete(Box::new(ballot::count(&running.votes)))
    }

    /// `Running -> Committed`.
    pub(super) fn commit(&mut self, token: FencingToken, member: MemberId, vote: Vote) {
        self.state = RoundState::Committed(Committed { token, member, vote });
    }

    /// Ends the try in force after a failure: `-> Waiting`, or `-> Failed` when the input is at fault or
    /// `limits.attempt_budget` failures are reached.
    pub(super) fn fail(&mut self, culprit: Option<u32>, failure: JobFailure, limits: &Limits) -> Consequence {
        let Some(table) = self.table() else { return Consequence::Stale };
        let token = table.token;
        let culprit = culprit.and_then(|rank| Some((rank, table.workers.get(rank as usize)?.clone())));
        let whose =
            culprit.as_ref().map_or_else(String::new, |(rank, worker)| format!(", rank {rank} on worker {worker}"));
        let times = self.failures.len() + 1;
        let head = match failure.class {
            FailureClass::Invalid => Some(format!("round {} cannot be done{whose}", self.spec.id)),
            FailureClass::Transient => (times >= limits.attempt_budget as usize)
                .then(|| format!("round {} failed {times} times{whose}", self.spec.id)),
            FailureClass::Lost => return self.lose(&failure.chain.join(": "), limits),
        };
        self.failures.push(FailedTry { token, culprit, chain: failure.chain.clone() });
        self.retry_or_fail(head, failure.chain)
    }

    /// Ends the try in force because a worker or a rank is gone: `-> Waiting`, or `-> Failed` after `limits.loss_budget` losses.
    pub(super) fn lose(&mut self, why: &str, limits: &Limits) -> Consequence {
        if self.table().is_none() {
            return Consequence::Stale;
        }
        self.losses += 1;
        let spent = self.losses > limits.loss_budget;
        let head = spent.then(|| format!("round {} lost a worker or a rank {} times", self.spec.id, self.losses));
        self.retry_or_fail(head, vec![why.to_owned()])
    }

    fn retry_or_fail(&mut self, head: Option<String>, causes: Vec<String>) -> Consequence {
        let Some(head) = head else {
            self.state = RoundState::Waiting;
            return Consequence::Retry;
        };
        let chain: Vec<String> = std::iter::once(head).chain(causes).collect();
        self.state = RoundState::Failed(Failed { chain: chain.clone() });
        Consequence::GiveUp(chain)
    }

    /// `Waiting | Preparing | Running -> Revoked`; an ended round stays as it is. Says whether it changed.
    pub(super) fn revoke(&mut self, reason: &str) -> bool {
        match &self.state {
            RoundState::Waiting | RoundState::Preparing(_) | RoundState::Running(_) => {
                self.state = RoundState::Revoked(Revoked { reason: reason.to_owned() });
                true
            }
            RoundState::Committed(_) | RoundState::Failed(_) | RoundState::Revoked(_) => false,
        }
    }
}
