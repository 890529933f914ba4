//! OVERTAKEN-ONCE: while an evolution waits and has no slot in use, each other evolution of its priority or a lower one gets slots at most
//! once before it. So none starves: not a round behind the jobs of others, nor jobs behind the rounds of others.

use std::collections::BTreeMap;

use galapagos_domain::cluster::round::RoundState;
use galapagos_domain::cluster::view::Status;
use galapagos_domain::cluster::worker_view::{Liveness, WorkerView};
use galapagos_domain::cluster::{Evolution, Job, Record, Round};
use galapagos_domain::fence::FencingToken;
use galapagos_domain::ids::EvolutionId;

use crate::invariants::Store;

/// By how many others, and how often, each evolution was overtaken while it waits.
#[derive(Debug, Default)]
pub struct Patience {
    waiting: BTreeMap<EvolutionId, BTreeMap<EvolutionId, u32>>,
    /// The latest token of each job and round.
    tokens: BTreeMap<String, FencingToken>,
}

impl Patience {
    /// After an event that wrote `written`.
    pub fn check(&mut self, store: &Store, written: &[String], workers: &[WorkerView]) {
        let granted: Vec<EvolutionId> = written.iter().filter_map(|key| self.granted(key, &store[key])).collect();
        let present = workers.iter().filter(|worker| worker.liveness == Liveness::Present);
        let total = present.map(|worker| worker.slots.len()).sum();
        let mut waiting = BTreeMap::new();
        for evolution in evolutions(store).filter(|evolution| waits(evolution, store, total)) {
            let mut overtaken = self.waiting.remove(&evolution.id);
            if let Some(overtaken) = &mut overtaken {
                let others = granted.iter().filter(|id| **id != evolution.id);
                for other in others.filter(|id| priority(store, id) <= evolution.recipe.priority) {
                    let times = overtaken.entry(other.clone()).or_default();
                    *times += 1;
                    assert!(*times <= 1, "OVERTAKEN-ONCE: {} waits and {other} got slots twice", evolution.id);
                }
            }
            // What was given out in the event that made it wait was given out before.
            waiting.insert(evolution.id.clone(), overtaken.unwrap_or_default());
        }
        self.waiting = waiting;
    }

    /// Whose record this is, if it got slots in this event.
    fn granted(&mut self, key: &str, record: &Record) -> Option<EvolutionId> {
        let (token, evolution) = match record {
            Record::Job(job) => (job.lease()?.token, &job.spec.evolution),
            Record::Round(round) => (round.table()?.token, &round.spec.evolution),
            Record::Mint(_) | Record::Evolution(_) | Record::Worker(_) => return None,
        };
        let known = self.tokens.insert(key.to_owned(), token);
        (known != Some(token)).then(|| evolution.clone())
    }
}

fn evolutions(store: &Store) -> impl Iterator<Item = &Evolution> {
    store.values().filter_map(|record| match record {
        Record::Evolution(evolution) => Some(evolution.as_ref()),
        Record::Mint(_) | Record::Job(_) | Record::Round(_) | Record::Worker(_) => None,
    })
}

fn priority(store: &Store, id: &EvolutionId) -> i32 {
    evolutions(store).find(|evolution| evolution.id == *id).unwrap().recipe.priority
}

/// Whether an evolution has no slot, and work that the `total` slots of the cluster would do.
fn waits(evolution: &Evolution, store: &Store, total: usize) -> bool {
    let Some(run) = evolution.running_step().filter(|_| evolution.status == Status::Running) else { return false };
    if let Some(id) = run.work.round() {
        let Record::Round(round) = &store[&format!("round/{id}")] else { panic!("{id}") };
        let round: &Round = round;
        return round.state == RoundState::Waiting && round.spec.train.ranks as usize <= total;
    }
    let jobs: Vec<&Job> = run
        .work
        .jobs()
        .iter()
        .map(|id| match &store[&format!("job/{id}")] {
            Record::Job(job) => job.as_ref(),
            other => panic!("{other:?}"),
        })
        .collect();
    total > 0 && jobs.iter().all(|job| job.lease().is_none()) && jobs.iter().any(|job| job.waiting().is_some())
}
