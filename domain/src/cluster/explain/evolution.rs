//! Why an evolution is where it is.

use super::{Explanation, Subject, Waiting, span};
use crate::cluster::ClusterState;
use crate::cluster::evolution::{Evolution, StepRun};
use crate::cluster::job::Job;
use crate::cluster::lease::Lease;
use crate::cluster::matching::NoSlot;
use crate::cluster::round::{Round, RoundState};
use crate::cluster::view::{Status, Summary};
use crate::ids::Name;
use crate::time::Timestamp;

/// A training rank that said nothing for longer is told as hanging.
const HANGS_MS: u64 = 10_000;

/// Where the variables are, each that a controller moved with the last decision that did.
fn moved(evolution: &Evolution) -> Vec<String> {
    let last = |name: &Name| {
        let decided = evolution.steps.iter().rev().find_map(|run| match &run.outcome.as_ref()?.summary {
            Summary::Control(decided) if decided.moves.iter().any(|moved| moved.name == *name) => Some((run, decided)),
            Summary::Control(_)
            | Summary::Propose { .. }
            | Summary::Base { .. }
            | Summary::Rollout { .. }
            | Summary::Curate { .. }
            | Summary::Train { .. }
            | Summary::Tournament(_)
            | Summary::Evaluate { .. } => None,
        });
        decided.map_or_else(String::new, |(run, decided)| {
            format!(", by {} in {}: {} {:.3}", run.name, run.phase, decided.metric, decided.value)
        })
    };
    evolution.moved.iter().map(|(name, value)| format!("variable {name} is {value}{}", last(name))).collect()
}

impl ClusterState {
    pub(super) fn explain_evolution(&self, now: Timestamp, evolution: &Evolution) -> Explanation {
        let waiting = self.waiting_on(now, evolution);
        let mut facts: Vec<String> = evolution.failure.clone();
        facts.extend(evolution.stopped.iter().map(|why| format!("no further generation: {why}")));
        if evolution.retries > 0 {
            facts.push(format!("{} attempts or round tries were repeated", evolution.retries));
        }
        facts.extend(moved(evolution));
        if let Some(run) = evolution.running_step() {
            facts.extend(self.running_facts(now, run));
        }
        let (what, culprit, helps) =
            waiting.map_or((None, None, None), |waiting| (Some(waiting.what), waiting.culprit, waiting.helps));
        Explanation {
            id: evolution.id.to_string(),
            subject: Subject::Evolution,
            state: self.evolution_state(now, evolution, what.is_some()),
            facts,
            waits_for: what,
            culprit,
            helps,
        }
    }

    fn evolution_state(&self, now: Timestamp, evolution: &Evolution, waits: bool) -> String {
        let at = evolution.running_step().map(|run| {
            let elapsed = run.elapsed_ms + self.unbooked_ms(now, evolution, run);
            format!("{} in {}, for {}", run.verb, run.path(), span(elapsed))
        });
        let at = at.map_or_else(String::new, |at| format!(": {at}"));
        match evolution.status {
            Status::Running if waits => format!("waiting{at}"),
            Status::Running => format!("running{at}"),
            Status::Paused => format!("paused{at}"),
            Status::Done => "done".to_owned(),
            Status::Failed => "failed".to_owned(),
            Status::Cancelled => "cancelled".to_owned(),
        }
    }

    fn running_facts(&self, now: Timestamp, run: &StepRun) -> Vec<String> {
        let jobs: Vec<&Job> = run.work.jobs().iter().filter_map(|id| self.jobs.get(id)).collect();
        let mut facts = Vec::new();
        if !jobs.is_empty() {
            let ended = jobs.iter().filter(|job| job.output().is_some()).count();
            let waiting = jobs.iter().filter(|job| job.waiting().is_some()).count();
            facts.push(format!("{ended} of {} jobs done, {waiting} wait", jobs.len()));
        }
        for job in jobs {
            if let Some(attempt) = job.lease().and_then(|lease| self.leases.attempt(lease.token)) {
                let running = span(now.since(attempt.since));
                facts.push(format!(
                    "job {} runs on {} for {running}, attempt {}",
                    job.spec.id, attempt.worker, job.attempts
                ));
            }
        }
        facts
    }

    /// Why nothing of the running recipe step runs; `None` if something does or the evolution has ended.
    pub(super) fn waiting_on(&self, now: Timestamp, evolution: &Evolution) -> Option<Waiting> {
        match evolution.status {
            Status::Paused => {
                return Some(Waiting {
                    what: "a person: it is paused".to_owned(),
                    culprit: None,
                    helps: Some(format!("galapagos resume {}", evolution.id)),
                });
            }
            Status::Done | Status::Failed | Status::Cancelled => return None,
            Status::Running => {}
        }
        let run = evolution.running_step()?;
        if let Some(round) = run.work.round().and_then(|id| self.rounds.get(id)) {
            return self.round_waits(now, round);
        }
        let jobs = || run.work.jobs().iter().filter_map(|id| self.jobs.get(id));
        let leased: Vec<&Job> = jobs().filter(|job| job.lease().is_some()).collect();
        if leased.is_empty() {
            return jobs()
                .any(|job| job.waiting().is_some())
                .then(|| self.no_slot(&self.why_no_slot(now, evolution, None)));
        }
        let held_by_absent = |job: &&Job| job.lease().is_some_and(|lease| !self.is_present(&lease.worker));
        if !leased.iter().all(held_by_absent) {
            return None;
        }
        let lease = leased.first().and_then(|job| job.lease())?;
        Some(self.absent(&lease.worker))
    }

    /// What a job that has no slot waits for.
    pub(super) fn job_waits(&self, now: Timestamp, evolution: &Evolution) -> Waiting {
        match evolution.status {
            Status::Running => self.no_slot(&self.why_no_slot(now, evolution, None)),
            Status::Paused | Status::Done | Status::Failed | Status::Cancelled => Waiting {
                what: "a person: its evolution is paused".to_owned(),
                culprit: None,
                helps: Some(format!("galapagos resume {}", evolution.id)),
            },
        }
    }

    /// Why a round does not train.
    pub(super) fn round_waits(&self, now: Timestamp, round: &Round) -> Option<Waiting> {
        match &round.state {
            RoundState::Waiting => {
                let evolution = self.evolutions.get(&round.spec.evolution)?;
                let ranks = self.ranks_now(now, round, self.free_slots().total);
                Some(self.no_slot(&self.why_no_slot(now, evolution, Some(ranks))))
            }
            RoundState::Preparing(preparing) => {
                let late: Vec<u32> =
                    (0..preparing.table.workers.len() as u32).filter(|rank| !preparing.ready.contains(rank)).collect();
                let worker = late.first().and_then(|rank| preparing.table.workers.get(*rank as usize));
                Some(Waiting {
                    what: format!("ranks {late:?} to load data and weights"),
                    culprit: worker.map(|worker| format!("worker {worker}")),
                    helps: None,
                })
            }
            RoundState::Running(running) => {
                let absent = running.table.workers.iter().find(|worker| !self.is_present(worker));
                absent.map(|worker| self.absent(worker)).or_else(|| self.hanging(now, round))
            }
            RoundState::Committed(_) | RoundState::Failed(_) | RoundState::Revoked(_) => None,
        }
    }

    /// The rank that was silent first, when ranks that should train do not: in a collective the others stop with it.
    fn hanging(&self, now: Timestamp, round: &Round) -> Option<Waiting> {
        let lease = self.leases.round_try(round.table()?.token)?;
        let first = (0u32..).zip(&lease.ranks).min_by_key(|(rank, holder)| (holder.heard, *rank));
        let (rank, silent, worker) = first.map(|(rank, holder)| (rank, now.since(holder.heard), &holder.worker))?;
        (silent >= HANGS_MS).then(|| Waiting {
            what: format!("rank {rank}, which made no progress for {}", span(silent)),
            culprit: Some(format!("rank {rank} on worker {worker}")),
            helps: Some(format!("nothing to do: it is replaced after {}", span(round.spec.stall_limit_ms))),
        })
    }

    fn is_present(&self, worker: &crate::ids::WorkerId) -> bool {
        self.roster.get(worker).is_some_and(|worker| worker.is_present())
    }

    fn absent(&self, worker: &crate::ids::WorkerId) -> Waiting {
        let limit = span(self.limits.silence_limit_ms);
        Waiting {
            what: format!("worker {worker} to come back; after {limit} of silence its work goes to others"),
            culprit: Some(format!("worker {worker} is not connected")),
            helps: Some("see that the worker runs and reaches the coordinator".to_owned()),
        }
    }

    /// Asks the matching again, as it was asked after the last event.
    fn why_no_slot(&self, now: Timestamp, evolution: &Evolution, ranks: Option<u32>) -> NoSlot {
        let mut slots = self.free_slots();
        let first = self.queue().into_values().take_while(|contender| contender.id != evolution.id);
        for contender in first {
            let round = contender.work.round().and_then(|id| self.rounds.get(id));
            if let Some(round) = round.filter(|round| round.state == RoundState::Waiting) {
                let _kept = slots.take_gang(self.ranks_now(now, round, slots.total), &contender.id);
            }
        }
        let total = slots.total;
        let refused = match ranks {
            Some(ranks) => slots.take_gang(ranks, &evolution.id).err(),
            None => slots.take_one(None).err(),
        };
        refused.unwrap_or(NoSlot::AllTaken { total })
    }

    fn no_slot(&self, why: &NoSlot) -> Waiting {
        let helps = match why {
            NoSlot::NoWorker => Some("start a worker: galapagos worker".to_owned()),
            NoSlot::TooFew { needed, total } => Some(format!("start workers with {} more slots", needed - total)),
            NoSlot::AllTaken { .. } | NoSlot::Gathering { .. } => Some("wait, or start another worker".to_owned()),
            NoSlot::KeptFor { evolution } => Some(format!("wait, or galapagos pause {evolution}")),
        };
        let culprit = match why {
            NoSlot::NoWorker | NoSlot::TooFew { .. } => None,
            NoSlot::AllTaken { .. } | NoSlot::Gathering { .. } => self.oldest_lease(),
            NoSlot::KeptFor { evolution } => Some(format!("the round of {evolution} gathers slots")),
        };
        Waiting { what: why.to_string(), culprit, helps }
    }

    /// What holds a slot for longest.
    fn oldest_lease(&self) -> Option<String> {
        self.leases.iter().next().map(|(_, lease)| match lease {
            Lease::Attempt(attempt) => format!("job {} holds a slot of worker {}", attempt.job, attempt.worker),
            Lease::Try(round_try) => format!("round {} holds {} slots", round_try.round, round_try.ranks.len()),
        })
    }
}
