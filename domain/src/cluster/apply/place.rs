//! Gives free slots to what waits, oldest evolution first. Runs after every event, so nothing waits beside a free slot.

use crate::cluster::ClusterState;
use crate::cluster::evolution::Work;
use crate::cluster::job::Job;
use crate::cluster::lease::AttemptLease;
use crate::cluster::matching::FreeSlots;
use crate::cluster::round::{Round, RoundState};
use crate::cluster::turn::Turn;
use crate::cluster::view::Status;
use crate::ids::{EvolutionId, JobId, RoundId, WorkerId};
use crate::round::{RankSpec, RankTable};
use crate::session::CoordinatorMessage;
use crate::time::Timestamp;

impl ClusterState {
    /// The slots that present workers have free now.
    pub(in crate::cluster) fn free_slots(&self) -> FreeSlots {
        let mut slots = FreeSlots::default();
        for worker in self.roster.iter().filter(|worker| worker.is_present()) {
            let known = &worker.known;
            slots.total += known.slots;
            slots.free.insert(known.id.clone(), known.slots.saturating_sub(self.leases.taken(&known.id)));
        }
        slots
    }

    /// How many ranks the next try of a waiting round has: what its recipe asks for; after a lost try, once nobody joined for a while,
    /// as many as the cluster has slots left. The global batch stays the same: fewer ranks take more of it each.
    pub(in crate::cluster) fn ranks_now(&self, now: Timestamp, round: &Round, total: u32) -> u32 {
        let wanted = round.spec.train.ranks;
        let waited =
            self.regrouping.get(&round.spec.id).is_some_and(|since| now.since(*since) >= self.limits.regroup_ms);
        if waited && !round.tries.is_empty() { wanted.min(total.max(1)) } else { wanted }
    }
}

impl Turn<'_> {
    pub(super) fn place_work(&mut self) {
        let mut slots = self.state.free_slots();
        if slots.free.values().all(|free| *free == 0) {
            return;
        }
        let order: Vec<EvolutionId> = self.state.evolutions().cloned().collect();
        for id in order {
            let Some(evolution) =
                self.state.evolutions.get(&id).filter(|evolution| evolution.status == Status::Running)
            else {
                continue;
            };
            match evolution.running_step().map(|run| run.work.clone()) {
                None => {}
                Some(Work::Round(round)) => self.place_round(&round, &mut slots),
                Some(work @ (Work::Jobs(_) | Work::Contest(_))) => self.place_jobs(work.jobs(), &mut slots),
            }
        }
    }

    fn place_jobs(&mut self, jobs: &[JobId], slots: &mut FreeSlots) {
        for id in jobs {
            let Some(waiting) = self.state.jobs.get(id).and_then(Job::waiting).cloned() else { continue };
            match slots.take_one(waiting.avoid.as_ref()) {
                Ok(choice) => self.lease(id, choice.worker),
                Err(_) => return,
            }
        }
    }

    fn lease(&mut self, id: &JobId, worker: WorkerId) {
        let (token, since) = (self.mint(), self.now);
        let Some(job) = self.job(id) else { return };
        let Some(attempt) = job.grant(worker.clone(), token) else { return };
        let spec = job.spec.clone();
        let (job, evolution) = (spec.id.clone(), spec.evolution.clone());
        let lease = AttemptLease { job, evolution, worker: worker.clone(), since, progress: None };
        self.state.leases.grant_attempt(token, lease);
        self.send(&worker, CoordinatorMessage::Lease { token, attempt, job: Box::new(spec) });
    }

    fn place_round(&mut self, id: &RoundId, slots: &mut FreeSlots) {
        let Some(round) = self.state.rounds.get(id).filter(|round| round.state == RoundState::Waiting) else { return };
        let (spec, resume) = (round.spec.clone(), round.saved);
        let Ok(workers) = slots.take_gang(self.state.ranks_now(self.now, round, slots.total), &spec.evolution) else {
            return;
        };
        self.state.regrouping.remove(id);
        let (token, now) = (self.mint(), self.now);
        let table = RankTable { token, workers: workers.clone() };
        self.state.leases.grant_try(&table, id.clone(), spec.evolution.clone(), now);
        if let Some(round) = self.round(id) {
            round.begin(table);
        }
        let world_size = workers.len() as u32;
        for (rank, worker) in (0u32..).zip(&workers) {
            let told = RankSpec { round: spec.clone(), token, rank, world_size, resume };
            self.send(worker, CoordinatorMessage::PrepareRank(Box::new(told)));
        }
    }
}
