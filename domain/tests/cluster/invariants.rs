//! The invariants, by name, checked after every event on the state and on what was persisted.

use std::collections::{BTreeMap, BTreeSet};

use galapagos_domain::cluster::evolution::{List, StepRun, Work};
use galapagos_domain::cluster::job::JobState;
use galapagos_domain::cluster::round::RoundState;
use galapagos_domain::cluster::view::{Phase, Status};
use galapagos_domain::cluster::{ClusterState, Evolution, Job, Record, Round};
use galapagos_domain::fence::{FencingToken, Incarnation, LeaderEpoch};
use galapagos_domain::ids::{EvolutionId, JobId, RoundId, WorkerId};
use galapagos_domain::member::Origin;
use galapagos_domain::recipe::step::RecipeStep;
use galapagos_domain::time::Timestamp;

/// Every so many events the whole store is loaded and compared; the other invariants are checked after every event, on the
/// records that it wrote.
const LOAD_EVERY: u64 = 16;

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Witness {
    events: u64,
    ended: BTreeMap<JobId, JobState>,
    newest: Option<FencingToken>,
    /// The latest token of each job and round.
    tokens: BTreeMap<String, FencingToken>,
    /// Token of each round that was committed.
    committed: BTreeMap<String, FencingToken>,
}

/// What was persisted.
pub type Store = BTreeMap<String, Record>;

fn job<'a>(store: &'a Store, id: &JobId) -> &'a Job {
    match &store[&format!("job/{id}")] {
        Record::Job(job) => job,
        other => panic!("{id} is kept as {other:?}"),
    }
}

fn evolution<'a>(store: &'a Store, id: &EvolutionId) -> &'a Evolution {
    match &store[&format!("evolution/{id}")] {
        Record::Evolution(evolution) => evolution,
        other => panic!("{id} is kept as {other:?}"),
    }
}

fn round<'a>(store: &'a Store, id: &RoundId) -> &'a Round {
    match &store[&format!("round/{id}")] {
        Record::Round(round) => round,
        other => panic!("{id} is kept as {other:?}"),
    }
}

impl Witness {
    /// NO-LEASE-TO-DEAD-WORKER and TOKENS-GROW, on the leases that an event wrote: a token that is new for its job or round
    /// is greater than all before, and its workers have open sessions.
    fn leases_are_sound(&mut self, store: &Store, written: &[String], open: &BTreeSet<(WorkerId, Incarnation)>) {
        let before = self.newest;
        for key in written {
            let (token, workers) = match &store[key] {
                Record::Job(job) => match job.lease() {
                    Some(lease) => (lease.token, std::slice::from_ref(&lease.worker)),
                    None => continue,
                },
                Record::Round(round) => match round.table() {
                    Some(table) => (table.token, table.workers.as_slice()),
                    None => continue,
                },
                Record::Mint(_) | Record::Evolution(_) | Record::Worker(_) => continue,
            };
            if self.tokens.insert(key.clone(), token) == Some(token) {
                continue;
            }
            assert!(before < Some(token), "TOKENS-GROW: {key} got {token} after {before:?}");
            for worker in workers {
                let alive = open.iter().any(|(name, _)| name == worker);
                assert!(alive, "NO-LEASE-TO-DEAD-WORKER: {key} went to {worker}");
            }
            self.newest = self.newest.max(Some(token));
        }
    }

    /// After an event that wrote `written`; `open` are the sessions that the coordinator holds open.
    pub fn check(
        &mut self,
        state: &ClusterState,
        store: &Store,
        written: &[String],
        open: &BTreeSet<(WorkerId, Incarnation)>,
    ) {
        self.leases_are_sound(store, written, open);
        for record in written.iter().map(|key| &store[key]) {
            match record {
                Record::Mint(_) | Record::Worker(_) => {}
                Record::Evolution(evolution) => {
                    generations_follow_steps(evolution, store);
                    nothing_outlives(evolution, store);
                }
                Record::Job(job) => self.job_ends_once(job),
                Record::Round(round) => self.round_is_atomic(round, evolution(store, &round.spec.evolution)),
            }
        }
        slots_are_not_overfilled(store);
        if self.events.is_multiple_of(LOAD_EVERY) {
            load_equals_state(state, store);
        }
        self.events += 1;
    }

    /// JOB-ENDS-ONCE and ONE-RESULT-PER-JOB: an end, with its token and output, never changes.
    fn job_ends_once(&mut self, job: &Job) {
        let id = &job.spec.id;
        let ended = match &job.state {
            JobState::Waiting(_) | JobState::Leased(_) => false,
            JobState::Done(_) | JobState::Failed(_) | JobState::Revoked(_) => true,
        };
        match self.ended.get(id) {
            Some(before) => assert_eq!(&job.state, before, "JOB-ENDS-ONCE, ONE-RESULT-PER-JOB: {id}"),
            None if ended => drop(self.ended.insert(id.clone(), job.state.clone())),
            None => {}
        }
    }

    /// ROUND-ATOMIC: one member per committed round, by its last try, and none of any other round.
    fn round_is_atomic(&mut self, round: &Round, evolution: &Evolution) {
        let id = &round.spec.id;
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

/// JOB-ENDS-ONCE: with its evolution at the latest.
fn nothing_outlives(evolution: &Evolution, store: &Store) {
    if evolution.status.is_final() {
        for job in evolution.steps.iter().flat_map(|run| run.work.jobs()).map(|id| job(store, id)) {
            let over = job.waiting().is_none() && job.lease().is_none();
            assert!(over, "JOB-ENDS-ONCE: {} goes on after its evolution", job.spec.id);
        }
    }
}

/// SLOTS-NOT-OVERFILLED.
fn slots_are_not_overfilled(store: &Store) {
    let mut taken: BTreeMap<&WorkerId, u32> = BTreeMap::new();
    for (_, record) in store.range("evolution/".to_owned().."evolution0".to_owned()) {
        let Record::Evolution(evolution) = record else { continue };
        let Some(run) = evolution.steps.last() else { continue };
        let of_jobs = run.work.jobs().iter().filter_map(|id| Some(&job(store, id).lease()?.worker));
        let of_round =
            run.work.round().and_then(|id| round(store, id).table()).into_iter().flat_map(|table| &table.workers);
        for worker in of_jobs.chain(of_round) {
            *taken.entry(worker).or_default() += 1;
        }
    }
    for (worker, taken) in taken {
        let Record::Worker(known) = &store[&format!("worker/{worker}")] else { panic!("{worker} is no worker") };
        assert!(taken <= known.slots, "SLOTS-NOT-OVERFILLED: {taken} on {worker}");
    }
}

/// GENERATION-AFTER-STEPS: recipe steps run in order, those of controllers first, one at a time, and a later one starts only when all
/// before are done.
fn generations_follow_steps(evolution: &Evolution, store: &Store) {
    let is_step = |run: &StepRun| run.list == List::Steps;
    let places: Vec<(Phase, bool, usize)> =
        evolution.steps.iter().map(|run| (run.phase, is_step(run), run.position)).collect();
    assert!(places.is_sorted(), "GENERATION-AFTER-STEPS: {places:?}");
    for (index, run) in evolution.steps.iter().enumerate() {
        let last = index + 1 == evolution.steps.len();
        assert!(run.outcome.is_some() || last, "GENERATION-AFTER-STEPS: {} was left open", run.path());
        if run.outcome.is_none() {
            continue;
        }
        for job in run.work.jobs().iter().map(|id| job(store, id)) {
            let done = match run.work {
                Work::Contest(_) => job.waiting().is_none() && job.lease().is_none(),
                Work::Jobs(_) | Work::Round(_) => job.output().is_some(),
            };
            assert!(done, "GENERATION-AFTER-STEPS: {} has an open job", run.path());
        }
    }
    if let Some((Phase::Generation(generation), _, 0)) = places.last()
        && *generation > 1
    {
        let runs = |step: &&RecipeStep| step.generations().contains(generation - 1);
        let all = evolution.recipe.each.iter().filter(runs).count();
        let ran = places.iter().filter(|(phase, step, _)| *step && *phase == Phase::Generation(generation - 1)).count();
        assert_eq!(ran, all, "GENERATION-AFTER-STEPS: generation {generation} began early");
    }
    if evolution.status == Status::Done {
        assert!(evolution.running_step().is_none(), "GENERATION-AFTER-STEPS: done with an open recipe step");
    }
}

/// LOAD-EQUALS-STATE: what was persisted, also as JSON, is all that is durable.
pub fn load_equals_state(state: &ClusterState, store: &Store) {
    let through_json =
        |record: &Record| -> Record { serde_json::from_slice(&serde_json::to_vec(record).unwrap()).unwrap() };
    let records: Vec<Record> = store.values().map(through_json).collect();
    let (loaded, _) = ClusterState::load(records, LeaderEpoch(1), Timestamp(0), state.limits().clone()).unwrap();
    let keyed = |state: &ClusterState| -> BTreeMap<String, Record> {
        state.records().into_iter().map(|record| (record.key(), record)).collect()
    };
    assert_eq!(keyed(&loaded), keyed(state), "LOAD-EQUALS-STATE");
}
