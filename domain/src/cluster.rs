//! The cluster's one state machine. [`ClusterState::apply`] is the only door: an event goes in, actions come out, or a
//! rejection that changed nothing. It reads no clock and sends nothing; the coordinator's shell does both.
//!
//! Reading order: `event`, `action`, `record` (the contract with the shell); `evolution`, `job`, `round`, `roster` (one
//! struct per state, transitions beside their diagram); `cursor` (which recipe step is next) and `expand` (what it is made
//! of); `matching` (who gets which slot, and why not); `apply/*` (what each event does); `snapshot`, `explain`, `lineage`
//! (what people see).

pub mod action;
mod apply;
mod ballot;
mod control;
mod cursor;
mod curve;
pub mod event;
pub mod evolution;
mod expand;
mod explain;
pub mod explanation;
mod gate;
pub mod job;
mod lease;
pub mod limits;
pub mod lineage;
pub mod load;
mod matching;
mod members;
mod outcome;
mod queue;
pub mod record;
pub mod rejection;
pub mod resolve;
pub mod roster;
pub mod round;
mod snapshot;
mod stop;
pub mod training;
mod turn;
pub mod view;
pub mod worker_view;

use std::collections::BTreeMap;

use crate::fence::{FencingToken, LeaderEpoch, Mint};
use crate::ids::{EvolutionId, JobId, MemberId, RoundId};
use crate::time::Timestamp;

pub use action::Action;
pub use event::Event;
pub use evolution::Evolution;
pub use explanation::Explanation;
pub use job::Job;
pub use limits::Limits;
pub use lineage::Lineage;
pub use load::LoadError;
pub use record::{Record, Write};
pub use rejection::{Rejection, RejectionKind};
pub use round::Round;
pub use view::EvolutionView;
pub use worker_view::WorkerView;

use lease::Leases;
use roster::Roster;

/// Everything the coordinator knows.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterState {
    limits: Limits,
    leader_epoch: LeaderEpoch,
    mint: Mint,
    evolutions: BTreeMap<EvolutionId, Evolution>,
    jobs: BTreeMap<JobId, Job>,
    rounds: BTreeMap<RoundId, Round>,
    roster: Roster,
    /// The tokens in force. Not durable: rebuilt from the records.
    leases: Leases,
    /// Until when each evolution's time is booked on its recipe steps. Not durable.
    booked: BTreeMap<EvolutionId, Timestamp>,
    /// The latest token under which each evolution got slots. Not durable: rebuilt from the leases in force.
    served: BTreeMap<EvolutionId, FencingToken>,
    /// Since when each round that lost a try waits for ranks. Not durable.
    regrouping: BTreeMap<RoundId, Timestamp>,
}

impl ClusterState {
    /// Rebuilds the state from all records of the store; an empty store is a new cluster. Leases stay in force and wait
    /// for their workers to register again within the silence limit.
    ///
    /// # Errors
    /// [`LoadError`] names the record that does not fit the others.
    pub fn load(
        records: impl IntoIterator<Item = Record>,
        leader_epoch: LeaderEpoch,
        now: Timestamp,
        limits: Limits,
    ) -> Result<(Self, Vec<Action>), LoadError> {
        load::load(records, leader_epoch, now, limits)
    }

    /// Applies one event. The actions are to be executed in order.
    ///
    /// # Errors
    /// A [`Rejection`] says why the event was refused; the state is unchanged.
    pub fn apply(&mut self, now: Timestamp, event: Event) -> Result<Vec<Action>, Rejection> {
        apply::apply(self, now, event)
    }

    /// A snapshot of one evolution.
    #[must_use]
    pub fn view(&self, now: Timestamp, id: &EvolutionId) -> Option<EvolutionView> {
        self.evolutions.get(id).map(|evolution| self.snapshot(now, evolution))
    }

    /// All evolutions in order of submission.
    pub fn evolutions(&self) -> impl Iterator<Item = &EvolutionId> {
        let mut all: Vec<&Evolution> = self.evolutions.values().collect();
        all.sort_by_key(|evolution| evolution.number);
        all.into_iter().map(|evolution| &evolution.id)
    }

    /// All workers in order of name.
    #[must_use]
    pub fn workers(&self, now: Timestamp) -> Vec<WorkerView> {
        self.roster.iter().map(|worker| self.worker_view(now, worker)).collect()
    }

    /// Why the evolution, job, round, member or worker of that id is as it is; `None` if there is none. The id may carry
    /// its kind in front (`job/quickstart-1/g1/samples/0`).
    #[must_use]
    pub fn explain(&self, now: Timestamp, id: &str) -> Option<Explanation> {
        explain::explain(self, now, id)
    }

    /// A member's ancestors and the evidence for each.
    #[must_use]
    pub fn lineage(&self, evolution: &EvolutionId, member: &MemberId) -> Option<Lineage> {
        self.evolutions.get(evolution)?.lineage(member)
    }

    /// Every durable record, in order of key.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut records = vec![Record::Mint(self.mint.clone())];
        records.extend(self.evolutions.values().cloned().map(|evolution| Record::Evolution(Box::new(evolution))));
        records.extend(self.jobs.values().cloned().map(|job| Record::Job(Box::new(job))));
        records.extend(self.rounds.values().cloned().map(|round| Record::Round(Box::new(round))));
        records.extend(self.roster.iter().map(|worker| Record::Worker(worker.known.clone())));
        records
    }

    /// A job with its output, once it has one.
    fn ended(&self, id: &JobId) -> Option<outcome::Ended<'_>> {
        let job = self.jobs.get(id)?;
        Some((&job.spec, job.output()?))
    }

    /// All jobs in order of id.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// All rounds in order of id.
    pub fn rounds(&self) -> impl Iterator<Item = &Round> {
        self.rounds.values()
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The coordinator's term.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }
}
