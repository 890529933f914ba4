//! Reports about ranks, and how a try ends: with a commit, or with the death of all its ranks.

use std::collections::BTreeSet;

use crate::cluster::ballot::Ballot;
use crate::cluster::job::Consequence;
use crate::cluster::roster::Worker;
use crate::cluster::round::{Count, Readiness};
use crate::cluster::turn::Turn;
use crate::fence::FencingToken;
use crate::ids::{RoundId, WorkerId};
use crate::job::{FailureClass, JobFailure};
use crate::round::{RankProgress, Vote};
use crate::session::CoordinatorMessage;

/// A rank of the try with this token.
pub(super) type RankOf = (FencingToken, u32);

fn transient(chain: Vec<String>) -> JobFailure {
    JobFailure { class: FailureClass::Transient, chain }
}

impl Turn<'_> {
    /// The round behind a report, if the try is in force and the rank is this worker's. A report is a sign of life.
    fn round_of(&mut self, worker: &WorkerId, (token, rank): RankOf) -> Option<RoundId> {
        let now = self.now;
        let lease = self.state.leases.round_try_mut(token)?;
        let holder = lease.ranks.get_mut(rank as usize).filter(|holder| holder.worker == *worker)?;
        holder.heard = now;
        Some(lease.round.clone())
    }

    pub(super) fn rank_ready(&mut self, worker: &WorkerId, of: RankOf, rendezvous: Option<String>) {
        let Some(id) = self.round_of(worker, of) else { return };
        let (token, rank) = of;
        match self.round(&id).map(|round| round.ready(token, rank, rendezvous)) {
            None | Some(Readiness::Stale | Readiness::Noted) => {}
            Some(Readiness::AllReady(rendezvous)) => self.start_ranks(&id, token, &rendezvous),
            Some(Readiness::NoRendezvous) => {
                self.try_failed(&id, Some(0), transient(vec!["rank 0 is ready and named no rendezvous".to_owned()]));
            }
        }
    }

    fn start_ranks(&mut self, id: &RoundId, token: FencingToken, rendezvous: &str) {
        let now = self.now;
        let Some(lease) = self.state.leases.round_try_mut(token) else { return };
        for rank in &mut lease.ranks {
            rank.heard = now;
        }
        let workers: Vec<WorkerId> = lease.ranks.iter().map(|rank| rank.worker.clone()).collect();
        for (rank, worker) in (0u32..).zip(workers) {
            let (round, rendezvous) = (id.clone(), rendezvous.to_owned());
            self.send(&worker, CoordinatorMessage::StartRank { round, token, rank, rendezvous });
        }
    }

    pub(super) fn rank_progress(&mut self, worker: &WorkerId, of: RankOf, progress: RankProgress) {
        let Some(id) = self.round_of(worker, of) else { return };
        let ((token, rank), now) = (of, self.now);
        let round = self.state.rounds.get(&id);
        if let Some(saved) = progress.saved.filter(|saved| round.is_some_and(|round| round.is_news(token, *saved))) {
            // Written only for news: every progress repeats it.
            if let Some(round) = self.round(&id) {
                round.save(saved);
            }
            // Sent after the write: whatever happens then, no try goes on from an older one.
            self.send(worker, CoordinatorMessage::DropStates { round: id.clone(), before: Some(saved.step) });
        }
        let Some(lease) = self.state.leases.round_try_mut(token) else { return };
        if let Some(rank) = lease.ranks.get_mut(rank as usize) {
            rank.say(now, progress);
        }
        let evolution = lease.evolution.clone();
        self.show(&evolution);
    }

    pub(super) fn rank_voted(&mut self, worker: &WorkerId, of: RankOf, vote: Vote) {
        let Some(id) = self.round_of(worker, of) else { return };
        let (token, rank) = of;
        match self.round(&id).map(|round| round.vote(token, rank, vote)) {
            None | Some(Count::Stale | Count::Noted) => {}
            Some(Count::Complete(ballot)) => self.counted(&id, *ballot),
        }
    }

    fn counted(&mut self, id: &RoundId, ballot: Ballot) {
        match ballot {
            Ballot::Agreed { checkpoint, vote } => self.commit(id, checkpoint, vote),
            Ballot::Split { culprit, reason } => self.try_failed(id, Some(culprit), transient(vec![reason])),
            Ballot::NoCheckpoint => {
                self.try_failed(id, Some(0), transient(vec!["rank 0 voted without a checkpoint".to_owned()]));
            }
        }
    }

    pub(super) fn rank_failed(&mut self, worker: &WorkerId, of: RankOf, failure: JobFailure) {
        if let Some(id) = self.round_of(worker, of) {
            self.try_failed(&id, Some(of.1), failure);
        }
    }

    /// Ends the try in force with a failure; `culprit` is the rank at fault.
    pub(super) fn try_failed(&mut self, id: &RoundId, culprit: Option<u32>, failure: JobFailure) {
        let reason = failure.chain.first().cloned().unwrap_or_else(|| "a rank failed".to_owned());
        let limits = self.state.limits.clone();
        self.end_try(id, &reason);
        let consequence = self.round(id).map_or(Consequence::Stale, |round| round.fail(culprit, failure, &limits));
        self.after_try(id, consequence);
    }

    /// Ends the try in force because one of its workers is gone.
    pub(super) fn try_lost(&mut self, id: &RoundId, why: &str) {
        let limits = self.state.limits.clone();
        self.end_try(id, why);
        let consequence = self.round(id).map_or(Consequence::Stale, |round| round.lose(why, &limits));
        self.after_try(id, consequence);
    }

    /// Kills all ranks of the try in force, on every worker that has one: ranks never repair each other.
    pub(super) fn end_try(&mut self, id: &RoundId, reason: &str) {
        let Some(table) = self.state.rounds.get(id).and_then(|round| round.table()).cloned() else { return };
        self.state.leases.end(table.token);
        self.state.regrouping.insert(id.clone(), self.now);
        for worker in table.workers.into_iter().collect::<BTreeSet<_>>() {
            let (round, token, reason) = (id.clone(), table.token, reason.to_owned());
            self.send(&worker, CoordinatorMessage::KillRanks { round, token, reason });
        }
    }

    /// The round is over: nobody goes on from its in-round checkpoints.
    pub(super) fn drop_states(&mut self, id: &RoundId) {
        let Some(round) = self.state.rounds.get(id) else { return };
        if round.spec.train.save_every == 0 {
            return;
        }
        let ranks = round.table().into_iter().flat_map(|table| table.workers.clone());
        let roster = &self.state.roster;
        let anybody = roster.iter().map(|worker| worker.known.id.clone());
        let one = ranks.chain(anybody).find(|id| roster.get(id).is_some_and(Worker::is_present));
        if let Some(worker) = one {
            self.send(&worker, CoordinatorMessage::DropStates { round: id.clone(), before: None });
        }
    }

    fn after_try(&mut self, id: &RoundId, consequence: Consequence) {
        let Some(evolution) = self.state.rounds.get(id).map(|round| round.spec.evolution.clone()) else { return };
        match consequence {
            Consequence::Stale => {}
            Consequence::Retry => self.count_retry(&evolution),
            Consequence::GiveUp(chain) => self.fail_evolution(&evolution, chain),
        }
    }
}
