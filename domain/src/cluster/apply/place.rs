//! Gives free slots to what waits, in the order of `queue`. Runs after every event, so nothing waits beside a free slot.

use crate::cluster::ClusterState;
use crate::cluster::evolution::Work;
use crate::cluster::job::Job;
use crate::cluster::lease::AttemptLease;
use crate::cluster::matching::FreeSlots;
use crate::cluster::queue::Contender;
use crate::cluster::round::{Round, RoundState};
use crate::cluster::turn::Turn;
use crate::fence::FencingToken;
use crate::ids::{JobId, RoundId, WorkerId};
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
    /// Gives out slots one piece of work at a time, each to the evolution whose turn it is then.
    pub(super) fn place_work(&mut self) {
        let mut slots = self.state.free_slots();
        if slots.is_empty() {
            return;
        }
        let mut queue = self.state.queue();
        while !slots.is_empty() {
            let Some((place, mut contender)) = queue.pop_first() else { return };
            // Who gets nothing now gets nothing later in this turn: slots only become fewer.
            if let Some((taken, token)) = self.place_next(&mut contender, &mut slots) {
                self.state.served.insert(contender.id.clone(), token);
                queue.insert(place.after(taken, token), contender);
            }
        }
    }

    /// Slots for a waiting round, or one for the next waiting job.
    fn place_next(&mut self, contender: &mut Contender, slots: &mut FreeSlots) -> Option<(u32, FencingToken)> {
        let jobs = match &contender.work {
            Work::Round(round) => return self.place_round(round, slots),
            work @ (Work::Jobs(_) | Work::Contest(_)) => work.jobs(),
        };
        let waiting = |id: &JobId| self.state.jobs.get(id).and_then(Job::waiting).is_some();
        contender.next_job += jobs.iter().skip(contender.next_job).position(waiting)?;
        let id = jobs.get(contender.next_job)?;
        let avoid = self.state.jobs.get(id).and_then(Job::waiting)?.avoid.clone();
        let choice = slots.take_one(avoid.as_ref()).ok()?;
        self.lease(id, choice.worker).map(|token| (1, token))
    }

    fn lease(&mut self, id: &JobId, worker: WorkerId) -> Option<FencingToken> {
        let (token, since) = (self.mint(), self.now);
        let job = self.job(id)?;
        let attempt = job.grant(worker.clone(), token)?;
        let spec = job.spec.clone();
        let (job, evolution) = (spec.id.clone(), spec.evolution.clone());
        let lease = AttemptLease { job, evolution, worker: worker.clone(), since, progress: None };
        self.state.leases.grant_attempt(token, lease);
        self.send(&worker, CoordinatorMessage::Lease { token, attempt, job: Box::new(spec) });
        Some(token)
    }

    fn place_round(&mut self, id: &RoundId, slots: &mut FreeSlots) -> Option<(u32, FencingToken)> {
        let round = self.state.rounds.get(id).filter(|round| round.state == RoundState::Waiting)?;
        let (spec, resume) = (round.spec.clone(), round.saved);
        let ranks = self.state.ranks_now(self.now, round, slots.total);
        let workers = slots.take_gang(ranks, &spec.evolution).ok()?;
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
        Some((world_size, token))
    }
}
