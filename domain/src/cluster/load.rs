//! From records to a state: every reference is checked, every lease in force is taken up again, every worker is away until
//! it registers.

use std::collections::{BTreeMap, BTreeSet};

use super::lease::{AttemptLease, Leases};
use super::roster::Roster;
use super::{Action, ClusterState, Limits, Record};
use crate::fence::{FencingToken, LeaderEpoch, Mint};
use crate::ids::WorkerId;
use crate::time::Timestamp;

/// Why records are not a cluster state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Two records have one key.
    #[error("the store holds two records for {key}")]
    Twice { key: String },
    /// A record names another that is not there.
    #[error("record {from} refers to {to}, which the store does not hold")]
    Dangling { from: String, to: String },
    /// A token in use was never minted: the mint's record is older than the rest.
    #[error("record {key} holds fencing token {token}, which was never minted")]
    Unminted { key: String, token: FencingToken },
}

pub(super) fn load(
    records: impl IntoIterator<Item = Record>,
    leader_epoch: LeaderEpoch,
    now: Timestamp,
    limits: Limits,
) -> Result<(ClusterState, Vec<Action>), LoadError> {
    let mut state = ClusterState {
        limits,
        leader_epoch,
        mint: Mint::default(),
        evolutions: BTreeMap::new(),
        jobs: BTreeMap::new(),
        rounds: BTreeMap::new(),
        roster: Roster::default(),
        leases: Leases::default(),
        booked: BTreeMap::new(),
        served: BTreeMap::new(),
        regrouping: BTreeMap::new(),
    };
    let mut keys = BTreeSet::new();
    for record in records {
        let key = record.key();
        if !keys.insert(key.clone()) {
            return Err(LoadError::Twice { key });
        }
        match record {
            Record::Mint(mint) => state.mint = mint,
            Record::Evolution(evolution) => drop(state.evolutions.insert(evolution.id.clone(), *evolution)),
            Record::Job(job) => drop(state.jobs.insert(job.spec.id.clone(), *job)),
            Record::Round(round) => drop(state.rounds.insert(round.spec.id.clone(), *round)),
            Record::Worker(known) => state.roster.restore(known, now),
        }
    }
    state.booked = state.evolutions.keys().map(|id| (id.clone(), now)).collect();
    state.regrouping = state.rounds.keys().map(|id| (id.clone(), now)).collect();
    state.check_references(&keys)?;
    state.take_up_leases(now)?;
    Ok((state, Vec::new()))
}

impl ClusterState {
    fn check_references(&self, keys: &BTreeSet<String>) -> Result<(), LoadError> {
        let need = |from: String, to: String| {
            if keys.contains(&to) { Ok(()) } else { Err(LoadError::Dangling { from, to }) }
        };
        for evolution in self.evolutions.values() {
            for run in &evolution.steps {
                for job in run.work.jobs() {
                    need(format!("evolution/{}", evolution.id), format!("job/{job}"))?;
                }
                if let Some(round) = run.work.round() {
                    need(format!("evolution/{}", evolution.id), format!("round/{round}"))?;
                }
            }
        }
        for job in self.jobs.values() {
            need(format!("job/{}", job.spec.id), format!("evolution/{}", job.spec.evolution))?;
        }
        for round in self.rounds.values() {
            need(format!("round/{}", round.spec.id), format!("evolution/{}", round.spec.evolution))?;
        }
        Ok(())
    }

    fn take_up_leases(&mut self, now: Timestamp) -> Result<(), LoadError> {
        let mut leases = Leases::default();
        for job in self.jobs.values() {
            let Some(lease) = job.lease() else { continue };
            self.check_lease(format!("job/{}", job.spec.id), lease.token, &lease.worker)?;
            let (id, evolution) = (job.spec.id.clone(), job.spec.evolution.clone());
            let worker = lease.worker.clone();
            leases.grant_attempt(lease.token, AttemptLease { job: id, evolution, worker, since: now, progress: None });
        }
        for round in self.rounds.values() {
            let Some(table) = round.table() else { continue };
            for worker in &table.workers {
                self.check_lease(format!("round/{}", round.spec.id), table.token, worker)?;
            }
            leases.grant_try(table, round.spec.id.clone(), round.spec.evolution.clone(), now);
        }
        // In order of token: the latest of each evolution stays.
        let served = leases.iter().map(|(token, lease)| (lease.evolution().clone(), token));
        self.served = served.collect();
        self.leases = leases;
        Ok(())
    }

    fn check_lease(&self, key: String, token: FencingToken, worker: &WorkerId) -> Result<(), LoadError> {
        if !self.mint.has_minted(token) {
            return Err(LoadError::Unminted { key, token });
        }
        match self.roster.get(worker) {
            Some(_) => Ok(()),
            None => Err(LoadError::Dangling { from: key, to: format!("worker/{worker}") }),
        }
    }
}
