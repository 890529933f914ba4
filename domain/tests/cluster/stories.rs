//! What people see and workers are told in situations that matter, one by one.

use galapagos_domain::cluster::view::{Decision, EvolutionView, Status, Summary};
use galapagos_domain::cluster::worker_view::{Liveness, SlotView};
use galapagos_domain::cluster::{Action, ClusterState, Event, Explanation, Job, Limits, Record, RejectionKind};
use galapagos_domain::fence::LeaderEpoch;
use galapagos_domain::ids::EvolutionId;
use galapagos_domain::job::{FailureClass, JobFailure, JobKind};
use galapagos_domain::member::Standing;
use galapagos_domain::plan::Plan;
use galapagos_domain::recipe::generations::Generations;
use galapagos_domain::recipe::step::RecipeStep;
use galapagos_domain::session::{CoordinatorMessage, WorkerMessage};
use galapagos_domain::time::Timestamp;

use crate::act::Act;
use crate::recipes;
use crate::sim_worker::How;
use crate::world::World;

pub fn limits() -> Limits {
    Limits { attempt_budget: 3, loss_budget: 5, ..Limits::default() }
}

pub fn view(world: &World, id: &EvolutionId) -> EvolutionView {
    world.state.view(world.now, id).unwrap()
}

pub fn explain(world: &World, id: &str) -> Explanation {
    world.state.explain(world.now, id).unwrap_or_else(|| panic!("no explanation of {id}"))
}

pub fn jobs(world: &World) -> Vec<Job> {
    let job = |record: Record| match record {
        Record::Job(job) => Some(*job),
        Record::Mint(_) | Record::Evolution(_) | Record::Round(_) | Record::Worker(_) => None,
    };
    world.state.records().into_iter().filter_map(job).collect()
}

/// Works on calmly until the running recipe step has this name.
fn work_until(world: &mut World, id: &EvolutionId, step: &str) {
    for _ in 0..500 {
        let running = view(world, id).steps.into_iter().rfind(|run| !run.done);
        if running.is_some_and(|run| run.name.as_str() == step) {
            return;
        }
        for worker in 0..3 {
            world.advance(worker, 0, How::Well);
        }
    }
    panic!("{step} is never reached: {:?}", explain(world, id.as_str()));
}

fn with_workers(workers: usize) -> (World, EvolutionId) {
    let mut world = World::new(limits());
    (0..workers).for_each(|worker| world.register(worker));
    let id = world.submit(recipes::full());
    (world, id)
}

#[test]
fn a_calm_evolution_names_everything_it_did() {
    let (mut world, id) = with_workers(3);
    world.heal();
    let view = view(&world, &id);
    assert_eq!((id.as_str(), view.status, view.retries), ("full-1", Status::Done, 0));
    let steps: Vec<String> = view.steps.iter().map(|step| format!("{}/{}", step.phase, step.name)).collect();
    let generation = |g: u32| {
        ["samples", "correct", "candidate", "train-4", "ladder", "evaluate-6"].map(|name| format!("g{g}/{name}"))
    };
    let mut expected = vec!["base/base".to_owned(), "first/shown".to_owned(), "first/train-2".to_owned()];
    expected.extend(generation(1).into_iter().chain(generation(2)));
    expected.push("finish/evaluate-1".to_owned());
    assert_eq!(steps, expected);
    assert!(view.steps.iter().all(|step| step.done && step.progress.0 == step.progress.1 && step.summary.is_some()));
    assert_eq!(view.members.len(), 6, "base, first, and a candidate and a critic per generation");
    assert!(view.members[1].id.as_str().starts_with("policy-g0-"));
    let Some(Summary::Evaluate { scores }) = &view.steps.last().unwrap().summary else { panic!("no scores") };
    let called: Vec<&str> = scores.iter().map(|score| score.called.as_str()).collect();
    assert_eq!((called, scores[0].n), (vec!["base", "champion"], 5));
}

#[test]
fn a_gate_moves_the_role_only_when_it_promotes_and_the_lineage_tells() {
    let (mut world, id) = with_workers(3);
    world.heal();
    let view = view(&world, &id);
    let ladders = view.steps.iter().filter_map(|step| match &step.summary {
        Some(Summary::Tournament(ladder)) => Some(ladder),
        _ => None,
    });
    let mut holder = view.members[1].id.clone();
    for ladder in ladders {
        let standing = view.members.iter().find(|member| member.id == ladder.challenger).unwrap().standing;
        assert_eq!(ladder.holder, holder);
        match ladder.decision {
            Decision::Promoted => holder = ladder.challenger.clone(),
            Decision::Refused | Decision::Inconclusive => assert_eq!(standing, Standing::Refused),
            Decision::Undecided => panic!("an undecided gate was passed"),
        }
        let lineage = world.state.lineage(&id, &ladder.challenger).unwrap();
        assert!(lineage.line[0].tournaments.iter().any(|(_, told)| told == ladder));
        assert!(lineage.line[0].datasets.iter().any(|origin| origin.step == "first/shown"));
        assert_eq!(lineage.line.last().unwrap().member.id, view.members[0].id, "every line ends at the base");
    }
    let policy = view.champions.iter().find(|(role, _)| role.as_str() == "policy").unwrap();
    assert_eq!(policy.1, holder);
}

#[test]
fn rollouts_of_successive_generations_take_successive_tasks_and_bouts_met_again_get_new_streams() {
    let (mut world, _) = with_workers(3);
    world.heal();
    let (mut taken, mut bouts) = (Vec::new(), std::collections::BTreeMap::new());
    for job in jobs(&world) {
        match &job.spec.kind {
            JobKind::Rollout(rollout) => taken.extend(rollout.tasks.indices.clone()),
            JobKind::Bout(bout) => {
                for task in &bout.tasks.indices {
                    let met = bouts.insert((bout.challenger, job.spec.seed, *task), job.spec.id.clone());
                    assert_eq!(met, None, "{} plays a bout again with the same streams", job.spec.id);
                }
            }
            JobKind::Base(_)
            | JobKind::Grow(_)
            | JobKind::Curate(_)
            | JobKind::Evaluate(_)
            | JobKind::Measure(_)
            | JobKind::Sweep(_)
            | JobKind::Propose(_) => {}
        }
    }
    taken.sort_unstable();
    // Two windows of 6 of 10 tasks: all tasks, two of them twice.
    assert_eq!(taken.len(), 12);
    taken.dedup();
    assert_eq!(taken, (0..10).collect::<Vec<u32>>());
}

#[test]
fn without_workers_the_view_and_explain_say_what_helps() {
    let (mut world, id) = with_workers(0);
    assert_eq!(view(&world, &id).waiting.as_deref(), Some("a worker: none is connected"));
    world.wait(134_000);
    let told = explain(&world, "evolution/full-1");
    assert_eq!(told.state, "waiting: base in base/base, for 2m14s");
    assert_eq!(told.helps.as_deref(), Some("start a worker: galapagos worker"));
    assert_eq!(explain(&world, "full-1/base/base/0").waits_for.as_deref(), Some("a worker: none is connected"));
    assert_eq!(world.state.explain(world.now, "full-2"), None);
}

#[test]
fn a_round_larger_than_the_cluster_waits_and_says_for_how_many_slots() {
    let mut world = World::new(limits());
    world.register(1);
    let id = world.submit(recipes::wide());
    work_until(&mut world, &id, "train-2");
    let told = explain(&world, "wide-1/g1/train-2");
    assert_eq!(told.waits_for.as_deref(), Some("3 slots at once; the connected workers have 2 in all"));
    assert_eq!(told.helps.as_deref(), Some("start workers with 1 more slots"));
    world.register(0);
    assert_eq!(
        explain(&world, "wide-1/g1/train-2").waits_for.as_deref(),
        Some("ranks [0, 1, 2] to load data and weights")
    );
}

#[test]
fn a_waiting_round_keeps_slots_from_younger_evolutions() {
    let mut world = World::new(limits());
    (0..3).for_each(|worker| world.register(worker));
    let older = world.submit(recipes::wide());
    let younger = world.submit(recipes::full());
    work_until(&mut world, &younger, "samples");
    work_until(&mut world, &older, "train-2");
    let waits = || jobs(&world).iter().filter(|job| job.spec.evolution == younger && job.waiting().is_some()).count();
    let gathering = explain(&world, older.as_str());
    if gathering.waits_for.as_deref().is_some_and(|what| what.contains("free slots at once")) {
        let before = waits();
        assert!(before > 0 && gathering.culprit.is_some());
    }
    world.heal();
    world.assert_all_final();
}

#[test]
fn a_worker_keeps_what_it_still_holds_and_a_new_process_nothing() {
    let (mut world, _) = with_workers(3);
    let id = world.evolutions[0].clone();
    work_until(&mut world, &id, "samples");
    let leased = |world: &World| -> Vec<_> {
        let leases = jobs(world).into_iter().filter_map(|job| Some((job.spec.id.clone(), job.lease()?.clone())));
        leases.filter(|(_, lease)| lease.worker.as_str() == "w2").collect()
    };
    let before = leased(&world);
    assert_eq!(before.len(), 2);
    world.restart();
    world.register(1);
    assert_eq!(leased(&world), before, "a reconnect keeps tokens, even over a restart of the coordinator");
    assert_eq!(view(&world, &id).retries, 0);
    world.workers[1].crash();
    world.register(1);
    let after = leased(&world);
    assert!(after.iter().all(|(_, lease)| before.iter().all(|(_, old)| old.token < lease.token)), "{after:?}");
    assert_eq!(view(&world, &id).retries, 2);
    let w2 = &world.state.workers(world.now)[1];
    assert_eq!((w2.incarnation.0, w2.liveness), (3, Liveness::Present));
    assert!(w2.slots.iter().all(|slot| matches!(slot, SlotView::Job { .. })));
}

#[test]
fn a_report_under_the_token_of_another_worker_is_acknowledged_and_ignored() {
    let (mut world, id) = with_workers(2);
    work_until(&mut world, &id, "samples");
    let before = world.state.records();
    let lease = jobs(&world).iter().filter_map(|job| job.lease().cloned()).find(|lease| lease.worker.as_str() == "w1");
    let (token, failure) = (lease.unwrap().token, JobFailure { class: FailureClass::Invalid, chain: vec![] });
    let incarnation = world.workers[1].session.unwrap();
    let (worker, message) = (world.workers[1].id.clone(), WorkerMessage::JobFailed { token, failure });
    let event = Event::Said { worker: worker.clone(), incarnation, message };
    let actions = world.state.apply(world.now, event).unwrap();
    let message = CoordinatorMessage::Acknowledge { token, rank: None };
    assert_eq!(actions, [Action::Send { worker, message }]);
    assert_eq!(world.state.records(), before);
}

#[test]
fn a_silent_worker_is_lost_and_its_work_goes_to_others() {
    let (mut world, id) = with_workers(2);
    work_until(&mut world, &id, "samples");
    world.workers[1].session = None;
    world.wait(9_000);
    world.heartbeats();
    assert_eq!(world.state.workers(world.now)[1].liveness, Liveness::Present);
    world.wait(1_001);
    assert_eq!(world.state.workers(world.now)[1].liveness, Liveness::Lost);
    assert_eq!(view(&world, &id).retries, 2);
    assert!(explain(&world, "worker/w2").state.starts_with("lost"));
}

#[test]
fn a_worker_that_missed_the_start_of_its_rank_is_told_again() {
    let mut world = World::new(limits());
    (0..2).for_each(|worker| world.register(worker));
    let id = world.submit(recipes::wide());
    work_until(&mut world, &id, "train-2");
    world.advance(0, 0, How::Well);
    world.act(&Act::Disconnect(0));
    world.advance(1, 0, How::Well);
    world.advance(1, 0, How::Well);
    world.register(0);
    world.advance(0, 0, How::Well);
    world.advance(1, 0, How::Well);
    world.advance(1, 0, How::Well);
    let view = view(&world, &id);
    assert_eq!((view.members.len(), view.retries), (2, 0), "{:?}", explain(&world, "wide-1/g1/train-2"));
}

/// Lets time pass while all workers are heard from.
fn live(world: &mut World, seconds: u32) {
    for _ in 0..seconds {
        world.heartbeats();
        world.wait(1_000);
    }
}

#[test]
fn an_attempt_beyond_its_time_limit_is_revoked_and_tried_elsewhere() {
    let (mut world, id) = with_workers(3);
    let attempt = |world: &World| jobs(world)[0].lease().cloned().unwrap();
    let first = attempt(&world);
    live(&mut world, 1_800);
    assert_eq!(attempt(&world), first);
    live(&mut world, 1);
    let second = attempt(&world);
    assert_ne!(second.worker, first.worker);
    assert_eq!((second.attempt, view(&world, &id).retries), (2, 1));
    let told = explain(&world, "full-1/base/base/0");
    assert!(told.facts[0].ends_with("beyond its time limit"), "{told:?}");
}

#[test]
fn ranks_that_do_not_get_ready_or_stall_end_their_try_and_are_named() {
    let mut world = World::new(limits());
    (0..2).for_each(|worker| world.register(worker));
    let id = world.submit(recipes::wide());
    work_until(&mut world, &id, "train-2");
    let round = "wide-1/g1/train-2";
    world.advance(1, 0, How::Well);
    live(&mut world, 121);
    let told = explain(&world, round).facts;
    assert!(told[0].ends_with("was not ready within 120000 ms"), "{told:?}");
    [0, 1, 1].into_iter().for_each(|worker| world.advance(worker, 0, How::Well));
    live(&mut world, 100);
    (0..2).for_each(|pick| world.act(&Act::Progress(1, pick)));
    live(&mut world, 21);
    let told = explain(&world, round).facts;
    assert!(
        told[1].contains("failed by rank 2 on worker w1: ") && told[1].ends_with("no progress for 120000 ms"),
        "{told:?}"
    );
    assert_eq!(view(&world, &id).retries, 2);
    world.heal();
    world.assert_all_final();
}

#[test]
fn votes_that_differ_are_tried_anew_and_then_fail_with_the_culprit() {
    let (mut world, id) = with_workers(3);
    work_until(&mut world, &id, "candidate");
    for _ in 0..40 {
        for worker in 0..3 {
            // Rank 0 on worker 2 does its work; rank 1 beside it votes for other weights.
            world.advance(worker, 0, How::Well);
            world.advance(worker, 1, if view(&world, &id).waiting.is_none() { How::Garbled } else { How::Well });
        }
    }
    let view = view(&world, &id);
    assert_eq!(view.status, Status::Failed, "{view:?}");
    assert_eq!(view.failure[0], "recipe step g1/candidate failed");
    assert!(view.failure[1].starts_with("round full-1/g1/candidate failed 3 times, rank "), "{:?}", view.failure);
    assert!(view.failure[2].starts_with("the ranks ended with different weights"), "{:?}", view.failure);
    assert!(
        world.state.workers(world.now).iter().all(|worker| worker.slots.iter().all(|slot| *slot == SlotView::Free))
    );
}

#[test]
fn an_invalid_input_fails_at_once_and_a_transient_failure_after_three() {
    for (class, retries) in [(FailureClass::Invalid, 0), (FailureClass::Transient, 2)] {
        let (mut world, id) = with_workers(2);
        for _ in 0..6 {
            (0..2).for_each(|worker| world.advance(worker, 0, How::Badly(class)));
        }
        let view = view(&world, &id);
        assert_eq!((view.status, view.retries), (Status::Failed, retries), "{class:?}");
        assert_eq!(view.failure.last().map(String::as_str), Some("fake cause"));
    }
}

#[test]
fn a_pause_lets_attempts_finish_and_starts_none_and_its_time_does_not_count() {
    let (mut world, id) = with_workers(3);
    world.wait(1_000);
    assert_eq!(world.event(Event::PauseRequested(id.clone())), None);
    assert_eq!(world.event(Event::PauseRequested(id.clone())), Some(RejectionKind::Conflict));
    world.advance(0, 0, How::Well);
    world.advance(1, 0, How::Well);
    world.wait(5_000);
    let paused = view(&world, &id);
    assert_eq!((paused.steps[0].done, paused.steps[0].elapsed_ms), (true, 1_000));
    assert!(jobs(&world).iter().all(|job| job.lease().is_none()));
    assert_eq!(explain(&world, id.as_str()).helps.as_deref(), Some("galapagos resume full-1"));
    assert_eq!(world.event(Event::ResumeRequested(id)), None);
    world.heartbeats();
    assert_eq!(jobs(&world).iter().filter(|job| job.lease().is_some()).count(), 1);
}

#[test]
fn elapsed_time_goes_on_over_a_restart_of_the_coordinator() {
    let (mut world, id) = with_workers(0);
    world.wait(6_000);
    world.restart();
    world.wait(2_000);
    assert_eq!(view(&world, &id).steps[0].elapsed_ms, 8_000);
}

#[test]
fn a_cancelled_evolution_gives_its_slots_back_and_stays_cancelled() {
    let (mut world, id) = with_workers(3);
    work_until(&mut world, &id, "candidate");
    assert_eq!(world.event(Event::CancelRequested(id.clone())), None);
    assert_eq!(view(&world, &id).status, Status::Cancelled);
    assert!(
        world.state.workers(world.now).iter().all(|worker| worker.slots.iter().all(|slot| *slot == SlotView::Free))
    );
    assert_eq!(world.event(Event::CancelRequested(id)), Some(RejectionKind::Conflict));
    let unknown = EvolutionId::new("none-1").unwrap();
    assert_eq!(world.event(Event::CancelRequested(unknown)), Some(RejectionKind::NotFound));
}

#[test]
fn records_that_do_not_fit_are_refused_by_name() {
    let (world, _) = with_workers(1);
    let load = |records: Vec<Record>| {
        ClusterState::load(records, LeaderEpoch(2), Timestamp(0), limits()).map(drop).map_err(|error| error.to_string())
    };
    let all = world.state.records();
    let without = |prefix: &str| all.iter().filter(|record| !record.key().starts_with(prefix)).cloned().collect();
    assert_eq!(load(all.clone()), Ok(()));
    assert_eq!(load(all.iter().chain(&all).cloned().collect()), Err("the store holds two records for mint".to_owned()));
    assert_eq!(
        load(without("job/")),
        Err("record evolution/full-1 refers to job/full-1/base/base/0, which the store does not hold".to_owned())
    );
    assert_eq!(
        load(without("worker/")),
        Err("record job/full-1/base/base/0 refers to worker/w1, which the store does not hold".to_owned())
    );
    assert_eq!(
        load(without("mint")),
        Err("record job/full-1/base/base/0 holds fencing token #1, which was never minted".to_owned())
    );
}

/// The first generation trains the candidate, the second one plays the ladder between it and the champion; all else runs in both.
#[test]
fn recipe_steps_run_in_their_generations_and_read_what_earlier_ones_made() {
    let mut recipe = recipes::full();
    recipe.stop = None;
    for step in &mut recipe.each {
        match step {
            RecipeStep::Train(train) if train.name.is_some() => {
                train.generations = Some(Generations { from: 1, to: Some(1) });
            }
            RecipeStep::Tournament(ladder) => ladder.generations = Some(Generations { from: 2, to: None }),
            RecipeStep::Evaluate(last) => last.generations = Some(Generations { from: 1, to: Some(1) }),
            RecipeStep::Rollout(_) | RecipeStep::Curate(_) | RecipeStep::Train(_) | RecipeStep::Propose(_) => {}
        }
    }
    let plan = Plan::of(&recipe);
    let times = |name: &str| plan.phases.iter().flat_map(|of| &of.steps).find(|step| step.name == name).unwrap().times;
    assert_eq!(["samples", "candidate", "ladder"].map(times), [2, 1, 1]);
    assert_eq!(plan.totals.rounds, 1 + 1 + 2, "one of `first`, one candidate, two critics");
    let mut world = World::new(limits());
    (0..3).for_each(|worker| world.register(worker));
    let id = world.submit(recipe);
    world.heal();
    let view = view(&world, &id);
    assert_eq!(view.status, Status::Done, "{:?}", explain(&world, id.as_str()));
    let of = |generation: &str| {
        let steps = view.steps.iter().filter(|step| step.phase.to_string() == generation);
        steps.map(|step| step.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(of("g1"), ["samples", "correct", "candidate", "train-4", "evaluate-6"]);
    assert_eq!(of("g2"), ["samples", "correct", "train-4", "ladder"]);
}
