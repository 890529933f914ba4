//! Several evolutions on one cluster: who gets which slots.

use std::collections::BTreeMap;

use galapagos_domain::cluster::view::Status;
use galapagos_domain::cluster::worker_view::SlotView;
use galapagos_domain::cluster::{Limits, Record};
use galapagos_domain::ids::EvolutionId;
use galapagos_domain::recipe::Recipe;

use crate::recipes;
use crate::sim_worker::How;
use crate::world::World;

fn world(workers: std::ops::Range<usize>) -> World {
    let mut world = World::new(Limits::default());
    workers.for_each(|worker| world.register(worker));
    world
}

/// Slots in use by each evolution: of jobs and of ranks.
fn slots(world: &World) -> BTreeMap<String, (u32, u32)> {
    let mut slots: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for slot in world.state.workers(world.now).iter().flat_map(|worker| &worker.slots) {
        let (id, jobs, ranks) = match slot {
            SlotView::Free => continue,
            SlotView::Job { id, .. } => (id, 1, 0),
            SlotView::Rank { round, .. } => (round, 0, 1),
        };
        let of = slots.entry(id.split('/').next().unwrap().to_owned()).or_default();
        *of = (of.0 + jobs, of.1 + ranks);
    }
    slots
}

/// The running recipe step.
fn step(world: &World, id: &EvolutionId) -> String {
    let view = world.state.view(world.now, id).unwrap();
    view.steps.iter().rfind(|step| !step.done).map_or_else(String::new, |step| step.name.to_string())
}

/// One job or rank of somebody a report further, in turns.
fn work(world: &mut World, turn: usize) {
    let workers = world.workers.len();
    world.advance(u8::try_from(turn % workers).unwrap(), u8::try_from(turn / workers % 3).unwrap(), How::Well);
}

/// Works on until `there`.
#[track_caller]
fn work_until(world: &mut World, there: impl Fn(&World) -> bool) {
    for turn in 0..3_000 {
        if there(world) {
            return;
        }
        work(world, turn);
    }
    panic!("it never comes to that: {:?}", slots(world));
}

#[test]
fn evolutions_of_one_priority_share_the_slots_however_many_jobs_they_have() {
    let mut world = world(0..3);
    let first = world.submit(recipes::broad());
    work_until(&mut world, |world| step(world, &first) == "samples");
    assert_eq!(slots(&world)["broad-1"], (4, 0), "alone, it has them all");
    let second = world.submit(recipes::broad());
    work_until(&mut world, |world| step(world, &second) == "samples");
    work_until(&mut world, |world| slots(world).get("broad-2") == Some(&(2, 0)));
    assert_eq!(slots(&world)["broad-1"], (2, 0));
    world.heal();
    world.assert_all_final();
}

#[test]
fn on_one_slot_they_take_turns() {
    let mut world = world(0..1);
    let ids = [world.submit(recipes::broad()), world.submit(recipes::broad())];
    work_until(&mut world, |world| ids.iter().all(|id| step(world, id) == "samples"));
    let mut holders = Vec::new();
    for _ in 0..6 {
        holders.extend(slots(&world).into_keys());
        world.advance(0, 0, How::Well);
    }
    assert!(holders.windows(2).all(|pair| pair[0] != pair[1]), "{holders:?}");
}

#[test]
fn a_higher_priority_gets_every_slot_that_comes_free_and_takes_none_away() {
    let mut world = world(0..3);
    let patient = world.submit(Recipe { priority: -1, ..recipes::broad() });
    work_until(&mut world, |world| step(world, &patient) == "samples");
    let urgent = world.submit(Recipe { priority: 3, ..recipes::broad() });
    assert_eq!(slots(&world)["broad-1"], (4, 0), "nothing that runs is interrupted");
    work_until(&mut world, |world| step(world, &urgent) == "samples");
    work_until(&mut world, |world| slots(world).get("broad-2") == Some(&(4, 0)));
    // Until it needs no more: then the other goes on.
    work_until(&mut world, |world| slots(world).contains_key("broad-1"));
    let waiting = world.state.records().into_iter().any(|record| match record {
        Record::Job(job) => job.spec.evolution == urgent && job.waiting().is_some(),
        _ => false,
    });
    assert!(!waiting, "it had work left");
    world.heal();
    world.assert_all_final();
}

#[test]
fn a_round_gets_its_slots_from_among_the_rollouts_of_older_evolutions() {
    let mut world = world(0..2);
    let ids = [world.submit(recipes::broad()), world.submit(recipes::broad())];
    let trains = world.submit(recipes::wide());
    work_until(&mut world, |world| {
        step(world, &trains) == "train-2" && ids.iter().all(|id| step(world, id) == "samples")
    });
    let mut gave_up = 0;
    for turn in 0..200 {
        let now = slots(&world);
        if now.get("wide-1") == Some(&(0, 3)) {
            break;
        }
        let rollouts: u32 = now.values().map(|(jobs, _)| jobs).sum();
        assert!(rollouts <= 3, "a slot serves rollouts or ranks: {now:?}");
        gave_up = turn;
        work(&mut world, turn);
    }
    assert_eq!(slots(&world)["wide-1"], (0, 3), "all at once");
    assert!(gave_up < 30, "the round waited for {gave_up} reports of others");
    world.heal();
    assert!(ids.iter().chain([&trains]).all(|id| world.state.view(world.now, id).unwrap().status == Status::Done));
}

#[test]
fn rounds_of_several_evolutions_train_at_once_on_slots_of_their_own() {
    let mut world = world(0..3);
    let mut narrow = recipes::wide();
    if let galapagos_domain::recipe::step::RecipeStep::Train(train) = &mut narrow.each[1] {
        train.ranks = 2;
    }
    let ids = [world.submit(narrow.clone()), world.submit(narrow)];
    work_until(&mut world, |world| {
        let now = slots(world);
        now.get("wide-1") == Some(&(0, 2)) && now.get("wide-2") == Some(&(0, 2))
    });
    world.heal();
    assert!(ids.iter().all(|id| world.state.view(world.now, id).unwrap().status == Status::Done));
}
