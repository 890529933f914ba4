//! The invariants, by name, checked after every event on the state and on what was persisted.

use std::collections::BTreeMap;

use galapagos_domain::cluster::evolution::Work;
use galapagos_domain::cluster::job::JobState;
use galapagos_domain::cluster::round::RoundState;
use galapagos_domain::cluster::view::{Phase, Status};
use galapagos_domain::cluster::{ClusterState, Evolution, Job, Record, Round};
use galapagos_domain::fence::{FencingToken, LeaderEpoch};
use galapagos_domain::ids::{JobId, WorkerId};
use galapagos_domain::member::Origin;
use galapagos_domain::session::CoordinatorMessage;
use galapagos_domain::time::Timestamp;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Witness {
    ended: BTreeMap<JobId, JobState>,
    newest: Option<FencingToken>,
    /// Token of each round that was committed.
    committed: BTreeMap<String, FencingToken>,
}

/// The persisted records by kind.
#[derive(Default)]
struct Stored<'a> {
    evolutions: Vec<&'a Evolution>,
    jobs: BTreeMap<&'a JobId, &'a Job>,
    rounds: Vec<&'a Round>,
    slots: BTreeMap<&'a WorkerId, u32>,
}

impl Witness {
    /// A message on its way to a worker.
    pub fn sent(&mut self, worker: &WorkerId, open: bool, message: &CoordinatorMessage) {
        let token = match message {
            CoordinatorMessage::Lease { token, .. } => *token,
            CoordinatorMessage::PrepareRank(spec) => spec.token,
            CoordinatorMessage::Registered { .. }
            | CoordinatorMessage::Revoke { .. }
            | CoordinatorMessage::StartRank { .. }
            | CoordinatorMessage::KillRanks { .. }
            | CoordinatorMessage::Acknowledge { .. } => return,
        };
        assert!(open, "NO-LEASE-TO-DEAD-WORKER: {worker} has no session and got token {token}");
        let another_rank = matches!(message, CoordinatorMessage::PrepareRank(spec) if spec.rank > 0);
        let grows = if another_rank { self.newest <= Some(token) } else { self.newest < Some(token) };
        assert!(grows, "TOKENS-GROW: {token} after {:?}", self.newest);
        self.newest = Some(token);
    }

    pub fn check(&mut self, state: &ClusterState, store: &BTreeMap<String, Record>) {
        let mut stored = Stored::default();
        for record in store.values() {
            match record {
                Record::Mint(_) => {}
                Record::Evolution(evolution) => stored.evolutions.push(evolution),
                Record::Job(job) => drop(stored.jobs.insert(&job.spec.id, job)),
                Record::Round(round) => stored.rounds.push(round),
                Record::Worker(known) => drop(stored.slots.insert(&known.id, known.slots)),
            }
        }
        self.jobs_end_once(&stored);
        self.rounds_are_atomic(&stored);
        slots_are_not_overfilled(&stored);
        generations_follow_steps(&stored);
        load_equals_state(state, store);
    }

    /// JOB-ENDS-ONCE and ONE-RESULT-PER-JOB: an end, with its token and output, never changes.
    fn jobs_end_once(&mut self, stored: &Stored<'_>) {
        for (id, job) in &stored.jobs {
            let ended = match &job.state {
                JobState::Waiting(_) | JobState::Leased(_) => false,
                JobState::Done(_) | JobState::Failed(_) | JobState::Revoked(_) => true,
            };
            match self.ended.get(*id) {
                Some(before) => assert_eq!(&job.state, before, "JOB-ENDS-ONCE, ONE-RESULT-PER-JOB: {id}"),
                None if ended => drop(self.ended.insert((*id).clone(), job.state.clone())),
                None => {}
            }
        }
        for evolution in stored.evolutions.iter().filter(|evolution| evolution.status.is_final()) {
            for id in evolution.steps.iter().flat_map(|run| run.work.jobs()) {
                assert!(self.ended.contains_key(id), "JOB-ENDS-ONCE: {id} goes on after its evolution");
            }
        }
    }

    /// ROUND-ATOMIC: one member per committed round, by its last try, and none of any other round.
    fn rounds_are_atomic(&mut self, stored: &Stored<'_>) {
        for round in &stored.rounds {
            let id = &round.spec.id;
            let evolution = stored.evolutions.iter().find(|evolution| evolution.id == round.spec.evolution).unwrap();
            let made_here = |origin: &Origin| matches!(origin, Origin::Trained { round, .. } if round == id);
            let members: Vec<_> = evolution.members.iter().filter(|member| made_here(&member.origin)).collect();
            match &round.state {
                RoundState::Committed(committed) => {
                    assert_eq!(members.len(), 1, "ROUND-ATOMIC: {id} made {members:?}");
                    assert_eq!(members[0].id, committed.member, "ROUND-ATOMIC: {id}");
                    assert_eq!(round.tries.last().unwrap().token, committed.token, "ROUND-ATOMIC: {id}");
                    let before = self.committed.insert(id.to_string(), committed.token);
                    assert!(before.is_none_or(|before| before == committed.token), "ROUND-ATOMIC: {id} twice");
                }
                RoundState::Waiting
                | RoundState::Preparing(_)
                | RoundState::Running(_)
                | RoundState::Failed(_)
                | RoundState::Revoked(_) => {
                    assert!(members.is_empty(), "ROUND-ATOMIC: {id} is not committed and made {members:?}");
                }
            }
        }
    }
}

/// SLOTS-NOT-OVERFILLED.
fn slots_are_not_overfilled(stored: &Stored<'_>) {
    let of_jobs = stored.jobs.values().filter_map(|job| Some(&job.lease()?.worker));
    let of_rounds = stored.rounds.iter().filter_map(|round| round.table()).flat_map(|table| &table.workers);
    let mut taken: BTreeMap<&WorkerId, u32> = BTreeMap::new();
    for worker in of_jobs.chain(of_rounds) {
        *taken.entry(worker).or_default() += 1;
    }
    for (worker, taken) in taken {
        assert!(taken <= stored.slots[worker], "SLOTS-NOT-OVERFILLED: {taken} on {worker}");
    }
}

/// GENERATION-AFTER-STEPS: recipe steps run in order, one at a time, and a later one starts only when all before are done.
fn generations_follow_steps(stored: &Stored<'_>) {
    for evolution in &stored.evolutions {
        let places: Vec<(Phase, usize)> = evolution.steps.iter().map(|run| (run.phase, run.position)).collect();
        assert!(places.is_sorted(), "GENERATION-AFTER-STEPS: {places:?}");
        for (index, run) in evolution.steps.iter().enumerate() {
            let last = index + 1 == evolution.steps.len();
            assert!(run.outcome.is_some() || last, "GENERATION-AFTER-STEPS: {} was left open", run.path());
            if run.outcome.is_some() {
                let over = |id: &JobId| stored.jobs[id].waiting().is_none() && stored.jobs[id].lease().is_none();
                assert!(run.work.jobs().iter().all(over), "GENERATION-AFTER-STEPS: {} has open jobs", run.path());
            }
            if let (Work::Jobs(jobs), Some(_)) = (&run.work, &run.outcome) {
                assert!(
                    jobs.iter().all(|id| stored.jobs[id].output().is_some()),
                    "GENERATION-AFTER-STEPS: {}",
                    run.path()
                );
            }
        }
        if let Some((Phase::Generation(generation), 0)) = places.last()
            && *generation > 1
        {
            let all = evolution.recipe.each.len();
            let ran = places.iter().filter(|(phase, _)| *phase == Phase::Generation(generation - 1)).count();
            assert_eq!(ran, all, "GENERATION-AFTER-STEPS: generation {generation} began early");
        }
        if evolution.status == Status::Done {
            assert!(evolution.running_step().is_none(), "GENERATION-AFTER-STEPS: done with an open recipe step");
        }
    }
}

/// LOAD-EQUALS-STATE: what was persisted, also as JSON, is all that is durable.
fn load_equals_state(state: &ClusterState, store: &BTreeMap<String, Record>) {
    let through_json =
        |record: &Record| -> Record { serde_json::from_slice(&serde_json::to_vec(record).unwrap()).unwrap() };
    let records: Vec<Record> = store.values().map(through_json).collect();
    let (loaded, _) = ClusterState::load(records, LeaderEpoch(1), Timestamp(0), state.limits().clone()).unwrap();
    let keyed = |state: &ClusterState| -> BTreeMap<String, Record> {
        state.records().into_iter().map(|record| (record.key(), record)).collect()
    };
    assert_eq!(keyed(&loaded), keyed(state), "LOAD-EQUALS-STATE");
}
