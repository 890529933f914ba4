//! One application of an event: collects what became dirty and what is to be said, and hands both out as actions at the end,
//! the one `Persist` first. Records are reached for writing only through here, so none can change without being persisted.

use std::collections::BTreeSet;

use super::evolution::Evolution;
use super::job::Job;
use super::record::{Record, Write};
use super::round::Round;
use super::view::Status;
use super::{Action, ClusterState};
use crate::fence::FencingToken;
use crate::ids::{EvolutionId, JobId, RoundId, WorkerId};
use crate::session::CoordinatorMessage;
use crate::time::Timestamp;

/// The state under change.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    /// For reading, and for writing what is not durable.
    pub state: &'a mut ClusterState,
    pub now: Timestamp,
    dirty: BTreeSet<Key>,
    outbox: Vec<Action>,
    changed: BTreeSet<EvolutionId>,
}

/// A record that differs from the stored one. In the order in which records are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Mint,
    Evolution(EvolutionId),
    Job(JobId),
    Round(RoundId),
    Worker(WorkerId),
}

impl<'a> Turn<'a> {
    pub fn begin(state: &'a mut ClusterState, now: Timestamp) -> Self {
        Self { state, now, dirty: BTreeSet::new(), outbox: Vec::new(), changed: BTreeSet::new() }
    }

    /// The actions of this turn: what must be durable, what is to be said, who has something new to see.
    pub fn finish(self) -> Vec<Action> {
        let writes: Vec<Write> = self.dirty.iter().filter_map(|key| self.state.record(key)).map(Write::Put).collect();
        let persist = (!writes.is_empty()).then_some(Action::Persist(writes));
        persist.into_iter().chain(self.outbox).chain(self.changed.into_iter().map(Action::Changed)).collect()
    }

    /// A new fencing token.
    pub fn mint(&mut self) -> FencingToken {
        self.dirty.insert(Key::Mint);
        self.state.mint.token()
    }

    /// An evolution for writing. Time that passed since the last write is booked on the running recipe step first.
    pub fn evolution(&mut self, id: &EvolutionId) -> Option<&mut Evolution> {
        let now = self.now;
        let evolution = self.state.evolutions.get_mut(id)?;
        self.dirty.insert(Key::Evolution(id.clone()));
        self.changed.insert(id.clone());
        let booked = self.state.booked.insert(id.clone(), now).unwrap_or(now);
        if evolution.status == Status::Running
            && let Some(step) = evolution.steps.last_mut().filter(|step| step.outcome.is_none())
        {
            step.elapsed_ms += now.since(booked);
        }
        Some(evolution)
    }

    /// A job for writing.
    pub fn job(&mut self, id: &JobId) -> Option<&mut Job> {
        let job = self.state.jobs.get_mut(id)?;
        self.dirty.insert(Key::Job(id.clone()));
        self.changed.insert(job.spec.evolution.clone());
        Some(job)
    }

    /// A round for writing.
    pub fn round(&mut self, id: &RoundId) -> Option<&mut Round> {
        let round = self.state.rounds.get_mut(id)?;
        self.dirty.insert(Key::Round(id.clone()));
        self.changed.insert(round.spec.evolution.clone());
        Some(round)
    }

    pub fn add_evolution(&mut self, evolution: Evolution) {
        self.dirty.insert(Key::Evolution(evolution.id.clone()));
        self.outbox.push(Action::Submitted(evolution.id.clone()));
        self.state.booked.insert(evolution.id.clone(), self.now);
        self.state.evolutions.insert(evolution.id.clone(), evolution);
    }

    pub fn add_job(&mut self, job: Job) {
        self.dirty.insert(Key::Job(job.spec.id.clone()));
        self.state.jobs.insert(job.spec.id.clone(), job);
    }

    pub fn add_round(&mut self, round: Round) {
        self.dirty.insert(Key::Round(round.spec.id.clone()));
        self.state.rounds.insert(round.spec.id.clone(), round);
    }

    /// The roster's durable part of this worker was written.
    pub fn worker_written(&mut self, worker: &WorkerId) {
        self.dirty.insert(Key::Worker(worker.clone()));
    }

    /// Watchers of this evolution have something new to see that is not durable.
    pub fn show(&mut self, evolution: &EvolutionId) {
        self.changed.insert(evolution.clone());
    }

    /// Watchers of every evolution that is not final: what it waits for may be another thing now.
    pub fn show_all(&mut self) {
        let open = self.state.evolutions.values().filter(|evolution| !evolution.status.is_final());
        self.changed.extend(open.map(|evolution| evolution.id.clone()));
    }

    /// Says something to a worker, if its session is open; a worker that comes back is told what it missed.
    pub fn send(&mut self, worker: &WorkerId, message: CoordinatorMessage) {
        if self.state.roster.get(worker).is_some_and(super::roster::Worker::is_present) {
            self.outbox.push(Action::Send { worker: worker.clone(), message });
        }
    }

    pub fn act(&mut self, action: Action) {
        self.outbox.push(action);
    }
}

impl ClusterState {
    fn record(&self, key: &Key) -> Option<Record> {
        match key {
            Key::Mint => Some(Record::Mint(self.mint.clone())),
            Key::Evolution(id) => {
                self.evolutions.get(id).cloned().map(|evolution| Record::Evolution(Box::new(evolution)))
            }
            Key::Job(id) => self.jobs.get(id).cloned().map(|job| Record::Job(Box::new(job))),
            Key::Round(id) => self.rounds.get(id).cloned().map(|round| Record::Round(Box::new(round))),
            Key::Worker(id) => self.roster.get(id).map(|worker| Record::Worker(worker.known.clone())),
        }
    }
}
